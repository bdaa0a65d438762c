import { constants, type KeyObject } from 'node:crypto';
import {
  type AlgorithmIdentifier,
  Cursor,
  der,
  type Element,
  octetString,
  oids,
  readAlgorithm,
  smallInteger,
  tags,
  writeAlgorithm,
} from '../../asn1/index.ts';
import { costs } from '../../budget.ts';
import { SealpostError } from '../../errors.ts';
import { type Certificate, keyTraits } from '../../pki/index.ts';
import { keyTransportByOid } from '../algorithms.ts';
import {
  type CertificateIdentifier,
  identifies,
  readCertificateIdentifier,
  writeIssuerAndSerial,
} from '../certificate-identifier.ts';
import { type DecryptionKeys, keyIdentifierOf } from '../identity.ts';
import { pkcs1Decrypt, publicEncrypt } from '../native.ts';
import {
  type OaepParameters,
  oaepDecrypt,
  oaepEncrypt,
  oaepOf,
  readOaepParameters,
  writeOaepParameters,
} from '../oaep.ts';
import { mayTransport } from '../rsa-restrictions.ts';
import type { Opener, Recipient } from './recipient.ts';

type Unwrap = (key: KeyObject, encryptedKey: Buffer) => Buffer;

/**
 * `KeyTransRecipientInfo ::= SEQUENCE { version, rid RecipientIdentifier, keyEncryptionAlgorithm,
 * encryptedKey OCTET STRING }` (RFC 5652 section 6.2.1).
 */
export function readKeyTrans(element: Element): Recipient[] {
  const cursor = new Cursor(element);
  smallInteger(cursor.expect(tags.integer));
  const identifier = readCertificateIdentifier(cursor.next());
  const algorithm = readAlgorithm(cursor.expect(tags.sequence));
  const encryptedKey = octetString(cursor.expect(tags.octetString));
  cursor.done();
  const { name, parameters, unwrap, oaep } = readTransport(algorithm);
  return [
    {
      report: {
        kind: 'key-trans',
        identifier,
        keyEncryption: { name, oid: algorithm.oid, parameters },
        weak: [],
      },
      find: (keys) => findOpener(keys, identifier, encryptedKey, unwrap, oaep),
    },
  ];
}

function readTransport(algorithm: AlgorithmIdentifier): {
  name: string;
  parameters: Record<string, string>;
  unwrap: Unwrap | undefined;
  oaep?: OaepParameters;
} {
  const transport = keyTransportByOid.get(algorithm.oid);
  if (transport === undefined) return { name: algorithm.oid, parameters: {}, unwrap: undefined };
  if (transport.name === 'rsa') return { name: 'rsa', parameters: {}, unwrap: pkcs1Decrypt };
  const oaep = readOaepParameters(algorithm);
  const parameters: Record<string, string> = { digest: oaep.digest.name, mgf1: oaep.mgfDigest.name };
  if (oaep.label.length > 0) parameters.label = oaep.label.toString('hex');
  return {
    name: transport.name,
    parameters,
    oaep,
    unwrap: (key, encryptedKey) => oaepDecrypt(key, encryptedKey, oaep),
  };
}

/** Keys are chosen by identifier, never by trying them in turn (threats S3, CVE-2019-1563). */
function findOpener(
  keys: DecryptionKeys,
  identifier: CertificateIdentifier,
  encryptedKey: Buffer,
  unwrap: Unwrap | undefined,
  oaep: OaepParameters | undefined,
): Opener | undefined {
  if (unwrap === undefined) return undefined;
  const identity = keys.identities.find(
    ({ certificate, privateKey }) =>
      privateKey.asymmetricKeyType === 'rsa' && identifies(identifier, certificate),
  );
  if (identity === undefined) return undefined;
  const { name, privateKey, certificate } = identity;
  // taken from the certificate, whose traits are kept: node looks a key's details up each time they are read
  const { bits = 0 } = keyTraits(certificate.publicKeyInfo);
  return {
    name,
    certificate,
    refused: mayTransport(certificate.publicKeyInfo, oaep) ? undefined : refusalOf(certificate, name),
    cost: costs.rsaPrivate(bits),
    recover: () => {
      try {
        return unwrap(privateKey, leftPadded(encryptedKey, Math.ceil(bits / 8)));
      } catch {
        return undefined;
      }
    },
  };
}

const refusalOf = ({ subject }: Certificate, name: string) =>
  `the certificate of ${name} (${subject}) does not allow its key to be used with this key transport (RFC 4055)`;

/** Some senders drop leading zeros of the encrypted key. */
function leftPadded(octets: Buffer, size: number): Buffer {
  return octets.length >= size ? octets : Buffer.concat([Buffer.alloc(size - octets.length), octets]);
}

export interface KeyTransOptions {
  certificate: Certificate;
  /** OAEP with a digest for hash and MGF1, and a label. Default: PKCS#1 v1.5. */
  oaep?: { digest: string; label?: Buffer };
  /** Name the certificate by its subject key identifier instead of issuer and serial number. */
  bySubjectKeyIdentifier?: boolean;
}

/**
 * A KeyTransRecipientInfo in DER.
 * @throws SealpostError `encode-recipient` if the certificate's key is not RSA, or too small
 */
export function writeKeyTrans(contentKey: Buffer, options: KeyTransOptions): Buffer {
  const { certificate, oaep } = options;
  const key = certificate.publicKey;
  if (key.asymmetricKeyType !== 'rsa') {
    throw new SealpostError('encode-recipient', `the key of ${certificate.subject} is not RSA`);
  }
  try {
    const parameters = oaep === undefined ? undefined : oaepOf(oaep.digest, oaep.label);
    if (!mayTransport(certificate.publicKeyInfo, parameters)) {
      throw new SealpostError(
        'encode-recipient',
        `the certificate of ${certificate.subject} does not allow this key transport (RFC 4055)`,
        { hint: 'choose the keyTransport that the certificate names' },
      );
    }
    const algorithm =
      parameters === undefined
        ? writeAlgorithm(oids.rsaEncryption, der.nullValue())
        : writeAlgorithm(oids.rsaesOaep, writeOaepParameters(parameters));
    const encryptedKey =
      parameters === undefined
        ? publicEncrypt({ key, padding: constants.RSA_PKCS1_PADDING }, contentKey)
        : oaepEncrypt(key, contentKey, parameters);
    const bySki = options.bySubjectKeyIdentifier === true;
    const identifier = bySki
      ? der.implicit(0, false, keyIdentifierOf(certificate))
      : writeIssuerAndSerial(certificate);
    return der.sequence(der.integer(bySki ? 2 : 0), identifier, algorithm, der.octetString(encryptedKey));
  } catch (cause) {
    if (cause instanceof SealpostError) throw cause;
    throw new SealpostError('encode-recipient', `the key of ${certificate.subject} cannot encrypt`, {
      cause,
    });
  }
}
