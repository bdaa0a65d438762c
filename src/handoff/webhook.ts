import type { DestinationConfig } from '../config/index.ts';
import type { Resolve } from '../net/index.ts';
import { type Outcome, outcomeOf } from '../queue/index.ts';
import { stopped } from './attempt.ts';
import { attemptDocument } from './document.ts';
import { failureWithOriginal } from './failure.ts';
import type { HttpReply } from './http-post.ts';
import { SignedPoster } from './signed-post.ts';
import type { Delivery, Destination, DestinationDeps } from './types.ts';

type WebhookConfig = Extract<DestinationConfig, { type: 'webhook' }>;

/** For tests: how names are resolved. */
export interface WebhookOptions {
  resolve?: Resolve;
}

export interface ProbedWebhook extends Destination {
  /** Posts a signed test document, which is marked as such. `date` is the Date field of the answer. */
  probe(signal: AbortSignal): Promise<{ outcome: Outcome; date: string | undefined }>;
}

/** Longest wait that a receiver can ask us for. */
const longestRetryAfter = 3_600_000;

/** Statuses that indicate trouble with the receiver, not with this message. */
const troubled = (status: number) => status >= 500 || status === 429 || status === 408;

/** Parses Retry-After (RFC 9110, section 10.2.3): seconds or a date. Capped; undefined if unreadable. */
export function retryAfter(value: string | undefined, now: number): number | undefined {
  if (value === undefined) return undefined;
  const text = value.trim();
  const wait = /^\d{1,9}$/.test(text) ? Number(text) * 1000 : Date.parse(text) - now;
  return Number.isNaN(wait) ? undefined : Math.min(Math.max(wait, 0), longestRetryAfter);
}

/**
 * Posts each message as signed JSON. Any 2xx means done. Everything else is tried again, because a receiver that
 * answers 400 today may be fixed tomorrow. Redirects are not followed, non-public addresses are refused (unless
 * `allowPrivate`), and the body of the reply is discarded unread.
 */
export async function createWebhookDestination(
  config: WebhookConfig,
  deps: Pick<DestinationDeps, 'readSecret' | 'signedUrl' | 'bodyPart' | 'limits' | 'now'>,
  options: WebhookOptions = {},
): Promise<ProbedWebhook> {
  const name = config.name ?? config.type;
  const poster = new SignedPoster(config, { ...deps, resolve: options.resolve });

  async function attempt(delivery: Delivery, signal: AbortSignal): Promise<Outcome> {
    const { document, keepUntil } = await attemptDocument(delivery, config, deps);
    const body = Buffer.from(JSON.stringify(document));
    return judge(await poster.post(body, delivery.idempotencyKey, signal), keepUntil);
  }

  function judge(reply: HttpReply, keepUntil?: number): Outcome {
    const { status } = reply;
    if (status >= 200 && status < 300) {
      return { done: true, facts: { status }, ...(keepUntil === undefined ? {} : { keepUntil }) };
    }
    const after = retryAfter(reply.retryAfter, deps.now());
    const redirect = status >= 300 && status < 400 ? ' (redirects are not followed)' : '';
    const message = `destination ${name} answered with status ${status}${redirect}`;
    const peer = troubled(status) ? 'down' : 'works';
    return { retry: 'handoff-failed', facts: { message }, peer, ...(after === undefined ? {} : { after }) };
  }

  function failure(error: unknown, signal: AbortSignal): Outcome {
    const own = outcomeOf(error);
    if (own !== undefined || signal.aborted) return own ?? stopped;
    const message = `destination ${name} ${poster.whyFailed(error)}`;
    return { retry: 'handoff-failed', facts: { message }, peer: 'down' };
  }

  async function guarded(signal: AbortSignal, work: () => Promise<Outcome>): Promise<Outcome> {
    try {
      return await work();
    } catch (error) {
      return failure(error, signal);
    }
  }

  return {
    name,
    deliver: (delivery, signal) => guarded(signal, () => attempt(delivery, signal)),
    report: (report, signal) =>
      guarded(signal, async () => {
        const body = Buffer.from(JSON.stringify(await failureWithOriginal(report, config.inlineLimit)));
        return judge(await poster.post(body, report.document.idempotencyKey, signal));
      }),
    async probe(signal) {
      let date: string | undefined;
      const outcome = await guarded(signal, async () => {
        const reply = await poster.test(signal, { destination: name });
        date = reply.date;
        return judge(reply);
      });
      return { outcome, date };
    },
    async close() {
      await poster.close();
    },
  };
}
