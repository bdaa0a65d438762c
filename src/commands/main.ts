/** The command line of this process: its arguments, its streams, its exit code. */
import { guardOutput, ownStreams } from './output.ts';
import { runProgram } from './program.ts';

guardOutput();
process.exitCode = await runProgram(process.argv.slice(2), ownStreams);
