import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import { children, oids, parse, readElement } from '../../src/asn1/index.ts';
import * as der from '../../src/asn1/writer.ts';
import { keyIdentifierOf } from '../../src/cms/identity.ts';
import { CompressedDataWriter, encodeEnvelopedData, encodeSignedData } from '../../src/cms/index.ts';
import type { Certificate } from '../../src/pki/index.ts';
import { decode, decodeSync } from '../../src/smime/index.ts';
import { alice, ca, cmsMail, entity, options, verdictOf } from '../attacks/support.ts';
import { pushThrough } from '../message/pushing.ts';

// What Windows and .NET write, and no other peer here does: made by hand after the sources of dotnet/runtime
// (ManagedPkcsPal: only the content octets of what is no id-data are encrypted; .NET Core 2 put id-data into an
// OCTET STRING) and the documentation of CERT_KEY_IDENTIFIER_PROP_ID.

const recipients = [{ certificate: alice.certificate }];
const encrypted = (content: Buffer, contentType: string = oids.data) =>
  cmsMail(encodeEnvelopedData(content, { recipients, contentType }));

/** Without tag and length. */
function contentOf(octets: Buffer): Buffer {
  const { contentStart, contentEnd } = readElement(octets, 0);
  return octets.subarray(contentStart, contentEnd);
}

/** The structure in a ContentInfo. */
function bare(object: Buffer): Buffer {
  const [, explicit] = children(parse(object));
  assert.ok(explicit);
  return object.subarray(explicit.contentStart, explicit.contentEnd);
}

describe('encrypted CMS types without the outermost header, as Windows and .NET write them', () => {
  const signed = encodeSignedData(entity, { signers: [alice] });
  const large = Buffer.concat([entity, Buffer.alloc(200_000, 'more\r\n')]);
  const forms: [string, Buffer][] = [
    ['a SignedData without its SEQUENCE', contentOf(bare(signed))],
    ['a ContentInfo without its SEQUENCE', contentOf(signed)],
    ['a SignedData as it should be', bare(signed)],
    ['a ContentInfo in its place', signed],
  ];
  for (const [title, octets] of forms) {
    it(`reads ${title}`, async () => {
      const { verdict, content } = await decode(encrypted(octets, oids.signedData), options);
      assert.deepEqual(
        verdict.layers.map(({ type }) => type),
        ['enveloped-data', 'signed-data'],
      );
      assert.equal(verdict.signature, 'valid');
      assert.deepEqual(content, entity);
    });
  }

  it('reads a large one that comes in pieces', async () => {
    const mail = encrypted(contentOf(bare(encodeSignedData(large, { signers: [alice] }))), oids.signedData);
    function* pieces() {
      for (let at = 0; at < mail.length; at += 1001) yield mail.subarray(at, at + 1001);
    }
    const { verdict, content } = await decode(pieces(), options);
    assert.equal(verdict.signature, 'valid');
    assert.deepEqual(content, large);
  });

  it('reads an EnvelopedData and a CompressedData so', async () => {
    const inner = encodeEnvelopedData(entity, { recipients });
    const twice = await decode(encrypted(contentOf(bare(inner)), oids.envelopedData), options);
    assert.deepEqual(twice.content, entity);
    const packed = pushThrough([entity], (output) => new CompressedDataWriter(output));
    const compressed = await decode(encrypted(contentOf(bare(packed)), oids.compressedData), options);
    assert.deepEqual(compressed.content, entity);
  });

  it('does not read a truncated value, or one with trailing octets', async () => {
    const octets = contentOf(bare(signed));
    for (const broken of [octets.subarray(0, -1), Buffer.concat([octets, Buffer.from('x')])]) {
      const verdict = await verdictOf(encrypted(broken, oids.signedData));
      assert.equal(verdict.error?.code, 'decrypt-failed');
    }
  });
});

describe('id-data in an OCTET STRING of its own, as .NET Core 2 wrote it', () => {
  const contentOfMail = (content: Buffer) => decodeSync(encrypted(content), options).content;

  for (const length of [1, 100, 127, 128, 255, 256, 4090, 4095, 4096, 5000, 65_535, 65_536, 300_000]) {
    it(`takes ${length} octets out of it`, () => {
      const inside = Buffer.alloc(length, 'UNB+UNOC:3+ ');
      assert.deepEqual(contentOfMail(der.octetString(inside)), inside);
    });
  }

  it('peels what is in it', async () => {
    const { verdict, content } = await decode(
      encrypted(der.octetString(cmsMail(encodeSignedData(entity, { signers: [alice] })))),
      options,
    );
    assert.equal(verdict.signature, 'valid');
    assert.deepEqual(content, entity);
  });

  it('leaves content unchanged that only starts like one', () => {
    for (const length of [20, 5000]) {
      const inside = Buffer.alloc(length, 'x');
      const string = der.octetString(inside);
      const other = [
        // one octet is missing, and a block more than there should be
        string.subarray(0, -1),
        Buffer.concat([string, Buffer.alloc(40, 'y')]),
        // not DER: one octet of length more than needed
        Buffer.concat([Buffer.from([0x04, 0x83, 0, inside.length >> 8, inside.length & 0xff]), inside]),
        // another tag
        Buffer.concat([Buffer.from([0x0c]), string.subarray(1)]),
      ];
      // a long one is told by its length up to the padding; what is left is a fault
      for (const content of length === 20 ? other : other.slice(1)) {
        assert.deepEqual(contentOfMail(content), content);
      }
    }
  });

  it('calls a long one that does not end with the content a failure', () => {
    const string = der.octetString(Buffer.alloc(5000, 'x'));
    const { verdict } = decodeSync(encrypted(string.subarray(0, -1)), options);
    assert.equal(verdict.error?.code, 'decrypt-failed');
  });
});

describe('subject key identifiers of certificates without the extension', () => {
  const without = ca.issue({ commonName: 'without', key: 'rsa2048', subjectKeyIdentifier: null });
  const withOne = ca.issue({ commonName: 'with', key: 'rsa2048', subjectKeyIdentifier: Buffer.alloc(20, 7) });
  const sha1 = (octets: Buffer) => createHash('sha1').update(octets).digest();

  for (const [title, issued, expected] of [
    ['is SHA-1 of the key, or of the whole SubjectPublicKeyInfo, where there is none', without, undefined],
    ['is nothing else where there is one', withOne, 'decrypt-no-key'],
  ] as const) {
    it(title, async () => {
      const { key, der: whole } = issued.certificate.publicKeyInfo;
      for (const [identifier, code] of [
        [sha1(key), expected],
        [sha1(whole), expected],
        [sha1(issued.certificate.der), 'decrypt-no-key'],
      ] as const) {
        const mail = cmsMail(encryptedFor(issued.certificate, identifier));
        const verdict = await verdictOf(mail, { identities: [issued.identity] });
        assert.equal(verdict.error?.code, code);
      }
    });
  }

  it('finds the certificate of a signer too', async () => {
    const signers = [{ ...without, bySubjectKeyIdentifier: true }];
    const { key, der: whole } = without.certificate.publicKeyInfo;
    const object = replaced(encodeSignedData(entity, { signers }), sha1(key), sha1(whole));
    assert.equal((await verdictOf(cmsMail(object))).signature, 'valid');
    const other = replaced(encodeSignedData(entity, { signers }), sha1(key), sha1(entity));
    assert.equal((await verdictOf(cmsMail(other))).signature, 'invalid');
  });
});

function replaced(octets: Buffer, from: Buffer, to: Buffer): Buffer {
  const at = octets.indexOf(from);
  assert.ok(at > 0);
  const changed = Buffer.from(octets);
  to.copy(changed, at);
  return changed;
}

/** EnvelopedData by this key identifier. */
function encryptedFor(certificate: Certificate, identifier: Buffer): Buffer {
  const object = encodeEnvelopedData(entity, { recipients: [{ certificate, bySubjectKeyIdentifier: true }] });
  return replaced(object, keyIdentifierOf(certificate), identifier);
}
