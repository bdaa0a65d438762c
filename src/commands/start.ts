import { Command } from 'commander';
import { loadConfig } from '../config/index.ts';
import { loadSupervisor, type RoleName, roleNames } from '../daemon/index.ts';
import { SealpostError } from '../errors.ts';
import { createLog } from '../log.ts';
import { configOption } from './options.ts';

function parseRoles(text: string): RoleName[] {
  const names = text.split(',').map((name) => name.trim());
  return names.map((name) => {
    const role = roleNames.find((each) => each === name);
    if (!role)
      throw new SealpostError('usage', `--only: unknown role ${JSON.stringify(name)}`, {
        hint: `roles are ${roleNames.join(', ')}`,
      });
    return role;
  });
}

export function startCommand(): Command {
  return new Command('start')
    .addOption(configOption())
    .option('--only <roles>', `run only these roles, separated by commas: ${roleNames.join(', ')}`)
    .action(async (options: { config: string; only?: string }) => {
      const roles = options.only === undefined ? roleNames : parseRoles(options.only);
      const config = await loadConfig(options.config, true);
      const log = createLog(config.log.level, 'supervisor', undefined, config.log.times);
      const { Supervisor } = await loadSupervisor();
      const supervisor = new Supervisor({ configFile: options.config, config, roles, log });

      const ended = Promise.withResolvers<void>();
      let signals = 0;
      const onSignal = (signal: NodeJS.Signals) => {
        signals += 1;
        log.info({ signal }, signals === 1 ? 'draining; a second signal forces the end' : 'forced');
        const stopping = signals === 1 ? supervisor.stop() : supervisor.force();
        stopping.then(ended.resolve, ended.reject);
      };
      process.on('SIGTERM', onSignal);
      process.on('SIGINT', onSignal);
      // The log says what happened.
      process.on('SIGHUP', () => void supervisor.reload().catch(() => undefined));
      try {
        const facts = await supervisor.start();
        if (signals === 0) log.info({ roles: facts, pids: supervisor.pids }, 'running');
        await Promise.race([ended.promise, supervisor.failed.promise]);
      } catch (error) {
        if (signals > 0) await ended.promise;
        else {
          await supervisor.stop();
          throw error;
        }
      }
    });
}
