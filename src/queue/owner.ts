/**
 * Whose a draft is: part of its name, so that whoever starts later can tell those of dead processes from those that
 * others write right now, also on a volume that several machines share. `<machine>-<pid>-<start>`: the machine is its
 * boot and the namespace that the process id is of (two containers have one kernel, and both a process 1); the start
 * tells a process from a later one with the same id.
 */
import { createHash } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';

/** Start of a process in clock ticks since the boot (proc(5), field 22); undefined when it is gone or a zombie. */
function startOf(pid: number | 'self'): string | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name, in parentheses, may hold blanks and parentheses itself.
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

/** This process. Without a /proc (not Linux) nobody can tell: its drafts go by their age. */
export const self = `${machine ?? 'unknown'}-${process.pid}-${startOf('self') ?? 0}`;

/** True when it is certain that the process has ended; false for those of other machines and for what is no owner. */
export function isDead(owner: string): boolean {
  const [, where, pid, start] = /^([0-9a-f]{16})-(\d{1,10})-(\d{1,20})$/.exec(owner) ?? [];
  return where !== undefined && where === machine && startOf(Number(pid)) !== start;
}
