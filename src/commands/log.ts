import { Command } from 'commander';
import { loadConfig } from '../config/index.ts';
import { askLevels } from '../daemon/index.ts';
import { SealpostError } from '../errors.ts';
import { configOption } from './options.ts';
import { printLine } from './output.ts';

export function logCommand(): Command {
  return new Command('log')
    .argument('[levels...]', 'levels to change: smtp=debug, debug (everywhere), smtp=default, default')
    .addOption(configOption())
    .action(async (levels: string[], options: { config: string }) => {
      const { dataDir } = await loadConfig(options.config);
      const replies = await askLevels(dataDir, levels.join(' '));
      if (replies.length === 0)
        throw new SealpostError('usage', 'no daemon with this data folder runs on this machine', {
          hint: 'start it with sealpost start',
        });
      for (const { ok, message } of replies) {
        if (!ok) throw new SealpostError('usage', message);
        for (const line of message.split('\n')) printLine(line);
      }
    });
}
