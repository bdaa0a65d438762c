import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, it } from 'node:test';
import { children, parse, raw } from '../../src/asn1/index.ts';
import * as der from '../../src/asn1/writer.ts';
import { readCertificates } from '../../src/pki/index.ts';
import { decodeSync, type Signer, type Verdict } from '../../src/smime/index.ts';
import { verdictSchema } from '../../src/smime/verdict/verdict-schema.ts';
import { alice, bob, encrypt, file, noOpenssl, openssl, options, sign } from './openssl.ts';

const corpora = process.env.SEALPOST_CORPORA ?? resolve(import.meta.dirname, '../../../shared/corpora');
const noCorpora = existsSync(corpora) ? false : 'the corpora are not here (SEALPOST_CORPORA)';
const entity = Buffer.from('Content-Type: text/plain\r\n\r\nhello\r\n');

function judged(message: Buffer, change = {}): Verdict {
  const { verdict } = decodeSync(message, { ...options, ...change });
  assert.equal(verdict.error, null);
  verdictSchema.parse(verdict);
  return verdict;
}

function signerOf({ layers }: Verdict): Signer {
  const signer = layers.flatMap((layer) => ('signers' in layer ? layer.signers : []))[0];
  assert.ok(signer);
  return signer;
}

describe('attributes that openssl signs', { skip: noOpenssl }, () => {
  it('lists capabilities, and a request for a receipt', () => {
    const args = ['-receipt_request_from', 'bob@example.com', '-receipt_request_to', 'alice@example.com'];
    const signer = signerOf(judged(sign(entity, ['-binary', ...args])));
    assert.equal(signer.valid, true);
    assert.deepEqual(signer.smimeCapabilities.slice(0, 2), ['aes-256-cbc', 'aes-192-cbc']);
    assert.deepEqual(signer.receiptRequest?.from, ['bob@example.com']);
    assert.deepEqual(signer.receiptRequest?.to, ['alice@example.com']);
    assert.match(signer.receiptRequest?.contentIdentifier ?? '', /^[0-9a-f]+$/);
  });

  for (const [option, from] of [
    ['-receipt_request_all', 'all'],
    ['-receipt_request_first', 'first-tier'],
  ] as const) {
    it(`says who shall send the receipt: ${from}`, () => {
      const args = ['-binary', option, '-receipt_request_to', 'alice@example.com'];
      assert.equal(signerOf(judged(sign(entity, args))).receiptRequest?.from, from);
    });
  }

  it('says which certificate the signer means', () => {
    const signer = signerOf(judged(sign(entity, ['-binary', '-cades'])));
    assert.equal(signer.valid, true);
    assert.deepEqual(signer.signingCertificates, [
      { version: 2, digestAlgorithm: 'sha256', digest: alice.certificate.thumbprint },
    ]);
  });

  it('does not take another certificate of the same issuer, serial number and key for it', () => {
    const key = file(openssl(['genrsa', '2048']));
    const certificate = (days: string) =>
      openssl([
        'req',
        '-x509',
        '-new',
        '-key',
        key,
        '-subj',
        '/CN=Signer',
        '-set_serial',
        '7',
        '-days',
        days,
      ]);
    const [meant, other] = [certificate('10'), certificate('20')];
    const message = openssl(
      ['cms', '-sign', '-binary', '-cades', '-nocerts', '-signer', file(meant), '-inkey', key],
      entity,
    );
    const found = (pem: Buffer) => {
      const pinned = readCertificates(pem);
      return judged(message, { trust: { anchors: [], pinned }, at: new Date() });
    };
    assert.equal(found(meant).signature, 'valid');
    assert.equal(found(other).signature, 'invalid');
    assert.equal(signerOf(found(other)).reason, 'certificate-mismatch');
  });

  it('lists the certificates of the originator', () => {
    // openssl reads originatorInfo but does not write it, so it is inserted after the version
    const [type, content] = children(parse(encrypt(entity, ['-aes-128-cbc', '-outform', 'DER'])));
    assert.ok(type && content);
    const [enveloped] = children(content);
    assert.ok(enveloped);
    const [version, ...rest] = children(enveloped).map(raw);
    const originator = der.implicit(0, true, der.implicit(0, true, bob.certificate.der));
    const message = der.sequence(
      raw(type),
      der.explicit(0, der.sequence(version ?? Buffer.alloc(0), originator, ...rest)),
    );
    assert.match(
      openssl(['cms', '-cmsout', '-print', '-noout', '-inform', 'DER'], message).toString(),
      /originatorInfo:\s+certificates:\s+d\.certificate/,
    );
    const layer = judged(message).layers[0];
    assert.ok(layer !== undefined && 'recipients' in layer);
    assert.deepEqual(
      layer.originatorCertificates.map(({ thumbprint }) => thumbprint),
      [bob.certificate.thumbprint],
    );
  });
});

describe('attributes of RFC 4134', { skip: noCorpora }, () => {
  const read = (name: string) => readFileSync(join(corpora, 'rfc4134', name));

  it('4.4 has a countersignature, and the message is that of its signer', () => {
    const verdict = judged(read('4.4.bin'), { trust: { anchors: [] } });
    const [signer, second] = verdict.layers.flatMap((layer) => ('signers' in layer ? layer.signers : []));
    assert.equal(second, undefined);
    assert.equal(signer?.countersignatures.length, 1);
    assert.equal(signer?.countersignatures[0]?.valid, true);
  });

  it('4.4 with another octet in its countersignature: the signature stays valid, the other is not', () => {
    const octets = read('4.4.bin');
    octets[octets.length - 1] = (octets.at(-1) ?? 0) ^ 1;
    const signer = signerOf(judged(octets, { trust: { anchors: [] } }));
    assert.equal(signer.valid, true);
    assert.deepEqual(
      signer.countersignatures.map(({ valid, reason }) => [valid, reason]),
      [[false, 'signature-mismatch']],
    );
  });

  it('4.10 prefers a key', () => {
    const signer = signerOf(judged(read('4.10.bin'), { trust: { anchors: [] } }));
    assert.ok(signer.encryptionKeyPreference && 'serialNumber' in signer.encryptionKeyPreference);
  });
});
