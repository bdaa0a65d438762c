import { alerts } from './alerts.ts';
import { backups } from './backups.ts';
import { certs } from './certs.ts';
import { codec } from './codec.ts';
import { console } from './console.ts';
import { doors } from './doors.ts';
import { flow } from './flow.ts';
import { imports } from './imports.ts';
import { inboundPolicy } from './inbound-policy.ts';
import { leaving } from './leaving.ts';
import type { Mutant } from './mutant.ts';
import { newest } from './newest.ts';
import { outbound, rates } from './outbound.ts';
import { people } from './people.ts';
import { profiles } from './profiles.ts';
import { replays } from './replays.ts';
import { rules } from './rules.ts';
import { structures } from './structures.ts';
import { work } from './work.ts';

export { type Mutant, mutate, testOf } from './mutant.ts';

/** All mutants; their numbers on the command line are their places here, from 1. */
export const allMutants: readonly Mutant[] = [
  ...structures,
  ...codec,
  ...rules,
  ...inboundPolicy,
  ...flow,
  ...work,
  ...newest,
  ...outbound,
  ...certs,
  ...rates,
  ...doors,
  ...leaving,
  ...profiles,
  ...replays,
  ...backups,
  ...imports,
  ...console,
  ...people,
  ...alerts,
];
