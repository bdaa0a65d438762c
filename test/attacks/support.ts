import { constants, createCipheriv, publicEncrypt, randomBytes } from 'node:crypto';
import { oids } from '../../src/asn1/index.ts';
import * as der from '../../src/asn1/writer.ts';
import { writeIssuerAndSerial } from '../../src/cms/certificate-identifier.ts';
import type { Certificate } from '../../src/pki/index.ts';
import { type DecodeOptions, decode, type Verdict } from '../../src/smime/index.ts';
import { createTestCa, type Issued } from '../support/ca.ts';

export const ca = createTestCa('Attack Root');
export const alice: Issued = ca.issue({ commonName: 'alice', email: 'alice@example.com', key: 'rsa2048' });
export const bob: Issued = ca.issue({ commonName: 'bob', email: 'bob@example.com', key: 'rsa2048' });

/** What Alice decodes with. */
export const options: DecodeOptions = {
  identities: [alice.identity],
  trust: { anchors: [ca.certificate] },
  at: new Date('2026-01-01T00:00:00Z'),
};

export const entity: Buffer = Buffer.from(
  `Content-Type: text/plain\r\n\r\n${'a line of the secret order\r\n'.repeat(12)}`,
);

export async function verdictOf(octets: Buffer, more: Partial<DecodeOptions> = {}): Promise<Verdict> {
  return (await decode(octets, { ...options, ...more })).verdict;
}

/** KeyTransRecipientInfo whose encryptedKey is what the attacker likes. */
export function keyTransInfo(certificate: Certificate, encryptedKey: Buffer): Buffer {
  return der.sequence(
    der.integer(0),
    writeIssuerAndSerial(certificate),
    der.sequence(der.oid(oids.rsaEncryption), der.nullValue()),
    der.octetString(encryptedKey),
  );
}

export function rsaEncrypt(certificate: Certificate, key: Buffer): Buffer {
  return publicEncrypt({ key: certificate.publicKey, padding: constants.RSA_PKCS1_PADDING }, key);
}

export interface Parts {
  recipients: Buffer[];
  /** AlgorithmIdentifier of the content encryption. */
  algorithm: Buffer;
  encrypted: Buffer;
  contentType?: string;
  /** Makes AuthEnvelopedData. */
  mac?: Buffer;
}

/** EnvelopedData or AuthEnvelopedData from parts that need not fit. */
export function enveloped({ recipients, algorithm, encrypted, contentType = oids.data, mac }: Parts): Buffer {
  const info = der.sequence(der.oid(contentType), algorithm, der.implicit(0, false, encrypted));
  const body = [
    der.integer(0),
    der.set(...recipients),
    info,
    ...(mac === undefined ? [] : [der.octetString(mac)]),
  ];
  const type = mac === undefined ? oids.envelopedData : oids.authEnvelopedData;
  return der.sequence(der.oid(type), der.explicit(0, der.sequence(...body)));
}

export const aesCbc = (iv: Buffer): Buffer => der.sequence(der.oid(oids['aes-128-cbc']), der.octetString(iv));

/** AES-128-CBC over whole blocks, without a padding of its own. */
export function cbc(key: Buffer, iv: Buffer, blocks: Buffer): Buffer {
  return createCipheriv('aes-128-cbc', key, iv).setAutoPadding(false).update(blocks);
}

/** Content with the padding of RFC 5652 section 6.3. */
export function padded(content: Buffer): Buffer {
  const count = 16 - (content.length % 16);
  return Buffer.concat([content, Buffer.alloc(count, count)]);
}

/** Octets that end like a padding, or surely not like one. */
export function noise(octets: number, isPadded: boolean): Buffer {
  const made = randomBytes(octets);
  made[made.length - 1] = isPadded ? 1 : 0;
  return made;
}

export function multipartSigned(first: string | Buffer, signature: Buffer, more = ''): Buffer {
  return Buffer.concat([
    Buffer.from(
      'From: alice@example.com\r\nMIME-Version: 1.0\r\n' +
        'Content-Type: multipart/signed; protocol="application/pkcs7-signature"; micalg=sha-256; boundary=b\r\n\r\n--b\r\n',
    ),
    Buffer.from(first),
    Buffer.from(
      `\r\n--b\r\nContent-Type: application/pkcs7-signature; name=smime.p7s\r\nContent-Transfer-Encoding: base64\r\n\r\n${base64(signature)}\r\n${more}--b--\r\n`,
    ),
  ]);
}

export const base64 = (octets: Buffer): string => octets.toString('base64').replace(/.{76}/g, '$&\r\n');

export function cmsMail(object: Buffer): Buffer {
  return Buffer.from(
    `From: alice@example.com\r\nMIME-Version: 1.0\r\nContent-Type: application/pkcs7-mime; name=smime.p7m\r\nContent-Transfer-Encoding: base64\r\n\r\n${base64(object)}\r\n`,
  );
}
