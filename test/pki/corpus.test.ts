import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, it } from 'node:test';
import { parseOcspResponse, readCertificates, validatePath } from '../../src/pki/index.ts';

const corpora = process.env.SEALPOST_CORPORA ?? resolve(import.meta.dirname, '../../../shared/corpora');
const missing = existsSync(corpora) ? false : `no corpora at ${corpora}`;
const at = new Date('2026-06-01T00:00:00Z');

function certificate(name: string) {
  const [first] = readCertificates(readFileSync(join(corpora, name)));
  assert.ok(first);
  return first;
}

describe("certificates of openssl's tests", { skip: missing }, () => {
  const judge = (name: string, purpose: 'sign' | 'encrypt' | 'any') =>
    validatePath(certificate(`openssl/test/smime-certs/${name}.pem`), {
      anchors: [certificate('openssl/test/smime-certs/smroot.pem')],
      at,
      purpose,
    });
  for (const name of ['smrsa1', 'smrsa2', 'smdsa1', 'smdsa2', 'smec1', 'smec2']) {
    it(`trusts ${name}`, () => {
      const result = judge(name, 'sign');
      assert.equal(result.reason, null, result.message);
    });
  }

  it('trusts smdh, for neither use: a key that agrees cannot sign, and its keyUsage is not keyAgreement', () => {
    assert.equal(judge('smdh', 'any').reason, null);
    for (const use of ['sign', 'encrypt'] as const) assert.equal(judge('smdh', use).reason, 'key-usage');
  });
});

describe('certificates of RFC 4134', { skip: missing }, () => {
  const names = [
    'AliceDSSSignByCarlNoInherit',
    'AliceRSASignByCarl',
    'BobRSASignByCarl',
    'DianeRSASignByCarl',
    // Her DSA parameters are those of Carl.
    'DianeDSSSignByCarlInherit',
  ];
  for (const name of names) {
    it(`trusts ${name}, as weak`, () => {
      const anchors = [certificate('rfc4134/CarlRSASelf.cer'), certificate('rfc4134/CarlDSSSelf.cer')];
      const result = validatePath(certificate(`rfc4134/${name}.cer`), { anchors, at, purpose: 'any' });
      assert.equal(result.reason, null, result.message);
      assert.ok(result.weak.includes('sha1-signature') && result.weak.includes('small-key'));
      assert.ok(result.publicKey);
    });
  }
});

describe('OCSP answers of Heimdal', { skip: missing }, () => {
  const cases: [string, string, string][] = [
    ['ocsp-resp1-ca.der', 'test.crt', 'good'],
    ['ocsp-resp1-keyhash.der', 'test.crt', 'good'],
    ['ocsp-resp1-ocsp.der', 'test.crt', 'good'],
    ['ocsp-resp1-ocsp.der', 'revoke.crt', 'unknown'],
    ['ocsp-resp2.der', 'revoke.crt', 'revoked'],
    // The responder's certificate is not in the answer.
    ['ocsp-resp1-ocsp-no-cert.der', 'test.crt', 'unknown'],
    // Of 2006, signed with keys that have been replaced since.
    ['ocsp-resp1.der', 'test.crt', 'unknown'],
  ];
  for (const [answer, name, expected] of cases) {
    it(`finds ${name} ${expected} by ${answer}`, () => {
      const response = parseOcspResponse(readFileSync(join(corpora, 'heimdal', answer)));
      const result = validatePath(certificate(`heimdal/${name}`), {
        anchors: [certificate('heimdal/ca.crt')],
        at,
        purpose: 'any',
        revocation: 'soft',
        ocsp: [response],
        revocationAt: response.producedAt,
      });
      assert.equal(result.reason ?? result.revocation[0]?.status, expected);
    });
  }
});
