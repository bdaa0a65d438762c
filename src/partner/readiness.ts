/**
 * Whether mail with a partner will meet a profile on a day: by its settings, its certificates, and what was seen of it.
 */
import type { LoadedKeys, PartnerConfig } from '../config/index.ts';
import { SealpostError } from '../errors.ts';
import { type Certificate, hasSigned, type Identity, nameOf } from '../pki/index.ts';
import {
  type HeldRule,
  type Missed,
  missedByCertificate,
  missedByMessage,
  missedByTraffic,
  type Traffic,
} from '../profile/index.ts';
import { usedBy } from '../smime/index.ts';
import { inForce, type PartnerCertificate } from './certificates.ts';
import { type OutboundKeys, outboundProtection } from './outbound.ts';

/** A rule that is missed, and where that shows. */
export interface Need extends Missed {
  /**
   * settings: what would be sent by the settings and certificates of the day. certificate: of the partner.
   * own-certificate: ours. traffic: messages of the last days.
   */
  readonly where: 'settings' | 'certificate' | 'own-certificate' | 'traffic';
  /** The certificate, or how many messages and when last. */
  readonly what: string;
}

export interface Needs {
  readonly needs: readonly Need[];
  /** Why nothing could be sent on that day; undefined if it could. */
  readonly blocked: string | undefined;
}

export interface ReadinessKeys extends OutboundKeys, Pick<LoadedKeys, 'anchors' | 'intermediates'> {}

/** Whether nothing that counts is missed. */
export const isMet = ({ needs, blocked }: Needs): boolean =>
  blocked === undefined && needs.every(({ level }) => level !== 'must');

/**
 * What a partner misses of rules that hold on a day.
 *
 * @param traffic what was seen of it; empty if that is not to count
 */
export function needsOf(
  partner: PartnerConfig,
  rules: readonly HeldRule[],
  keys: ReadinessKeys,
  traffic: readonly Traffic[],
  at: Date,
): Needs {
  const sending = whatIsSent(partner, rules, keys, at);
  const certificates = keys.partners.get(partner.name) ?? [];
  const seen = missedByTraffic(rules, traffic).map((missed): Need => {
    const { direction, claimed, messages, last, ...rest } = missed;
    const whose = direction === 'outbound' ? 'sent' : claimed ? 'received, by its address alone' : 'received';
    return { ...rest, where: 'traffic', what: `${messages} ${whose}, last on ${last}` };
  });
  return {
    needs: [...sending.needs, ...missedByPartners(certificates, rules, keys, at), ...seen],
    blocked: sending.blocked,
  };
}

function whatIsSent(
  partner: PartnerConfig,
  rules: readonly HeldRule[],
  keys: ReadinessKeys,
  at: Date,
): { needs: Need[]; blocked: string | undefined } {
  try {
    // every certificate that could be encrypted for counts, whatever the partner has shown
    const options = outboundProtection({ ...partner, encryptTo: 'all' }, keys, at);
    const used = usedBy(options) ?? { layers: [], headerProtection: false };
    const needs = missedByMessage(rules, { direction: 'outbound', used }).map(
      (missed): Need => ({ ...missed, where: 'settings', what: 'what would be sent' }),
    );
    const own = options.identity === undefined ? [] : [options.identity];
    return { needs: [...needs, ...missedByOwn(own, 'sign', rules)], blocked: undefined };
  } catch (error) {
    if (!(error instanceof SealpostError)) throw error;
    return { needs: [], blocked: error.message };
  }
}

function missedByPartners(
  certificates: readonly PartnerCertificate[],
  rules: readonly HeldRule[],
  keys: ReadinessKeys,
  at: Date,
): Need[] {
  const found: Need[] = [];
  for (const [entryUse, use, direction] of [
    ['encrypt', 'encrypt', 'outbound'],
    ['verify', 'sign', 'inbound'],
  ] as const)
    for (const { certificate } of inForce(certificates, entryUse, at).usable) {
      const issuers = issuersOf(certificate, [...keys.intermediates, ...keys.anchors]);
      for (const missed of missedByCertificate(rules, certificate, { use, direction, issuers }))
        found.push({ ...missed, where: 'certificate', what: `${nameOf(certificate)} (${use})` });
    }
  return found;
}

/** What our own keys miss; `encrypt` is for those that partners encrypt for. */
export function missedByOwn(
  identities: readonly Identity[],
  use: 'sign' | 'encrypt',
  rules: readonly HeldRule[],
): Need[] {
  const direction = use === 'sign' ? 'outbound' : 'inbound';
  return identities.flatMap(({ certificate, chain, name }) =>
    missedByCertificate(rules, certificate, { use, direction, issuers: chain }).map(
      (missed): Need => ({
        ...missed,
        where: 'own-certificate',
        what: `${name}, ${nameOf(certificate)} (${use})`,
      }),
    ),
  );
}

/** A path has no more issuers that matter here. */
const mostIssuers = 5;

/** Those above a certificate, as far as they are known. */
function issuersOf(certificate: Certificate, known: readonly Certificate[]): Certificate[] {
  const found: Certificate[] = [];
  let below = certificate;
  while (found.length < mostIssuers) {
    const issuer = known.find((each) => each !== below && !found.includes(each) && hasSigned(each, below));
    if (issuer === undefined) break;
    found.push(issuer);
    below = issuer;
  }
  return found;
}
