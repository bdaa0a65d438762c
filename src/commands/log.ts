import { Command } from 'commander';
import { loadConfig } from '../config/index.ts';
import { askLevels } from '../daemon/index.ts';
import { SealpostError } from '../errors.ts';
import { configOption } from './options.ts';
import { printJson, printLine } from './output.ts';

/** Levels of a daemon by room, of the lines in which it says them. */
function levelsOf(text: string): Record<string, { level: string; changed: boolean }> {
  const rows = text.split('\n').map((line) => line.split(/ +/));
  return Object.fromEntries(
    rows.map(([room = '', level = '', changed]) => [room, { level, changed: changed !== undefined }]),
  );
}

export function logCommand(): Command {
  return new Command('log')
    .argument('[levels...]', 'levels to change: smtp=debug, debug (everywhere), smtp=default, default')
    .addOption(configOption())
    .option('--json', 'print JSON')
    .action(async (levels: string[], options: { config: string; json?: boolean }) => {
      const { dataDir } = await loadConfig(options.config);
      const replies = await askLevels(dataDir, levels.join(' '));
      if (replies.length === 0)
        throw new SealpostError('usage', 'no daemon with this data folder runs on this machine', {
          hint: 'start it with sealpost start',
        });
      const refused = replies.find(({ ok }) => !ok);
      if (refused) throw new SealpostError('usage', refused.message);
      if (options.json) return printJson(replies.map(({ message }) => ({ levels: levelsOf(message) })));
      for (const { message } of replies) for (const line of message.split('\n')) printLine(line);
    });
}
