/**
 * Who may do what: clients with grants, their tokens and logins. Begin with `grants.ts`. Every door asks here who is
 * there, and hands the `Client` that it gets to `submit` and to whatever reads.
 */
export { maskCredentials } from './credential.ts';
export {
  allGranted,
  Client,
  type Grants,
  grantsSchema,
  operatorClient,
  replaced,
  type Scope,
  type Seen,
  scopeSchema,
  type Verb,
  verbs,
} from './grants.ts';
export { Rates } from './rates.ts';
export {
  type ClientDocument,
  ClientRegistry,
  clientOf,
  type RegistryParts,
  refreshEvery,
  type StoredClient,
  type StoredCredential,
} from './registry.ts';
