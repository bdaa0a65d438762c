// a namespace import, because Node.js below 24.7 has neither `encapsulate` nor `decapsulate`, and naming them would
// fail
import * as crypto from 'node:crypto';
import {
  Cursor,
  der,
  type Element,
  octetString,
  oid,
  oids,
  raw,
  readAlgorithm,
  smallInteger,
  tags,
  writeAlgorithm,
} from '../../asn1/index.ts';
import { costs } from '../../budget.ts';
import type { Certificate } from '../../pki/index.ts';
import { identifies, readCertificateIdentifier, writeIssuerAndSerial } from '../certificate-identifier.ts';
import type { FreshEncryption } from '../ciphers.ts';
import { keyIdentifierOf } from '../identity.ts';
import { keyWrapByName, readKeyWrap } from '../key-wrap.ts';
import type { Recipient } from './recipient.ts';

/** FIPS 203 (NIST's OIDs), and HKDF of RFC 8619. */
const kems = new Map<string, string>([
  [oids['ml-kem-512'], 'ml-kem-512'],
  [oids['ml-kem-768'], 'ml-kem-768'],
  [oids['ml-kem-1024'], 'ml-kem-1024'],
]);
const kdfs = new Map<string, string>([
  [oids['hkdf-with-sha256'], 'sha256'],
  [oids['hkdf-with-sha384'], 'sha384'],
  [oids['hkdf-with-sha512'], 'sha512'],
]);

/** True if the certificate's key can encapsulate. */
export function encapsulates(certificate: Certificate): boolean {
  return kems.has(certificate.publicKeyInfo.algorithm);
}

/**
 * `OtherRecipientInfo ::= SEQUENCE { oriType OID, oriValue ANY }` with `KEMRecipientInfo ::= SEQUENCE {
 * version, rid, kem, kemct OCTET STRING, kdf, kekLength, ukm [0] EXPLICIT OPTIONAL, wrap, encryptedKey }`
 * (RFC 9629 section 3), for ML-KEM (RFC 9936). Another oriType is listed and matches nothing.
 */
export function readOther(element: Element): Recipient[] {
  const outer = new Cursor(element);
  const type = oid(outer.expect(tags.oid));
  const value = outer.next();
  outer.done();
  if (type === oids.kemRecipientInfo) return readKem(value);
  const keyEncryption = { name: type, oid: type, parameters: {} };
  return [
    {
      report: { kind: 'other', identifier: { type: 'none' }, keyEncryption, weak: [] },
      find: () => undefined,
    },
  ];
}

function readKem(element: Element): Recipient[] {
  const cursor = new Cursor(element);
  smallInteger(cursor.expect(tags.integer));
  const identifier = readCertificateIdentifier(cursor.next());
  const kem = readAlgorithm(cursor.expect(tags.sequence));
  const ciphertext = octetString(cursor.expect(tags.octetString));
  const kdf = readAlgorithm(cursor.expect(tags.sequence));
  const length = smallInteger(cursor.expect(tags.integer));
  const material = cursor.optional(2, 0);
  const wrapElement = cursor.expect(tags.sequence);
  const encryptedKey = octetString(cursor.expect(tags.octetString));
  cursor.done();
  const ukm = material === undefined ? undefined : octetString(new Cursor(material).expect(tags.octetString));
  const name = kems.get(kem.oid);
  const digest = kdfs.get(kdf.oid);
  const wrap = readKeyWrap(readAlgorithm(wrapElement));
  const parameters = {
    kdf: digest === undefined ? kdf.oid : `hkdf ${digest}`,
    wrap: wrap?.name ?? 'unknown',
  };
  return [
    {
      report: {
        kind: 'kem',
        identifier,
        keyEncryption: { name: name ?? kem.oid, oid: kem.oid, parameters },
        weak: [],
      },
      find: ({ identities }) => {
        if (name === undefined || digest === undefined || wrap?.keyOctets !== length) return undefined;
        const found = identities.find(
          ({ certificate, privateKey }) =>
            privateKey.asymmetricKeyType === name && identifies(identifier, certificate),
        );
        if (found === undefined) return undefined;
        const recover = (): Buffer | undefined => {
          try {
            const secret = crypto.decapsulate(found.privateKey, ciphertext);
            return wrap.unwrap(deriveKek(digest, secret, raw(wrapElement), length, ukm), encryptedKey);
          } catch {
            return undefined;
          }
        };
        return { name: found.name, certificate: found.certificate, cost: costs.lattice, recover };
      },
    },
  ];
}

/**
 * HKDF over `CMSORIforKEMOtherInfo ::= SEQUENCE { wrap, kekLength, ukm [0] EXPLICIT OPTIONAL }` (RFC 9629 section 5).
 */
function deriveKek(digest: string, secret: Buffer, wrap: Buffer, length: number, ukm?: Buffer): Buffer {
  const material = ukm === undefined ? [] : [der.explicit(0, der.octetString(ukm))];
  const info = der.sequence(wrap, der.integer(length), ...material);
  return Buffer.from(crypto.hkdfSync(digest, secret, Buffer.alloc(0), info, length));
}

/** An OtherRecipientInfo with ML-KEM, HKDF-SHA-256 and AES-256 key wrap, in DER. */
export function writeKem(
  fresh: FreshEncryption,
  options: { certificate: Certificate; bySubjectKeyIdentifier?: boolean },
): Buffer {
  const { certificate } = options;
  const wrap = keyWrapByName('aes-256-wrap');
  const { sharedKey, ciphertext } = crypto.encapsulate(certificate.publicKey);
  const kek = deriveKek('sha256', sharedKey, wrap.encoded, wrap.keyOctets);
  const value = der.sequence(
    der.integer(0),
    options.bySubjectKeyIdentifier === true
      ? der.implicit(0, false, keyIdentifierOf(certificate))
      : writeIssuerAndSerial(certificate),
    writeAlgorithm(certificate.publicKeyInfo.algorithm),
    der.octetString(ciphertext),
    writeAlgorithm(oids['hkdf-with-sha256']),
    der.integer(wrap.keyOctets),
    wrap.encoded,
    der.octetString(wrap.wrap(kek, fresh.key)),
  );
  return der.implicit(4, true, der.oid(oids.kemRecipientInfo), value);
}
