/** The command line of this process: its arguments, its streams, its exit code. */
import { guardOutput, ownStreams } from './output.ts';
import { runProgram } from './program.ts';

guardOutput();
// without await: the published program is CommonJS
void runProgram(process.argv.slice(2), ownStreams).then((code) => {
  process.exitCode = code;
});
