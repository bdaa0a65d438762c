/**
 * Posts the events of messages to a system of the operator: in order, each at least once. One process of an
 * installation posts at a time. How far it has come is stored in Redis, so that the next process continues there.
 */
import { randomUUID } from 'node:crypto';
import { readSecret } from '../config/index.ts';
import { createEventPoster, type EventPoster, type EventWebhookConfig } from '../handoff/index.ts';
import { type Log, logRarely } from '../log.ts';
import type { Events } from '../queue/index.ts';
import { walk } from '../rounds.ts';
import { EventIds } from './places.ts';
import { eventOf } from './streams.ts';

export interface EventWebhookParts {
  config: EventWebhookConfig;
  events: Events;
  deriveKey(purpose: string): Buffer;
  log: Log;
}

export interface EventWebhook {
  /** What is failing now, and since when. */
  trouble(): { since: number; why: string } | undefined;
  close(): Promise<void>;
}

/**
 * Milliseconds: between two looks for new events; the first and the longest delay between two attempts; between two
 * renewals of the turn.
 */
const times = { look: 500, retryFirst: 1000, retryMost: 60_000, keep: 3_600_000 };
const follower = 'webhook';

export async function openEventWebhook(parts: EventWebhookParts): Promise<EventWebhook> {
  const poster = await createEventPoster(parts.config, { readSecret, now: Date.now });
  await parts.events.keep();
  const keeping = setInterval(() => void parts.events.keep().catch(() => undefined), times.keep).unref();
  const stop = new AbortController();
  const follow = new Following(parts, poster, stop.signal);
  const over = follow.run();
  return {
    trouble: () => follow.trouble,
    async close() {
      clearInterval(keeping);
      stop.abort();
      await over;
      await poster.close();
    },
  };
}

class Following {
  readonly #parts: EventWebhookParts;
  readonly #poster: EventPoster;
  readonly #stop: AbortSignal;
  readonly #owner = randomUUID();
  readonly #ids: EventIds;
  trouble: { since: number; why: string } | undefined;

  constructor(parts: EventWebhookParts, poster: EventPoster, stop: AbortSignal) {
    this.#parts = parts;
    this.#poster = poster;
    this.#stop = stop;
    this.#ids = new EventIds(parts);
  }

  async run(): Promise<void> {
    const { events, log } = this.#parts;
    const step = async () => ((await events.claim(follower, this.#owner)) ? await this.#step() : 'idle');
    const onFailure = (err: unknown) =>
      logRarely(log, 'warn', 'events', { err }, 'events could not be posted');
    await walk({ times, step, onFailure }, this.#stop);
    await events.release(follower, this.#owner).catch(() => undefined);
  }

  async #step(): Promise<'idle' | 'more' | 'failed'> {
    const { events, log } = this.#parts;
    const known = await events.position(follower);
    if (known === undefined) {
      // A new webhook starts with what happens from now on.
      await events.moveTo(follower, await events.newest());
      return 'more';
    }
    const page = await events.read(known);
    if (page.events.length > 0) {
      const body = { events: page.events.map((each) => eventOf(each, this.#ids)), missed: page.missed };
      const why = await this.#poster.post(
        Buffer.from(JSON.stringify(body)),
        this.#ids.of(page.last),
        this.#stop,
      );
      if (why !== undefined) {
        if (this.#stop.aborted) return 'idle';
        this.trouble ??= { since: Date.now(), why };
        this.trouble.why = why;
        logRarely(log, 'warn', 'events webhook', { why }, 'the webhook for events did not take them');
        return 'failed';
      }
    }
    this.trouble = undefined;
    if (page.last !== known) await events.moveTo(follower, page.last);
    return page.more ? 'more' : 'idle';
  }
}
