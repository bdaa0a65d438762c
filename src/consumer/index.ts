/**
 * The other end of the queues of clients: takes jobs, opens what is sealed in them, hands it on, and writes the answer
 * into the job. Jobs are read by scripts of our own, so that a job that is too large is refused before it is read, and
 * what a client writes into its queue affects its queue alone.
 */
import type { KeyObject } from 'node:crypto';
import type { Redis } from 'ioredis';
import { consequenceOf, errorTable, SealpostError, toErrorInfo } from '../errors.ts';
import { type Log, logRarely } from '../log.ts';
import { counter } from '../metrics.ts';
import { run, script } from '../redis/index.ts';
import { openRequest, type SealedRequest } from '../sealed/index.ts';

/** Beginning of the keys of a client's queue, as BullMQ names them. */
export function baseOf(prefix: string, client: string): string {
  return `${prefix}:from:${client.toLowerCase()}:submit`;
}

export interface OpenedRequest extends SealedRequest {
  octets: Buffer;
}

export interface QueueAnswer {
  id: string;
  partner: string;
  recipients: string[];
  duplicate: boolean;
}

export interface ConsumerParts {
  redis: Redis;
  prefix: string;
  key: KeyObject;
  /** Names of the clients that have a queue. */
  clients(): readonly string[];
  /** Errors: those of `submit`. */
  submit(client: string, request: OpenedRequest): Promise<QueueAnswer[]>;
  /** Takes or keeps the lease of all queues for that many milliseconds; false while another process has it. */
  hold(ms: number): Promise<boolean>;
  release(): Promise<void>;
  /** Octets of the largest message. */
  maxSize: number;
  log: Log;
  /** Milliseconds since the epoch. */
  now: () => number;
}

const jobs = counter('client_jobs_total', 'Jobs in the queues of clients, by what became of them.', [
  'result',
]);

/** Jobs of one client that are worked on at a time. */
const atATime = 4;
const pollEvery = { busy: 10, idle: 200 };
const leaseFor = 30_000;
const leaseEvery = 10_000;
const pauseFor = 1000;
/** Seconds that an answer is kept. */
const answerKept = 3600;

/**
 * Base of the queue; number of jobs, octets of data. Returns ids and data, with '' for data that is too large,
 * missing or not text. A key of another type than BullMQ makes is treated as absent.
 */
const take = script(`
local function call(...)
  local reply = redis.pcall(...)
  if type(reply) == 'table' and reply.err then return false end
  return reply
end
local base = string.sub(KEYS[1], 1, -3) .. ARGV[1]
local taken = {}
for count = 1, tonumber(ARGV[2]) do
  local id = call('RPOPLPUSH', base .. ':wait', base .. ':active')
  if not id then break end
  local size = call('HSTRLEN', base .. ':' .. id, 'data') or 0
  taken[#taken + 1] = id
  taken[#taken + 1] = size <= tonumber(ARGV[3]) and call('HGET', base .. ':' .. id, 'data') or ''
end
return taken`);

/** Base of the queue; id, answer, time, seconds that it is kept. The data of the job is no longer needed. */
const finish = script(`
local base = string.sub(KEYS[1], 1, -3) .. ARGV[1]
local job = base .. ':' .. ARGV[2]
redis.pcall('LREM', base .. ':active', 0, ARGV[2])
-- an id may name a list of the queue, or nothing
if redis.call('TYPE', job).ok ~= 'hash' then return 0 end
redis.pcall('HDEL', job, 'data')
redis.pcall('HSET', job, 'returnvalue', ARGV[3], 'finishedOn', ARGV[4])
redis.pcall('EXPIRE', job, ARGV[5])
return 1`);

/** Base of the queue; ids, or none for all. Puts jobs back, first in line. */
const giveBack = script(`
local base = string.sub(KEYS[1], 1, -3) .. ARGV[1]
local ids = {}
for index = 2, #ARGV do ids[#ids + 1] = ARGV[index] end
if #ids == 0 then
  local all = redis.pcall('LRANGE', base .. ':active', 0, -1)
  if type(all) == 'table' and not all.err then ids = all end
end
for _, id in ipairs(ids) do
  redis.pcall('LREM', base .. ':active', 0, id)
  redis.pcall('RPUSH', base .. ':wait', id)
end
return #ids`);

export class Consumer {
  readonly #parts: ConsumerParts;
  readonly #inFlight = new Map<string, number>();
  readonly #recovered = new Set<string>();
  readonly #pausedUntil = new Map<string, number>();
  readonly #working = new Set<Promise<void>>();
  #holding = false;
  #heldAt = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;
  #polling: Promise<void> | undefined;
  #stopped = false;

  constructor(parts: ConsumerParts) {
    this.#parts = parts;
  }

  start(): void {
    this.#pollIn(0);
  }

  /** Takes no more jobs, and waits for those in flight, for at most that many milliseconds. */
  async stop(timeout: number): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#polling;
    await Promise.race([
      Promise.all(this.#working),
      new Promise((resolve) => setTimeout(resolve, timeout).unref()),
    ]);
    if (this.#holding && this.#working.size === 0) await this.#parts.release().catch(() => undefined);
  }

  #pollIn(ms: number): void {
    if (this.#stopped) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#polling = this.#poll();
    }, ms);
  }

  async #poll(): Promise<void> {
    const { log, clients } = this.#parts;
    let found = 0;
    try {
      if (await this.#isOurs()) for (const client of clients()) found += await this.#take(client);
    } catch (err) {
      logRarely(log, 'error', 'client queues', { err }, 'the queues of clients are not read');
    }
    this.#pollIn(found > 0 ? pollEvery.busy : pollEvery.idle);
  }

  async #isOurs(): Promise<boolean> {
    const now = performance.now();
    if (now - this.#heldAt < leaseEvery) return this.#holding;
    this.#holding = await this.#parts.hold(leaseFor);
    this.#heldAt = this.#holding ? now : now - leaseEvery + 1000;
    if (!this.#holding) this.#recovered.clear();
    return this.#holding;
  }

  async #take(client: string): Promise<number> {
    const { redis, prefix, maxSize } = this.#parts;
    const base = baseOf('', client);
    if (!this.#recovered.has(client)) {
      // Jobs that an earlier process had taken. Each has a key, so nothing is sent twice.
      await run(redis, prefix, giveBack, [base], 'client queues');
      this.#recovered.add(client);
    }
    const room = atATime - (this.#inFlight.get(client) ?? 0);
    if (room <= 0 || performance.now() < (this.#pausedUntil.get(client) ?? 0)) return 0;
    const most = Math.ceil((maxSize + 64 * 1024) / 3) * 4 + 1024;
    const taken = await run(redis, prefix, take, [base, room, most], 'client queues');
    if (!Array.isArray(taken)) return 0;
    for (let index = 0; index + 1 < taken.length; index += 2) {
      const working = this.#work(client, String(taken[index]), String(taken[index + 1]));
      this.#working.add(working);
      void working.finally(() => this.#working.delete(working));
    }
    return taken.length / 2;
  }

  async #work(client: string, id: string, data: string): Promise<void> {
    const { redis, prefix, submit, key, log, now, maxSize } = this.#parts;
    this.#inFlight.set(client, (this.#inFlight.get(client) ?? 0) + 1);
    const base = baseOf('', client);
    try {
      const answer = await this.#answerTo(async () => {
        if (data === '')
          throw new SealpostError('message-too-large', `the job has no data, or more than ${maxSize} octets`);
        const { request, octets } = openRequest(key, client, data);
        if (octets.length > maxSize)
          throw new SealpostError('message-too-large', `the message is larger than ${maxSize} octets`);
        return await submit(client, { ...request, octets });
      });
      if (answer === undefined) {
        this.#pausedUntil.set(client, performance.now() + pauseFor);
        await run(redis, prefix, giveBack, [base, id], 'client queues');
        return;
      }
      const text = JSON.stringify(answer);
      await run(redis, prefix, finish, [base, id, text, now(), answerKept], 'client queues');
      jobs.inc({ result: 'messages' in answer ? 'accepted' : 'refused' });
      if ('messages' in answer)
        log.info({ client, ids: answer.messages.map((each) => each.id) }, 'message accepted');
      else log.info({ client, job: id.slice(0, 60), ...answer.error }, 'a job is refused');
    } catch (err) {
      logRarely(log, 'error', 'client queues', { err, client }, 'a job could not be answered');
      // It stays among the active ones, and is put back when the lease is next taken.
      this.#recovered.delete(client);
    } finally {
      this.#inFlight.set(client, (this.#inFlight.get(client) ?? 1) - 1);
    }
  }

  /** Undefined for an error that has nothing to do with the job. */
  async #answerTo(
    work: () => Promise<QueueAnswer[]>,
  ): Promise<
    | { messages: QueueAnswer[] }
    | { error: { code: string; message: string; hint?: string | undefined } }
    | undefined
  > {
    try {
      return { messages: await work() };
    } catch (error) {
      const { code, message } = toErrorInfo(error);
      const passes =
        errorTable[code].class === 'store' || consequenceOf(code) === 'wait' || code === 'rate-limited';
      if (passes || code === 'clients-changed') return undefined;
      if (!(error instanceof SealpostError))
        logRarely(this.#parts.log, 'error', 'client job', { err: error }, 'a job failed');
      const hint = error instanceof SealpostError ? error.hint : undefined;
      return { error: { code, message: code === 'internal' ? 'a bug in Sealpost' : message, hint } };
    }
  }
}
