/**
 * Time and memory caps of a role process, from outside. A process that hangs in a loop or grows without end is killed,
 * and its jobs are started again elsewhere. A message that causes this five times is suspended (`worker-crashed`).
 */
import { readFileSync } from 'node:fs';

const lookMs = 1_000;
/**
 * Checks without a sign of life until a process counts as hung: a minute. Checks are counted, so that sleep of the
 * machine does not matter.
 */
const silentLooks = 60;
/** Resident octets. A process with several 100 MB messages at once stays below a quarter of it. */
const residentLimit = 2 ** 31;
const pageOctets = 4096;

export interface OutOfHand {
  why: 'silent' | 'memory';
  /** Resident memory in MB, if the system reports it. */
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

  /** Starts when the process is ready, because loading keys may take a while. */
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

/** Resident octets of a process (proc(5), statm: pages); null if there is no such file. */
function residentOf(pid: number | undefined): number | null {
  try {
    return Number(readFileSync(`/proc/${pid}/statm`, 'latin1').split(' ')[1]) * pageOctets;
  } catch {
    return null;
  }
}
