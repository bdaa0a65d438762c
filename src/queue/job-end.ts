/**
 * The end of a job, and what is at hand at its beginning. A worker's job ends in the script of its step, which also
 * takes the next job and reads its octets (`ending` in `lua.ts`): one round trip, and one wait for the disk, in place
 * of three.
 */
import type { Ended, Octets, ScriptArguments } from '../redis/index.ts';
import type { Step } from './steps.ts';

/** What a message was when its job was taken. */
export interface Ahead {
  state: string | null;
  /** Tokens of its octets, as the record has them. */
  kept: string;
  /** Sealed octets by name. */
  octets: ReadonlyMap<string, Buffer>;
}

/** Given to a handler, which passes it on to the step. */
export interface JobEnd {
  /** What came with the job; null if nothing did, or if it is too old to be trusted. */
  ahead(): Ahead | null;
  /**
   * Runs the step, and ends the job in the same script. `kept` is false if too few replicas have it. Throws `JobLost`;
   * nothing is written then. Errors: `redis-unreachable`, `redis-full`.
   */
  run(step: Step, args: ScriptArguments, octets: Octets): Promise<Ended>;
}

/** The job is another process's by now, or gone. */
export class JobLost extends Error {
  constructor(code: number) {
    super(`the job is not ours any more (${code})`);
  }
}
