import { Command } from 'commander';
import { checkConfig } from '../config/check.ts';
import { formatProblem } from '../config/problem.ts';
import type { Config, MailboxConfig } from '../config/schema.ts';
import { readSecret } from '../config/secrets.ts';
import { SealpostError, toErrorInfo } from '../errors.ts';
import { createLog } from '../log.ts';
import { tryProtection } from '../partner/outbound.ts';
import { configOption } from './options.ts';
import { printJson, printLine } from './output.ts';

const loginTimeoutMs = 30_000;

/** Reaches Redis and judges its durability; opens and closes it as a role would. */
async function probeRedis(config: Config): Promise<void> {
  const { openQueue } = await import('../queue/index.ts');
  const queue = await openQueue(config, { role: 'check', log: createLog('silent', 'check') });
  await queue.close();
}

/** Stores, reads and removes an object. */
async function probeObjectStore(s3: NonNullable<Config['spool']['s3']>): Promise<void> {
  const { probeS3Store } = await import('../queue/spool-s3.ts');
  await probeS3Store(s3, createLog('silent', 'check'));
}

type Imap = NonNullable<MailboxConfig['imap']>;

async function probeMailbox(imap: Imap): Promise<void> {
  const { Connector } = await import('../imap/connect.ts');
  try {
    const client = await new Connector(imap, readSecret).open(AbortSignal.timeout(loginTimeoutMs));
    try {
      await client.mailboxOpen(imap.folder, { readOnly: true });
    } finally {
      await client.logout().catch(() => client.close());
    }
  } catch (error) {
    if (error instanceof SealpostError) throw error;
    throw new SealpostError(
      'imap-failed',
      `can not log in to ${imap.host} as ${imap.user}, or open ${imap.folder}: ${toErrorInfo(error).message}`,
      {
        cause: error,
      },
    );
  }
}

export function checkCommand(): Command {
  return new Command('check')
    .addOption(configOption())
    .option('--online', 'also log in to the mailboxes')
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
            : `${errors} errors, ${warnings} warnings`,
        );
      }
      if (errors > 0) process.exitCode = 1;
    });
}
