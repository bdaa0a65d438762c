/**
 * Requests that travel sealed through a queue, from the program that makes them to the daemon: HPKE (RFC 9180). Backups
 * are sealed the same way.
 */
import type { KeyObject } from 'node:crypto';
import { privateKeyOf } from './hpke.ts';

export { keySize, open as openSealed, publicKeyOf, publicOctets, seal } from './hpke.ts';
export { openRequest, type SealedRequest, sealRequest } from './request.ts';

/** The key of an installation that requests are sealed for. */
export function submissionKey(deriveKey: (purpose: string) => Buffer): KeyObject {
  return privateKeyOf(deriveKey('submission key'));
}
