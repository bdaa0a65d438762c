/** The ledger: the facts about each message, and what happened to it. Written by the scripts, read here. */
import { createHash } from 'node:crypto';
import type { Redis } from 'ioredis';
import type { PartnerNames } from '../config/index.ts';
import { smallLetters } from '../domain.ts';
import { guarded, run } from '../redis/index.ts';
import { idsLike } from './id-index.ts';
import { Indices } from './indices.ts';
import type { Keys } from './keys.ts';
import { ledgerScripts } from './ledger-scripts.ts';
import type {
  Among,
  Ledger,
  ListQuery,
  MessageOwner,
  SuspendedGroup,
  Tallies,
  UsedCount,
} from './ledger-types.ts';
import {
  type Batch,
  cursorOf,
  type Found,
  fits,
  isAmong,
  Looks,
  newestOf,
  nextOf,
  parseCursor,
  sourcesOf,
  Walk,
} from './listing.ts';
import { usedDays } from './lua.ts';
import { type SubjectMatcher, type Subjects, subjectMatcher } from './subjects.ts';
import { readSuspended } from './suspended-groups.ts';
import { readTallies } from './tallies.ts';
import {
  type AuditEntry,
  isState,
  type LedgerEvent,
  type MessageRecord,
  type MessageState,
  messageStates,
  type PartnerBy,
} from './types.ts';

/** Facts of a record that never change. */
export type RecordFacts = Pick<
  MessageRecord,
  'direction' | 'origin' | 'envelope' | 'messageId' | 'octets' | 'sha256' | 'client' | 'metadata' | 'delivery'
>;

/** An event as the scripts store it: one line of JSON. */
export function eventLine(event: LedgerEvent): string {
  return JSON.stringify(event);
}

/** An entry of the audit trail as the scripts store it. */
export function auditLine(entry: AuditEntry): string {
  return JSON.stringify(entry);
}

/** @param names present names of partners: the record has the key of its partner */
export function parseRecord(
  id: string,
  fields: Record<string, string>,
  names?: Pick<PartnerNames, 'present'>,
): MessageRecord | null {
  const { r, s, a, u, b, p, y, x, e } = fields;
  if (r === undefined || !isState(s)) return null;
  const facts: RecordFacts = JSON.parse(r);
  const { client, metadata, delivery } = facts;
  const events: LedgerEvent[] = (e ?? '')
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));
  return {
    id,
    direction: facts.direction,
    state: s,
    mailbox: b ?? null,
    partner: p === undefined ? null : (names?.present(p) ?? p),
    partnerBy: isPartnerBy(y) ? y : null,
    origin: facts.origin,
    envelope: facts.envelope,
    messageId: facts.messageId,
    ...(client === undefined ? {} : { client }),
    ...(metadata === undefined ? {} : { metadata }),
    ...(delivery === undefined ? {} : { delivery }),
    octets: facts.octets,
    sha256: facts.sha256,
    receivedAt: Number(a),
    updatedAt: Number(u),
    reason: x ?? null,
    events,
  };
}

const isWholeId = (text: string): boolean => /^[io][0-9a-f]{31}$/.test(text);

/** Fields of a record that say whose it is. */
export const ownerFields = ['b', 'p'] as const;

/** @param names present names of partners */
export function ownerIn(
  [mailbox = null, partner = null]: readonly (string | null)[],
  names: Pick<PartnerNames, 'present'>,
): MessageOwner | null {
  if (mailbox === null && partner === null) return null;
  return {
    // an inbound message has a mailbox, and no other has one
    direction: mailbox === null ? 'outbound' : 'inbound',
    mailbox,
    partner: partner === null ? null : names.present(partner),
  };
}

function isPartnerBy(text: string | undefined): text is PartnerBy {
  return text === 'signature' || text === 'address' || text === 'conflict';
}

const dayLength = 86_400_000;
const everything: Among = { mailboxes: '*', partners: '*' };
const pageSize = 50;
/** Records that one call of the script examines: at most about two milliseconds in Redis. */
const lookSize = 1000;
/** Records that are examined for one page; and records whose facts or subjects are read at a time. */
const mostLooked = 20_000;
const mostRead = 10_000;
const mostCounted = 10_000;
/** Ids with the same beginning whose owners are looked at, and how many of them at a time. */
const mostBegun = 5000;
const ownersAtOnce = 500;
/** Maximum number of messages examined for one Message-ID or digest. */
const digestLimit = 10_000;

export class RedisLedger implements Ledger {
  #redis: Redis;
  #keys: Keys;
  readonly #names: PartnerNames;
  readonly #openSubjects: () => Promise<Pick<Subjects, 'open'>>;
  readonly #indices: Indices;

  constructor(
    redis: Redis,
    keys: Keys,
    names: PartnerNames,
    openSubjects: () => Promise<Pick<Subjects, 'open'>>,
  ) {
    this.#redis = redis;
    this.#keys = keys;
    this.#names = names;
    this.#openSubjects = openSubjects;
    this.#indices = new Indices(redis, keys);
  }

  async get(id: string): Promise<MessageRecord | null> {
    const fields = await guarded('ledger', this.#redis.hgetall(this.#keys.message(id)));
    return parseRecord(id, fields, this.#names);
  }

  async ownerOf(id: string): ReturnType<Ledger['ownerOf']> {
    const fields = this.#redis.hmget(this.#keys.message(id), ...ownerFields);
    return ownerIn(await guarded('ledger', fields), this.#names);
  }

  async matching(prefix: string, most: number): Promise<string[]> {
    if (!/^\w+$/.test(prefix)) return [];
    if (await guarded('ledger', this.#redis.exists(this.#keys.message(prefix)))) return [prefix];
    return await idsLike({ redis: this.#redis, keys: this.#keys }, prefix, most);
  }

  async matchingAmong(
    prefix: string,
    most: number,
    sees: (owner: MessageOwner) => boolean,
  ): Promise<string[]> {
    // a whole id costs the same whether or not there is such a message, and whoever it belongs to
    const parts = { redis: this.#redis, keys: this.#keys };
    const ids = isWholeId(prefix) ? [prefix] : await idsLike(parts, prefix, mostBegun);
    const found: string[] = [];
    for (let at = 0; at < ids.length && found.length < most; at += ownersAtOnce) {
      const some = ids.slice(at, at + ownersAtOnce);
      const owners = await Promise.all(some.map((id) => this.ownerOf(id)));
      found.push(...some.filter((_, each) => owners[each] && sees(owners[each])));
    }
    return found.slice(0, most);
  }

  /** Errors: `usage` for a broken cursor. */
  async list(query: ListQuery): Promise<{ messages: MessageRecord[]; cursor: string | null }> {
    if (query.address !== undefined || query.subject !== undefined) return await this.listAmong(query, all);
    const limit = Math.max(1, query.limit ?? pageSize);
    const start = parseCursor(query.cursor);
    const messages: MessageRecord[] = [];
    for await (const { found } of this.#find(query, start, limit)) {
      // one round trip for the records of a batch
      const wanted = found.slice(0, limit - messages.length);
      for (const record of await Promise.all(wanted.map(({ id }) => this.get(id))))
        if (record) messages.push(record);
      const last = wanted.at(-1);
      if (messages.length === limit && last) return { messages, cursor: cursorOf(last) };
    }
    return { messages, cursor: null };
  }

  /** Errors: `usage` for a broken cursor. */
  async listAmong(
    query: ListQuery,
    among: Among,
  ): Promise<{ messages: MessageRecord[]; cursor: string | null }> {
    const limit = Math.max(1, query.limit ?? pageSize);
    const start = parseCursor(query.cursor);
    const sources = sourcesOf(query, among);
    const isRead =
      query.subject !== undefined || (query.address !== undefined && !(await this.#indices.knowAddresses()));
    const looks = new Looks(isRead ? mostRead : mostLooked, sources.length);
    const walks = sources.map((source) => new Walk((may) => this.#find(source, start, limit, may), looks));
    await Promise.all(walks.map((walk) => walk.fill()));
    const messages: MessageRecord[] = [];
    let last: string | null = null;
    for (;;) {
      const batch = nextOf(walks, limit - messages.length);
      for (const record of await Promise.all(batch.map(({ id }) => this.get(id))))
        if (record && isAmong(record, among)) messages.push(record);
      const end = batch.at(-1);
      if (end) last = cursorOf(end);
      if (messages.length >= limit) return { messages, cursor: last };
      const empty = walks.filter((walk) => walk.isEmpty);
      if (batch.length === 0 && empty.length === 0) return { messages, cursor: null };
      const tired = empty.filter((walk) => walk.isTired);
      // What was examined so far is behind the page. To go on, continue there.
      const stopped = batch.length === 0 ? newestOf(tired) : undefined;
      if (stopped !== undefined) return { messages, cursor: cursorOf(stopped) };
      await Promise.all(empty.map((walk) => walk.fill()));
    }
  }

  /** What the records of a partner have, and its present name. */
  #partnerOf(name: string | undefined): { key: string | undefined; name: string | undefined } {
    if (name === undefined) return { key: undefined, name: undefined };
    return { key: this.#names.key(name), name: this.#names.present(name) };
  }

  async *ids(query: ListQuery): AsyncGenerator<string> {
    for await (const { found } of this.#find(query, parseCursor(query.cursor), lookSize))
      for (const { id } of found) yield id;
  }

  /** Walks the narrowest index, newest first, in batches. The server tests the rest of the query. */
  async *#find(
    asked: ListQuery,
    start: Found | undefined,
    expected: number,
    may = (wanted: number) => wanted,
  ): AsyncGenerator<Batch> {
    const { key } = this.#partnerOf(asked.partner);
    const query = key === undefined ? asked : { ...asked, partner: key };
    if (query.messageId !== undefined || query.sha256 !== undefined) {
      const found = await this.#findByDigest(query);
      // of equal times, the greater id comes first, as in Redis's indices
      const isAfter = ({ id, receivedAt }: Found) =>
        !start || receivedAt < start.receivedAt || (receivedAt === start.receivedAt && id < start.id);
      if (found.length > 0) yield { found: found.filter(isAfter), last: found.at(-1), looked: found.length };
      return;
    }
    const { index, tested, begin } = await this.#indices.narrowest(query);
    const { state, mailbox, partner, reason } = query;
    // only an inbound message has a mailbox
    const direction = query.direction === 'inbound' && mailbox !== undefined ? undefined : query.direction;
    const tests = [state, mailbox, partner, reason, direction].map((value) =>
      value === undefined || value === tested ? '' : value,
    );
    const matches = await this.#subjectMatcher(query);
    // records in the index of an address have that address, as good as always
    const isScanned =
      tests.some(Boolean) || matches !== undefined || (query.address !== undefined && begin === '');
    // as it stands in the JSON of the facts, with its quotes
    tests.push(query.address === undefined ? '' : JSON.stringify(smallLetters(query.address)));
    tests.push(matches === undefined ? '' : '1', begin);
    const size = matches === undefined ? 2 : 3;
    // Starts with a little more than a page. If tests or equal times leave it short, it takes more at a time.
    let look = isScanned ? lookSize : Math.min(expected + 10, lookSize);
    let greatest = start ? String(start.receivedAt) : '+inf';
    const least = query.since ?? '-inf';
    if (query.until !== undefined && (!start || start.receivedAt >= query.until))
      greatest = `(${query.until}`;
    for (let skip = 0; ; look = lookSize) {
      look = may(look);
      if (look === 0) {
        yield { found: [], last: undefined, looked: 0 };
        return;
      }
      const args = [index, greatest, least, skip, look, ...tests];
      const reply = await run(this.#redis, this.#keys.prefix, ledgerScripts.find, args, 'ledger');
      const [seen = 0, time = '', lastId = '', same = 0, ...pairs]: unknown[] = Array.isArray(reply)
        ? reply
        : [];
      const batch: Found[] = [];
      for (let at = 0; at < pairs.length; at += size) {
        const found = { id: String(pairs[at]), receivedAt: Number(pairs[at + 1]) };
        if (matches?.(found.id, String(pairs[at + 2])) === false) continue;
        // Of equal times, Redis returns the greater id first; those up to the cursor's were on the last page.
        if (!start || found.receivedAt !== start.receivedAt || found.id < start.id) batch.push(found);
      }
      const last = { receivedAt: Number(time), id: String(lastId) };
      if (Number(seen) > 0) yield { found: batch, last, looked: Number(seen) };
      if (Number(seen) < look) return;
      // Skipping many is slow, so the walk continues by time, and skips only those with the same time.
      skip = greatest === String(time) ? skip + Number(seen) : Number(same);
      greatest = String(time);
    }
  }

  async #subjectMatcher({ subject }: ListQuery): Promise<SubjectMatcher | undefined> {
    return subject === undefined ? undefined : subjectMatcher(await this.#openSubjects(), subject);
  }

  async #sealedSubjects(ids: readonly string[]): Promise<(string | null)[]> {
    const reads = ids.map((id) => this.#redis.hget(this.#keys.message(id), 't'));
    return await guarded('ledger', Promise.all(reads));
  }

  async subjects(ids: readonly string[]): Promise<(string | null)[]> {
    const sealed = await this.#sealedSubjects(ids);
    if (sealed.every((each) => each === null)) return sealed;
    const { open } = await this.#openSubjects();
    return sealed.map((each, at) => (each === null ? null : open(ids[at] ?? '', each)));
  }

  async #findByDigest(query: ListQuery): Promise<Found[]> {
    const { messageId } = query;
    const digest =
      query.sha256?.toLowerCase() ??
      createHash('sha1')
        .update(messageId ?? '')
        .digest('hex');
    const key = this.#keys.digest(query.sha256 === undefined ? 'i' : 'h', digest);
    const start = digest.slice(4, 12);
    const members = await guarded(
      'ledger',
      this.#redis.zrangebylex(key, `[${start}`, `(${start}~`, 'LIMIT', 0, digestLimit),
    );
    const records = await Promise.all(members.map((member) => this.get(member.slice(start.length))));
    const { name } = this.#partnerOf(query.partner);
    const wanted = name === undefined ? query : { ...query, partner: name };
    const found = records.filter((record) => record !== null).filter((record) => fits(record, wanted));
    const matches = await this.#subjectMatcher(query);
    const sealed = matches === undefined ? [] : await this.#sealedSubjects(found.map(({ id }) => id));
    return found
      .filter(({ id }, at) => matches === undefined || matches(id, sealed[at] ?? ''))
      .sort((a, b) => b.receivedAt - a.receivedAt || (a.id < b.id ? 1 : -1));
  }

  async count(): Promise<Record<MessageState, number>> {
    const entries = await Promise.all(
      messageStates.map(
        async (state) =>
          [state, await guarded('ledger', this.#redis.zcard(this.#keys.state(state)))] as const,
      ),
    );
    const counts: Record<MessageState, number> = {
      received: 0,
      decoded: 0,
      delivered: 0,
      suspended: 0,
      terminated: 0,
      queued: 0,
      sent: 0,
    };
    for (const [state, count] of entries) counts[state] = count;
    return counts;
  }

  async backlog(
    direction: MessageRecord['direction'],
    name: string,
  ): Promise<{ waiting: number; suspended: number }> {
    const states = direction === 'inbound' ? (['received', 'decoded'] as const) : (['queued'] as const);
    const index =
      direction === 'inbound' ? this.#keys.mailbox(name) : this.#keys.partner(this.#names.key(name));
    const counts = states.map((state) =>
      guarded('ledger', this.#redis.zintercard(2, index, this.#keys.state(state), 'LIMIT', mostCounted)),
    );
    // the index of a partner also has what it sent, which is counted by its mailbox
    const of = direction === 'inbound' ? { mailbox: name } : { partner: name };
    let suspended = 0;
    for await (const _ of this.ids({ state: 'suspended', direction, ...of })) {
      suspended += 1;
      if (suspended === mostCounted) break;
    }
    const waiting = (await Promise.all(counts)).reduce((sum, each) => sum + each, 0);
    return { waiting, suspended };
  }

  async suspended(among: Among = everything): Promise<{ groups: SuspendedGroup[]; more: boolean }> {
    return await readSuspended(this.#redis, this.#keys, this.#names, among);
  }

  async oldest(state: MessageState, most: number): Promise<MessageRecord[]> {
    const ids = await guarded('ledger', this.#redis.zrange(this.#keys.state(state), '0', String(most - 1)));
    const records = await Promise.all(ids.map((id) => this.get(id)));
    return records.filter((record) => record !== null);
  }

  async due(ids: readonly string[]): Promise<(number | null)[]> {
    if (ids.length === 0) return [];
    const reply = await run(this.#redis, this.#keys.prefix, ledgerScripts.due, [...ids], 'ledger');
    const times: unknown[] = Array.isArray(reply) ? reply : [];
    return ids.map((_, at) => {
      const time = Number(times[at] ?? -1);
      return time < 0 ? null : Math.floor(time / 4096);
    });
  }

  async tallies(since: number, now: number): Promise<Tallies> {
    return await readTallies(this.#redis, this.#keys, since, now);
  }

  async waiting(state: MessageState): Promise<{ messages: number; oldest: number | null }> {
    const index = this.#keys.state(state);
    const [messages, [, time]] = await guarded(
      'ledger',
      Promise.all([this.#redis.zcard(index), this.#redis.zrange(index, '0', '0', 'WITHSCORES')]),
    );
    return { messages, oldest: time === undefined ? null : Number(time) };
  }

  async load(): Promise<Partial<Record<MessageState, number>>> {
    const fields = await guarded('ledger', this.#redis.hgetall(this.#keys.load));
    const load: Partial<Record<MessageState, number>> = {};
    for (const state of messageStates) if (fields[state] !== undefined) load[state] = Number(fields[state]);
    return load;
  }

  async used(partner: string, days: number, now: number): Promise<UsedCount[]> {
    const today = Math.floor(now / dayLength);
    const wanted = Array.from({ length: Math.min(days, usedDays) }, (_, back) => today - back);
    const counts = await guarded(
      'ledger',
      Promise.all(wanted.map((day) => this.#redis.hgetall(this.#keys.used(partner, day)))),
    );
    return counts.flatMap((codes, back) => {
      const day = new Date((today - back) * dayLength).toISOString().slice(0, 10);
      return Object.entries(codes).map(([code, messages]) => ({ day, code, messages: Number(messages) }));
    });
  }

  async note(id: string, event: LedgerEvent, audit?: AuditEntry): Promise<void> {
    const args = [event.at, id, eventLine(event), audit ? auditLine(audit) : ''];
    await run(this.#redis, this.#keys.prefix, ledgerScripts.note, args, 'ledger');
  }
}

const all: Among = { mailboxes: '*', partners: '*' };
