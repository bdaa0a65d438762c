import {
  createCipheriv,
  createHash,
  createPublicKey,
  type KeyObject,
  publicEncrypt,
  randomBytes,
} from 'node:crypto';
import { deflateSync } from 'node:zlib';
import { oids } from '../../src/asn1/index.ts';
import * as der from '../../src/asn1/writer.ts';
import { encodeEnvelopedData, encodeSignedData } from '../../src/cms/index.ts';
import { type Certificate, parseCertificate } from '../../src/pki/index.ts';
import { createTestCa, distinguishedName } from '../support/ca.ts';
import { compressed } from './bombs.ts';
import { alice, ca, keyTransInfo } from './support.ts';

/*
 * Mail whose cost is a product: small in octets, each count within its limit, dear all together. Makers by size, for
 * the tests and for `bench/worst-cost.ts`.
 */

const text = Buffer.from('Content-Type: text/plain\r\n\r\nx\r\n');

/** A public key of RSA whose exponent is as long as its modulus: each check costs as much as signing. */
export function rsaWithLongExponent(bits: number, exponentBits: number): KeyObject {
  const number = (size: number) => {
    const octets = randomBytes(size / 8);
    octets[0] = (octets[0] ?? 0) | 0xc0;
    octets[octets.length - 1] = (octets.at(-1) ?? 0) | 1;
    return der.integer(Buffer.concat([Buffer.alloc(1), octets]));
  };
  const numbers = der.sequence(number(bits), number(exponentBits));
  const algorithm = der.sequence(der.oid(oids.rsaEncryption), der.nullValue());
  return createPublicKey({
    key: der.sequence(algorithm, der.bitString(numbers)),
    format: 'der',
    type: 'spki',
  });
}

/** Four good signatures whose issuer is looked for among namesakes with keys that are dear to check with. */
export function dearIssuers(count: number, bits = 3072, exponentBits = 3072): Buffer {
  const evil = createTestCa('Evil', { key: bits === 2048 ? 'rsa2048' : 'rsa3072' });
  const leaves = Array.from({ length: 4 }, (_, index) => evil.issue({ commonName: `leaf ${index}` }));
  const bag = Array.from({ length: count }, () =>
    ca.issueUncheckedKey(rsaWithLongExponent(bits, exponentBits), 'Evil'),
  );
  return encodeSignedData(text, { signers: leaves, certificates: bag });
}

/** Marks that have to be brought into another order, which costs the square of their number. */
export const marks = (count: number): string => `a${'\u0315\u0300\u05ae\u0327'.repeat(count / 4)}`;

/** Signers of one serial number, whose issuer's long name is held against that of each certificate. */
export function longNames(certificates: number, signers: number, characters: number): Buffer {
  const long = distinguishedName([[oids.commonName, marks(characters)]]);
  const bag = Array.from({ length: certificates }, (_, index) => {
    const { certificate } = alice;
    // another name of the same length, so that no two are the same octets
    const other = distinguishedName([[oids.commonName, `${index}${marks(characters)}`]]);
    return parseCertificate(withIssuer(certificate.der, certificate.issuerDer, other));
  });
  const serial = der.primitive(2, alice.certificate.serialNumber);
  const signer = der.sequence(
    der.integer(1),
    der.sequence(long, serial),
    der.sequence(der.oid(oids.sha256)),
    der.sequence(der.oid(oids.rsaEncryption), der.nullValue()),
    der.octetString(Buffer.alloc(256, 1)),
  );
  return signedData(
    bag.map(({ der: octets }) => octets),
    Array<Buffer>(signers).fill(signer),
  );
}

/** The certificate with another issuer; its signature is invalid then. */
function withIssuer(certificate: Buffer, issuer: Buffer, other: Buffer): Buffer {
  // Certificate ::= SEQUENCE { tbs SEQUENCE { ... issuer ... }, algorithm, signature }
  const at = certificate.indexOf(issuer);
  const tbsStart = 4;
  const tbsLength = certificate.readUInt16BE(tbsStart + 2);
  const tbsEnd = tbsStart + 4 + tbsLength;
  const tbs = Buffer.concat([
    certificate.subarray(tbsStart + 4, at),
    other,
    certificate.subarray(at + issuer.length, tbsEnd),
  ]);
  return der.sequence(der.sequence(tbs), certificate.subarray(tbsEnd));
}

function signedData(certificates: Buffer[], signers: Buffer[]): Buffer {
  const body = der.sequence(
    der.integer(1),
    der.set(der.sequence(der.oid(oids.sha256))),
    der.sequence(der.oid(oids.data), der.explicit(0, der.octetString(text))),
    der.implicit(0, true, ...certificates),
    der.set(...signers),
  );
  return der.sequence(der.oid(oids.signedData), der.explicit(0, body));
}

/** CompressedData in itself: each layer may grow two hundred times. */
export function nestedZeros(layers: number, octets: number): Buffer {
  let inner: Buffer = Buffer.alloc(octets);
  for (let layer = 0; layer < layers; layer++) inner = compressed(inner);
  return inner;
}

/** Signers that share one certificate of many addresses, which the verdict repeats for each. */
export function manyAddresses(signers: number, addresses: number): Buffer {
  const emails = Array.from({ length: addresses }, (_, index) => `address.${index}@mail.partner.example`);
  const wordy = ca.issue({ commonName: 'wordy', emails });
  return encodeSignedData(text, { signers: Array.from({ length: signers }, () => wordy) });
}

/** A mail with a part whose file name is long and awkward to trim, or full of marks. */
export function longFileName(characters: number, parts = 1): Buffer {
  const name = `a${'. '.repeat(characters / 4)}${'\u0315\u0300\u05ae\u0327'.repeat(characters / 16)}x`;
  const encoded = encodeURIComponent(name).replaceAll("'", '%27').slice(0, 90_000);
  const part = `--b\r\nContent-Type: application/octet-stream\r\nContent-Disposition: attachment;\r\n filename*=utf-8''${encoded}\r\n\r\nx\r\n`;
  return Buffer.from(
    `From: a@a.example\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n${part.repeat(parts)}--b--\r\n`,
  );
}

/** A mail that goes out with a Content-Type whose end is one run after another of semicolons and spaces. */
export function raggedContentType(characters: number): Buffer {
  return Buffer.from(
    `From: a@a.example\r\nSubject: s\r\nContent-Type: text/plain${'; '.repeat(characters / 2)}x\r\n\r\nx\r\n`,
  );
}

/** One password and many recipients for whom a key has to be derived to know whether it is theirs. */
export function manyPasswords(recipients: number, iterations: number): Buffer {
  const made = Array.from({ length: recipients }, () => ({ password: randomBytes(8), iterations: 1 }));
  const message = encodeEnvelopedData(text, { recipients: made });
  // the number of iterations is not authenticated, so it can be overwritten
  const one = Buffer.from('020101300c06082a864886f70d0209', 'hex');
  const many = Buffer.concat([Buffer.from([2, 1, Math.min(iterations, 127)]), one.subarray(3)]);
  for (let at = message.indexOf(one); at >= 0; at = message.indexOf(one, at + 1)) many.copy(message, at);
  return message;
}

/** A signature of a DSA key that is far larger than any standard has it. */
export function largeDsa(bits: number, signers: number): Buffer {
  const p = randomBytes(bits / 8);
  p[0] = 0xc1;
  p[p.length - 1] = (p.at(-1) ?? 0) | 1;
  const q = randomBytes(32);
  q[0] = 0xc1;
  q[31] = (q[31] ?? 0) | 1;
  const positive = (octets: Buffer) => der.integer(Buffer.concat([Buffer.alloc(1), octets]));
  const algorithm = der.sequence(
    der.oid(oids.dsa),
    der.sequence(positive(p), positive(q), positive(randomBytes(bits / 8 - 1))),
  );
  const y = positive(randomBytes(bits / 8 - 1));
  const key = createPublicKey({
    key: der.sequence(algorithm, der.bitString(y)),
    format: 'der',
    type: 'spki',
  });
  const certificate = ca.issueUncheckedKey(key, 'large');
  const signature = der.sequence(positive(randomBytes(31)), positive(randomBytes(31)));
  const signer = der.sequence(
    der.integer(1),
    der.sequence(certificate.issuerDer, der.primitive(2, certificate.serialNumber)),
    der.sequence(der.oid(oids.sha256)),
    der.sequence(der.oid(oids.dsaWithSha256)),
    der.octetString(signature),
  );
  return signedData([certificate.der], Array<Buffer>(signers).fill(signer));
}

/** AuthEnvelopedData with AES-GCM and authenticated attributes of this many octets, all of it genuine. */
export function longGcmAttributes(octets: number): Buffer {
  const key = randomBytes(16);
  const nonce = randomBytes(12);
  const attribute = der.sequence(der.oid('1.2.3.4'), der.set(der.octetString(Buffer.alloc(octets, 7))));
  const cipher = createCipheriv('aes-128-gcm', key, nonce);
  cipher.setAAD(der.set(attribute));
  const encrypted = Buffer.concat([cipher.update(text), cipher.final()]);
  const algorithm = der.sequence(
    der.oid(oids['aes-128-gcm']),
    der.sequence(der.octetString(nonce), der.integer(16)),
  );
  const encryptedKey = publicEncrypt({ key: alice.certificate.publicKey, padding: 1 }, key);
  const body = der.sequence(
    der.integer(0),
    der.set(keyTransInfo(alice.certificate, encryptedKey)),
    der.sequence(der.oid(oids.data), algorithm, der.implicit(0, false, encrypted)),
    der.implicit(1, true, attribute),
    der.octetString(cipher.getAuthTag()),
  );
  return der.sequence(der.oid(oids.authEnvelopedData), der.explicit(0, body));
}

/** Layers of three-key DES around one content: the slowest cipher that partners use. */
export function nestedTripleDes(layers: number, octets: number): Buffer {
  let inner: Buffer = Buffer.concat([text, Buffer.alloc(octets, 'a line\r\n')]);
  for (let layer = 0; layer < layers; layer++) {
    inner = encodeEnvelopedData(inner, {
      recipients: [{ certificate: alice.certificate }],
      contentEncryption: 'des-ede3-cbc',
      allowWeak: true,
      ...(layer === 0 ? {} : { contentType: oids.envelopedData }),
    });
  }
  return inner;
}

/** Octets of zlib that are 1,000 to 1. */
export const zeros = (octets: number): Buffer => deflateSync(Buffer.alloc(octets), { level: 9 });

/** A mail whose HTML begins one body element after another and ends none. */
export function openBodyTags(characters: number): Buffer {
  return Buffer.from(
    `From: a@a.example\r\nSubject: s\r\nContent-Type: text/html\r\n\r\n${'<body '.repeat(characters / 6)}\r\n`,
  );
}

/** A mail to this many recipients with non-ASCII names, each an encoded word. */
export function namesBeyondAscii(count: number): Buffer {
  return Buffer.from(`From: a@a.example\r\nTo: ${'\u00e9,'.repeat(count)}\r\n\r\nx\r\n`);
}

/** Multiparts in multiparts, with boundaries of dashes, around a line of dashes: each of them looks through it. */
export function dashes(levels: number, octets: number): Buffer {
  let header = 'From: a@a.example\r\nMIME-Version: 1.0\r\n';
  // no delimiter is the delimiter of another one, or closes it
  for (let level = 0, length = 1; level < levels; level++, length += length % 4 === 1 ? 1 : 3) {
    const boundary = '-'.repeat(length);
    header += `Content-Type: multipart/mixed; boundary="${boundary}"\r\n\r\n--${boundary}\r\n`;
  }
  header += 'Content-Type: text/plain\r\n\r\n';
  return Buffer.concat([Buffer.from(header), Buffer.alloc(Math.max(0, octets - header.length), '-')]);
}

/** An invalid signature, with these attributes in addition to the required ones; it names each certificate. */
function signatureWith(attributes: Buffer[], certificates: Certificate[], signers: number): Buffer {
  const [certificate] = certificates;
  if (certificate === undefined) throw new Error('nobody signs');
  const attribute = (type: string, value: Buffer) => der.sequence(der.oid(type), der.set(value));
  const signer = der.sequence(
    der.integer(1),
    der.sequence(certificate.issuerDer, der.primitive(2, certificate.serialNumber)),
    der.sequence(der.oid(oids.sha256)),
    der.implicit(
      0,
      true,
      attribute(oids.contentType, der.oid(oids.data)),
      attribute(oids.messageDigest, der.octetString(createHash('sha256').update(text).digest())),
      ...attributes,
    ),
    der.sequence(der.oid(oids.ecdsaWithSha256)),
    der.octetString(Buffer.alloc(64, 1)),
  );
  return signedData(
    certificates.map(({ der: octets }) => octets),
    Array<Buffer>(signers).fill(signer),
  );
}

/** Signers with an attribute of this many empty elements, and several certificates that each of them could mean. */
export function attributesOf(elements: number, signers: number, certificates = 4): Buffer {
  const named = Array.from({ length: certificates }, () => ca.issue({ serial: 777 }).certificate);
  const nulls = der.set(Buffer.alloc(2 * elements, der.nullValue()));
  return signatureWith([der.sequence(der.oid('1.2.3.4'), der.set(nulls))], named, signers);
}

/** Signers that say by a slow digest which certificate they mean, and it is a large one. */
export function certificatesNamed(signers: number, octets: number): Buffer {
  const ballast = { oid: '1.2.3.4', value: Buffer.alloc(octets) };
  const { certificate } = ca.issue({ commonName: 'large', extensions: [ballast] });
  const identifier = der.sequence(
    der.sequence(der.oid(oids['sha3-512'])),
    der.octetString(createHash('sha3-512').update(certificate.der).digest()),
  );
  const attribute = der.sequence(
    der.oid(oids.signingCertificateV2),
    der.set(der.sequence(der.sequence(identifier))),
  );
  return signatureWith([attribute], [certificate], signers);
}

/** Parts whose Content-Type has many parameters, each of which could be continued (RFC 2231). */
export function manyParameters(parts: number, parameters: number): Buffer {
  const list = Array.from({ length: parameters }, (_, index) => `; a${index}*0=x`).join('');
  const part = `--b\r\nContent-Type: text/plain${list}\r\n\r\n`;
  return Buffer.from(
    `From: a@a.example\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n${part.repeat(parts)}`,
  );
}

/** Multiparts in multiparts, each in quoted-printable. */
export function encodedMultiparts(levels: number, octets: number): Buffer {
  const level = (_: unknown, index: number) =>
    `Content-Type: multipart/mixed; boundary="b${index}"\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n--b${index}\r\n`;
  const header = `From: a@a.example\r\nMIME-Version: 1.0\r\n${Array.from({ length: levels }, level).join('')}`;
  return Buffer.from(`${header}Content-Type: text/plain\r\n\r\n${'x   '.repeat(octets / 4)}`);
}

/** A mail to this many addresses, each in its own non-ASCII domain. */
export function longToList(octets: number): Buffer {
  const fields: string[] = [];
  for (let at = 0, length = 0; length < octets; at++) {
    const list = Array.from({ length: 50 }, (_, each) => `a@\u00fc${at * 50 + each}.ex`).join(',');
    fields.push(`To: ${list}\r\n`);
    length += Buffer.byteLength(list) + 6;
  }
  return Buffer.from(`From: a@a.example\r\n${fields.join('')}\r\nx\r\n`);
}

/** A winmail.dat of empty attributes; its class says that it is S/MIME. */
export function tnefAttributes(octets: number): Buffer {
  const attribute = (id: number, data: Buffer) => {
    const head = Buffer.alloc(9, 1);
    head.writeUInt32LE(id, 1);
    head.writeUInt32LE(data.length, 5);
    return Buffer.concat([head, data, Buffer.alloc(2)]);
  };
  const start = Buffer.concat([
    Buffer.from('789f3e220000', 'hex'),
    attribute(0x00078008, Buffer.from('IPM.Note.SMIME\0')),
  ]);
  const empty = attribute(0x00069003, Buffer.alloc(0));
  return Buffer.concat([
    Buffer.from(
      'From: a@a.example\r\nMIME-Version: 1.0\r\nContent-Type: application/ms-tnef\r\nContent-Transfer-Encoding: binary\r\n\r\n',
    ),
    start,
    Buffer.alloc(Math.floor(octets / empty.length) * empty.length, empty),
  ]);
}

/** Attributes in nested elements of indefinite length: re-encoding in DER copies each level again. */
export function deepAttributes(octets: number, levels: number, signers = 1): Buffer {
  const named = Array.from({ length: 4 }, () => ca.issue({ serial: 777 }).certificate);
  const open = Buffer.from('3080', 'hex');
  const nested = Buffer.concat([
    ...Array<Buffer>(levels).fill(open),
    der.octetString(Buffer.alloc(octets, 7)),
    Buffer.alloc(2 * levels),
  ]);
  return signatureWith([der.sequence(der.oid('1.2.3.4'), der.set(nested))], named, signers);
}

const mailHeader = 'From: a@a.example\r\nSubject: s\r\nMIME-Version: 1.0\r\n';

/** A mail of one part. */
export function single(octets: number, type: string, encoding: string, line: string, first = ''): Buffer {
  const header = `${mailHeader}Content-Type: ${type}\r\nContent-Transfer-Encoding: ${encoding}\r\n\r\n${first}`;
  return Buffer.concat([Buffer.from(header), Buffer.alloc(octets, line)]);
}

/** Multiparts in one another, and in the innermost this line as often as there is room for. */
export function deepMultipart(octets: number, line: string, fields = '', depth = 98): Buffer {
  let before = mailHeader;
  let behind = '';
  for (let level = 0; level < depth; level++) {
    const boundary = 'b'.repeat(level + 1);
    before += `Content-Type: multipart/mixed; boundary="${boundary}"\r\n${fields}\r\n--${boundary}\r\n`;
    behind = `\r\n--${boundary}--\r\n${behind}`;
  }
  return Buffer.concat([Buffer.from(`${before}\r\n`), Buffer.alloc(octets, line), Buffer.from(behind)]);
}

/** A multipart of 999 of 999 and so on, all of them empty: no leaf, and so no part that counts. */
export function emptyMultiparts(octets: number): Buffer {
  const empty = '--c\r\nContent-Type:multipart/mixed;boundary=d\r\n\r\n--d--\r\n';
  const inner = empty.repeat(Math.min(999, Math.floor(octets / empty.length)));
  const group = `--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n${inner}--c--\r\n`;
  const groups = group.repeat(Math.max(1, Math.floor(octets / group.length)));
  return Buffer.from(`${mailHeader}Content-Type: multipart/mixed; boundary=b\r\n\r\n${groups}--b--\r\n`);
}

/** As many parts as there is room for, each with this field and next to nothing in it. */
export function partsWith(octets: number, field: string): Buffer {
  const part = `--b\r\n${field}\r\n\r\nx\r\n`;
  const count = Math.max(1, Math.min(999, Math.floor(octets / part.length)));
  return Buffer.from(
    `${mailHeader}Content-Type: multipart/mixed; boundary=b\r\n\r\n${part.repeat(count)}--b--\r\n`,
  );
}

export const encodedWords: string = `Content-Description: ${'=?a?q??= '.repeat(10_000)}`;
export const charsetParameters: string = `Content-Disposition: attachment${Array.from(
  { length: 4500 },
  (_, at) => `;a${at}*0*=${at}''b`,
).join('')}`;
/** Encoded words, each in a charset of its own that does not exist. */
export const encodedCharsets: string = `Content-Description: ${Array.from(
  { length: 6500 },
  (_, at) => `=?x${at}?q??=`,
).join(' ')}`;
export const manyFields: string = 'X:\r\n'.repeat(1990).trimEnd();
