/** Posts documents that are no message, signed as those of webhook destinations are. */
import { type Config, readPublicFile, type Secret } from '../config/index.ts';
import { privateAddressCode } from '../net/index.ts';
import { HttpPoster, RequestTimeout } from './http-post.ts';
import { foreignCode } from './outcome.ts';
import { webhookSignature } from './webhook-signature.ts';

export type EventWebhookConfig = NonNullable<Config['events']>;

export interface EventPoster {
  /** Undefined if the receiver took it; otherwise why not. */
  post(body: Buffer, idempotencyKey: string, signal: AbortSignal): Promise<string | undefined>;
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
  return {
    async post(body, idempotencyKey, signal) {
      const headers = {
        'Content-Type': 'application/json',
        'User-Agent': 'Sealpost',
        'Idempotency-Key': idempotencyKey,
        'Sealpost-Signature': webhookSignature(key, Math.floor(deps.now() / 1000), body),
      };
      try {
        const { status } = await poster.post(body, headers, signal);
        return status >= 200 && status < 300 ? undefined : `it answered with status ${status}`;
      } catch (error) {
        const code = foreignCode(error);
        if (error instanceof RequestTimeout) return `it did not answer within ${timeout} ms`;
        if (code === privateAddressCode)
          return 'its address is not public; set allowPrivate when that is meant';
        return `it could not be reached (${code})`;
      }
    },
    close: () => poster.close(),
  };
}
