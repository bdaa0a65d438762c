/** Lists of the messages that somebody may see: a merge of the indices of what is granted, with bounded work. */
import type { Among, ListQuery } from './ledger-types.ts';
import type { MessageRecord } from './types.ts';

export interface Found {
  id: string;
  receivedAt: number;
}

/** What one look into an index found. */
export interface Batch {
  found: Found[];
  /** Time of the last record that was examined. */
  last: number;
  /** How many were examined. */
  looked: number;
}

export const cursorOf = ({ receivedAt, id }: Found) => `${receivedAt}.${id}`;

/** More names than that are looked for among all records of their direction. */
const mostNames = 200;

/** The lists that together are the answer; no message is in two of them. */
export function sourcesOf(query: ListQuery, { mailboxes, partners }: Among): ListQuery[] {
  // A digest leads to few records, whosever they are.
  if (query.messageId !== undefined || query.sha256 !== undefined) return [query];
  if (mailboxes === '*' && partners === '*') return [query];
  const { direction, mailbox, partner } = query;
  const inbound = direction === 'outbound' ? [] : narrowed(mailboxes, mailbox);
  const outbound = direction === 'inbound' || mailbox !== undefined ? [] : narrowed(partners, partner);
  return [
    ...inbound.map((name) => ({ ...query, direction: 'inbound' as const, ...(name && { mailbox: name }) })),
    ...outbound.map((name) => ({ ...query, direction: 'outbound' as const, ...(name && { partner: name }) })),
  ];
}

/** Names to look for one by one; undefined for all of them. */
function narrowed(granted: '*' | readonly string[], asked: string | undefined): (string | undefined)[] {
  if (granted === '*') return [asked];
  if (asked !== undefined) return granted.includes(asked) ? [asked] : [];
  return granted.length > mostNames ? [undefined] : [...granted];
}

export function isAmong({ direction, mailbox, partner }: MessageRecord, among: Among): boolean {
  const [granted, name] = direction === 'inbound' ? [among.mailboxes, mailbox] : [among.partners, partner];
  return granted === '*' || (name !== null && granted.includes(name));
}

/** One of the lists, as far as it was walked. */
export class Walk {
  readonly #batches: AsyncGenerator<Batch>;
  readonly #most: number;
  #looked = 0;
  #over = false;
  /** Newest first, not taken yet. */
  readonly ahead: Found[] = [];
  /** Time of the last record that was examined. */
  last = Number.POSITIVE_INFINITY;

  /** @param most records to examine */
  constructor(batches: AsyncGenerator<Batch>, most: number) {
    this.#batches = batches;
    this.#most = most;
  }

  /** It has more, as far as known, and nothing to take. */
  get isEmpty(): boolean {
    return !this.#over && this.ahead.length === 0;
  }

  get isTired(): boolean {
    return this.#looked >= this.#most;
  }

  /** Takes one more look, if it may and there is nothing to take. */
  async fill(): Promise<void> {
    if (!this.isEmpty || this.isTired) return;
    const { done, value } = await this.#batches.next();
    if (done) {
      this.#over = true;
      return;
    }
    this.ahead.push(...value.found);
    this.#looked += value.looked;
    this.last = value.last;
  }
}

/** The newest records of all walks, as far as none that was not examined yet can be newer. */
export function nextOf(walks: readonly Walk[], most: number): Found[] {
  const barrier = Math.max(...walks.filter((walk) => walk.isEmpty).map((walk) => walk.last));
  const taken: Found[] = [];
  while (taken.length < most) {
    const best = walks
      .filter((walk) => walk.ahead.length > 0)
      .reduce<Walk | undefined>((found, walk) => (found && !isNewer(walk, found) ? found : walk), undefined);
    const [first] = best?.ahead ?? [];
    if (best === undefined || first === undefined || first.receivedAt <= barrier) break;
    taken.push(first);
    best.ahead.shift();
    // It may have more that is newer than what the others have.
    if (best.isEmpty) break;
  }
  return taken;
}

function isNewer({ ahead: [a] }: Walk, { ahead: [b] }: Walk): boolean {
  if (a === undefined || b === undefined) return a !== undefined;
  return a.receivedAt > b.receivedAt || (a.receivedAt === b.receivedAt && a.id > b.id);
}
