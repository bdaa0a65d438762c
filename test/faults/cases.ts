/** All cases, in the order of the matrix. */
import { doorCases } from './cases/doors.ts';
import { failoverCases } from './cases/failover.ts';
import { floodCases } from './cases/floods.ts';
import { imapCases } from './cases/imap.ts';
import { lifeCases } from './cases/life.ts';
import { partnerCases } from './cases/partners.ts';
import { powerCases } from './cases/power.ts';
import { receiverCases } from './cases/receiver.ts';
import { redisCases } from './cases/redis.ts';
import { workerCases } from './cases/workers.ts';
import type { FaultCase } from './support/case.ts';

const numberOf = ({ id }: FaultCase) => Number(/^R(\d+)-/.exec(id)?.[1]);

export const cases: readonly FaultCase[] = [
  ...receiverCases,
  ...workerCases,
  ...redisCases,
  ...powerCases,
  ...failoverCases,
  ...partnerCases,
  ...imapCases,
  ...floodCases,
  ...lifeCases,
  ...doorCases,
].sort((a, b) => numberOf(a) - numberOf(b));

/** The cases for a name: an R-number, or the id of one case. */
export function casesNamed(name: string): FaultCase[] {
  return cases.filter(({ id }) => id === name || id.startsWith(`${name}-`));
}
