/**
 * Redis: connections to a server, a Sentinel group or a cluster; whether they can lose anything; how scripts are run;
 * and the private server of an installation that has none. This room knows keys only by their prefix. Begin with
 * `target.ts` and `connection.ts`.
 */
/**
 * Writes that outlive the primary. They count what was not replicated, which needs the metrics, so only writers load
 * this.
 */
export const loadDurableWrites = () => import('./durable-writes.ts');

export { connect, disconnect, guarded, ready, redisError, redisTime } from './connection.ts';
export { checkDurability, type DurabilityFinding, ensureDurability } from './durability.ts';
export type { DurableWrites, Ended } from './durable-writes.ts';
export { holdLease, releaseLease } from './lease.ts';
export { lifetimes, type PresenceKind, presenceKinds } from './lifetimes.ts';
export { type PrivateServer, privateServerUrl, startPrivateServer } from './private-server.ts';
export { checkReplicas, ensureReplicas } from './replicas.ts';
export { freeingScript, type Octets, run, type Script, type ScriptArguments, script } from './scripts.ts';
export {
  type Adopted,
  type DocumentKind,
  type Edited,
  refreshEvery,
  SealedDocument,
  type SealedDocumentParts,
  SealedStore,
} from './sealed-document.ts';
export { type SealedValues, type SealedValuesParts, sealedValues } from './sealed-values.ts';
export { type SharedRate, sharedBucket } from './shared-bucket.ts';
export { type RedisTarget, redisTarget } from './target.ts';
