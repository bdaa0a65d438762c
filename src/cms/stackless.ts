/**
 * Runs an operation of node:crypto that takes an options object. Node finds out by two exceptions that the
 * options are no key object; without stack traces these cost 10 us less. What it throws has no trace either.
 */
export function withoutStackTraces<T>(run: () => T): T {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    return run();
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}
