import type { KeyObject } from 'node:crypto';
import { SealpostError } from '../errors.ts';
import type { Certificate } from './certificate.ts';
import { keyBelongsTo } from './private-key.ts';

/** A key of our own with its certificate, for signing and decrypting. */
export interface Identity {
  /** The operator's name for it. */
  name: string;
  certificate: Certificate;
  privateKey: KeyObject;
  /** Issuers of the certificate as far as they were given, nearest first; not the certificate itself. */
  chain: Certificate[];
}

/**
 * Pairs a private key with its certificate among those given. The others become its chain.
 * @throws SealpostError `key-mismatch` if it belongs to none of them
 */
export function createIdentity(name: string, certificates: readonly Certificate[], key: KeyObject): Identity {
  const certificate = certificates.find((candidate) => belongs(key, candidate));
  if (certificate === undefined) {
    throw new SealpostError(
      'key-mismatch',
      certificates.length === 0
        ? `identity ${name}: there is no certificate for the private key`
        : `identity ${name}: the private key belongs to none of the certificates (${certificates
            .slice(0, 3)
            .map(({ subject, serialHex }) => `${subject}, serial ${serialHex}`)
            .join('; ')})`,
      { hint: 'give the certificate that was issued for this key' },
    );
  }
  return Object.freeze({ name, certificate, privateKey: key, chain: orderChain(certificate, certificates) });
}

function belongs(key: KeyObject, certificate: Certificate): boolean {
  try {
    return keyBelongsTo(key, certificate);
  } catch (error) {
    // a certificate with a key that cannot be loaded is not ours
    if (error instanceof SealpostError) return false;
    throw error;
  }
}

/** Issuers of `certificate` among `others`, found by name, nearest first. */
export function orderChain(certificate: Certificate, others: readonly Certificate[]): Certificate[] {
  const chain: Certificate[] = [];
  let at = certificate;
  for (;;) {
    const { issuerDer, subjectDer } = at;
    if (issuerDer.equals(subjectDer)) return chain;
    const next = others.find(
      (other) => other.subjectDer.equals(issuerDer) && other !== certificate && !chain.includes(other),
    );
    if (next === undefined) return chain;
    chain.push(next);
    at = next;
  }
}
