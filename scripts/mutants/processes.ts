/** What a test started, and how to end all of it: the daemons, their roles and their private Redis servers. */
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join, sep } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** Milliseconds between checks of a test's descendants. */
const lookEvery = 200;

interface Entry {
  pid: number;
  parent: number;
  /** Clock ticks from boot to its start (proc(5), stat, field 22): a reused process id has another one. */
  startedAt: string;
}

function entryOf(pid: number): Entry | undefined {
  try {
    // the name of the program is in parentheses, and may contain anything
    const [, rest = ''] = /^.*\) (.*)$/s.exec(readFileSync(`/proc/${pid}/stat`, 'latin1')) ?? [];
    const fields = rest.split(' ');
    if (fields[0] === 'Z') return undefined; // it has ended, and its parent has not waited for it yet
    return { pid, parent: Number(fields[1]), startedAt: fields[19] ?? '' };
  } catch {
    return undefined;
  }
}

function processes(): Entry[] {
  return readdirSync('/proc')
    .filter((name) => /^[0-9]+$/.test(name))
    .flatMap((name) => entryOf(Number(name)) ?? []);
}

/**
 * True when a process works in the folder or has it for its temporary one. A redis-server overwrites its environment
 * with its title, and does work in the folder of its data.
 */
function isOf(pid: number, folder: string): boolean {
  const inside = (path: string) => path === folder || path.startsWith(`${folder}${sep}`);
  try {
    if (inside(readlinkSync(`/proc/${pid}/cwd`).replace(/ \(deleted\)$/, ''))) return true;
    const environment = readFileSync(join('/proc', `${pid}`, 'environ'), 'latin1').split('\0');
    return environment.includes(`TMPDIR=${folder}`);
  } catch {
    // ended meanwhile, or owned by another user
    return false;
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // ended meanwhile
  }
}

/** A process in its own group with all its descendants, including those that left the group or lost their parent. */
export class Brood {
  readonly child: ChildProcess;
  readonly #folder: string;
  readonly #seen = new Map<number, string>();
  readonly #looking: NodeJS.Timeout;

  /** `folder` is the temporary one of all that it starts. */
  constructor(program: string, args: string[], folder: string, options: SpawnOptions) {
    this.#folder = folder;
    this.child = spawn(program, args, { ...options, detached: true });
    this.#looking = setInterval(() => this.#look(), lookEvery);
  }

  /** Records its descendants while the chain of parents still exists; returns those that run. */
  #look(): Entry[] {
    const all = new Map(processes().map((entry) => [entry.pid, entry]));
    const isSeen = (entry: Entry | undefined) =>
      entry !== undefined && this.#seen.get(entry.pid) === entry.startedAt;
    for (let before = -1; before !== this.#seen.size; ) {
      before = this.#seen.size;
      for (const entry of all.values())
        if (entry.pid === this.child.pid || isSeen(all.get(entry.parent)))
          this.#seen.set(entry.pid, entry.startedAt);
    }
    return [...all.values()];
  }

  /** Ends all of them, until none is left: a supervisor that is about to die may have started a role meanwhile. */
  async end(): Promise<void> {
    clearInterval(this.#looking);
    this.#look();
    if (this.child.pid !== undefined) kill(-this.child.pid);
    for (let turn = 0; turn < 50; turn++) {
      const left = this.#look().filter(
        ({ pid, startedAt }) => this.#seen.get(pid) === startedAt || isOf(pid, this.#folder),
      );
      if (left.length === 0) return;
      for (const { pid } of left) kill(pid);
      await sleep(20);
    }
  }
}
