import { Command } from 'commander';
import { loadConfig } from '../config/index.ts';
import { hasCode } from '../errors.ts';
import type { AuditQuery, Ledger } from '../queue/index.ts';
import { countOf, timeOf } from './message-filter.ts';
import { wholeId } from './message-id.ts';
import { configOption } from './options.ts';
import { printError, printJson, printLine } from './output.ts';
import { withRecords } from './queue.ts';

interface AuditOptions {
  config: string;
  since?: string;
  until?: string;
  by?: string;
  id?: string;
  limit: string;
  cursor?: string;
  json?: boolean;
}

export function auditCommand(): Command {
  return new Command('audit')
    .addOption(configOption())
    .option('--since <time>', 'only at that time (ISO 8601) or later')
    .option('--until <time>', 'only before that time (ISO 8601)')
    .option('--by <user@host>', 'only what this person did')
    .option('--id <id>', 'only what was done with this message: its id, or the first characters of it')
    .option('--limit <number>', 'maximum number of results', '100')
    .option('--cursor <cursor>', 'continue after the previous page')
    .option('--json', 'print JSON, with the cursor of the next page')
    .action(async (options: AuditOptions) => {
      const query: AuditQuery = { limit: countOf('--limit', options.limit) };
      if (options.since !== undefined) query.since = timeOf('--since', options.since);
      if (options.until !== undefined) query.until = timeOf('--until', options.until);
      if (options.by !== undefined) query.by = options.by;
      if (options.cursor !== undefined) query.cursor = options.cursor;
      await withRecords(await loadConfig(options.config), async ({ audit, ledger }) => {
        if (options.id !== undefined) query.id = await auditedId(ledger, options.id);
        const { entries, cursor } = await audit.page(query);
        if (options.json) return printJson({ entries, cursor });
        for (const { at, by, what, id, subject, why } of entries)
          printLine([new Date(at).toISOString(), by, what, id, subject, why].filter(Boolean).join('  '));
        if (cursor !== null) printError(`more: --cursor ${cursor}`);
      });
    });
}

/** What was done with a message is on record longer than the message. */
async function auditedId(ledger: Ledger, text: string): Promise<string> {
  try {
    return await wholeId(ledger, text);
  } catch (error) {
    if (hasCode(error, 'message-unknown')) return text;
    throw error;
  }
}
