/** What the process of a test file ends with. Any other code is a file that did not get as far as its tests. */
export const exits = { passed: 0, failed: 65, broken: 66, late: 67, nothing: 68 } as const;
