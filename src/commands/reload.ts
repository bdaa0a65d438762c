import { Command } from 'commander';
import { loadConfig } from '../config/index.ts';
import { askReload } from '../daemon/index.ts';
import { SealpostError } from '../errors.ts';
import { operator } from './operator.ts';
import { configOption } from './options.ts';
import { printLine } from './output.ts';
import { withQueue } from './queue.ts';

export function reloadCommand(): Command {
  return new Command('reload').addOption(configOption()).action(async (options: { config: string }) => {
    // Reports problems of the text itself, with places.
    const config = await loadConfig(options.config);
    const replies = await askReload(config.dataDir);
    if (replies.length === 0)
      throw new SealpostError('reload-refused', 'no daemon with this data folder runs on this machine', {
        hint: 'start it with sealpost start',
      });
    for (const { ok, message } of replies) {
      if (!ok) throw new SealpostError('reload-refused', message);
      for (const line of message.split('\n')) printLine(line);
    }
    await withQueue(config, ({ audit }) =>
      audit.add({ at: Date.now(), by: operator(), what: 'reload', why: options.config }),
    );
  });
}
