/** Commands run in the process of the test: the start of a process is most of what a command costs. */
import type { Terminal } from '../../src/commands/output.ts';
import { runProgram } from '../../src/commands/program.ts';
import type { Ran, RunOptions } from './peers/run.ts';

/** Streams and environment belong to the process: one command after the other. */
let last: Promise<unknown> = Promise.resolve();

export interface CommandOptions extends Pick<RunOptions, 'input' | 'env'> {
  /** What standard output is, if it is a terminal. */
  terminal?: Terminal;
}

/** As `sealpost` of daemon.ts, without its process; what belongs to the process itself is not tried here. */
export function command(args: string[], options: CommandOptions = {}): Promise<Ran> {
  const ran = last.then(() => runHere(args, options));
  last = ran.catch(() => undefined);
  return ran;
}

async function runHere(args: string[], { input = '', env = {}, terminal }: CommandOptions): Promise<Ran> {
  const stdout: Buffer[] = [];
  const stderr: string[] = [];
  const before = { env: process.env, exitCode: process.exitCode };
  process.env = { ...before.env, ...env };
  try {
    const code = await runProgram(args, {
      async *input() {
        yield Buffer.from(input);
      },
      output: (octets) => void stdout.push(Buffer.from(octets)),
      error: (text) => void stderr.push(text),
      ...(terminal && { terminal }),
    });
    return { code, stdout: Buffer.concat(stdout), stderr: stderr.join('') };
  } finally {
    process.env = before.env;
    process.exitCode = before.exitCode;
  }
}
