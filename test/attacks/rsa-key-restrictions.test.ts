import assert from 'node:assert/strict';
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { describe, it } from 'node:test';
import { Cursor, oids, parse, raw, tags } from '../../src/asn1/index.ts';
import * as der from '../../src/asn1/writer.ts';
import { digestByName } from '../../src/cms/algorithms.ts';
import { encodeEnvelopedData, encodeSignedData } from '../../src/cms/index.ts';
import { writeOaepParameters } from '../../src/cms/oaep.ts';
import { maySign, mayTransport } from '../../src/cms/rsa-restrictions.ts';
import {
  type Certificate,
  createIdentity,
  type Identity,
  unusableFor,
  validatePath,
} from '../../src/pki/index.ts';
import { encodeSync } from '../../src/smime/index.ts';
import { readCms } from '../cms/support.ts';
import { createTestCa } from '../support/ca.ts';

const at = new Date('2026-01-01T00:00:00Z');
const ca = createTestCa('Restricted Root');
const pair = generateKeyPairSync('rsa', { modulusLength: 2048 });
const content = Buffer.from('an order');

function info(name: string) {
  const found = digestByName.get(name);
  assert.ok(found);
  return found;
}

/** The same numbers under another algorithm: a KeyObject that exports what the certificate shall hold. */
function markedAs(algorithm: string, parameters?: Buffer): KeyObject {
  const cursor = new Cursor(parse(pair.publicKey.export({ type: 'spki', format: 'der' })));
  cursor.expect(tags.sequence);
  const numbers = raw(cursor.expect(tags.bitString));
  const spki = der.sequence(der.sequence(der.oid(algorithm), ...(parameters ? [parameters] : [])), numbers);
  return { export: () => spki, asymmetricKeyType: 'rsa' } as unknown as KeyObject;
}

const hash = (name: string) => der.sequence(der.oid(info(name).oid), der.nullValue());
const pssParameters = (name: string, salt: number, mgf = name) =>
  der.sequence(
    der.explicit(0, hash(name)),
    der.explicit(1, der.sequence(der.oid(oids.mgf1), hash(mgf))),
    der.explicit(2, der.integer(salt)),
  );
const oaepParameters = (name: string, label = '', mgf = name) =>
  writeOaepParameters({ digest: info(name), mgfDigest: info(mgf), label: Buffer.from(label) });

const certified = (algorithm: string, parameters?: Buffer): Certificate =>
  ca.issueUncheckedKey(markedAs(algorithm, parameters), 'restricted');
/** Our own key with such a certificate. */
const identityOf = (certificate: Certificate): Identity =>
  createIdentity('own', [certificate, ca.certificate], pair.privateKey);
const plain = certified(oids.rsaEncryption, der.nullValue());

/** A message made with a certificate without restrictions, as if it named the restricted one. */
function renamed(message: Buffer, from: Certificate, to: Certificate): Buffer {
  const at = message.indexOf(from.serialNumber);
  assert.ok(at > 0 && from.serialNumber.length === to.serialNumber.length);
  const copy = Buffer.from(message);
  to.serialNumber.copy(copy, at);
  return copy;
}

describe('a key that its certificate keeps for OAEP', () => {
  const encrypted = (oaep?: { digest: string; label?: Buffer }) =>
    encodeEnvelopedData(content, { recipients: [{ certificate: plain, ...(oaep && { oaep }) }] });
  const sha256 = { digest: 'sha256' };
  for (const [what, parameters, oaep, taken] of [
    ['any, with OAEP SHA-256', undefined, sha256, true],
    ['any, with PKCS#1 v1.5', undefined, undefined, false],
    ['SHA-256, with it', oaepParameters('sha256'), sha256, true],
    ['SHA-256, with SHA-1', oaepParameters('sha256'), { digest: 'sha1' }, false],
    ['SHA-256, with PKCS#1 v1.5', oaepParameters('sha256'), undefined, false],
    ['SHA-256 and MGF1 with SHA-1, with SHA-256', oaepParameters('sha256', '', 'sha1'), sha256, false],
    ['a label, with it', oaepParameters('sha256', 'x'), { ...sha256, label: Buffer.from('x') }, true],
    ['a label, without it', oaepParameters('sha256', 'x'), sha256, false],
    ['what cannot be read', der.octetString(Buffer.from('x')), sha256, false],
  ] as const)
    it(`${taken ? 'opens' : 'does not open'}: ${what}`, () => {
      const restricted = certified(oids.rsaesOaep, parameters);
      const message = renamed(encrypted(oaep), plain, restricted);
      const read = () => readCms([message], { identities: [identityOf(restricted)] }).content;
      if (taken) assert.deepEqual(read(), content);
      else assert.throws(read, { code: 'decrypt-policy' });
      // the same octets, with a certificate that allows it
      assert.deepEqual(readCms([encrypted(oaep)], { identities: [identityOf(plain)] }).content, content);
    });

  it('is encrypted for with its own parameters, whatever the preset says', () => {
    for (const [parameters, digest] of [
      [oaepParameters('sha512', 'label'), 'sha512'],
      [oaepParameters('sha1'), 'sha1'],
      [undefined, 'sha256'],
    ] as const) {
      const restricted = certified(oids.rsaesOaep, parameters);
      const mail = encodeSync(Buffer.from('Content-Type: text/plain\r\n\r\nx\r\n'), {
        recipients: [restricted],
      }).toString();
      const object = Buffer.from(mail.slice(mail.indexOf('\r\n\r\n')), 'base64');
      const { head } = readCms([object], { identities: [identityOf(restricted)] });
      assert.ok('recipients' in head);
      assert.equal(head.recipients[0]?.keyEncryption.parameters.digest, digest);
    }
    const mixed = certified(oids.rsaesOaep, oaepParameters('sha256', '', 'sha1'));
    assert.throws(() => encodeSync(Buffer.from('A: b\r\n\r\nx\r\n'), { recipients: [mixed] }), {
      code: 'encode-recipient',
    });
  });

  it('signs nothing: no message and no certificate, and verifies none', () => {
    const restricted = certified(oids.rsaesOaep);
    const signer = { certificate: restricted, privateKey: pair.privateKey };
    assert.throws(() => encodeSignedData(content, { signers: [signer] }), { code: 'encode-signer' });
    const message = encodeSignedData(content, {
      signers: [{ ...signer, certificate: plain }],
      withoutSignerCertificates: true,
    });
    const { tail } = readCms([renamed(message, plain, restricted)], {
      identities: [],
      certificates: [restricted],
    });
    assert.ok(tail.type === 'signed-data');
    assert.deepEqual([tail.signers[0]?.valid, tail.signers[0]?.reason], [false, 'key-restricted']);
    assert.match(unusableFor(restricted, 'sign') ?? '', /rsaes-oaep, which cannot sign/);
    assert.equal(unusableFor(restricted, 'encrypt'), undefined);
  });

  it('issues no certificate', () => {
    const options = { at, purpose: 'any' as const };
    for (const [algorithm, parameters, trusted] of [
      [oids.rsaEncryption, der.nullValue(), true],
      [oids.rsaesOaep, undefined, false],
    ] as const) {
      const name = `Issuer ${trusted}`;
      const issuer = createTestCa(name, {
        key: { publicKey: markedAs(algorithm, parameters), privateKey: pair.privateKey },
      });
      const { certificate } = issuer.issue({ commonName: 'leaf' });
      const result = validatePath(certificate, { ...options, anchors: [issuer.certificate] });
      assert.equal(result.trusted, trusted, result.message);
    }
  });
});

describe('a key that its certificate keeps for PSS', () => {
  for (const [what, parameters, signer, valid] of [
    ['any, with PSS SHA-256', undefined, { pss: true }, true],
    ['any, with PKCS#1 v1.5', undefined, {}, false],
    ['SHA-256, with it', pssParameters('sha256', 32), { pss: true }, true],
    ['SHA-256, with SHA-512', pssParameters('sha256', 32), { pss: true, digest: 'sha512' }, false],
    ['SHA-256 with a shorter salt at least', pssParameters('sha256', 20), { pss: true }, true],
    ['SHA-256 with a longer salt at least', pssParameters('sha256', 33), { pss: true }, false],
    ['SHA-256 and MGF1 with SHA-1', pssParameters('sha256', 32, 'sha1'), { pss: true }, false],
    ['SHA-256, with PKCS#1 v1.5', pssParameters('sha256', 32), {}, false],
    ['what cannot be read', der.octetString(Buffer.from('x')), { pss: true }, false],
  ] as const)
    it(`${valid ? 'verifies' : 'does not verify'}: ${what}`, () => {
      const restricted = certified(oids.rsassaPss, parameters);
      const by = { certificate: plain, privateKey: pair.privateKey, ...signer };
      const message = renamed(
        encodeSignedData(content, { signers: [by], withoutSignerCertificates: true }),
        plain,
        restricted,
      );
      const { tail } = readCms([message], { identities: [], certificates: [restricted] });
      assert.ok(tail.type === 'signed-data');
      const [found] = tail.signers;
      assert.deepEqual([found?.valid, found?.reason], valid ? [true, 'ok'] : [false, 'key-restricted']);
    });

  it('signs with its own parameters, whatever is asked for', () => {
    const restricted = certified(oids.rsassaPss, pssParameters('sha384', 60));
    const signer = { certificate: restricted, privateKey: pair.privateKey, digest: 'sha256' };
    const { tail } = readCms([encodeSignedData(content, { signers: [signer] })], { identities: [] });
    assert.ok(tail.type === 'signed-data');
    const [found] = tail.signers;
    assert.equal(found?.valid, true);
    assert.deepEqual(
      [found?.digestAlgorithm, found?.signatureAlgorithm.parameters.saltLength],
      ['sha384', '60'],
    );
    const mixed = certified(oids.rsassaPss, pssParameters('sha256', 32, 'sha1'));
    assert.throws(() => encodeSignedData(content, { signers: [{ ...signer, certificate: mixed }] }), {
      code: 'encode-signer',
    });
  });

  it('is encrypted for by nobody, and decrypts nothing', () => {
    const restricted = certified(oids.rsassaPss);
    assert.throws(() => encodeEnvelopedData(content, { recipients: [{ certificate: restricted }] }), {
      code: 'encode-recipient',
    });
    const message = encodeEnvelopedData(content, { recipients: [{ certificate: plain }] });
    const read = () =>
      readCms([renamed(message, plain, restricted)], { identities: [identityOf(restricted)] });
    assert.throws(read, { code: 'decrypt-policy' });
  });
});

it('keys of other kinds are not restricted', () => {
  const { publicKeyInfo } = ca.issue({}).certificate;
  assert.equal(maySign(publicKeyInfo, 'rsa'), true);
  assert.equal(mayTransport(plain.publicKeyInfo, undefined), true);
});
