import { writeFileSync } from 'node:fs';
import { Command, Option } from 'commander';
import { type Config, checkConfig, formatProblem, storeConfig } from '../config/index.ts';
import { createLog } from '../log.ts';
import { tryProtection } from '../partner/index.ts';
import { configOption } from './options.ts';
import { printJson, printLine } from './output.ts';
import { dayOf } from './profiles-text.ts';

/** Connects to Redis and checks its durability; opens and closes it as a role would. */
async function probeRedis(config: Config): Promise<void> {
  const { openQueue } = await import('../queue/index.ts');
  const queue = await openQueue(config, { role: 'check', log: createLog('silent', 'check') });
  await queue.close();
}

/** Stores, reads and removes an object. */
async function probeObjectStore(s3: NonNullable<Config['spool']['s3']>): Promise<void> {
  const { probeObjectStore } = await import('../spool/index.ts');
  await probeObjectStore(s3, createLog('silent', 'check'));
}

const counted = (count: number, what: string) => `${count} ${what}${count === 1 ? '' : 's'}`;

interface CheckOptions {
  config: string;
  at?: string;
  online?: boolean;
  probeRecipient?: boolean;
  json?: boolean;
  inForce?: string;
  roles?: string;
  store?: string;
}

export function checkCommand(): Command {
  return (
    new Command('check')
      .addOption(configOption())
      .option(
        '--online',
        'also try the mailboxes, the routes of the partners and the mail servers of destinations up to the login, the webhooks (with a signed test document) and the buckets (with a test object), and compare clocks; nothing is sent',
      )
      .option('--probe-recipient', 'with --online: also name sender and recipient to these servers')
      .option('--at <date>', 'judge certificates as of that day, such as 2027-07-01; default: now')
      .option('--json', 'print the problems as JSON')
      // how the supervisor asks at a reload
      .addOption(new Option('--in-force <file>').hideHelp())
      .addOption(new Option('--roles <roles>').hideHelp())
      .addOption(new Option('--store <file>').hideHelp())
      .action(async (options: CheckOptions) => {
        const { store } = options;
        const problems = await checkConfig(options.config, {
          ...(options.at !== undefined && { now: dayOf(options.at) }),
          ...(options.inForce !== undefined && { inForce: options.inForce }),
          roles: options.roles?.split(','),
          ...(store !== undefined && {
            readable: (config: Config) => writeFileSync(store, storeConfig(config), { mode: 0o600 }),
          }),
          protection: tryProtection,
          redis: probeRedis,
          objectStore: probeObjectStore,
          ...(options.online && {
            online: async (config: Config) => {
              const { onlineProbes } = await import('./check-online.ts');
              return await onlineProbes(config, { recipient: options.probeRecipient === true });
            },
          }),
        });
        const errors = problems.filter(({ severity }) => severity === 'error').length;
        if (options.json) printJson(problems, 2);
        else {
          for (const problem of problems) printLine(formatProblem(problem));
          const warnings = problems.length - errors;
          printLine(
            errors + warnings === 0
              ? `${options.config}: no problems`
              : `${counted(errors, 'error')}, ${counted(warnings, 'warning')}`,
          );
        }
        if (errors > 0) process.exitCode = 1;
      })
  );
}
