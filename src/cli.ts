#!/usr/bin/env node
/**
 * The command line. Exit codes of every command: 0 it was done, 1 it could not be done (the message says why),
 * 2 the call was wrong.
 */
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { packageFile } from './commands/files.ts';
import { guardOutput } from './commands/output.ts';
import { reportError } from './commands/report.ts';
import { printable } from './printable.ts';

guardOutput();

/** Each command's modules are loaded only when it is called: all of them take half a second. */
const commands: Record<string, () => Promise<Command>> = {
  start: async () => (await import('./commands/start.ts')).startCommand(),
  check: async () => (await import('./commands/check.ts')).checkCommand(),
  decode: async () => (await import('./commands/decode.ts')).decodeCommand(),
  encode: async () => (await import('./commands/encode.ts')).encodeCommand(),
  send: async () => (await import('./commands/send.ts')).sendCommand(),
  messages: async () => (await import('./commands/messages.ts')).messagesCommand(),
  audit: async () => (await import('./commands/audit.ts')).auditCommand(),
  reload: async () => (await import('./commands/reload.ts')).reloadCommand(),
  health: async () => (await import('./commands/health.ts')).healthCommand(),
  demo: async () => (await import('./commands/demo.ts')).demoCommand(),
};

const { version } = JSON.parse(readFileSync(packageFile('package.json'), 'utf8'));

const program = new Command('sealpost')
  .description('mail adapter daemon for S/MIME mail with partners')
  .version(version)
  .showHelpAfterError('hint: sealpost --help lists the commands')
  .configureOutput({
    outputError: (text, write) => {
      const lines = text.replace(/^error: /, 'sealpost: ').split('\n');
      write(lines.map(printable).join('\n'));
    },
  })
  .addHelpText('afterAll', '\nExit codes: 0 done, 1 could not be done, 2 wrong call.');

// Without one of their names (help, a wrong call) all of them.
const [wanted = ''] = process.argv.slice(2);
const loaders = Object.hasOwn(commands, wanted) ? [commands[wanted]] : Object.values(commands);
for (const load of loaders) if (load) program.addCommand(await load());

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
