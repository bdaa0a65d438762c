import { Command } from 'commander';
import { type Config, checkConfig, formatProblem, readSecret } from '../config/index.ts';
import type { ImapConfig } from '../imap/index.ts';
import { createLog } from '../log.ts';
import { tryProtection } from '../partner/index.ts';
import { configOption } from './options.ts';
import { printJson, printLine } from './output.ts';

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

async function probeMailbox(imap: ImapConfig) {
  const probe = await import('../imap/index.ts');
  return probe.probeMailbox(imap, readSecret);
}

const counted = (count: number, what: string) => `${count} ${what}${count === 1 ? '' : 's'}`;

export function checkCommand(): Command {
  return new Command('check')
    .addOption(configOption())
    .option('--online', 'also log in to the mailboxes and look at what their servers can do')
    .option('--json', 'print the problems as JSON')
    .action(async (options: { config: string; online?: boolean; json?: boolean }) => {
      const problems = await checkConfig(options.config, {
        protection: tryProtection,
        redis: probeRedis,
        objectStore: probeObjectStore,
        ...(options.online ? { mailbox: probeMailbox } : {}),
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
    });
}
