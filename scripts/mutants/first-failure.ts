/**
 * A reporter that reports the result of a file only by the exit code. The process ends at the first failure, which is
 * all that a mutant needs.
 */
import { Transform } from 'node:stream';
import { exits } from './exits.ts';

interface TestEvent {
  type: string;
  data: {
    skip?: string | boolean;
    todo?: string | boolean;
    details?: { type?: string; error?: Error & { failureType?: string } };
  };
}

/** An error that says something of how the tree was put together, and nothing of what the code does. */
function isBroken(error: unknown): boolean {
  for (let at = error; at instanceof Error; at = at.cause) {
    if (at instanceof SyntaxError || at instanceof ReferenceError) return true;
    if ('code' in at && (at.code === 'ERR_MODULE_NOT_FOUND' || at.code === 'ERR_UNSUPPORTED_DIR_IMPORT'))
      return true;
  }
  return false;
}

let passed = 0;

export default new Transform({
  writableObjectMode: true,
  transform({ type, data }: TestEvent, _encoding, done) {
    if (type === 'test:pass' && data.details?.type !== 'suite' && !data.skip && !data.todo) passed++;
    if (type === 'test:fail') {
      const error = data.details?.error;
      if (error?.failureType === 'testTimeoutFailure') process.exit(exits.late);
      process.exit(isBroken(error) ? exits.broken : exits.failed);
    }
    done();
  },
  flush() {
    process.exit(passed === 0 ? exits.nothing : exits.passed);
  },
});
