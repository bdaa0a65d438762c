/** Whether a rule may approve a certificate without a person. Each `why` says what is missing, for the comparison. */
import type { PartnerConfig } from '../config/index.ts';
import type { Comparison } from './compare.ts';
import type { RuleName } from './entry.ts';

/** What the rules go by, found out anew whenever they are asked. */
export interface Evidence {
  comparison: Comparison;
  partner: string;
  /** Leads to an anchor of the configuration, and the authorities say of its whole path that it is not revoked. */
  path: { trusted: boolean; good: boolean; why: string };
  /** As `path`, to one of the partner's own anchors. */
  privatePath: { good: boolean; why: string };
  /** Whether one of the partner, in force to verify with, named it under a signature, and what is said of that one. */
  announcedBy: { there: boolean; said: Said };
  /** A person has rejected a certificate of its key. */
  keyRejected: boolean;
  /** One with the same key is in force. */
  keyInForce: boolean;
  /** What is said of those with the same key: of all that are in force, that they are good. */
  keySaid: Said;
}

/** What an authority says of a certificate. Nobody else can revoke one that signed itself, so it is good. */
export type Said = 'good' | 'revoked' | 'unknown';

/** The rule that approves it, or why none does. */
export function approvingRule(
  { rules }: PartnerConfig['approval'],
  evidence: Evidence,
): { rule: RuleName; why?: never } | { rule?: never; why: string[] } {
  const why: string[] = [];
  for (const rule of rules) {
    const not = whyNotAny(evidence) ?? tests[rule](evidence);
    if (not === undefined) return { rule };
    why.push(`rule ${rule}: ${not}`);
  }
  return { why };
}

/** What all rules ask: nobody else could have got this certificate for other addresses. */
function whyNotAny({ comparison, partner, keyRejected }: Evidence): string | undefined {
  const { named, foreignAddresses } = comparison;
  if (keyRejected) return 'a certificate of its key was rejected';
  if (named.length > 1) return 'it names addresses of several partners';
  if (named.length === 0 || named[0] !== partner) return `it names no address of partner ${partner}`;
  if (foreignAddresses.length > 0) return `it names addresses that are not of partner ${partner}`;
  return undefined;
}

const tests: Record<RuleName, (evidence: Evidence) => string | undefined> = {
  'same-key': ({ comparison, keyInForce, keySaid, path }) => {
    const { sameKey, newAddresses, newUsages } = comparison;
    if (sameKey.length === 0) return 'it has another key';
    if (!keyInForce) return 'no certificate of this key is in force';
    if (keySaid === 'revoked') return 'a certificate of this key was revoked';
    if (keySaid === 'unknown') return 'it is not known whether the certificates of this key were revoked';
    if (newAddresses.length > 0) return 'it has a new address';
    if (newUsages.length > 0) return `it has a new usage: ${newUsages.join(', ')}`;
    return path.good ? undefined : path.why;
  },
  'signed-by-old': ({ announcedBy, path }) => {
    if (!announcedBy.there) return 'no mail signed with one in force named it';
    if (announcedBy.said === 'revoked') return 'the certificate that named it was revoked';
    if (announcedBy.said === 'unknown')
      return 'it is not known whether the certificate that named it was revoked';
    return path.good ? undefined : path.why;
  },
  'private-anchor': ({ privatePath }) => (privatePath.good ? undefined : privatePath.why),
};
