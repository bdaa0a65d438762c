import { readFile } from 'node:fs/promises';
import type { DestinationConfig } from '../config/schema.ts';
import { SealpostError } from '../errors.ts';
import { privateAddressCode, type Resolve } from '../net/guarded-lookup.ts';
import { Breaker, type BreakerSettings, type Pass } from './breaker.ts';
import { makeDocument } from './document.ts';
import { failureWithOriginal } from './failure.ts';
import { HttpPoster, type HttpReply, RequestTimeout } from './http-post.ts';
import { messageLimits } from './limits.ts';
import { foreignCode, outcomeOf, stopped } from './outcome.ts';
import type { Delivery, Destination, DestinationDeps, Outcome } from './types.ts';
import { webhookSignature } from './webhook-signature.ts';

type WebhookConfig = Extract<DestinationConfig, { type: 'webhook' }>;

/** For tests: how names are resolved and how the breaker is set. */
export interface WebhookOptions {
  resolve?: Resolve;
  breaker?: BreakerSettings;
}

/** A receiver can not make us wait longer than this. */
const longestRetryAfter = 3_600_000;

/** Answers that say that the receiver, and not this message, is the trouble. */
const troubled = (status: number) => status >= 500 || status === 429 || status === 408;

/** Reads Retry-After (RFC 9110, section 10.2.3): seconds or a date; capped, undefined when unreadable. */
export function retryAfter(value: string | undefined, now: number): number | undefined {
  if (value === undefined) return undefined;
  const text = value.trim();
  const wait = /^\d{1,9}$/.test(text) ? Number(text) * 1000 : Date.parse(text) - now;
  return Number.isNaN(wait) ? undefined : Math.min(Math.max(wait, 0), longestRetryAfter);
}

/**
 * Posts each message as signed JSON. Done with any 2xx; everything else is tried again, because a receiver that
 * answers 400 today may be mended tomorrow. Redirects are not followed, addresses that are not public are not
 * reached (unless `allowPrivate`), and what the receiver answers is thrown away unread.
 */
export async function createWebhookDestination(
  config: WebhookConfig,
  deps: DestinationDeps,
  options: WebhookOptions = {},
): Promise<Destination> {
  const name = config.name ?? config.type;
  const secret = await deps.readSecret(config.secret);
  const ca = config.ca === undefined ? undefined : await readCa(config.ca);
  const poster = new HttpPoster(new URL(config.url), {
    ca,
    allowPrivate: config.allowPrivate,
    resolve: options.resolve,
    timeout: config.timeout,
  });
  const breaker = new Breaker(deps.now, options.breaker);
  const settings = {
    inlineLimit: config.inlineLimit,
    bodyPart: deps.bodyPart,
    limits: messageLimits(deps.limits),
    signedUrl: deps.signedUrl,
  };

  async function attempt(delivery: Delivery, pass: Pass, signal: AbortSignal): Promise<Outcome> {
    const { document, keepUntil } = await makeDocument(delivery, settings);
    const reply = await post(Buffer.from(JSON.stringify(document)), delivery.idempotencyKey, signal);
    return judge(reply, pass, keepUntil);
  }

  async function post(body: Buffer, idempotencyKey: string, signal: AbortSignal): Promise<HttpReply> {
    const headers = {
      'Content-Type': 'application/json',
      'User-Agent': 'Sealpost',
      'Idempotency-Key': idempotencyKey,
      'Sealpost-Signature': webhookSignature(secret, Math.floor(deps.now() / 1000), body),
    };
    return await poster.post(body, headers, signal);
  }

  function judge(reply: HttpReply, pass: Pass, keepUntil?: number): Outcome {
    const { status } = reply;
    if (troubled(status)) breaker.failed(pass);
    else breaker.succeeded();
    if (status >= 200 && status < 300) {
      return { done: true, facts: { status }, ...(keepUntil === undefined ? {} : { keepUntil }) };
    }
    const after = retryAfter(reply.retryAfter, deps.now());
    const redirect = status >= 300 && status < 400 ? ' (redirects are not followed)' : '';
    const message = `destination ${name} answered with status ${status}${redirect}`;
    return { retry: true, code: 'handoff-failed', message, ...(after === undefined ? {} : { after }) };
  }

  function failure(error: unknown, pass: Pass, signal: AbortSignal): Outcome {
    const own = outcomeOf(error);
    if (own !== undefined || signal.aborted) {
      breaker.abandoned(pass);
      return own ?? stopped;
    }
    breaker.failed(pass);
    const code = foreignCode(error);
    let why = `could not be reached (${code})`;
    if (error instanceof RequestTimeout) why = `did not answer within ${config.timeout} ms`;
    if (code === privateAddressCode) {
      why = 'has an address that is not public; set allowPrivate when that is meant';
    }
    return { retry: true, code: 'handoff-failed', message: `destination ${name} ${why}` };
  }

  /** Does what is given unless the receiver rests after failures. */
  async function guarded(signal: AbortSignal, work: (pass: Pass) => Promise<Outcome>): Promise<Outcome> {
    const pass = breaker.enter();
    if (typeof pass === 'number') {
      const message = `destination ${name} is paused after failures in a row`;
      return { retry: true, code: 'handoff-failed', message, after: pass, untried: true };
    }
    try {
      return await work(pass);
    } catch (error) {
      return failure(error, pass, signal);
    }
  }

  return {
    name,
    deliver: (delivery, signal) => guarded(signal, (pass) => attempt(delivery, pass, signal)),
    report: (report, signal) =>
      guarded(signal, async (pass) => {
        const body = Buffer.from(JSON.stringify(await failureWithOriginal(report, config.inlineLimit)));
        return judge(await post(body, report.document.idempotencyKey, signal), pass);
      }),
    async close() {
      poster.close();
    },
  };
}

async function readCa(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (cause) {
    const hint = 'check destinations[].ca of the mailbox';
    throw new SealpostError('file-access', `can not read the certificates in ${path}`, { hint, cause });
  }
}
