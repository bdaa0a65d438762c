/**
 * Who may do what: clients with grants, their tokens and logins. Begin with `grants.ts`. Every door asks here who is
 * calling, and hands the `Client` that it gets to `submit` and to whatever reads. The registry is loaded when it is
 * first needed, because the command line sends without it.
 */

export { makeCredential } from './credential.ts';
export type { Acting, ClientDesk, ClientFacts, MadeToken, TokenFacts } from './desk.ts';
export {
  allGranted,
  Client,
  checkNames,
  covers,
  daemonClient,
  type Grants,
  type Limits,
  limitTexts,
  type Named,
  namesLine,
  narrowed,
  noLimits,
  operatorClient,
  personPrefix,
  replaced,
  type Scope,
  type Seen,
  seesAll,
  seesAllOf,
  type Verb,
  verbs,
} from './grants.ts';
export { Buckets, type Rates } from './rates.ts';
export type {
  ClientDocument,
  ClientRegistry,
  RegistryParts,
  StoredClient,
  StoredCredential,
} from './registry.ts';

/** `ClientRegistry`, `Rates`, `clientOf` and `scopeSchema` of `registry.ts`. */
export async function loadClients(): Promise<typeof import('./registry.ts')> {
  return await import('./registry.ts');
}

/** `ClientDesk` of `desk.ts`, for code that changes clients. */
export async function loadClientDesk(): Promise<typeof import('./desk.ts')> {
  return await import('./desk.ts');
}
