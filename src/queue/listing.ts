/** Lists of the messages that somebody may see: a merge of the indices of what is granted, with bounded work. */
import { smallLetters } from '../domain.ts';
import { SealpostError } from '../errors.ts';
import type { Among, ListQuery } from './ledger-types.ts';
import type { MessageRecord } from './types.ts';

export interface Found {
  id: string;
  receivedAt: number;
}

/** What one look into an index found. */
export interface Batch {
  found: Found[];
  /** The last record that was examined. */
  last: Found | undefined;
  /** How many were examined; 0 if it may not examine more. */
  looked: number;
}

export const cursorOf = ({ receivedAt, id }: Found) => `${receivedAt}.${id}`;

/** Errors: `usage` for a cursor that no list returned. */
export function parseCursor(cursor: string | undefined): Found | undefined {
  if (cursor === undefined) return undefined;
  const match = /^(\d+)\.(\w+)$/.exec(cursor);
  if (match?.[1] && match[2]) return { receivedAt: Number(match[1]), id: match[2] };
  throw new SealpostError('usage', 'the cursor is not one that a list returned');
}

/** If there are more names than this, all records of their direction are searched. */
const mostNames = 200;

/** The lists that together are the answer. No message is in two of them. */
export function sourcesOf(query: ListQuery, { mailboxes, partners }: Among): ListQuery[] {
  // a digest leads to few records, whoever they belong to
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

/** Records that the first look into a list examines at least. */
const leastLooked = 20;

/** Records that are examined for one page, in all of its lists together. */
export class Looks {
  #left: number;
  readonly #share: number;

  constructor(most: number, lists: number) {
    this.#left = most;
    this.#share = Math.max(leastLooked, Math.floor(most / 2 / Math.max(1, lists)));
  }

  /** How many of those that are wanted may be examined. The first look into a list finds out where it stands. */
  take(wanted: number, first: boolean): number {
    const taken = first ? Math.min(wanted, this.#share) : Math.max(0, Math.min(wanted, this.#left));
    this.#left -= taken;
    return taken;
  }
}

/** One of the lists, as far as it was walked. */
export class Walk {
  readonly #batches: AsyncGenerator<Batch>;
  #over = false;
  #tired = false;
  #began = false;
  /** Newest first, not yet taken. */
  readonly ahead: Found[] = [];
  /** The last record that was examined. */
  last: Found | undefined;

  /** @param begin makes the looks; before each, it asks how many records it may examine */
  constructor(begin: (may: (wanted: number) => number) => AsyncGenerator<Batch>, looks: Looks) {
    this.#batches = begin((wanted) => {
      const first = !this.#began;
      this.#began = true;
      return looks.take(wanted, first);
    });
  }

  /** It has more, as far as known, and nothing to take. */
  get isEmpty(): boolean {
    return !this.#over && this.ahead.length === 0;
  }

  /** It may not look any further for this page. */
  get isTired(): boolean {
    return this.#tired;
  }

  /** Takes one more look, if it may and there is nothing to take. */
  async fill(): Promise<void> {
    if (!this.isEmpty || this.#tired) return;
    const { done, value } = await this.#batches.next();
    if (done) {
      this.#over = true;
      return;
    }
    if (value.looked === 0) {
      this.#tired = true;
      return;
    }
    this.ahead.push(...value.found);
    this.last = value.last;
  }
}

/** The newest records of all walks, as far as no unexamined one can be newer. */
export function nextOf(walks: readonly Walk[], most: number): Found[] {
  const empty = walks.filter((walk) => walk.isEmpty);
  if (empty.some(({ last }) => last === undefined)) return [];
  const barrier = newestOf(empty);
  const taken: Found[] = [];
  while (taken.length < most) {
    const best = walks
      .filter((walk) => walk.ahead.length > 0)
      .reduce<Walk | undefined>((found, walk) => (found && !isNewer(walk, found) ? found : walk), undefined);
    const [first] = best?.ahead ?? [];
    if (best === undefined || first === undefined || (barrier && !isAbove(first, barrier))) break;
    taken.push(first);
    best.ahead.shift();
    // It may have more that is newer than what the others have.
    if (best.isEmpty) break;
  }
  return taken;
}

function isNewer({ ahead: [a] }: Walk, { ahead: [b] }: Walk): boolean {
  if (a === undefined || b === undefined) return a !== undefined;
  return isAbove(a, b);
}

/** In the order of a list: of equal times, the greater id comes first. */
function isAbove(a: Found, b: Found): boolean {
  return a.receivedAt > b.receivedAt || (a.receivedAt === b.receivedAt && a.id > b.id);
}

/** The position of the walk that got least far. */
export function newestOf(walks: readonly Walk[]): Found | undefined {
  return walks
    .flatMap(({ last }) => last ?? [])
    .reduce<Found | undefined>((best, each) => (best && !isAbove(each, best) ? best : each), undefined);
}

/** Whether a record that a digest led to is one that is asked for. */
export function fits(record: MessageRecord, query: ListQuery): boolean {
  const { state, mailbox, partner, reason, messageId, sha256, since, until, direction, address } = query;
  const same = (wanted: string | undefined, value: string | null) => wanted === undefined || wanted === value;
  return (
    same(state, record.state) &&
    same(direction, record.direction) &&
    same(mailbox, record.mailbox) &&
    same(partner, record.partner) &&
    same(reason, record.reason) &&
    same(messageId, record.messageId) &&
    same(sha256?.toLowerCase(), record.sha256) &&
    (address === undefined || hasAddress(record, smallLetters(address))) &&
    (since === undefined || record.receivedAt >= since) &&
    (until === undefined || record.receivedAt < until)
  );
}

function hasAddress({ envelope: { from, to } }: MessageRecord, wanted: string): boolean {
  return [from, ...to].some((each) => smallLetters(each) === wanted);
}
