/**
 * `sealpost/client`: hands messages for partners to Sealpost through Redis. Each client has a queue and a user of Redis
 * of its own; `sealpost clients queue NAME` prints them with the key that requests are sealed for. What is exported
 * here is public and follows semantic versioning; docs/sending.md has an example.
 *
 * A job has the form of BullMQ and is written by plain commands. BullMQ's own producer needs EVAL, and a program that
 * may call that can stop Redis for everybody.
 */
/// <reference types="node" preserve="true" />
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis, type RedisOptions } from 'ioredis';
import { isErrorCode, SealpostError } from '../errors.ts';
import { publicKeyOf, type SealedRequest, sealRequest } from '../sealed/index.ts';

export { type ErrorCode, SealpostError } from '../errors.ts';

export interface QueueClientOptions {
  /** Host, port and TLS of Redis, as ioredis takes them. */
  redis: Omit<RedisOptions, 'username' | 'password' | 'keyPrefix'>;
  /** As `sealpost clients queue` printed them. */
  user: string;
  password: string;
  client: string;
  /** Beginning of the names of all keys. */
  prefix: string;
  /** Public key of the daemon, 32 octets in base64. */
  key: string;
}

/** A message for partners. Without `partner`, each recipient is an address of one. */
export interface QueueMessage extends Omit<SealedRequest, 'idempotencyKey' | 'notBefore' | 'notAfter'> {
  /** Content, or a mail with its header (`mail: true`). */
  content: Buffer | string;
  /** The same key with the same message gives the same id and one mail, for 7 days. Default: a new one. */
  idempotencyKey?: string;
  notBefore?: Date;
  notAfter?: Date;
}

/** One message that Sealpost has on disk. */
export interface QueueResult {
  id: string;
  partner: string;
  recipients: string[];
  /** The idempotency key was there before, with the same message. */
  duplicate: boolean;
}

const unanswered = (what: string, cause?: unknown) =>
  new SealpostError('redis-unreachable', what, {
    hint: 'send it again with the same idempotency key; nothing is sent twice',
    ...(cause === undefined ? {} : { cause }),
  });

export class QueueClient {
  readonly #redis: Redis;
  readonly #base: string;
  readonly #client: string;
  readonly #key: ReturnType<typeof publicKeyOf>;

  constructor({ redis, user, password, client, prefix, key }: QueueClientOptions) {
    this.#client = client;
    this.#base = `${prefix}:`;
    this.#key = publicKeyOf(Buffer.from(key, 'base64'));
    const options: RedisOptions = {
      maxRetriesPerRequest: 3,
      ...redis,
      // Its user may not do these, so they are not asked for.
      enableReadyCheck: false,
      disableClientInfo: true,
      username: user,
      password,
    };
    this.#redis = new Redis({ ...options, replyMapping: 'legacy' });
    // Each call reports what is wrong.
    this.#redis.on('error', () => undefined);
  }

  /**
   * Puts a message into the queue; returns the id of its job. It is not accepted yet: see `result`.
   *
   * @throws {SealpostError} `redis-unreachable`
   */
  async enqueue({ content, idempotencyKey, notBefore, notAfter, ...message }: QueueMessage): Promise<string> {
    const id = randomUUID();
    const request: SealedRequest = {
      ...message,
      idempotencyKey: idempotencyKey ?? id,
      notBefore: notBefore?.getTime(),
      notAfter: notAfter?.getTime(),
    };
    const data = sealRequest(this.#key, this.#client, request, Buffer.from(content));
    const facts = {
      name: 'submit',
      data,
      opts: '{"attempts":0}',
      timestamp: Date.now(),
      delay: 0,
      priority: 0,
    };
    try {
      const added = this.#redis
        .multi()
        .hset(this.#base + id, facts)
        .lpush(`${this.#base}wait`, id);
      const replies = await added.exec();
      const failed = replies?.find(([error]) => error !== null)?.[0];
      if (failed) throw failed;
    } catch (cause) {
      throw unanswered('the message could not be put into the queue', cause);
    }
    return id;
  }

  /**
   * Waits until Sealpost has taken a job up: the messages are on disk when this resolves.
   *
   * @param timeout milliseconds
   * @throws {SealpostError} what Sealpost refused it with; `redis-unreachable` also if there is no answer in time
   */
  async result(job: string, timeout = 30_000): Promise<QueueResult[]> {
    const end = performance.now() + timeout;
    for (let pause = 20; performance.now() < end; pause = Math.min(pause * 2, 500)) {
      let answer: string | null | undefined;
      try {
        [answer] = await this.#redis.hmget(this.#base + job, 'returnvalue');
      } catch (cause) {
        throw unanswered('Redis does not answer', cause);
      }
      if (answer) return resultsOf(JSON.parse(answer));
      await sleep(pause);
    }
    throw unanswered('Sealpost has not taken the message up in time');
  }

  /** `enqueue` and `result`. */
  async submit(message: QueueMessage, timeout?: number): Promise<QueueResult[]> {
    return await this.result(await this.enqueue(message), timeout);
  }

  async close(): Promise<void> {
    this.#redis.disconnect();
  }
}

type Answer = { messages: QueueResult[] } | { error: { code: string; message: string; hint?: string } };

function resultsOf(answer: Answer): QueueResult[] {
  if ('messages' in answer) return answer.messages;
  const { code, message, hint } = answer.error;
  throw new SealpostError(isErrorCode(code) ? code : 'internal', message, hint === undefined ? {} : { hint });
}
