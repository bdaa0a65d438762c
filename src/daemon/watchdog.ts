/**
 * Time and memory caps of a role process, from outside: what hangs in a loop or grows without end is killed, its jobs
 * are started again elsewhere, and a message that does this five times is suspended (`worker-crashed`).
 */
import { readFileSync } from 'node:fs';

const lookMs = 1_000;
/** Looks without a sign of life until a process counts as hung: a minute. Counted, so that a sleep of the machine is none. */
const silentLooks = 60;
/** Resident octets; one that works on 100 MB messages side by side stays below a quarter of it. */
const residentLimit = 2 ** 31;
const pageOctets = 4096;

export interface OutOfHand {
  why: 'silent' | 'memory';
  /** Resident memory in MB, where the system tells. */
  megabytes: number | null;
}

export class Watchdog {
  readonly #kill: (facts: OutOfHand) => void;
  readonly #pid: number | undefined;
  #timer: NodeJS.Timeout | undefined;
  #silent = 0;

  constructor(kill: (facts: OutOfHand) => void, pid: number | undefined) {
    this.#kill = kill;
    this.#pid = pid;
  }

  /** From when the process is ready: loading keys may take its time. */
  start(): void {
    this.#timer ??= setInterval(() => this.#look(), lookMs).unref();
  }

  heard(): void {
    this.#silent = 0;
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    this.#silent++;
    const resident = residentOf(this.#pid);
    const megabytes = resident === null ? null : Math.round(resident / 2 ** 20);
    const why =
      this.#silent > silentLooks ? 'silent' : (resident ?? 0) > residentLimit ? 'memory' : undefined;
    if (why === undefined) return;
    this.stop();
    this.#kill({ why, megabytes });
  }
}

/** Resident octets of a process (proc(5), statm: pages); null where there is no such file. */
function residentOf(pid: number | undefined): number | null {
  try {
    return Number(readFileSync(`/proc/${pid}/statm`, 'latin1').split(' ')[1]) * pageOctets;
  } catch {
    return null;
  }
}
