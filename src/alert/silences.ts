/** Who silenced what, and until when. */
import { SealpostError } from '../errors.ts';
import type { Audit } from '../queue/index.ts';
import type { AlertBook } from './book.ts';
import type { AlertState, Labels, Silence, SilenceMatch } from './types.ts';

/** Milliseconds. A longer silence would be forgotten by people. */
const longest = 90 * 86_400_000;

const same = (wanted: string | undefined, value: string | undefined) =>
  wanted === undefined || wanted.toLowerCase() === (value ?? '').toLowerCase();

export function isSilenced(
  alert: { id: string; rule: string; labels: Labels },
  { match }: Pick<Silence, 'match'>,
): boolean {
  const { mailbox, partner, reason } = alert.labels;
  return (
    same(match.alert, alert.id) &&
    same(match.rule, alert.rule) &&
    same(match.mailbox, mailbox) &&
    same(match.partner, partner) &&
    same(match.reason, reason)
  );
}

export function silenceOf(alert: AlertState, silences: readonly Silence[]): Silence | undefined {
  return silences.find((silence) => isSilenced(alert, silence));
}

/** In one line, for the audit trail. */
export function matchText(match: SilenceMatch): string {
  const parts = Object.entries(match).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name} ${value}`],
  );
  return parts.length === 0 ? 'everything' : parts.join(', ');
}

export interface Silencing {
  book: AlertBook;
  audit: Pick<Audit, 'add'>;
  now: number;
  by: string;
}

/**
 * Silences alerts, for every door alike. The audit trail has it before it takes effect. Errors: `usage` for a time that
 * is past or too far off; `redis-unreachable`.
 */
export async function silenceAlerts(
  { book, audit, now, by }: Silencing,
  { match, until, why }: { match: SilenceMatch; until: number; why: string },
): Promise<Silence> {
  if (!(until > now)) throw new SealpostError('usage', 'the time of the silence is over');
  if (until - now > longest)
    throw new SealpostError('usage', 'a silence lasts for 90 days at most', {
      hint: 'turn the rule off in alerts.rules if nobody needs it',
    });
  const subject = matchText(match);
  await audit.add({
    at: now,
    by,
    what: 'alert-silence',
    subject,
    why: `until ${new Date(until).toISOString()}: ${why}`,
  });
  return await book.addSilence({ match, from: now, until, by, why });
}

/** Ends a silence. Errors: `usage` if there is none with this id; `redis-unreachable`. */
export async function unsilenceAlerts({ book, audit, now, by }: Silencing, id: string): Promise<Silence> {
  const silence = (await book.silences(now)).find((each) => each.id === id);
  if (silence === undefined)
    throw new SealpostError('silence-unknown', `there is no silence ${id}`, {
      hint: 'see sealpost alerts list',
    });
  await audit.add({ at: now, by, what: 'alert-unsilence', subject: matchText(silence.match) });
  await book.removeSilence(id);
  return silence;
}
