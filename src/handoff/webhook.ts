import { type DestinationConfig, readPublicFile } from '../config/index.ts';
import { privateAddressCode, type Resolve } from '../net/index.ts';
import { type Outcome, outcomeOf } from '../queue/index.ts';
import { makeDocument } from './document.ts';
import { failureWithOriginal } from './failure.ts';
import { HttpPoster, type HttpReply, RequestTimeout } from './http-post.ts';
import { attemptLimits } from './limits.ts';
import { foreignCode, stopped } from './outcome.ts';
import { testDocument } from './test-document.ts';
import type { Delivery, Destination, DestinationDeps } from './types.ts';
import { webhookSignature } from './webhook-signature.ts';

type WebhookConfig = Extract<DestinationConfig, { type: 'webhook' }>;

/** For tests: how names are resolved. */
export interface WebhookOptions {
  resolve?: Resolve;
}

export interface ProbedWebhook extends Destination {
  /** Posts a signed test document, which is marked as such. `date` is the Date field of the answer. */
  probe(signal: AbortSignal): Promise<{ outcome: Outcome; date: string | undefined }>;
}

/** A receiver cannot make us wait longer than this. */
const longestRetryAfter = 3_600_000;

/** Statuses that mean trouble with the receiver, not with this message. */
const troubled = (status: number) => status >= 500 || status === 429 || status === 408;

/** Reads Retry-After (RFC 9110, section 10.2.3): seconds or a date. Capped; undefined if unreadable. */
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
  const secret = deps.readSecret(config.secret);
  const ca = config.ca === undefined ? undefined : readPublicFile(config.ca);
  const poster = new HttpPoster(new URL(config.url), {
    ca,
    allowPrivate: config.allowPrivate,
    resolve: options.resolve,
    timeout: config.timeout,
  });
  const settings = {
    inlineLimit: config.inlineLimit,
    bodyPart: deps.bodyPart,
    signedUrl: deps.signedUrl,
  };

  async function attempt(delivery: Delivery, signal: AbortSignal): Promise<Outcome> {
    const { document, keepUntil } = await makeDocument(delivery, {
      ...settings,
      limits: attemptLimits(deps.limits, delivery.contentOctets),
    });
    const reply = await post(Buffer.from(JSON.stringify(document)), delivery.idempotencyKey, signal);
    return judge(reply, keepUntil);
  }

  async function post(
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
      'Sealpost-Signature': webhookSignature(secret, Math.floor(deps.now() / 1000), body),
    };
    return await poster.post(body, headers, signal);
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
    const code = foreignCode(error);
    let why = `could not be reached (${code})`;
    if (error instanceof RequestTimeout) why = `did not answer within ${config.timeout} ms`;
    if (code === privateAddressCode) {
      why = 'has an address that is not public; set allowPrivate when that is meant';
    }
    return { retry: 'handoff-failed', facts: { message: `destination ${name} ${why}` }, peer: 'down' };
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
        return judge(await post(body, report.document.idempotencyKey, signal));
      }),
    async probe(signal) {
      let date: string | undefined;
      const outcome = await guarded(signal, async () => {
        const { body, idempotencyKey, headers } = testDocument({ destination: name });
        const reply = await post(body, idempotencyKey, signal, headers);
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
