/** Posts documents that are not messages, signed like those of webhook destinations. */
import type { Config, Secret } from '../config/index.ts';
import type { HttpReply } from './http-post.ts';
import { SignedPoster } from './signed-post.ts';

export type EventWebhookConfig = NonNullable<Config['events']>;

export interface EventPoster {
  /** Undefined if the receiver took it; otherwise, why not. */
  post(body: Buffer, idempotencyKey: string, signal: AbortSignal): Promise<string | undefined>;
  /** The same with a test document. If the receiver took it: the time on its clock, as its Date field says. */
  probe(signal: AbortSignal): Promise<{ failed: string } | { date: string | undefined }>;
  close(): Promise<void>;
}

/** Errors: those of `readSecret`; `file-access`. */
export async function createEventPoster(
  config: EventWebhookConfig,
  deps: { readSecret(secret: Secret): string; now(): number },
): Promise<EventPoster> {
  const poster = new SignedPoster(config, deps);
  const judged = async (
    reply: Promise<HttpReply>,
  ): Promise<{ failed: string } | { date: string | undefined }> => {
    try {
      const { status, date } = await reply;
      return status >= 200 && status < 300 ? { date } : { failed: `it answered with status ${status}` };
    } catch (error) {
      return { failed: `it ${poster.whyFailed(error)}` };
    }
  };
  return {
    async post(body, idempotencyKey, signal) {
      const outcome = await judged(poster.post(body, idempotencyKey, signal));
      return 'failed' in outcome ? outcome.failed : undefined;
    },
    probe: (signal) => judged(poster.test(signal)),
    close: () => poster.close(),
  };
}
