import { Command } from 'commander';
import { loadConfig } from '../config/index.ts';
import { askReload } from '../daemon/index.ts';
import { SealpostError } from '../errors.ts';
import { operator } from './operator.ts';
import { configOption } from './options.ts';
import { printJson, printLine } from './output.ts';
import { withQueue } from './queue.ts';

export function reloadCommand(): Command {
  return new Command('reload')
    .addOption(configOption())
    .option('--json', 'print JSON')
    .action(async (options: { config: string; json?: boolean }) => {
      // Reports problems of the text itself, with places.
      const config = await loadConfig(options.config);
      const replies = await askReload(config.dataDir);
      if (replies.length === 0)
        throw new SealpostError('reload-refused', 'no daemon with this data folder runs on this machine', {
          hint: 'start it with sealpost start',
        });
      const refused = replies.find(({ ok }) => !ok);
      if (refused) throw new SealpostError('reload-refused', refused.message);
      const lines = replies.flatMap(({ message }) => message.split('\n'));
      if (options.json) printJson({ reloaded: lines });
      else for (const line of lines) printLine(line);
      await withQueue(config, ({ audit }) =>
        audit.add({ at: Date.now(), by: operator(), what: 'reload', why: options.config }),
      );
    });
}
