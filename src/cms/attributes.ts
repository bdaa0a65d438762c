import {
  type AlgorithmIdentifier,
  Cursor,
  children,
  content,
  der,
  type Element,
  octetString,
  oid,
  oids,
  raw,
  readAlgorithm,
  tags,
  time,
} from '../asn1/index.ts';
import { SealpostError } from '../errors.ts';
import type { Certificate } from '../pki/index.ts';
import { contentCipherByName, contentCipherByOid } from './algorithms.ts';
import { rc2EffectiveBits } from './rc2.ts';

/** `Attribute ::= SEQUENCE { attrType OID, attrValues SET OF ANY }` (RFC 5652 section 5.3). */
export interface Attribute {
  type: string;
  /** Each value as it was received. */
  values: Buffer[];
}

const mostAttributes = 1000;

/** Reads SignedAttributes and its siblings, whose tag an IMPLICIT one has replaced. */
export function readAttributes(element: Element): Attribute[] {
  return children(element, { maxElements: mostAttributes }).map((attribute) => {
    if (attribute.tag !== tags.sequence || attribute.cls !== 0) {
      throw new SealpostError('cms-malformed', 'an attribute that is no SEQUENCE');
    }
    const cursor = new Cursor(attribute);
    const type = oid(cursor.expect(tags.oid));
    const values = children(cursor.expect(tags.set), { maxElements: mostAttributes });
    cursor.done();
    return { type, values: values.map(raw) };
  });
}

/** The value of a single-valued attribute (RFC 5652 section 11); undefined if absent. */
export function single(attributes: Attribute[], type: string): Element | undefined {
  const found = attributes.filter((attribute) => attribute.type === type);
  if (found.length === 0) return undefined;
  const [value, ...others] = found.flatMap(({ values }) => values);
  if (found.length > 1 || value === undefined || others.length > 0) {
    throw new SealpostError('cms-malformed', `the attribute ${type} must have one value`);
  }
  return elementOf(value);
}

export function elementOf(value: Buffer): Element {
  const [element] = children(wrap(value));
  if (element === undefined) throw new SealpostError('cms-malformed', 'an attribute without a value');
  return element;
}

function wrap(value: Buffer): Element {
  const contentEnd = value.length;
  return {
    cls: 0,
    constructed: true,
    tag: tags.set,
    source: value,
    start: 0,
    contentStart: 0,
    contentEnd,
    end: contentEnd,
  };
}

/** Signed attributes of RFC 5652 and RFC 8551. */
export interface CommonAttributes {
  contentType: string | undefined;
  /** In hexadecimal. */
  messageDigest: string | undefined;
  signingTime: Date | undefined;
  /** Names, or OIDs of those that are not known. */
  smimeCapabilities: string[];
  /** All attributes, in the order of the message. */
  all: Attribute[];
}

/**
 * The attributes that a verdict shows.
 * @throws SealpostError `cms-malformed` if an attribute occurs twice or has several values
 */
export function readCommonAttributes(attributes: Attribute[]): CommonAttributes {
  const contentType = single(attributes, oids.contentType);
  const messageDigest = single(attributes, oids.messageDigest);
  const signingTime = single(attributes, oids.signingTime);
  const capabilities = attributes.find(({ type }) => type === oids.smimeCapabilities)?.values[0];
  return {
    contentType: contentType === undefined ? undefined : oid(typed(contentType, tags.oid)),
    messageDigest:
      messageDigest === undefined
        ? undefined
        : octetString(typed(messageDigest, tags.octetString)).toString('hex'),
    signingTime: signingTime === undefined ? undefined : time(signingTime),
    smimeCapabilities: capabilities === undefined ? [] : capabilityNames(elementOf(capabilities)),
    all: attributes,
  };
}

/** The algorithms that a signature protects from being exchanged (RFC 6211). */
export interface AlgorithmProtection {
  digest: AlgorithmIdentifier;
  signature: AlgorithmIdentifier;
}

/**
 * `CMSAlgorithmProtection ::= SEQUENCE { digestAlgorithm, signatureAlgorithm [1] OPTIONAL, mac [2] OPTIONAL }` (RFC
 * 6211 section 2); undefined if the attribute is absent, an error if it is malformed.
 */
export function readAlgorithmProtection(
  attributes: Attribute[],
): AlgorithmProtection | undefined | SealpostError {
  try {
    const value = single(attributes, oids.algorithmProtection);
    if (value === undefined) return undefined;
    const cursor = new Cursor(value);
    const digest = readAlgorithm(cursor.expect(tags.sequence));
    const signature = readAlgorithm(cursor.expect(1, 2));
    cursor.done();
    return { digest, signature };
  } catch (error) {
    if (error instanceof SealpostError) return error;
    throw error;
  }
}

function typed(element: Element, tag: number): Element {
  if (element.cls !== 0 || element.tag !== tag) {
    throw new SealpostError(
      'cms-malformed',
      'an attribute value of another type than its specification says',
    );
  }
  return element;
}

/**
 * `SMIMECapabilities ::= SEQUENCE OF SEQUENCE { capabilityID OID, parameters ANY OPTIONAL }` (RFC 8551 section 2.5.2).
 */
function capabilityNames(element: Element): string[] {
  if (!element.constructed) return [];
  const names: string[] = [];
  for (const capability of children(element, { maxElements: mostAttributes })) {
    if (!capability.constructed) continue;
    const cursor = new Cursor(capability);
    const type = oid(cursor.expect(tags.oid));
    names.push(capabilityName(type, cursor.atEnd ? undefined : cursor.next()));
  }
  return names;
}

function capabilityName(type: string, parameters: Element | undefined): string {
  const cipher = contentCipherByOid.get(type);
  if (cipher?.family !== 'rc2') return cipher?.name ?? type;
  // the number here is the effective bits, but some software writes the RC2ParameterVersion
  if (parameters?.tag !== tags.integer) return cipher.name;
  const value = content(parameters).reduce((sum, octet) => sum * 256 + octet, 0);
  const bits = [40, 64, 128].includes(value) ? value : (rc2EffectiveBits(value) ?? value);
  return `rc2-${bits}-cbc`;
}

export function writeAttribute(type: string, ...values: Buffer[]): Buffer {
  return der.sequence(der.oid(type), der.setOf(...values));
}

/** smimeCapabilities from the names of content ciphers, the preferred one first. */
export function writeCapabilities(names: readonly string[]): Buffer {
  const capabilities = names.map((name) => {
    const rc2 = /^rc2-(\d+)-cbc$/.exec(name);
    const info = contentCipherByName.get(rc2 === null ? name : 'rc2-cbc');
    if (info === undefined) throw new SealpostError('cms-unsupported', `there is no content cipher ${name}`);
    return rc2 === null
      ? der.sequence(der.oid(info.oid))
      : der.sequence(der.oid(info.oid), der.integer(Number(rc2[1])));
  });
  return writeAttribute(oids.smimeCapabilities, der.sequence(...capabilities));
}

/**
 * The certificate to encrypt replies for: `SMIMEEncryptionKeyPreference ::= CHOICE { issuerAndSerialNumber [0] IMPLICIT
 * IssuerAndSerialNumber, ... }` (RFC 8551 section 2.5.3).
 */
export function writeKeyPreference(certificate: Certificate): Buffer {
  const { issuerDer, serialNumber } = certificate;
  const value = der.implicit(0, true, issuerDer, der.primitive(tags.integer, serialNumber));
  return writeAttribute(oids.encryptionKeyPreference, value);
}

/**
 * What `readAlgorithmProtection` reads.
 * @param digest AlgorithmIdentifier in DER
 * @param signature AlgorithmIdentifier in DER
 */
export function writeAlgorithmProtection(digest: Buffer, signature: Buffer): Buffer {
  const implicit = Buffer.from(signature);
  implicit[0] = 0xa1;
  return writeAttribute(oids.algorithmProtection, der.sequence(digest, implicit));
}
