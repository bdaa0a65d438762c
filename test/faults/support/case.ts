/** What a case of the harness is, and what it finds. */
import type { World } from '../../support/world.ts';
import type { Tally } from './oracle.ts';
import type { Rig, RigOptions } from './rig.ts';

export interface Findings {
  /** Messages that somebody tried to hand to the daemon. */
  sent: number;
  tally: Tally;
  kills: number;
  /** Longest time in which nothing was accepted while clients tried, in milliseconds; null if meaningless. */
  pause: number | null;
  /** Observations besides the figures. */
  notes: string[];
  /** Problems besides those in the tally. */
  failures: string[];
}

export interface Run {
  world: World;
  /** Kills that a case of kills does. */
  kills: number;
  short: boolean;
  /** Messages of a flood, where the run says so. */
  messages?: number;
  /** A daemon with its surroundings; closed when the case is over. */
  rig(options?: RigOptions): Promise<Rig>;
  /** To be called when the case is over, last one first. */
  after(work: () => Promise<unknown> | unknown): void;
}

export interface FaultCase {
  /** R-number of the matrix, a hyphen and a name. */
  id: string;
  title: string;
  /** One of the short form. */
  short?: true;
  /** Share of the kills of a long run, in hundredths; 0 or missing: the case does not kill by number. */
  share?: number;
  /** Why it cannot run here, or undefined. */
  skip?: () => string | undefined;
  run(run: Run): Promise<Findings>;
}
