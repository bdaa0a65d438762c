/**
 * Pauses and states of routes, in Redis for all processes of the installation. `paused` is a hash of what is paused,
 * `polls` one of mailboxes to be polled at once, and `states:KIND` one of what attempts showed: `ok NAME` and
 * `bad NAME`.
 */
import type { Redis } from 'ioredis';
import type { PartnerNames } from '../config/index.ts';
import { guarded } from '../redis/index.ts';
import type { Keys } from './keys.ts';
import { newNudge } from './retry.ts';
import type {
  DownRoute,
  FolderState,
  Paused,
  RouteFailure,
  RouteKind,
  RouteState,
  Routes,
} from './route-types.ts';
import { readAllDown, readDown } from './sick-routes.ts';

/** Milliseconds between looks at what is paused, and between two writes of what attempts showed. */
const lookEvery = 500;
const writeEvery = 2000;
/** Seconds for which a request to poll is kept: longer than any process takes to see it. */
const pollKept = 60;

type Kind = 'partner' | 'destination';

interface Fresh {
  ok?: number;
  failure?: RouteFailure;
}

const fieldOf = (kind: RouteKind, name: string) => `${kind} ${name}`;

export interface RoutesParts {
  redis: Redis;
  keys: Pick<Keys, 'paused' | 'parked' | 'polls' | 'routeStates' | 'sick'>;
  /** The present names of partners: a route has the key of its partner. */
  names: Pick<PartnerNames, 'present'>;
  now: () => number;
  /** What could not be written or read is tried again soon. */
  onFailure: (error: unknown) => void;
}

export class RedisRoutes implements Routes {
  readonly #parts: RoutesParts;
  #paused = new Set<string>();
  readonly #polls = new Map<string, string>();
  readonly #wanted = new Set<string>();
  readonly #listeners = new Set<() => void>();
  #following: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  readonly #fresh: Record<Kind, Map<string, Fresh>> = { partner: new Map(), destination: new Map() };
  #writing: NodeJS.Timeout | undefined;

  constructor(parts: RoutesParts) {
    this.#parts = parts;
  }

  follow(): Promise<void> {
    this.#following ??= this.#begin();
    return this.#following;
  }

  async #begin(): Promise<void> {
    await this.#look(true).catch(this.#parts.onFailure);
    this.#timer = setInterval(() => void this.#look(false).catch(this.#parts.onFailure), lookEvery).unref();
  }

  async #look(first: boolean): Promise<void> {
    const { redis, keys } = this.#parts;
    const [fields, polls] = await guarded(
      'routes',
      Promise.all([redis.hkeys(keys.paused), redis.hgetall(keys.polls)]),
    );
    let changed = fields.length !== this.#paused.size || fields.some((field) => !this.#paused.has(field));
    this.#paused = new Set(fields);
    for (const [mailbox, nonce] of Object.entries(polls)) {
      if (this.#polls.get(mailbox) === nonce) continue;
      this.#polls.set(mailbox, nonce);
      // the first scan of this process has done what was requested before it began
      if (!first) this.#wanted.add(mailbox);
      changed = true;
    }
    for (const mailbox of this.#polls.keys()) if (polls[mailbox] === undefined) this.#polls.delete(mailbox);
    if (changed) for (const listener of this.#listeners) listener();
  }

  isPaused(kind: RouteKind, name: string): boolean {
    return this.#paused.has(fieldOf(kind, name));
  }

  onChange(listener: () => void): void {
    this.#listeners.add(listener);
  }

  takePoll(mailbox: string): boolean {
    return this.#wanted.delete(mailbox);
  }

  async pause(kind: RouteKind, name: string, paused: Paused): Promise<boolean> {
    const { redis, keys } = this.#parts;
    const set = redis.hsetnx(keys.paused, fieldOf(kind, name), JSON.stringify(paused));
    return (await guarded('routes', set)) === 1;
  }

  async resume(kind: RouteKind, name: string): Promise<boolean> {
    const { redis, keys } = this.#parts;
    return (await guarded('routes', redis.hdel(keys.paused, fieldOf(kind, name)))) === 1;
  }

  async poll(mailbox: string): Promise<void> {
    const { redis, keys } = this.#parts;
    await guarded('routes', redis.hset(keys.polls, mailbox, newNudge()));
    await guarded('routes', redis.expire(keys.polls, pollKept));
  }

  async paused(kind: RouteKind, names: readonly string[]): Promise<(Paused | undefined)[]> {
    return await this.#read<Paused>(
      this.#parts.keys.paused,
      names.map((name) => fieldOf(kind, name)),
    );
  }

  async down(): Promise<DownRoute[]> {
    const { redis, keys, names } = this.#parts;
    return await readAllDown(redis, keys, names);
  }

  async troubled(): Promise<ReadonlySet<string>> {
    const { redis, keys } = this.#parts;
    const read = Promise.all([
      redis.hkeys(keys.paused),
      redis.hkeys(keys.sick('outbound')),
      redis.hkeys(keys.sick('handoff')),
    ]);
    const [paused, partners, destinations] = await guarded('routes', read);
    return new Set([
      ...paused,
      ...partners.map((name) => fieldOf('partner', name)),
      ...destinations.map((name) => fieldOf('destination', name)),
    ]);
  }

  async states(kind: Kind, names: readonly string[]): Promise<RouteState[]> {
    const { redis, keys } = this.#parts;
    const key = keys.routeStates(kind);
    const queue = kind === 'partner' ? 'outbound' : 'handoff';
    const fields = (of: 'ok' | 'bad') => names.map((name) => `${of} ${name}`);
    const [ok, bad, down, inLine] = await Promise.all([
      this.#read<number>(key, fields('ok')),
      this.#read<RouteFailure>(key, fields('bad')),
      readDown(redis, keys, queue, names),
      guarded('routes', Promise.all(names.map((name) => redis.zcard(`${keys.parked(queue)}:${name}`)))),
    ]);
    return names.map((_, at) => ({
      ...{ ok: ok[at] ?? null, failure: bad[at] ?? null },
      ...{ downSince: down[at]?.since ?? null, inLine: inLine[at] ?? 0 },
    }));
  }

  async folders(mailboxes: readonly string[]): Promise<(FolderState | undefined)[]> {
    return await this.#read<FolderState>(this.#parts.keys.routeStates('mailbox'), mailboxes);
  }

  async #read<T>(key: string, fields: readonly string[]): Promise<(T | undefined)[]> {
    if (fields.length === 0) return [];
    const values = await guarded('routes', this.#parts.redis.hmget(key, ...fields));
    return values.map((text) => (text === null ? undefined : JSON.parse(text)));
  }

  succeeded(kind: Kind, name: string): void {
    this.#note(kind, name, { ok: this.#parts.now() });
  }

  failed(kind: Kind, name: string, failed: Omit<RouteFailure, 'at'>): void {
    this.#note(kind, name, { failure: { at: this.#parts.now(), ...failed } });
  }

  #note(kind: Kind, name: string, fresh: Fresh): void {
    this.#fresh[kind].set(name, { ...this.#fresh[kind].get(name), ...fresh });
    this.#writing ??= setTimeout(() => void this.#write().catch(this.#parts.onFailure), writeEvery).unref();
  }

  async #write(): Promise<void> {
    this.#writing = undefined;
    await Promise.all([this.#writeKind('partner'), this.#writeKind('destination')]);
  }

  async #writeKind(kind: Kind): Promise<void> {
    const noted = [...this.#fresh[kind]];
    this.#fresh[kind].clear();
    if (noted.length === 0) return;
    const fields = noted.flatMap(([name, { ok, failure }]) => [
      ...(ok === undefined ? [] : [`ok ${name}`, String(ok)]),
      ...(failure === undefined ? [] : [`bad ${name}`, JSON.stringify(failure)]),
    ]);
    const { redis, keys } = this.#parts;
    await guarded('routes', redis.hset(keys.routeStates(kind), ...fields));
  }

  async noteFolder(mailbox: string, state: Omit<FolderState, 'at'>): Promise<void> {
    const { redis, keys, now } = this.#parts;
    const said: FolderState = { at: now(), ...state };
    await guarded('routes', redis.hset(keys.routeStates('mailbox'), mailbox, JSON.stringify(said)));
  }

  stop(): void {
    clearInterval(this.#timer);
    clearTimeout(this.#writing);
  }
}
