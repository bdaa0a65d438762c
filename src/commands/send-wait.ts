/** Waits until messages are sent or need somebody. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Submitted } from '../pipeline/submit.ts';
import { type Ledger, type MessageRecord, type MessageState, saidOf } from '../queue/index.ts';
import { showProgress } from './output.ts';

export interface Accepted extends Submitted {
  file: string;
}

export interface Waited extends Accepted {
  /** Null if the ledger has no record of it any more. */
  state: MessageState | null;
  reason: string | null;
  /** Why it was not sent, in one line; '' if nothing is known. */
  why: string;
}

/** Milliseconds between looks: short at first, because a message may take no longer. */
const FIRST_LOOK = 50;
const LONGEST_LOOK = 1000;

const ends: readonly MessageState[] = ['sent', 'suspended', 'terminated'];

/**
 * The messages in the order given, once each has ended, or as they are after `patience` milliseconds. On a terminal, it
 * shows how many have. Errors: `redis-unreachable`.
 */
export async function waitFor(
  messages: readonly Accepted[],
  ledger: Pick<Ledger, 'get'>,
  patience: number,
): Promise<Waited[]> {
  const until = performance.now() + patience;
  const results = new Map<string, Waited>();
  let waiting = messages;
  for (let pause = FIRST_LOOK; ; pause = Math.min(pause * 2, LONGEST_LOOK)) {
    const still: Accepted[] = [];
    for (const each of waiting) {
      const waited = resultOf(each, await ledger.get(each.id));
      results.set(each.id, waited);
      if (waited.state !== null && !ends.includes(waited.state)) still.push(each);
    }
    waiting = still;
    showProgress(progressOf([...results.values()], messages.length));
    if (waiting.length === 0 || performance.now() >= until) break;
    await sleep(Math.min(pause, until - performance.now()));
  }
  showProgress('');
  return messages.flatMap(({ id }) => results.get(id) ?? []);
}

function resultOf(message: Accepted, record: MessageRecord | null): Waited {
  if (record === null) return { ...message, state: null, reason: null, why: '' };
  const { state, reason, events } = record;
  return { ...message, state, reason, why: state === 'sent' ? '' : whyOf(reason, events) };
}

/** The reason code, and what the other side said. */
function whyOf(reason: string | null, events: MessageRecord['events']): string {
  const last = events.findLast(({ type }) => type === 'suspended' || type === 'retried')?.facts ?? {};
  return [reason ?? last.reason, saidOf(last)].filter((text) => typeof text === 'string').join(': ');
}

function progressOf(results: readonly Waited[], all: number): string {
  const count = (state: MessageState) => results.filter((each) => each.state === state).length;
  const [sent, suspended] = [count('sent'), count('suspended')];
  return `${sent} of ${all} sent${suspended > 0 ? `, ${suspended} suspended` : ''}`;
}
