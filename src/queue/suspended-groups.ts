/** Suspended messages by reason, partner, mailbox and day. */
import type { Redis } from 'ioredis';
import type { PartnerNames } from '../config/index.ts';
import { run } from '../redis/index.ts';
import type { Keys } from './keys.ts';
import { ledgerScripts } from './ledger-scripts.ts';
import type { Among, SuspendedGroup } from './ledger-types.ts';

/** Records that one call examines, and that all calls examine together. */
const lookSize = 1000;
const mostLooked = 20_000;
const dayLength = 86_400_000;

export async function readSuspended(
  redis: Redis,
  { prefix }: Pick<Keys, 'prefix'>,
  names: Pick<PartnerNames, 'present'>,
  among: Among,
): Promise<{ groups: SuspendedGroup[]; more: boolean }> {
  const groups = new Map<string, SuspendedGroup>();
  let [greatest, skip, looked, more] = ['+inf', 0, 0, true];
  while (more && looked < mostLooked) {
    const args = [greatest, skip, lookSize, dayLength];
    const reply = await run(redis, prefix, ledgerScripts.suspended, args, 'ledger');
    const [seen = 0, time = '', same = 0, ...values]: unknown[] = Array.isArray(reply) ? reply : [];
    looked += Number(seen);
    more = Number(seen) === lookSize;
    for (let at = 0; at + 6 < values.length; at += 7) add(groups, values.slice(at, at + 7), names);
    // Skipping many is slow, so the walk continues by time, and skips only those with the same time.
    skip = greatest === String(time) ? skip + Number(seen) : Number(same);
    greatest = String(time);
  }
  const visible = [...groups.values()].filter((group) => {
    const [granted, name] =
      group.direction === 'inbound' ? [among.mailboxes, group.mailbox] : [among.partners, group.partner];
    return granted === '*' || (name !== null && granted.includes(name));
  });
  return { groups: visible, more };
}

function add(
  groups: Map<string, SuspendedGroup>,
  [reason, mailbox, partner, day, count, oldest, newest]: unknown[],
  names: Pick<PartnerNames, 'present'>,
): void {
  const key = JSON.stringify([reason, mailbox, partner, day]);
  const known = groups.get(key);
  if (known) {
    known.messages += Number(count);
    known.oldest = Math.min(known.oldest, Number(oldest));
    return;
  }
  groups.set(key, {
    reason: String(reason),
    // only an inbound message has a mailbox
    direction: mailbox === '' ? 'outbound' : 'inbound',
    mailbox: mailbox === '' ? null : String(mailbox),
    partner: partner === '' ? null : names.present(String(partner)),
    day: new Date(Number(day) * dayLength).toISOString().slice(0, 10),
    messages: Number(count),
    oldest: Number(oldest),
    newest: Number(newest),
  });
}
