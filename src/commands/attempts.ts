/** What `messages list` and `show` say of the attempts at a message. */
import type { MessageRecord } from '../queue/index.ts';
import { relative } from './when.ts';

export interface Attempts {
  /** Failed attempts of the step that is under way. */
  attempts: number;
  /** What the other side, or the code of the failure, said last; null without a failed attempt. */
  last: string | null;
  /** Milliseconds since the epoch; 0: it waits for its turn; null: nothing of it is queued. */
  next: number | null;
}

/** @param due as `Ledger.due` says */
export function attemptsOf({ events }: MessageRecord, due: number | null): Attempts {
  const begun = events.findLastIndex(({ type }) => type === 'resumed' || type === 'decode-again');
  const failed = events.slice(begun + 1).filter(({ type }) => type === 'retried');
  const facts = failed.at(-1)?.facts ?? {};
  const { reply, message, reason, attempt } = facts;
  const last = [reply, message, reason].find((each) => typeof each === 'string' && each !== '');
  return { attempts: Number(attempt ?? 0), last: typeof last === 'string' ? last : null, next: due };
}

/** When the message is tried next, in words. @param now milliseconds since the epoch */
export function nextText(next: number, now: number): string {
  if (next === 0) return 'waits for its turn';
  return next > now ? `next ${relative(next, now)}` : 'is due now';
}

/** In words, for one line; empty if there is nothing to say. */
export function attemptsText({ attempts, last, next }: Attempts, now: number): string {
  if (next === null) return '';
  if (attempts === 0) return next === 0 ? '' : nextText(next, now);
  return `attempt ${attempts} failed, ${nextText(next, now)}: ${last ?? '-'}`;
}
