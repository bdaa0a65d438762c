/**
 * The owner of a draft, as part of its name. A process that starts later can tell drafts of dead processes from those
 * being written, even on a volume shared by several machines. `<machine>-<pid>-<start>`: the machine is identified by
 * its boot and the namespace of the process id (two containers share a kernel, and both have a process 1). The start
 * distinguishes a process from a later one with the same id.
 */
import { createHash } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';

/** Start of a process in clock ticks since the boot (proc(5), field 22); undefined if it is gone or a zombie. */
function startOf(pid: number | 'self'): string | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name, in parentheses, may itself contain blanks and parentheses.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

function findMachine(): string | undefined {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
    const namespace = readlinkSync('/proc/self/ns/pid');
    return createHash('sha256').update(`${boot}\n${namespace}`).digest('hex').slice(0, 16);
  } catch {
    return undefined;
  }
}

// Both are read once: neither changes while the process lives.
const machine = findMachine();

/** This process. Without /proc (not Linux) nobody can tell, so its drafts are removed by age. */
export const self = `${machine ?? 'unknown'}-${process.pid}-${startOf('self') ?? 0}`;

/** True if the process has certainly ended; false for processes of other machines and for an invalid owner. */
export function isDead(owner: string): boolean {
  const [, where, pid, start] = /^([0-9a-f]{16})-(\d{1,10})-(\d{1,20})$/.exec(owner) ?? [];
  return where !== undefined && where === machine && startOf(Number(pid)) !== start;
}
