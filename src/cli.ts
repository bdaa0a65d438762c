#!/usr/bin/env node
/**
 * The command line. Exit codes of every command: 0 it was done, 1 it could not be done (the message says why),
 * 2 the call was wrong.
 */
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { checkCommand } from './commands/check.ts';
import { decodeCommand } from './commands/decode.ts';
import { demoCommand } from './commands/demo.ts';
import { encodeCommand } from './commands/encode.ts';
import { packageFile } from './commands/files.ts';
import { healthCommand } from './commands/health.ts';
import { messagesCommand } from './commands/messages.ts';
import { reportError } from './commands/report.ts';
import { sendCommand } from './commands/send.ts';
import { startCommand } from './commands/start.ts';

const { version } = JSON.parse(readFileSync(packageFile('package.json'), 'utf8'));

const program = new Command('sealpost')
  .description('mail adapter daemon for S/MIME mail with partners')
  .version(version)
  .showHelpAfterError('hint: sealpost --help lists the commands')
  .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'sealpost: ')) })
  .addHelpText('after', '\nExit codes: 0 done, 1 could not be done, 2 wrong call.');

for (const make of [
  startCommand,
  checkCommand,
  decodeCommand,
  encodeCommand,
  sendCommand,
  messagesCommand,
  healthCommand,
  demoCommand,
])
  program.addCommand(make());

/** Commander's own exit codes are 0 for help and 1 for a wrong call; ours are 0 and 2. */
function throwInsteadOfExit(command: Command): void {
  command.exitOverride().configureOutput(program.configureOutput());
  for (const each of command.commands) throwInsteadOfExit(each);
}
throwInsteadOfExit(program);

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : 2;
  else process.exitCode = reportError(error);
}
