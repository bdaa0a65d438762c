/** What `messages list` and `show` say of the attempts at a message. */
import type { MessageRecord } from '../queue/index.ts';

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

/** In words, for one line; empty if there is nothing to say. */
export function attemptsText({ attempts, last, next }: Attempts): string {
  if (next === null) return '';
  const when = next === 0 ? 'waits for its turn' : `next ${new Date(next).toISOString()}`;
  if (attempts === 0) return next === 0 ? '' : when;
  return `attempt ${attempts} failed, ${when}: ${last ?? '-'}`;
}
