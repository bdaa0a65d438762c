import { randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';
import { type Config, knownTls, type LoadedKeys, tlsSpans } from '../config/index.ts';
import type { Log } from '../log.ts';
import { ExpiryWatch, endedAt, expiriesAt, type PartnerCertificate } from '../partner/index.ts';
import { guarded, holdLease, lifetimes, type SealedValuesParts, sealedValues } from '../redis/index.ts';

export interface WatchExpiryParts {
  config: Config;
  keys: Pick<LoadedKeys, 'identities' | 'anchors' | 'intermediates' | 'mailboxes' | 'approvalAnchors'>;
  queue: SealedValuesParts & { redis: Redis };
  log: Log;
  /** The certificates of partners that count, by name of the partner. */
  partners: () => ReadonlyMap<string, readonly PartnerCertificate[]>;
  /** Calls the listener when these have changed, and gives what ends that. */
  onChange: (listener: () => void) => () => void;
}

/** Milliseconds for which a warning counts as said: longer than any that comes again. */
const said = 400 * 86_400_000;

/** Begins to warn of certificates that end. One process of the installation does it; the others stand by. */
export function watchExpiry(parts: WatchExpiryParts): Pick<ExpiryWatch, 'look' | 'troubles' | 'stop'> {
  const { config, keys, queue, log, partners } = parts;
  const { redis, prefix } = queue;
  const { identities } = keys;
  const owner = randomUUID();
  const authorities = authoritiesIn(keys);
  const values = sealedValues(queue, 'tls');
  let tls = tlsSpans(config);
  const now = () => ({ config, identities, partners: partners(), authorities, tls });
  const watch = new ExpiryWatch({
    prepare: async () => {
      tls = await knownTls(values, config);
    },
    expiries: (at, before) => expiriesAt(now(), at, before),
    ended: (at) => endedAt(now(), at),
    publish: async (expiries) => {
      const text = JSON.stringify(expiries.map((each) => ({ ...each, until: each.until.getTime() })));
      await guarded('expiry', redis.set(`${prefix}:expiry:due`, text, 'PX', lifetimes.expiryDue));
    },
    days: config.expiry.days,
    log,
    now: () => new Date(),
    isMine: () => holdLease(redis, prefix, `${prefix}:expiry:lease`, { owner, ms: lifetimes.expiryLease }),
    once: async (name) =>
      (await guarded('expiry', redis.set(`${prefix}:expiry:said:${name}`, '1', 'PX', said, 'NX'))) === 'OK',
  });
  watch.start();
  // An approval ends a warning at once, and does not wait for the next look.
  const forget = parts.onChange(() => watch.lookSoon());
  return {
    look: () => watch.look(),
    troubles: () => watch.troubles(),
    stop() {
      forget();
      watch.stop();
    },
  };
}

/** Roots and intermediate certificates of the configuration, of mailboxes and partners too, each once. */
function authoritiesIn({ anchors, intermediates, mailboxes, approvalAnchors }: WatchExpiryParts['keys']) {
  const own = [...mailboxes.values()].flatMap(({ trust }) => [...trust.anchors, ...trust.intermediates]);
  const all = [...anchors, ...intermediates, ...own, ...[...approvalAnchors.values()].flat()];
  return [...new Map(all.map((each) => [each.thumbprint, each])).values()];
}
