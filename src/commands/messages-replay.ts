/** `messages replay`: what waits for certificates and keys, and what of it would go on now. */
import { Command } from 'commander';
import { loadConfig } from '../config/index.ts';
import { waitingCodes } from '../errors.ts';
import { comparable } from '../printable.ts';
import type { Held } from '../queue/index.ts';
import { sealedValues } from '../redis/index.ts';
import type { ReplayedMessage } from '../replay/index.ts';
import { operator } from './operator.ts';
import { configOption } from './options.ts';
import { printJson, printLine } from './output.ts';
import { withQueue } from './queue.ts';
import { plural } from './when.ts';

interface ReplayOptions {
  config: string;
  partner?: string;
  mailbox?: string;
  reason?: string;
  dryRun?: boolean;
  json?: boolean;
  why?: string;
}

/** Lines that are printed; the numbers are of all. */
const mostShown = 1000;

async function replay({ config: file, dryRun = false, json, why, ...wanted }: ReplayOptions): Promise<void> {
  const config = await loadConfig(file);
  const { replayMessages, standingsOf } = await import('../replay/index.ts');
  await withQueue(config, async (queue) => {
    const { partnerNames, replays, ledger } = queue;
    const partner = wanted.partner === undefined ? undefined : partnerNames.key(wanted.partner);
    const only = (held: Held) =>
      (partner === undefined || held.partner === partner) &&
      (wanted.mailbox === undefined || held.mailbox === wanted.mailbox) &&
      (wanted.reason === undefined || held.reason === wanted.reason);
    const shown: ReplayedMessage[] = [];
    let replayed = 0;
    let waiting = 0;
    for (const direction of ['inbound', 'outbound'] as const) {
      const standing = await standingsOf(sealedValues(queue, 'standing'), direction);
      const act = { by: operator(), ...(why !== undefined && { why }) };
      const run = replayMessages(
        { replays, ledger, config, standing },
        { direction, person: true, act, only, dryRun },
      );
      for await (const each of run) {
        if (each.replayed) replayed += 1;
        else waiting += 1;
        const name = each.partner === null ? null : partnerNames.present(each.partner);
        if (shown.length < mostShown) shown.push({ ...each, partner: name });
      }
    }
    if (json) {
      printJson({ dryRun, replayed, waiting, messages: shown }, 2);
      return;
    }
    for (const each of shown) {
      const place = each.mailbox ?? each.partner ?? '-';
      const what = each.replayed ? (dryRun ? 'would be replayed' : 'replayed') : 'waits';
      printLine(`${each.id}  ${each.reason}  ${place}  ${what}: ${comparable(each.why)}`);
    }
    const would = dryRun ? 'would be replayed' : 'replayed';
    printLine(
      `${plural(replayed, 'message')} ${would}, ${waiting} waiting${dryRun ? '; nothing was done' : ''}`,
    );
  });
}

export function replayCommand(): Command {
  return new Command('replay')
    .description(
      'put messages back to work whose certificate or key has come: inbound ones are decoded again, outbound ones sent; the daemon does it by itself (retry.onKeys)',
    )
    .addOption(configOption())
    .option('--partner <name>', 'only messages of this partner')
    .option('--mailbox <name>', 'only messages of this mailbox')
    .option('--reason <code>', `only messages suspended for this reason: ${waitingCodes.join(', ')}`)
    .option('--dry-run', 'only list what would be replayed, and what waits, and why')
    .option('--json', 'print JSON')
    .option('--why <reason>', 'the reason, for ledger and audit trail')
    .action(replay);
}
