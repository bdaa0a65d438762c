/**
 * What is known of certificates beside the configuration: seen in traffic, waiting for approval, approved, rejected,
 * revoked. Begin with `store.ts`; `entry.ts` is what it keeps of each, `known.ts` how they are shown, `harvest.ts` how
 * they come from mail.
 */

import { revocationModeOf } from '../config/index.ts';
import type { Authorities } from '../partner/index.ts';
import type { EndingListsParts } from './ending-lists.ts';
import type { RevocationRound, RevocationRoundParts } from './revocation.ts';

export {
  approvable,
  approveCertificate,
  type Changes,
  pinCertificate,
  rejectCertificate,
  revokeCertificate,
} from './acts.ts';
export { announcedBeside, type SeenSigner } from './announced.ts';
export { hearAuthorities } from './authority-said.ts';
export {
  configuredCertificates,
  type OwnCertificate,
  publishOwn,
  readOwn,
  tlsCertificates,
  usesOf,
} from './configured.ts';
export type { CountingCertificates } from './counting.ts';
export { idOf, type Source, type StoredCertificate } from './entry.ts';
export { watchExpiry } from './expiry.ts';
export type { Harvest, HarvestParts } from './harvest.ts';
export {
  type CertificateQuery,
  type CertificateView,
  type Configured,
  certificateView,
  type KnownCertificate,
  knownCertificates,
  matching,
  named,
} from './known.ts';
export { type LookedUp, offerLookedUp } from './looked-up.ts';
export type { RevocationRound } from './revocation.ts';
export { RollOverNotices, type RollOverParts } from './roll-over.ts';
export { SeenCertificates, seenTimes } from './seen.ts';
export type { KeyStanding } from './standing.ts';
export { CertStore, type CertStoreParts, mostWaiting, type NewCertificate } from './store.ts';
export { type Standing, standingName, type Waiting } from './waiting.ts';
export { certificateStates, certificateUses, type KnownState, type KnownUse, storedUses } from './words.ts';

/** `CountingCertificates` of `counting.ts`, for whoever encrypts, verifies or signs: it takes the codec along. */
export async function loadCounting(): Promise<typeof import('./counting.ts')> {
  return await import('./counting.ts');
}

/** `KeyStanding` of `standing.ts`, alike. */
export async function loadStanding(): Promise<typeof import('./standing.ts')> {
  return await import('./standing.ts');
}

/** `protecting` of `protecting.ts`, alike. */
export async function loadProtecting(): Promise<typeof import('./protecting.ts')> {
  return await import('./protecting.ts');
}

/** `Harvest` of `harvest.ts`, alike. */
export async function loadHarvest(): Promise<typeof import('./harvest.ts')> {
  return await import('./harvest.ts');
}

/** As `watchLists` of `ending-lists.ts`. */
export async function watchLists(
  queue: EndingListsParts['queue'],
  authorities: (now: Date) => Authorities,
): Promise<{ stop(): Promise<void> }> {
  const lists = await import('./ending-lists.ts');
  return lists.watchLists(queue, authorities);
}

/** Begins to ask about certificates of partners; undefined if no partner's are to be asked about. */
export async function startRevocations(parts: RevocationRoundParts): Promise<RevocationRound | undefined> {
  const { partners, trust } = parts.config;
  if (!partners.some((each) => revocationModeOf(each, trust) !== 'off')) return undefined;
  const { RevocationRound } = await import('./revocation.ts');
  const round = new RevocationRound(parts);
  round.start();
  return round;
}
