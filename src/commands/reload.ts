import { Command } from 'commander';
import { knownSettings, loadConfig } from '../config/index.ts';
import { askLevels, askReload } from '../daemon/index.ts';
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
      // The daemon checks the files anyway. They are read here to say what is wrong with them, with places.
      const known = knownSettings(options.config);
      const config = known ?? (await loadConfig(options.config));
      const isThere = (await askLevels(config.dataDir, '')).length > 0;
      // Before the act: what cannot be noted is not done.
      if (isThere)
        await withQueue(config, ({ audit }) =>
          audit.add({ at: Date.now(), by: operator(), what: 'reload', why: options.config }),
        );
      const replies = isThere ? await askReload(config.dataDir) : [];
      const refused = replies.find(({ ok }) => !ok);
      if (known !== undefined && (refused || replies.length === 0)) await loadConfig(options.config);
      if (replies.length === 0)
        throw new SealpostError('reload-refused', 'no daemon with this data folder runs on this machine', {
          hint: 'start it with sealpost start',
        });
      if (refused) throw new SealpostError('reload-refused', refused.message);
      const lines = replies.flatMap(({ message }) => message.split('\n'));
      if (options.json) printJson({ reloaded: lines });
      else for (const line of lines) printLine(line);
    });
}
