import { createHash, createPrivateKey, createPublicKey } from 'node:crypto';
import * as der from '../../src/asn1/writer.ts';
import type { DecodeOptions } from '../../src/smime/index.ts';
import { createTestCa, type Issued } from '../support/ca.ts';

/**
 * Keys that come out the same each time, so that the messages in `corpus/` stay readable and no private key
 * has to be kept: the scalar is a hash. They are worth nothing.
 */
function derived(name: string) {
  const scalar = createHash('sha256').update(`fuzz ${name}`).digest();
  const p256 = der.sequence(der.oid('1.2.840.10045.2.1'), der.oid('1.2.840.10045.3.1.7'));
  const ecKey = der.sequence(der.integer(1), der.octetString(scalar));
  const info = der.sequence(der.integer(0), p256, der.octetString(ecKey));
  const privateKey = createPrivateKey({ key: info, format: 'der', type: 'pkcs8' });
  return { privateKey, publicKey: createPublicKey(privateKey) };
}

const ca = createTestCa('Fuzz Root', { key: derived('root') });

/** Recipients are found by issuer and serial number, which are fixed. */
export const alice: Issued = ca.issue({
  commonName: 'alice',
  email: 'alice@example.com',
  key: derived('alice'),
  serial: 7,
});

/** What the target decodes with: everything opens, so that what is inside is reached too. */
export const options: DecodeOptions = {
  identities: [alice.identity],
  trust: { anchors: [ca.certificate], crls: [], revocation: 'soft' },
  at: new Date('2026-06-01T00:00:00Z'),
  aeadInEnvelopedData: true,
};
