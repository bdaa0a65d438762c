/** Messages as rows of a table, with what is said of the attempts at each. */
import { type Attempts, type MessageRecord, saidOf } from '../queue/index.ts';
import type { Style } from './output.ts';
import type { Cell, Column } from './table.ts';
import { relative, stamp } from './when.ts';

/** The first characters of an id that a narrow terminal shows; they are enough to name one among millions. */
export const shortId = 12;

/** @param subjects whether some may be kept */
export function messageColumns(subjects: boolean): Column[] {
  return [
    { title: 'ID', least: shortId, bare: true },
    { title: 'TIME' },
    { title: 'DIR' },
    { title: 'STATE' },
    { title: 'PARTNER', least: 8 },
    { title: 'TO', least: 8 },
    ...(subjects ? [{ title: 'SUBJECT', least: 8 }] : []),
    { title: 'SIZE', right: true },
    { title: 'REASON', least: 10 },
  ];
}

const ended: Partial<Record<MessageRecord['state'], Style>> = {
  delivered: 'good',
  sent: 'good',
  suspended: 'bad',
  terminated: 'quiet',
};

export interface Listed {
  message: MessageRecord;
  attempts: Attempts;
  /** Null where none is kept. */
  subject: string | null;
}

/** The same names as in the HTTP API. */
export function forJson({ message, subject, attempts: { attempts, lastError, next } }: Listed): object {
  return {
    ...message,
    subject,
    attempts,
    lastError: lastError && { ...lastError, at: new Date(lastError.at).toISOString() },
    nextAttempt: next === null || next === 0 ? null : new Date(next).toISOString(),
  };
}

/** @param subjects as for `messageColumns` */
export function messageRow({ message, attempts, subject }: Listed, now: number, subjects: boolean): Cell[] {
  const { id, receivedAt, direction, state, partner, mailbox, envelope, octets, reason } = message;
  const [first = '-', ...others] = envelope.to;
  const to =
    direction === 'inbound' ? (mailbox ?? first) : others.length > 0 ? `${first} +${others.length}` : first;
  const style = ended[state] ?? (attempts.attempts > 0 ? 'waiting' : undefined);
  return [
    { text: id },
    { text: stamp(receivedAt) },
    { text: direction === 'inbound' ? 'in' : 'out' },
    { text: state, ...(style && { style }) },
    // who sent it, as far as known
    { text: partner ?? (envelope.from || '<>') },
    { text: to },
    ...(subjects ? [{ text: subject ?? '' }] : []),
    { text: String(octets) },
    { text: reason ?? attemptsText(attempts, now) },
  ];
}

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
