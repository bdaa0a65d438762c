/** The network below mail: which addresses may be connected to, and requests to addresses that others chose. */
export { guardedGet } from './guarded-get.ts';
export { guardedLookup, privateAddressCode, type Resolve, refusePrivateLiteral } from './guarded-lookup.ts';
export { createBoundedServer, type HttpLimits, httpLimits, limitAnswer } from './http-server.ts';
export { isPublicAddress } from './ip-address.ts';
export { listenShared } from './listen.ts';
