/**
 * Tells partners of our next certificate before it signs: once for each partner and change, by one process of the
 * installation. What is written and how it is sent, the caller knows.
 */
import { randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';
import { type Config, type LoadedKeys, type PartnerConfig, partnerKey, signersOf } from '../config/index.ts';
import type { Log } from '../log.ts';
import { type OwnChange, ownChangesAt } from '../partner/index.ts';
import { guarded, holdLease, lifetimes } from '../redis/index.ts';

export interface RollOverParts {
  config: Pick<Config, 'partners' | 'expiry'>;
  keys: Pick<LoadedKeys, 'identities'>;
  queue: { redis: Redis; prefix: string };
  log: Log;
  now: () => Date;
  /** Resolves with the id of the message. The same key is the same mail. */
  send: (partner: PartnerConfig, change: OwnChange, key: string) => Promise<string>;
}

/** Milliseconds between two looks. */
const every = 3_600_000;
/** Milliseconds for which it is known that a partner was told: longer than any certificate is announced before. */
const told = 800 * 86_400_000;

export class RollOverNotices {
  readonly #parts: RollOverParts;
  readonly #owner = randomUUID();
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> = Promise.resolve();

  constructor(parts: RollOverParts) {
    this.#parts = parts;
  }

  start(): void {
    if (this.#parts.config.expiry.notice === undefined) return;
    const look = () => {
      this.#looking = this.look();
    };
    this.#timer = setInterval(look, every).unref();
    look();
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#looking;
  }

  /** Looks once. It does not throw: what could not be sent is sent at the next look. */
  async look(): Promise<void> {
    const { config, keys, queue, log, now } = this.#parts;
    const { notice } = config.expiry;
    if (notice === undefined) return;
    try {
      const { redis, prefix } = queue;
      const lease = { owner: this.#owner, ms: lifetimes.noticesLease };
      if (!(await holdLease(redis, prefix, `${prefix}:lease:notices`, lease))) return;
      for (const change of ownChangesAt(keys.identities, now(), notice.days))
        for (const partner of config.partners)
          if (signersOf(partner).includes(change.identity) && partner.noticesTo.length > 0)
            await this.#tell(partner, change);
    } catch (err) {
      log.warn({ err }, 'partners could not be told of the next certificate');
    }
  }

  async #tell(partner: PartnerConfig, change: OwnChange): Promise<void> {
    const { queue, log, send } = this.#parts;
    const { thumbprint } = change.next.certificate;
    const known = `${queue.prefix}:noticed:${thumbprint}:${partnerKey(partner)}`;
    if ((await guarded('notices', queue.redis.exists(known))) === 1) return;
    const facts = { partner: partner.name, identity: change.identity, certificate: thumbprint.slice(0, 16) };
    try {
      const id = await send(partner, change, `notice-${thumbprint}`);
      await guarded('notices', queue.redis.set(known, id, 'PX', told));
      log.info(
        { ...facts, id, from: change.from.toISOString() },
        'a partner is told of our next certificate',
      );
    } catch (err) {
      // Others are told all the same.
      log.warn({ err, ...facts }, 'a partner could not be told of our next certificate');
    }
  }
}
