/** Posts documents that are no message, signed as those of webhook destinations are. */
import { type Config, readPublicFile, type Secret } from '../config/index.ts';
import { privateAddressCode } from '../net/index.ts';
import { HttpPoster, RequestTimeout } from './http-post.ts';
import { foreignCode } from './outcome.ts';
import { testDocument } from './test-document.ts';
import { webhookSignature } from './webhook-signature.ts';

export type EventWebhookConfig = NonNullable<Config['events']>;

export interface EventPoster {
  /** Undefined if the receiver took it; otherwise why not. */
  post(body: Buffer, idempotencyKey: string, signal: AbortSignal): Promise<string | undefined>;
  /** The same with a test document; the clock of the receiver, as it says (Date), if it took it. */
  probe(signal: AbortSignal): Promise<{ failed: string } | { date: string | undefined }>;
  close(): Promise<void>;
}

/** Errors: those of `readSecret`; `file-access`. */
export async function createEventPoster(
  { url, secret, ca, allowPrivate, timeout }: EventWebhookConfig,
  deps: { readSecret(secret: Secret): string; now(): number },
): Promise<EventPoster> {
  const key = deps.readSecret(secret);
  const poster = new HttpPoster(new URL(url), {
    ca: ca === undefined ? undefined : readPublicFile(ca),
    allowPrivate,
    resolve: undefined,
    timeout,
  });
  async function post(
    body: Buffer,
    idempotencyKey: string,
    signal: AbortSignal,
    more: Record<string, string> = {},
  ): Promise<{ failed: string } | { date: string | undefined }> {
    const headers = {
      ...more,
      'Content-Type': 'application/json',
      'User-Agent': 'Sealpost',
      'Idempotency-Key': idempotencyKey,
      'Sealpost-Signature': webhookSignature(key, Math.floor(deps.now() / 1000), body),
    };
    try {
      const { status, date } = await poster.post(body, headers, signal);
      return status >= 200 && status < 300 ? { date } : { failed: `it answered with status ${status}` };
    } catch (error) {
      const code = foreignCode(error);
      if (error instanceof RequestTimeout) return { failed: `it did not answer within ${timeout} ms` };
      if (code === privateAddressCode)
        return { failed: 'its address is not public; set allowPrivate when that is meant' };
      return { failed: `it could not be reached (${code})` };
    }
  }
  return {
    async post(body, idempotencyKey, signal) {
      const outcome = await post(body, idempotencyKey, signal);
      return 'failed' in outcome ? outcome.failed : undefined;
    },
    async probe(signal) {
      const { body, idempotencyKey, headers } = testDocument();
      return await post(body, idempotencyKey, signal, headers);
    },
    close: () => poster.close(),
  };
}
