/** Partners, one command a file: those in files of their own are written, changed and removed by commands. */
import { Command } from 'commander';
import { addCommand } from './partners/add.ts';
import { removeCommand, renameCommand } from './partners/change.ts';
import { matrixCommand } from './partners/matrix.ts';
import { checkCommand, listCommand, showCommand } from './partners/show.ts';
import { testCommand } from './partners/test.ts';

export function partnersCommand(): Command {
  const command = new Command('partners');
  const commands = [
    addCommand(),
    listCommand(),
    showCommand(),
    checkCommand(),
    matrixCommand(),
    testCommand(),
    renameCommand(),
    removeCommand(),
  ];
  for (const each of commands) command.addCommand(each);
  return command;
}
