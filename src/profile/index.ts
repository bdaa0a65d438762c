/**
 * Profiles: named, versioned sets of rules for algorithms, keys and certificates, with dates and sources
 * (`profiles/*.json`). They give defaults for outbound mail, minimum requirements for inbound mail, and checks of what
 * would fail on a day. Pure. Begin with `types.ts`; `rules.ts` judges, and `code.ts` is what the ledger keeps of a
 * message.
 */
export { codeOf, readCode, type Seen } from './code.ts';
export { ownProfiles, ProfileBook } from './profiles.ts';
export {
  type CertificatePlace,
  type HeldRule,
  type Missed,
  missedByCertificate,
  missedByMessage,
  rulesAt,
} from './rules.ts';
export {
  type Aspects,
  aspectsOf,
  type Counted,
  type MissedByTraffic,
  missedByTraffic,
  type Traffic,
  trafficOf,
} from './traffic.ts';
export {
  type Citation,
  certificateUses,
  directions,
  levels,
  type Profile,
  protections,
  type Rule,
} from './types.ts';
