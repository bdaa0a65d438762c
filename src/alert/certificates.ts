/** Certificates, authorities and revocation lists that are about to end, as the roles that read them published it. */
import type { Redis } from 'ioredis';
import type { Config } from '../config/index.ts';
import { guarded, lifetimes } from '../redis/index.ts';
import type { Sample } from './types.ts';

const dayLength = 86_400_000;
/** From this many days before the end, the alert is critical. */
const criticalDays = 7;

/** Something that ends, as it is published: `Expiry` of the room `partner`, with its time in milliseconds. */
export interface PublishedExpiry {
  owner: string;
  partner: string;
  uses: string[];
  until: number;
  certificate: string;
  id: string;
  hint: string;
}

export interface CertificateSources {
  now: number;
  config: Pick<Config, 'expiry'>;
  queue: { redis: Redis; prefix: string };
}

export async function certificateSamples({
  now,
  config,
  queue,
}: CertificateSources): Promise<Sample[] | null> {
  const { redis, prefix } = queue;
  const [due, lists] = await guarded(
    'alerts',
    Promise.all([redis.get(`${prefix}:expiry:due`), redis.hvals(`${prefix}:expiry:crls`)]),
  );
  // No process that has certificates has looked yet.
  if (due === null) return null;
  const seen = lists.map((text): PublishedExpiry & { seen: number } => JSON.parse(text));
  const found: PublishedExpiry[] = [
    ...JSON.parse(due),
    // a process that had a list may have ended since
    ...seen.filter((each) => each.seen > now - lifetimes.listSeen),
  ];
  return found.map((each) => sampleOf(each, now, config.expiry.days));
}

function sampleOf(expiry: PublishedExpiry, now: number, days: readonly number[]): Sample {
  const { owner, partner, uses, until, certificate, id, hint } = expiry;
  const left = (until - now) / dayLength;
  // the mildest first, the end itself last
  const steps = [...days].sort((a, b) => b - a).concat(0);
  return {
    labels: {
      ...{ owner, use: uses.join(' '), certificate: id.slice(0, 16) },
      ...(partner !== '' && { partner }),
    },
    value: Math.round(left * 100) / 100,
    text: `${owner}: ${certificate} ${endText(left, until)} (${uses.join(', ')}), and nothing follows it`,
    ...{ hint, steps },
    severity: left <= criticalDays ? 'critical' : 'warning',
  };
}

function endText(left: number, until: number): string {
  const day = new Date(until).toISOString().slice(0, 10);
  if (left <= 0) return `ended on ${day}`;
  const days = Math.floor(left);
  return `ends in ${days === 1 ? '1 day' : `${days} days`}, on ${day}`;
}
