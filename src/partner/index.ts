/**
 * Rules about partners and certificates: who a sender is, which certificates are in force, how mail for a partner is
 * protected, when it leaves, and whether what a verdict says is accepted. Begin with `policy.ts` (inbound) and
 * `outbound.ts`.
 */
import type { opensAt } from './windows.ts';

export { assess, type Fate } from './assess.ts';
export { type Authorities, askedAgainAfter, authoritiesOf } from './authorities.ts';
export {
  type Approval,
  encryptionCertificates,
  forEncryption,
  type PartnerCertificate,
  type ShownKeys,
  withRevoked,
} from './certificates.ts';
export { PartnerDirectory } from './directory.ts';
export {
  type Expiry,
  type ExpiryParts,
  endedAt,
  expiriesAt,
  expiryText,
  type OwnChange,
  ownChangesAt,
  thresholdOf,
} from './expiry.ts';
export { ExpiryWatch, type ExpiryWatchParts } from './expiry-watch.ts';
export {
  type AnnouncedCiphers,
  type MatrixRow,
  matrixAt,
  type SeenPartner,
  type SeenTraffic,
} from './matrix.ts';
export { type NamedProfile, namedProfiles } from './named-profiles.ts';
export { type OutboundKeys, outboundProtection, tryProtection } from './outbound.ts';
export { pinsOf } from './pins.ts';
export {
  isMet,
  missedByOwn,
  type Need,
  type Needs,
  needsOf,
  type ReadinessKeys,
} from './readiness.ts';
export {
  RecipientRevocation,
  type RecipientRevocationParts,
  type RecipientStates,
  type RevocationState,
  readRevocationState,
} from './recipient-revocation.ts';
export {
  type AttachmentFacts,
  type Evidence,
  type Shortfall,
  type ShortfallCode,
  shortfallsOf,
} from './rules.ts';
export { type PartyProof, type Sender, senderOf } from './sender.ts';
export { Shown, type ShownFact, type SignedMail, shownBy } from './shown.ts';
export { policiesOf, type Tellable, tellable } from './tellable.ts';
export type { Windows } from './windows.ts';

/** `opensAt` of `windows.ts`, with its library of time zones. */
export async function loadOpensAt(): Promise<typeof opensAt> {
  return (await import('./windows.ts')).opensAt;
}
