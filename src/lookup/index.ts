/**
 * Certificates of partners, looked up in directories: LDAP, DNS and folders. What is found counts for nothing by
 * itself; it waits for approval in the store of certificates. Begin with `lookups.ts`.
 */
export { type Asked, type Found, Lookups, type LookupsParts, lookupsOf } from './lookups.ts';
export { addressesOf, LookupRound } from './round.ts';
