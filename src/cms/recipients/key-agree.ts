import type { KeyObject } from 'node:crypto';
import {
  type AlgorithmIdentifier,
  bitString,
  Cursor,
  childrenOf,
  type Element,
  octetString,
  parametersOf,
  readAlgorithm,
  smallInteger,
  tags,
} from '../../asn1/index.ts';
import { costs, publicKeyCost } from '../../budget.ts';
import { SealpostError } from '../../errors.ts';
import { keyTraits, type PublicKeyInfo } from '../../pki/index.ts';
import {
  type CertificateIdentifier,
  identifies,
  knownBy,
  readIssuerAndSerial,
} from '../certificate-identifier.ts';
import { agree, isDiffieHellman } from '../diffie-hellman.ts';
import { agreeOnCurve, isCurveAgreement } from '../elliptic-curve.ts';
import type { DecryptionKeys } from '../identity.ts';
import { agreementByOid, deriveKek, type KeyAgreementInfo } from '../key-derivation.ts';
import { type KeyWrap, readKeyWrap } from '../key-wrap.ts';
import type { Opener, Recipient } from './recipient.ts';

/** Everything that the recipients in one KeyAgreeRecipientInfo share. */
interface Agreement {
  originator: Originator;
  ukm: Buffer | undefined;
  algorithm: AlgorithmIdentifier;
  info: KeyAgreementInfo | undefined;
  wrap: KeyWrap | undefined;
  /** The wrap's AlgorithmIdentifier as received. */
  wrapEncoded: Buffer;
}

type Originator = { publicKey: Buffer } | { certificate: CertificateIdentifier };

/**
 * `KeyAgreeRecipientInfo ::= SEQUENCE { version, originator [0] EXPLICIT, ukm [1] EXPLICIT OPTIONAL,
 * keyEncryptionAlgorithm, recipientEncryptedKeys SEQUENCE OF SEQUENCE { rid, encryptedKey } }` (RFC
 * 5652 section 6.2.2): Diffie-Hellman (RFC 2631, 3370), ECDH (RFC 5753), X25519 and X448 (RFC 8418).
 */
export function readKeyAgree(element: Element): Recipient[] {
  const cursor = new Cursor(element);
  smallInteger(cursor.expect(tags.integer));
  const originator = readOriginator(new Cursor(cursor.expect(0, 2)).next());
  const material = cursor.optional(2, 1);
  const ukm = material === undefined ? undefined : octetString(new Cursor(material).expect(tags.octetString));
  const algorithm = readAlgorithm(cursor.expect(tags.sequence));
  const keys = childrenOf(cursor.expect(tags.sequence), tags.sequence, { maxElements: 10_000 });
  cursor.done();
  const parameters = parametersOf(algorithm);
  const isWrap = parameters !== undefined && parameters.tag === tags.sequence;
  const wrap = isWrap ? readKeyWrap(readAlgorithm(parameters)) : undefined;
  const wrapEncoded = algorithm.parameters ?? Buffer.alloc(0);
  const info = agreementByOid.get(algorithm.oid);
  const agreement = { originator, ukm, algorithm, info, wrap, wrapEncoded };
  return keys.map((key) => readRecipient(key, agreement));
}

/** `OriginatorIdentifierOrKey ::= CHOICE { issuerAndSerialNumber, subjectKeyIdentifier [0], originatorKey [1] }` */
function readOriginator(element: Element): Originator {
  if (element.cls === 2 && element.tag === 1) {
    const cursor = new Cursor(element);
    // Senders write the parameters, NULL, or nothing. Those of the recipient's certificate count.
    cursor.expect(tags.sequence);
    return { publicKey: bitString(cursor.expect(tags.bitString)).octets };
  }
  if (element.cls === 2 && element.tag === 0) {
    const subjectKeyIdentifier = octetString(element).toString('hex');
    return { certificate: { type: 'subject-key-identifier', subjectKeyIdentifier } };
  }
  return { certificate: readIssuerAndSerial(element) };
}

function readRecipient(element: Element, agreement: Agreement): Recipient {
  const cursor = new Cursor(element);
  const identifier = readRecipientIdentifier(cursor.next());
  const encryptedKey = octetString(cursor.expect(tags.octetString));
  cursor.done();
  const { info, algorithm, wrap } = agreement;
  const parameters: Record<string, string> = { wrap: wrap?.name ?? 'unknown' };
  if (info !== undefined) parameters.kdf = `${info.kdf} ${info.digest}`;
  return {
    report: {
      kind: 'key-agree',
      identifier,
      keyEncryption: { name: info?.name ?? algorithm.oid, oid: algorithm.oid, parameters },
      weak: wrap?.weak === undefined ? [] : [wrap.weak],
    },
    find: (keys) => findOpener(keys, identifier, encryptedKey, agreement),
  };
}

/** `KeyAgreeRecipientIdentifier ::= CHOICE { issuerAndSerialNumber, rKeyId [0] { subjectKeyIdentifier, ... } }` */
function readRecipientIdentifier(element: Element): CertificateIdentifier {
  if (element.cls === 0) return readIssuerAndSerial(element);
  const subjectKeyIdentifier = octetString(new Cursor(element).expect(tags.octetString)).toString('hex');
  return { type: 'subject-key-identifier', subjectKeyIdentifier };
}

function findOpener(
  keys: DecryptionKeys,
  identifier: CertificateIdentifier,
  encryptedKey: Buffer,
  agreement: Agreement,
): Opener | undefined {
  const { info, wrap, wrapEncoded, ukm } = agreement;
  if (info === undefined || wrap === undefined) return undefined;
  const identity = keys.identities.find(
    ({ certificate }) =>
      identifies(identifier, certificate) && fits(info, certificate.publicKeyInfo.algorithm),
  );
  if (identity === undefined) return undefined;
  const { name, privateKey, certificate } = identity;
  return {
    name,
    certificate,
    // checking the public value takes up to two more exponentiations
    cost: costs.key + 3 * publicKeyCost(keyTraits(certificate.publicKeyInfo)),
    recover: () => {
      try {
        const publicKey = originatorKey(agreement.originator, keys);
        const secret = sharedSecret(privateKey, certificate.publicKeyInfo, publicKey, info);
        return wrap.unwrap(deriveKek(info, { secret, wrap, wrapEncoded, ukm }), encryptedKey);
      } catch {
        return undefined;
      }
    },
  };
}

function fits(info: KeyAgreementInfo, algorithm: string): boolean {
  return info.agreement === 'dh' ? isDiffieHellman(algorithm) : isCurveAgreement(algorithm);
}

/** Content of the BIT STRING of the originator's key, from the message or from its certificate (static-static). */
function originatorKey(originator: Originator, keys: DecryptionKeys): Buffer {
  if ('publicKey' in originator) return originator.publicKey;
  const found =
    keys.certificates?.find((candidate) => identifies(originator.certificate, candidate)) ??
    knownBy(originator.certificate, keys.known)[0];
  if (found === undefined)
    throw new SealpostError('decrypt-failed', "the originator's certificate is missing");
  return found.publicKeyInfo.key;
}

function sharedSecret(
  privateKey: KeyObject,
  own: PublicKeyInfo,
  publicKey: Buffer,
  { agreement }: KeyAgreementInfo,
): Buffer {
  return isDiffieHellman(own.algorithm)
    ? agree(privateKey, publicKey)
    : agreeOnCurve(privateKey, own, publicKey, agreement === 'cofactor');
}
