import { Cursor, content, der, type Element, octetString, raw, tags } from '../asn1/index.ts';
import { SealpostError } from '../errors.ts';
import {
  type Certificate,
  issuerWord,
  keyIdentifiersOf,
  keyIdentifierWord,
  nameToString,
  readName,
  withoutZeros,
} from '../pki/index.ts';
import type { KnownCertificates } from './identity.ts';

/**
 * How CMS names a certificate or key: by IssuerAndSerialNumber or SubjectKeyIdentifier (RFC 5652 sections 5.3, 6.2.1
 * and 10.2.4), or, for recipients that have no certificate, by another identifier.
 */
export type CertificateIdentifier =
  | { type: 'issuer-serial'; issuer: string; issuerDer: Buffer; serialNumber: string }
  | { type: 'subject-key-identifier'; subjectKeyIdentifier: string }
  | { type: 'key-identifier'; keyIdentifier: string }
  | { type: 'none' };

/** Reads `CHOICE { issuerAndSerialNumber, subjectKeyIdentifier [0] }`. */
export function readCertificateIdentifier(element: Element): CertificateIdentifier {
  if (element.cls === 0 && element.tag === tags.sequence) return readIssuerAndSerial(element);
  if (element.cls === 2 && element.tag === 0) {
    return {
      type: 'subject-key-identifier',
      subjectKeyIdentifier: octetString(element).toString('hex'),
    };
  }
  throw new SealpostError('cms-malformed', 'neither issuer and serial number nor a subject key identifier');
}

/** `IssuerAndSerialNumber ::= SEQUENCE { issuer Name, serialNumber INTEGER }` */
export function readIssuerAndSerial(element: Element): CertificateIdentifier {
  const cursor = new Cursor(element);
  const issuerDer = raw(cursor.expect(tags.sequence));
  const serialNumber = content(cursor.expect(tags.integer)).toString('hex');
  cursor.done();
  return { type: 'issuer-serial', issuer: printName(issuerDer), issuerDer, serialNumber };
}

/** Nearly every message has the same few issuers. */
const printedNames = new Map<string, string>();
const mostPrintedNames = 200;

function printName(issuerDer: Buffer): string {
  const key = issuerDer.toString('latin1');
  let printed = printedNames.get(key);
  if (printed === undefined) {
    printed = readAndPrint(issuerDer);
    if (printedNames.size >= mostPrintedNames) printedNames.clear();
    if (key.length < 1000) printedNames.set(key, printed);
  }
  return printed;
}

/** A malformed name must not hide the message, so it is shown in hexadecimal. */
function readAndPrint(issuerDer: Buffer): string {
  try {
    return nameToString(readName(issuerDer));
  } catch {
    return `#${issuerDer.toString('hex')}`;
  }
}

/** Whether the identifier names this certificate. Names are compared as in RFC 5280 section 7.1. */
export function identifies(identifier: CertificateIdentifier, certificate: Certificate): boolean {
  switch (identifier.type) {
    case 'issuer-serial':
      return (
        withoutZeros(identifier.serialNumber) === withoutZeros(certificate.serialHex) &&
        (identifier.issuerDer.equals(certificate.issuerDer) || sameName(identifier.issuerDer, certificate))
      );
    case 'subject-key-identifier':
      return hasKeyIdentifier(certificate, identifier.subjectKeyIdentifier);
    default:
      return false;
  }
}

function sameName(issuerDer: Buffer, certificate: Certificate): boolean {
  const wanted = canonicalName(issuerDer);
  try {
    return wanted !== null && wanted === certificate.issuerName.canonical;
  } catch {
    return false;
  }
}

/**
 * Names in the form in which they are compared. They are parsed once per identifier, however many certificates it is
 * compared with.
 */
const canonicalNames = new WeakMap<Buffer, string | null>();

/** Null for an unreadable name. */
function canonicalName(issuerDer: Buffer): string | null {
  let canonical = canonicalNames.get(issuerDer);
  if (canonical === undefined) {
    try {
      ({ canonical } = readName(issuerDer));
    } catch {
      canonical = null;
    }
    canonicalNames.set(issuerDer, canonical);
  }
  return canonical;
}

/** A certificate with a malformed extension matches nothing, and must not spoil the others. */
function hasKeyIdentifier(certificate: Certificate, wanted: string): boolean {
  try {
    return keyIdentifiersOf(certificate).some((identifier) => identifier.toString('hex') === wanted);
  } catch {
    return false;
  }
}

/** The certificates that an identifier names, among those given. */
export function knownBy(
  identifier: CertificateIdentifier,
  known: KnownCertificates | undefined,
): readonly Certificate[] {
  const word = wordOf(identifier);
  return word === undefined || known === undefined
    ? []
    : known.find(word).filter((each) => identifies(identifier, each));
}

function wordOf(identifier: CertificateIdentifier): string | undefined {
  switch (identifier.type) {
    case 'issuer-serial':
      return issuerWord(identifier.issuerDer, identifier.serialNumber);
    case 'subject-key-identifier':
      return keyIdentifierWord(identifier.subjectKeyIdentifier);
    default:
      return undefined;
  }
}

/** In words, for an error or a log. */
export function describeIdentifier(identifier: CertificateIdentifier): string {
  switch (identifier.type) {
    case 'issuer-serial':
      return `issuer ${identifier.issuer} serial ${identifier.serialNumber}`;
    case 'subject-key-identifier':
      return `subject key identifier ${identifier.subjectKeyIdentifier}`;
    case 'key-identifier':
      return `key identifier ${identifier.keyIdentifier}`;
    case 'none':
      return 'a password';
  }
}

/** IssuerAndSerialNumber of a certificate, in DER. */
export function writeIssuerAndSerial(certificate: Certificate): Buffer {
  return der.sequence(certificate.issuerDer, der.primitive(tags.integer, certificate.serialNumber));
}
