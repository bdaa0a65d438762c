/**
 * What failed last in messages that are suspended or wait to be sent, for a partner or for the person they are listed
 * for.
 */
import { attemptsOf, saidOf } from './explain.ts';
import type { ListQuery } from './ledger-types.ts';
import type { MessageRecord } from './types.ts';

export interface LastError {
  /** Of the message. */
  id: string;
  direction: MessageRecord['direction'];
  state: MessageRecord['state'];
  /** A code of docs/reason-codes.md. */
  code: string;
  /** Milliseconds since the epoch. */
  at: number;
  /** What the other side said, or what the failure says about itself. */
  said: string | null;
}

/** Messages of each state that are searched for failures. */
const mostLooked = 20;
const mostErrors = 10;

/**
 * Newest first.
 *
 * @param list messages of that state, as `Ledger.list`
 */
export async function lastErrors(
  list: (query: Pick<ListQuery, 'state' | 'limit'>) => Promise<{ messages: MessageRecord[] }>,
): Promise<LastError[]> {
  const pages = (['suspended', 'queued'] as const).map((state) => list({ state, limit: mostLooked }));
  return (await Promise.all(pages))
    .flatMap(({ messages }) => messages)
    .flatMap((record) => errorOf(record) ?? [])
    .sort((a, b) => b.at - a.at)
    .slice(0, mostErrors);
}

function errorOf(record: MessageRecord): LastError | undefined {
  const { lastError } = attemptsOf(record, null);
  if (lastError === null) return undefined;
  const { id, direction, state } = record;
  const { code, at, facts } = lastError;
  return { id, direction, state, code, at, said: saidOf(facts) ?? null };
}
