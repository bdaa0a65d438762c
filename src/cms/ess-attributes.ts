import {
  Cursor,
  children,
  childrenOf,
  content,
  type Element,
  octetString,
  oids,
  readAlgorithm,
  tags,
} from '../asn1/index.ts';
import { SealpostError } from '../errors.ts';
import { type GeneralName, nameToString, readGeneralNames } from '../pki/index.ts';
import { digestByName, digestByOid } from './algorithms.ts';
import { type Attribute, elementOf, single } from './attributes.ts';
import { type CertificateIdentifier, readIssuerAndSerial } from './certificate-identifier.ts';

/** Attributes of RFC 2634, RFC 5035 and RFC 8551 that a signature protects in addition to the content. */

/** The certificate that the signer claims, by its digest (RFC 5035 sections 3 and 4). */
export interface SigningCertificate {
  version: 1 | 2;
  /** Name, or OID if unknown. */
  digestAlgorithm: string;
  digest: Buffer;
}

/**
 * `SigningCertificate ::= SEQUENCE { certs SEQUENCE OF ESSCertID, policies OPTIONAL }`; the first one is the signer's.
 * Both versions may be present.
 * @throws SealpostError `cms-malformed` or `asn1-*`
 */
export function readSigningCertificates(attributes: Attribute[]): SigningCertificate[] {
  const found: SigningCertificate[] = [];
  for (const [type, version] of [
    [oids.signingCertificate, 1],
    [oids.signingCertificateV2, 2],
  ] as const) {
    const value = single(attributes, type);
    if (value === undefined) continue;
    const certificates = new Cursor(value).expect(tags.sequence);
    const [first] = childrenOf(certificates, tags.sequence, { maxElements: 1000 });
    if (first === undefined)
      throw new SealpostError('cms-malformed', 'a signing certificate that names none');
    const cursor = new Cursor(first);
    // ESSCertIDv2 ::= SEQUENCE { hashAlgorithm DEFAULT sha256, certHash OCTET STRING, issuerSerial OPTIONAL }
    const algorithm = version === 2 ? cursor.optional(0, tags.sequence) : undefined;
    const implied = version === 1 ? 'sha1' : 'sha256';
    const dotted = algorithm === undefined ? undefined : readAlgorithm(algorithm).oid;
    found.push({
      version,
      digestAlgorithm: dotted === undefined ? implied : (digestByOid(dotted)?.name ?? dotted),
      digest: octetString(cursor.expect(tags.octetString)),
    });
  }
  return found;
}

/** Whether the digest matches; undefined if its algorithm is unknown. */
export function namesCertificate(
  { digestAlgorithm, digest }: SigningCertificate,
  digestOf: (node: string) => Buffer,
): boolean | undefined {
  const info = digestByName.get(digestAlgorithm);
  if (info === undefined || info.name.startsWith('shake')) return undefined;
  return digestOf(info.node).equals(digest);
}

/** A signer asks for a signed receipt (RFC 2634 section 2.7). */
export interface ReceiptRequest {
  /** signedContentIdentifier in hexadecimal. */
  contentIdentifier: string;
  /** Who should send a receipt: everybody, direct recipients, or these addresses. */
  from: 'all' | 'first-tier' | string[];
  /** Where receipts should go. */
  to: string[];
}

/**
 * `ReceiptRequest ::= SEQUENCE { signedContentIdentifier, receiptsFrom, receiptsTo SEQUENCE OF GeneralNames }`;
 * undefined if it is absent or unreadable. It is only a request, so it does not make a signature invalid.
 */
export function readReceiptRequest(attributes: Attribute[]): ReceiptRequest | undefined {
  return orNone(() => {
    const value = single(attributes, oids.receiptRequest);
    if (value === undefined) return undefined;
    const cursor = new Cursor(value);
    const contentIdentifier = octetString(cursor.expect(tags.octetString)).toString('hex');
    const from = cursor.next();
    const to = namesIn(cursor.expect(tags.sequence));
    if (from.cls === 2 && from.tag === 1) return { contentIdentifier, from: namesIn(from), to };
    const word = from.cls === 2 && from.tag === 0 ? content(from)[0] : undefined;
    if (word !== 0 && word !== 1)
      throw new SealpostError('cms-malformed', 'receiptsFrom is not one of its choices');
    return { contentIdentifier, from: word === 0 ? 'all' : 'first-tier', to };
  });
}

/** The key that replies should be encrypted for (RFC 8551 section 2.5.3); undefined if unreadable. */
export function readEncryptionKeyPreference(attributes: Attribute[]): CertificateIdentifier | undefined {
  return orNone(() => {
    const value = attributes.find(({ type }) => type === oids.encryptionKeyPreference)?.values[0];
    if (value === undefined) return undefined;
    const choice = elementOf(value);
    if (choice.cls !== 2) return undefined;
    if (choice.tag === 0) return readIssuerAndSerial(choice);
    const identifier = choice.tag === 1 ? new Cursor(choice).expect(tags.octetString) : choice;
    return { type: 'subject-key-identifier', subjectKeyIdentifier: octetString(identifier).toString('hex') };
  });
}

const mostNames = 100;

/** `SEQUENCE OF GeneralNames`, all names in words. */
function namesIn(element: Element): string[] {
  return children(element, { maxElements: mostNames }).flatMap((names) =>
    readGeneralNames(names).slice(0, mostNames).map(inWords),
  );
}

function inWords(name: GeneralName): string {
  switch (name.kind) {
    case 'directory':
      return nameToString(name.name);
    case 'ip':
      return name.octets.toString('hex');
    case 'other':
      return name.type;
    default:
      return name.value;
  }
}

function orNone<T>(read: () => T | undefined): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof SealpostError) return undefined;
    throw error;
  }
}
