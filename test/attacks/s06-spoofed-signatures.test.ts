import assert from 'node:assert/strict';
import { createHash, createSign, generateKeyPairSync } from 'node:crypto';
import { describe, it } from 'node:test';
import { oids } from '../../src/asn1/index.ts';
import * as der from '../../src/asn1/writer.ts';
import { writeAttribute } from '../../src/cms/attributes.ts';
import { writeIssuerAndSerial } from '../../src/cms/certificate-identifier.ts';
import { encodeDetachedSignature, encodeSignedData } from '../../src/cms/index.ts';
import { decode, isSignatureLayer, type Verdict } from '../../src/smime/index.ts';
import { createTestCa, type Issued } from '../support/ca.ts';
import { alice, bob, ca, cmsMail, entity, multipartSigned, options, verdictOf } from './support.ts';

const forged = Buffer.from('Content-Type: text/plain\r\n\r\npay Mallory\r\n');
const sha256 = (octets: Buffer) => createHash('sha256').update(octets).digest();
const detached = (content: Buffer, signers: readonly Issued[]) =>
  encodeDetachedSignature(new Map([['sha256', sha256(content)]]), { signers });

const signersOf = (verdict: Verdict) =>
  verdict.layers.filter(isSignatureLayer).flatMap(({ signers }) => signers);

interface Raw {
  content: Buffer;
  signer?: Issued;
  signedAttributes?: Buffer[];
  unsignedAttributes?: Buffer[];
  signature: Buffer;
  certificates?: Issued[];
}

/** SignedData from parts that need not fit. */
function signedData({
  content,
  signer = alice,
  signedAttributes,
  unsignedAttributes,
  signature,
  certificates = [signer],
}: Raw): Buffer {
  const algorithm = der.sequence(der.oid(oids.sha256));
  const set = (tag: number, attributes: Buffer[] | undefined) => {
    if (attributes === undefined) return [];
    const made = der.setOf(...attributes);
    made[0] = 0xa0 | tag;
    return [made];
  };
  const info = der.sequence(
    der.integer(1),
    writeIssuerAndSerial(signer.certificate),
    algorithm,
    ...set(0, signedAttributes),
    der.sequence(der.oid(oids.rsaEncryption), der.nullValue()),
    der.octetString(signature),
    ...set(1, unsignedAttributes),
  );
  const body = der.sequence(
    der.integer(1),
    der.set(algorithm),
    der.sequence(der.oid(oids.data), der.explicit(0, der.octetString(content))),
    der.implicit(0, true, ...certificates.map(({ certificate }) => certificate.der)),
    der.set(info),
  );
  return der.sequence(der.oid(oids.signedData), der.explicit(0, body));
}

const rsaSign = ({ privateKey }: Issued, octets: Buffer) =>
  createSign('sha256').update(octets).sign(privateKey);
const attributesOf = (content: Buffer) => [
  writeAttribute(oids.contentType, der.oid(oids.data)),
  writeAttribute(oids.messageDigest, der.octetString(sha256(content))),
];

/** It never counts as signed, whatever else it is. */
async function isNotSigned(octets: Buffer): Promise<Verdict> {
  const verdict = await verdictOf(octets);
  assert.notEqual(verdict.signature, 'valid');
  assert.notEqual(verdict.integrity, 'signed');
  return verdict;
}

describe('S6: spoofed signatures ("Johnny, you are fired")', () => {
  it('the honest forms are valid, and the signed octets are the content exactly', async () => {
    const attributes = attributesOf(entity);
    const signature = rsaSign(alice, der.setOf(...attributes));
    for (const octets of [
      encodeSignedData(entity, { signers: [alice] }),
      multipartSigned(entity, detached(entity, [alice])),
      signedData({ content: entity, signedAttributes: attributes, signature }),
      signedData({ content: entity, signature: rsaSign(alice, entity) }),
    ]) {
      const { verdict, content } = await decode(octets, options);
      assert.equal(verdict.signature, 'valid');
      assert.ok(content?.equals(entity));
      assert.equal(verdict.content?.sha256, sha256(entity).toString('hex'));
    }
  });

  it('content inside the signature of a multipart/signed does not vouch for the part that is shown', async () => {
    for (const first of [forged, entity]) {
      const verdict = await isNotSigned(
        multipartSigned(first, encodeSignedData(entity, { signers: [alice] })),
      );
      assert.ok(signersOf(verdict).every(({ valid }) => !valid));
    }
  });

  it('without a signer a message is not signed', async () => {
    const empty = encodeSignedData(entity, { signers: [], certificates: [alice.certificate] });
    assert.equal((await isNotSigned(empty)).signature, 'none');
    const nobody = encodeDetachedSignature(new Map(), { signers: [], certificates: [alice.certificate] });
    assert.equal((await isNotSigned(multipartSigned(entity, nobody))).signature, 'none');
  });

  it('several signers are listed one by one, and the worst counts', async () => {
    const stranger = createTestCa('Stranger').issue({
      commonName: 'alice',
      email: 'alice@example.com',
      key: 'rsa2048',
      freshKey: true,
    });
    const both = await isNotSigned(encodeSignedData(entity, { signers: [alice, stranger] }));
    assert.equal(both.signature, 'untrusted');
    assert.deepEqual(
      signersOf(both)
        .map(({ valid, trusted }) => [valid, trusted].join())
        .toSorted(),
      ['true,false', 'true,true'],
    );
    const spoiled = encodeSignedData(entity, { signers: [alice, bob] });
    const at = spoiled.length - 5;
    spoiled[at] = (spoiled[at] ?? 0) ^ 1;
    const verdict = await isNotSigned(spoiled);
    assert.equal(verdict.signature, 'invalid');
    assert.equal(signersOf(verdict).filter(({ valid }) => valid).length, 1);
  });

  it('a signed message below something else does not make the whole signed', async () => {
    const signed = multipartSigned(entity, detached(entity, [alice]));
    const wrap = (type: string, around: (part: string) => string) =>
      Buffer.from(
        `From: mallory@example.net\r\nMIME-Version: 1.0\r\nContent-Type: ${type}\r\n\r\n${around(signed.toString('latin1'))}`,
        'latin1',
      );
    const text = 'Content-Type: text/plain\r\n\r\npay Mallory';
    for (const mail of [
      wrap('message/rfc822', (part) => part),
      wrap('multipart/mixed; boundary=m', (part) => `--m\r\n${text}\r\n--m\r\n${part}\r\n--m--\r\n`),
      wrap('multipart/alternative; boundary=m', (part) => `--m\r\n${text}\r\n--m\r\n${part}\r\n--m--\r\n`),
      wrap('multipart/related; boundary=m', (part) => `--m\r\n${part}\r\n--m\r\n${text}\r\n--m--\r\n`),
    ]) {
      const verdict = await isNotSigned(mail);
      assert.equal(verdict.signature, 'none');
    }
  });

  it('only the first part is what was signed; a part behind or in front of it is not shown as such', async () => {
    const extra = '--b\r\nContent-Type: text/plain\r\n\r\npay Mallory\r\n';
    const mail = multipartSigned(entity, detached(entity, [alice]), extra);
    const { verdict, content } = await decode(mail, options);
    assert.equal(verdict.content?.octets, entity.length);
    assert.ok(content?.equals(entity));
    const shifted = mail.toString('latin1').replace('--b\r\n', `${extra}--b\r\n`);
    await isNotSigned(Buffer.from(shifted, 'latin1'));
  });

  it('only the second part is the signature: a third takes neither its place nor one beside it', async () => {
    const signature = (signer: Issued) => {
      const mail = multipartSigned(entity, detached(entity, [signer])).toString('latin1');
      return mail.slice(mail.indexOf('--b\r\n', mail.indexOf('--b\r\n') + 1), mail.lastIndexOf('--b--'));
    };
    const mail = multipartSigned(entity, detached(entity, [bob]), signature(alice));
    const { layers } = await verdictOf(mail);
    assert.deepEqual(
      layers.filter(isSignatureLayer).map(({ signers }) => signers.map(({ subject }) => subject)),
      [[bob.certificate.subject]],
    );
    const text = '--b\r\nContent-Type: text/plain\r\n\r\nnot a signature\r\n';
    const late = mail.toString('latin1').replace(signature(bob), () => text);
    assert.equal(late.split('pkcs7-signature').length, 3);
    const verdict = await isNotSigned(Buffer.from(late, 'latin1'));
    assert.equal(verdict.error?.code, 'mime-malformed');
  });

  it('two boundary parameters or a nested boundary do not show other octets than were hashed', async () => {
    const honest = multipartSigned(entity, detached(entity, [alice])).toString('latin1');
    for (const changed of [
      honest.replace('boundary=b', 'boundary=b; boundary=c'),
      honest.replace('boundary=b', 'boundary="b "'),
      honest.replace('a line', '--b-not\r\na line'),
      honest.replace('--b\r\n', '--b\r\n\r\n'),
      honest.replace('a line of', 'a  line of'),
    ]) {
      const { verdict, content } = await decode(Buffer.from(changed, 'latin1'), options);
      if (verdict.signature === 'valid') assert.ok(content?.equals(entity));
    }
  });

  it('signed attributes are not content (draft-ietf-lamps-cms-euf-cma-signeddata)', async () => {
    const attributes = der.setOf(...attributesOf(entity));
    const verdict = await isNotSigned(
      signedData({ content: attributes, signature: rsaSign(alice, attributes) }),
    );
    assert.equal(signersOf(verdict)[0]?.reason, 'attributes-malformed');
    const parted = multipartSigned(
      attributes,
      signedData({ content: attributes, signature: rsaSign(alice, attributes) }),
    );
    await isNotSigned(parted);
  });

  it('attributes that must be signed are not believed among the unsigned', async () => {
    const attributes = attributesOf(entity);
    const octets = signedData({
      content: entity,
      signedAttributes: attributes,
      unsignedAttributes: [writeAttribute(oids.signingTime, der.time(new Date('2020-01-01')))],
      signature: rsaSign(alice, der.setOf(...attributes)),
    });
    assert.equal(signersOf(await isNotSigned(octets))[0]?.reason, 'attributes-malformed');
  });

  it('missing, doubled and foreign attributes', async () => {
    const [type = Buffer.alloc(0), digest = Buffer.alloc(0)] = attributesOf(entity);
    const otherType = writeAttribute(oids.contentType, der.oid(oids.envelopedData));
    const otherDigest = writeAttribute(oids.messageDigest, der.octetString(sha256(forged)));
    for (const attributes of [
      [type],
      [digest],
      [type, digest, otherDigest],
      [otherType, digest],
      [type, otherDigest],
    ]) {
      const signature = rsaSign(alice, der.setOf(...attributes));
      const verdict = await isNotSigned(
        signedData({ content: entity, signedAttributes: attributes, signature }),
      );
      assert.equal(verdict.signature, 'invalid');
    }
  });

  it('a certificate with the name and serial number of another is not that one', async () => {
    const { serialNumber } = alice.certificate;
    const impostor = createTestCa('Attack Root').issue({
      commonName: 'alice',
      email: 'alice@example.com',
      serial: BigInt(`0x${serialNumber.toString('hex')}`),
      key: generateKeyPairSync('rsa', { modulusLength: 2048 }),
    });
    const octets = encodeSignedData(forged, { signers: [impostor] });
    const verdict = await isNotSigned(octets);
    assert.equal(verdict.signature, 'untrusted');
    // with the real certificate first, so that it is found first
    const attributes = attributesOf(forged);
    const signature = rsaSign(impostor, der.setOf(...attributes));
    const both = signedData({
      content: forged,
      signer: impostor,
      signedAttributes: attributes,
      signature,
      certificates: [alice, impostor],
    });
    await isNotSigned(both);
  });

  it('an issuer signs nothing in the name of its certificates', async () => {
    const attributes = attributesOf(forged);
    const signature = rsaSign(bob, der.setOf(...attributes));
    await isNotSigned(
      signedData({
        content: forged,
        signer: alice,
        signedAttributes: attributes,
        signature,
        certificates: [alice, bob, ca],
      }),
    );
  });

  it('RSA signatures with a forged padding (Bleichenbacher 2006) are not valid', async () => {
    const key = generateKeyPairSync('rsa', { modulusLength: 2048, publicExponent: 3 });
    const weak = ca.issue({ commonName: 'e3', key });
    const attributes = attributesOf(forged);
    const digest = sha256(der.setOf(...attributes));
    const info = der.sequence(der.sequence(der.oid(oids.sha256), der.nullValue()), der.octetString(digest));
    const head = Buffer.concat([Buffer.from('0001ffffffffffffffffff00', 'hex'), info]);
    const target = BigInt(
      `0x${Buffer.concat([head, Buffer.alloc(256 - head.length, 0xff)]).toString('hex')}`,
    );
    let low = 0n;
    let high = 1n << 700n;
    while (low < high) {
      const middle = (low + high + 1n) / 2n;
      if (middle ** 3n <= target) low = middle;
      else high = middle - 1n;
    }
    const signature = Buffer.from(low.toString(16).padStart(512, '0'), 'hex');
    const cube = Buffer.from((low ** 3n).toString(16).padStart(512, '0'), 'hex');
    assert.ok(cube.subarray(0, head.length).equals(head), 'the forgery has the right beginning');
    await isNotSigned(signedData({ content: forged, signer: weak, signedAttributes: attributes, signature }));
  });

  it('header lines in front of the signed part are not signed by it', async () => {
    const mail = cmsMail(encodeSignedData(entity, { signers: [alice] })).toString('latin1');
    const { verdict, content } = await decode(
      Buffer.from(`Subject: pay Mallory\r\n${mail}`, 'latin1'),
      options,
    );
    assert.equal(verdict.signature, 'valid');
    assert.ok(content?.equals(entity) && !content.includes('Mallory'));
  });
});
