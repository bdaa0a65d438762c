/**
 * How a message to a partner is protected now: what the outbound role, and whoever tries what it would do, both ask. So
 * a trial uses the certificates that real mail would.
 */
import { type PartnerConfig, partnerKey } from '../config/index.ts';
import {
  outboundProtection,
  type PartnerCertificate,
  type RecipientStates,
  type Shown,
} from '../partner/index.ts';
import type { CountingCertificates } from './counting.ts';

export interface ProtectingParts {
  counting: Pick<CountingCertificates, 'decided' | 'partners' | 'identities' | 'announced'>;
  /** Undefined where nothing is known of it: then mail goes to what is certain to be readable. */
  shown: Pick<Shown, 'of'> | undefined;
  /** What authorities say of the certificates of a partner. */
  statesOf(
    partner: PartnerConfig,
    certificates: readonly PartnerCertificate[],
    at: Date,
  ): Promise<RecipientStates | undefined>;
  /** Milliseconds since the epoch. */
  now: () => number;
}

/** Errors: those of `outboundProtection`. */
export function protecting({ counting, shown, statesOf, now }: ProtectingParts) {
  return async (partner: PartnerConfig): Promise<ReturnType<typeof outboundProtection>> => {
    const facts = partner.encryptTo === 'all' ? undefined : await shown?.of(partnerKey(partner));
    const at = new Date(now());
    const states = await statesOf(partner, counting.decided.get(partner.name) ?? [], at);
    return outboundProtection(partner, counting, at, facts, states);
  };
}
