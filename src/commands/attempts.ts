/** What `messages list` and `show` say of the attempts at a message. */
import { type Attempts, saidOf } from '../queue/index.ts';
import { relative } from './when.ts';

/** When the message is tried next, in words. @param now milliseconds since the epoch */
export function nextText(next: number, now: number): string {
  if (next === 0) return 'waits for its turn';
  return next > now ? `next ${relative(next, now)}` : 'is due now';
}

/** In words, for one line; empty if there is nothing to say. */
export function attemptsText({ attempts, lastError, next }: Attempts, now: number): string {
  if (next === null) return '';
  if (attempts === 0) return next === 0 ? '' : nextText(next, now);
  return `attempt ${attempts} failed, ${nextText(next, now)}: ${lastText(lastError)}`;
}

/** What the other side said last, or the code of the failure. */
export function lastText(last: Attempts['lastError']): string {
  return last === null ? '-' : (saidOf(last.facts) ?? last.code);
}
