/** The body of a request: counted, timed, and read only when a handler wants it. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { SealpostError } from '../errors.ts';
import { refusal } from './problem.ts';

export interface BodyRules {
  /** Milliseconds, in addition to what the octets need at the rate. */
  timeout: number;
  /** Octets a second. */
  minimumRate: number;
}

const every = 250;

/** What must still hold when the body of a request is complete. */
const wholeChecks = new WeakMap<IncomingMessage, () => void>();

/**
 * Registers a check for the moment when the body is complete: reading may take long, and the sender may be revoked in
 * the meantime.
 *
 * @param check throws what `bodyOf` is to throw
 */
export function whenWhole(request: IncomingMessage, check: () => void): void {
  wholeChecks.set(request, check);
}

/** Refuses a body before any of it is read. Errors: `media-type-unsupported`, `message-too-large`. */
export function checkBodyFields({ headers }: IncomingMessage, most: number): void {
  const encoding = headers['content-encoding'] ?? 'identity';
  if (encoding.toLowerCase() !== 'identity')
    throw refusal(
      'media-type-unsupported',
      'the body is compressed or encoded',
      'leave out Content-Encoding',
    );
  if (Number(headers['content-length'] ?? 0) > most) throw tooLarge(most);
}

export function tooLarge(most: number): SealpostError {
  return refusal('message-too-large', `the body is larger than ${most} octets`);
}

/**
 * The octets of a body as they come. Only the time during which we wait for the client counts for its rate.
 *
 * Errors: `message-too-large`, `request-timeout`, `request-invalid` for a body that ends too early.
 *
 * @param most octets
 */
export async function* bodyOf(
  request: IncomingMessage,
  response: ServerResponse,
  most: number,
  { timeout, minimumRate }: BodyRules,
): AsyncGenerator<Buffer> {
  checkBodyFields(request, most);
  if (request.headers.expect !== undefined) response.writeContinue();
  // The connection must outlive a refusal, so that the client can read the answer.
  const chunks = request.iterator({ destroyOnReturn: false });
  // Raced against the current chunk only. A promise that lives as long as the body would keep every chunk it raced.
  let fail: ((error: SealpostError) => void) | undefined;
  let octets = 0;
  let waited = 0;
  let since: number | undefined = performance.now();
  const watch = setInterval(() => {
    if (since === undefined) return;
    if (waited + performance.now() - since > timeout + (octets / minimumRate) * 1000)
      fail?.(refusal('request-timeout', 'the body came too slowly'));
  }, every);
  try {
    for (;;) {
      since = performance.now();
      const next = Promise.withResolvers<IteratorResult<Buffer>>();
      fail = next.reject;
      chunks.next().then(next.resolve, next.reject);
      const { done, value } = await next.promise;
      waited += performance.now() - since;
      since = undefined;
      if (done) break;
      octets += value.length;
      if (octets > most) throw tooLarge(most);
      yield value;
    }
    if (!request.complete) throw cut();
    wholeChecks.get(request)?.();
  } catch (error) {
    if (error instanceof SealpostError) throw error;
    throw cut(error);
  } finally {
    clearInterval(watch);
  }
}

function cut(cause?: unknown): SealpostError {
  return new SealpostError('request-invalid', 'the body ended before it was whole', { cause });
}

/**
 * How many octets of bodies may be in memory, for all requests together and for each client. A client may use a
 * quarter, so that others find room.
 */
export class Held {
  readonly #most: number;
  readonly #clients = new Map<string, number>();
  #all = 0;

  constructor(most: number) {
    this.#most = most;
  }

  /** Errors: `rate-limited`, `queue-full`. */
  take(client: string, octets: number): void {
    const own = this.#clients.get(client) ?? 0;
    if (own + octets > this.#most / 4)
      throw refusal('rate-limited', 'the client has too many large requests at a time');
    if (this.#all + octets > this.#most) throw refusal('queue-full', 'too many large requests at a time');
    this.#clients.set(client, own + octets);
    this.#all += octets;
  }

  give(client: string, octets: number): void {
    const left = (this.#clients.get(client) ?? 0) - octets;
    if (left > 0) this.#clients.set(client, left);
    else this.#clients.delete(client);
    this.#all -= octets;
  }
}

/** A whole body in memory. */
export async function wholeBody(
  chunks: AsyncIterable<Buffer>,
  take: (octets: number) => void,
): Promise<Buffer> {
  const kept: Buffer[] = [];
  for await (const chunk of chunks) {
    take(chunk.length);
    kept.push(chunk);
  }
  return Buffer.concat(kept);
}
