/** Posts that the receiver can verify: signed with the shared secret, and with an idempotency key. */
import { createHmac, randomUUID } from 'node:crypto';
import { readPublicFile, type Secret } from '../config/index.ts';
import { privateAddressCode, type Resolve } from '../net/index.ts';
import { foreignCode } from './attempt.ts';
import { HttpPoster, type HttpReply, RequestTimeout } from './http-post.ts';

export interface SignedPosterSettings {
  url: string;
  secret: Secret;
  /** File of certificates in PEM that replace the system's. */
  ca?: string | undefined;
  allowPrivate: boolean;
  /** Milliseconds until the answer must come. */
  timeout: number;
}

export interface SignedPosterDeps {
  readSecret(secret: Secret): string;
  /** Milliseconds since the epoch. */
  now(): number;
  resolve?: Resolve | undefined;
}

const aboutTest = 'sealpost check --online: nothing has arrived; answer with a 2xx if the signature is right';

export class SignedPoster {
  readonly #secret: string;
  readonly #poster: HttpPoster;
  readonly #timeout: number;
  readonly #now: () => number;

  /** Errors: those of `readSecret`; `file-access`. */
  constructor(
    { url, secret, ca, allowPrivate, timeout }: SignedPosterSettings,
    { readSecret, now, resolve }: SignedPosterDeps,
  ) {
    this.#secret = readSecret(secret);
    const certificates = ca === undefined ? undefined : readPublicFile(ca);
    this.#poster = new HttpPoster(new URL(url), { ca: certificates, allowPrivate, resolve, timeout });
    this.#timeout = timeout;
    this.#now = now;
  }

  /** Posts JSON. Errors: those of `HttpPoster.post`. */
  async post(
    body: Buffer,
    idempotencyKey: string,
    signal: AbortSignal,
    more: Record<string, string> = {},
  ): Promise<HttpReply> {
    const headers = {
      ...more,
      'Content-Type': 'application/json',
      'User-Agent': 'Sealpost',
      'Idempotency-Key': idempotencyKey,
      'Sealpost-Signature': webhookSignature(this.#secret, Math.floor(this.#now() / 1000), body),
    };
    return await this.#poster.post(body, headers, signal);
  }

  /**
   * Posts what `sealpost check --online` posts: signed like any other document, but not a message.
   *
   * @param more further fields
   */
  async test(signal: AbortSignal, more: Record<string, string> = {}): Promise<HttpReply> {
    const idempotencyKey = `sealpost-test-${randomUUID()}`;
    const document = { test: true, idempotencyKey, ...more, about: aboutTest };
    const body = Buffer.from(JSON.stringify(document));
    return await this.post(body, idempotencyKey, signal, { 'Sealpost-Test': 'true' });
  }

  /** Why there was no answer. Completes "the receiver ...". */
  whyFailed(error: unknown): string {
    if (error instanceof RequestTimeout) return `did not answer within ${this.#timeout} ms`;
    const code = foreignCode(error);
    if (code === privateAddressCode)
      return 'has an address that is not public; set allowPrivate when that is meant';
    return `could not be reached (${code})`;
  }

  async close(): Promise<void> {
    await this.#poster.close();
  }
}

/**
 * The value of the `Sealpost-Signature` field: `t=<unix seconds>,v1=<hex>`, where v1 is HMAC-SHA-256 under the shared
 * secret over the time as written, a dot, and the body as sent. A receiver computes the same value, compares in
 * constant time, and refuses times that are minutes off.
 */
export function webhookSignature(secret: string, seconds: number, body: Buffer): string {
  const mac = createHmac('sha256', secret).update(`${seconds}.`, 'latin1').update(body).digest('hex');
  return `t=${seconds},v1=${mac}`;
}
