import {
  bitString,
  boolean,
  Cursor,
  content,
  type Element,
  octetString,
  oid,
  oids,
  parse,
  smallInteger,
  tags,
} from '../asn1/index.ts';
import { malformedCertificate, reading } from './malformed.ts';

/** `Extension ::= SEQUENCE { extnID, critical DEFAULT FALSE, extnValue OCTET STRING }` (RFC 5280 section 4.1.2.9). */
export interface Extension {
  oid: string;
  critical: boolean;
  /** The octets inside extnValue. */
  value: Buffer;
}

const mostExtensions = 200;

/** Reads Extensions. Two of the same kind are refused (RFC 5280 section 4.2). */
export function readExtensions(element: Element): Map<string, Extension> {
  const found = new Map<string, Extension>();
  const cursor = new Cursor(element);
  while (!cursor.atEnd) {
    const extension = readExtension(cursor.expect(tags.sequence));
    if (found.has(extension.oid)) throw malformedCertificate('extensions', `${extension.oid} twice`);
    if (found.size >= mostExtensions) throw malformedCertificate('extensions', `more than ${mostExtensions}`);
    found.set(extension.oid, extension);
  }
  return found;
}

function readExtension(element: Element): Extension {
  const cursor = new Cursor(element);
  const type = oid(cursor.expect(tags.oid));
  const critical = cursor.optional(0, tags.boolean);
  const value = octetString(cursor.expect(tags.octetString));
  cursor.done();
  return { oid: type, critical: critical !== undefined && boolean(critical), value };
}

/** Bits of KeyUsage in order (RFC 5280 section 4.2.1.3). */
export const keyUsages = [
  'digitalSignature',
  'nonRepudiation',
  'keyEncipherment',
  'dataEncipherment',
  'keyAgreement',
  'keyCertSign',
  'cRLSign',
  'encipherOnly',
  'decipherOnly',
] as const;

export type KeyUsage = (typeof keyUsages)[number];

export function readKeyUsage(value: Buffer): ReadonlySet<KeyUsage> {
  return new Set(namedBits(parse(value), keyUsages));
}

/** The names of the bits that are set in a BIT STRING. Bit 0 is the highest of the first octet. */
export function namedBits<T extends string>(element: Element, names: readonly T[]): T[] {
  const { octets } = bitString(element);
  return names.filter((_, bit) => ((octets[bit >> 3] ?? 0) & (0x80 >> (bit & 7))) !== 0);
}

export interface BasicConstraints {
  ca: boolean;
  /** How many intermediate certificates may follow, not counting self-issued ones. */
  pathLength?: number;
}

export function readBasicConstraints(value: Buffer): BasicConstraints {
  const cursor = new Cursor(parse(value));
  const ca = cursor.optional(0, tags.boolean);
  const length = cursor.optional(0, tags.integer);
  cursor.done();
  const constraints: BasicConstraints = { ca: ca !== undefined && boolean(ca) };
  if (length !== undefined) {
    constraints.pathLength = smallInteger(length);
    if (constraints.pathLength < 0) throw malformedCertificate('basicConstraints', 'a negative length');
  }
  return constraints;
}

export function readOids(value: Buffer): string[] {
  const found: string[] = [];
  const cursor = new Cursor(parse(value));
  while (!cursor.atEnd) {
    if (found.length >= 1000) throw malformedCertificate('extension', 'more than 1000 entries');
    found.push(oid(cursor.expect(tags.oid)));
  }
  return found;
}

export function readSubjectKeyIdentifier(value: Buffer): Buffer {
  return octetString(parse(value));
}

export interface AuthorityKeyIdentifier {
  keyIdentifier?: Buffer;
  /** Content octets of authorityCertSerialNumber. */
  serialNumber?: Buffer;
}

/** RFC 5280 section 4.2.1.1. The issuer names in it are not used, because programs disagree about them. */
export function readAuthorityKeyIdentifier(value: Buffer): AuthorityKeyIdentifier {
  const cursor = new Cursor(parse(value));
  const keyIdentifier = cursor.optional(2, 0);
  cursor.optional(2, 1);
  const serialNumber = cursor.optional(2, 2);
  return {
    ...(keyIdentifier === undefined ? {} : { keyIdentifier: content(keyIdentifier) }),
    ...(serialNumber === undefined ? {} : { serialNumber: content(serialNumber) }),
  };
}

/** Extensions that path validation or its callers support. Any other critical extension invalidates a path. */
export const understoodExtensions: ReadonlySet<string> = new Set([
  oids.subjectKeyIdentifier,
  oids.authorityKeyIdentifier,
  oids.keyUsage,
  oids.extKeyUsage,
  oids.basicConstraints,
  oids.subjectAltName,
  oids.issuerAltName,
  oids.nameConstraints,
  oids.certificatePolicies,
  oids.policyMappings,
  oids.policyConstraints,
  oids.inhibitAnyPolicy,
  oids.cRLDistributionPoints,
  oids.freshestCRL,
]);

/** Decodes the value of an extension, if present. Errors name the extension. */
export function decodeExtension<T>(
  extensions: ReadonlyMap<string, Extension>,
  type: string,
  name: string,
  decode: (value: Buffer) => T,
): T | undefined {
  const extension = extensions.get(type);
  return extension === undefined ? undefined : reading(`extension ${name}`, () => decode(extension.value));
}
