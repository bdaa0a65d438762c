/** What `profiles check` and `partners matrix` look at: settings, certificates, and the traffic of the last days. */
import { CertStore, loadCounting } from '../certstore/index.ts';
import { type Config, loadKeys, type PartnerConfig, partnerKey } from '../config/index.ts';
import { SealpostError } from '../errors.ts';
import { createLog } from '../log.ts';
import type { ReadinessKeys, SeenPartner } from '../partner/index.ts';
import { trafficOf } from '../profile/index.ts';
import { withQueue } from './queue.ts';

export interface Lookout {
  /** With what was approved, where there is Redis. */
  keys: ReadinessKeys;
  /** What was seen of a partner, and what it announced. */
  seen(partner: PartnerConfig): Promise<SeenPartner>;
}

/** The counters are kept that long. */
const mostDays = 92;

/**
 * @param text of the option
 * @throws {SealpostError} `usage`
 */
export function daysOf(text: string): number {
  const days = Number(text);
  if (/^\d+$/.test(text) && days >= 1 && days <= mostDays) return days;
  throw new SealpostError('usage', `--days: ${text} is not a number from 1 to ${mostDays}`);
}

/**
 * @param days of traffic, today included
 * @param offline settings and certificates of the configuration alone: nothing is connected to
 */
export async function withLookout(
  config: Config,
  { days, offline }: { days: number; offline: boolean },
  work: (lookout: Lookout) => Promise<void>,
): Promise<void> {
  const loaded = await loadKeys(config);
  if (offline)
    return await work({ keys: loaded, seen: async () => ({ traffic: [], unread: 0, announced: undefined }) });
  await withQueue(config, async (queue) => {
    const { redis, prefix, seal, unseal, ledger } = queue;
    const log = createLog('silent', 'command');
    const parts = { redis, prefix, seal, unseal, log, folder: config.dataDir, now: Date.now };
    const { CountingCertificates } = await loadCounting();
    const counting = new CountingCertificates(await CertStore.open(parts), loaded);
    const { partners, identities } = counting;
    await work({
      keys: { ...loaded, partners, identities },
      seen: async (partner) => ({
        ...trafficOf(await ledger.used(partnerKey(partner), days, Date.now())),
        announced: counting.announcement(partner.name),
      }),
    });
  });
}
