/** What it costs to look at the certificates that come with a partner's signatures. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { announcedBeside, type SeenSigner } from '../../src/certstore/announced.ts';
import { type Certificate, parseCertificate } from '../../src/pki/index.ts';
import { createTestCa } from '../support/ca.ts';

describe('certificates beside many signatures', () => {
  const ca = createTestCa();
  const [signing, ...others] = Array.from({ length: 21 }, () => ca.issue().certificate);
  assert.ok(signing);

  /** How often the octets of the certificates beside are asked for, by so many signers that name three digests. */
  const reads = (signers: number, digestOf: (each: Certificate) => string) => {
    let count = 0;
    const beside = others.map((each) => {
      const own = parseCertificate(each.der);
      const { der } = own;
      Object.defineProperty(own, 'der', {
        get() {
          count += 1;
          return der;
        },
      });
      return own;
    });
    const named = ['sha256', 'sha384', 'sha512'].map((digestAlgorithm) => ({
      ...{ version: 2, digestAlgorithm, digest: digestOf(others[0] ?? signing) },
    }));
    const signer: SeenSigner['signer'] = {
      ...{ trusted: true, signingTime: null, smimeCapabilities: [] },
      ...{ signingCertificates: named, encryptionKeyPreference: null },
    };
    let found = 0;
    for (let at = 0; at < signers; at++)
      found += announcedBeside({ certificate: signing, beside, signer }).length;
    return { count, found };
  };

  it('signers-times-certificates: each certificate is hashed once for all signers of a message', () => {
    const one = reads(1, () => '00');
    const many = reads(100, () => '00');
    assert.equal(many.count, one.count);
    assert.ok(one.count <= 3 * others.length + others.length, `${one.count}`);
    assert.equal(reads(100, (each) => each.thumbprint).found, 100, 'and is found by each');
  });
});
