/**
 * Certificates of partners, looked up in directories: LDAP, DNS and folders. A certificate that is found is not used
 * until it is approved in the certificate store. Begin with `lookups.ts`.
 */
export { type Asked, type Found, Lookups, type LookupsParts, lookupsOf } from './lookups.ts';
export { addressesOf, LookupRound } from './round.ts';
