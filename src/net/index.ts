/**
 * The network below mail: which addresses may be connected to, requests to addresses that others chose, and DNS with
 * proof.
 */
export { createDns, type Dns, type DnsAnswer, type ResolverSettings } from './dns.ts';
export { DnsFailure, plainName, type RawType, type RecordOf, type RecordType } from './dns-question.ts';
export { type GuardedRequest, guardedGet } from './guarded-get.ts';
export { guardedLookup, privateAddressCode, type Resolve, refusePrivateLiteral } from './guarded-lookup.ts';
export { createBoundedServer, type HttpLimits, httpLimits, limitAnswer } from './http-server.ts';
export { clientOf, isPublicAddress } from './ip-address.ts';
export { boundTo, listenShared } from './listen.ts';
