/** A reporter that says nothing: the process ends at the first test that fails, which is all that a mutant needs. */
import { Transform } from 'node:stream';

export default new Transform({
  writableObjectMode: true,
  transform(event: { type: string }, _encoding, done) {
    if (event.type === 'test:fail') process.exit(1);
    done();
  },
});
