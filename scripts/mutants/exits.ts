/**
 * How the process of a test file ended: with the result of its tests, or for a reason that says nothing about the code.
 */
export type Ended = 'passed' | 'failed' | 'broken' | 'late' | 'nothing';

/** What the reporter (`first-failure.ts`) makes the process end with. */
export const exits = { passed: 64, failed: 65, broken: 66, late: 67, nothing: 68 } as const;

/** A file without any test ends by itself; any other code, or none, is a file that did not get as far as its tests. */
export function endOf(code: number | null): Ended {
  switch (code) {
    case exits.passed:
      return 'passed';
    case exits.failed:
      return 'failed';
    case exits.late:
      return 'late';
    case exits.nothing:
    case 0:
      return 'nothing';
    default:
      return 'broken';
  }
}
