/** All cases, in the order of the matrix. */
import { receiverCases } from './cases/receiver.ts';
import type { FaultCase } from './support/case.ts';

const numberOf = ({ id }: FaultCase) => Number(/^R(\d+)-/.exec(id)?.[1]);

export const cases: readonly FaultCase[] = [...receiverCases].sort((a, b) => numberOf(a) - numberOf(b));

/** Those that a name stands for: an R-number, or the id of one case. */
export function casesNamed(name: string): FaultCase[] {
  return cases.filter(({ id }) => id === name || id.startsWith(`${name}-`));
}
