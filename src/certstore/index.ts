/**
 * What is known of certificates beside the configuration: seen in traffic, waiting for approval, approved, rejected,
 * revoked. Begin with `store.ts`; `entry.ts` is what it keeps of each, `known.ts` how they are shown.
 */

export { announcedBeside, type SeenSigner } from './announced.ts';
export { configuredCertificates, usesOf } from './configured.ts';
export { CountingCertificates } from './counting.ts';
export { idOf, type Source, type StoredCertificate, storedUses } from './entry.ts';
export { Harvest, type HarvestParts } from './harvest.ts';
export {
  type CertificateQuery,
  type CertificateView,
  type Configured,
  certificateStates,
  certificateUses,
  certificateView,
  type KnownCertificate,
  type KnownState,
  type KnownUse,
  knownCertificates,
  matching,
  named,
} from './known.ts';
export { SeenCertificates, seenTimes } from './seen.ts';
export { CertStore, type CertStoreParts, mostWaiting, type NewCertificate } from './store.ts';
