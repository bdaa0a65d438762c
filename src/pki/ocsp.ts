import { createHash } from 'node:crypto';
import {
  type AlgorithmIdentifier,
  bitString,
  Cursor,
  content,
  der,
  type Element,
  octetString,
  oid,
  oids,
  parse,
  raw,
  readAlgorithm,
  tags,
  time,
} from '../asn1/index.ts';
import { type Certificate, parseCertificate } from './certificate.ts';
import { crlReasonName } from './crl.ts';
import { type Extension, readExtensions } from './extensions.ts';
import { malformedCertificate, reading } from './malformed.ts';

const largestResponse = 1024 * 1024;
const mostResponses = 1000;

/** `CertID`: names a certificate by hashes of its issuer and its serial number (RFC 6960 section 4.1.1). */
export interface CertId {
  /** Digest by Node's name; undefined if unknown. */
  digest: string | undefined;
  issuerNameHash: Buffer;
  issuerKeyHash: Buffer;
  serialNumber: Buffer;
}

/** `SingleResponse`: what is said about one certificate. */
export interface OcspStatus {
  id: CertId;
  status: 'good' | 'revoked' | 'unknown';
  revokedAt?: Date;
  /** CRLReason by name. */
  reason?: string;
  thisUpdate: Date;
  nextUpdate?: Date;
  extensions: ReadonlyMap<string, Extension>;
}

/** `BasicOCSPResponse`: a signed answer (RFC 6960 section 4.2.1). Nothing here says that its signature is valid. */
export interface OcspResponse {
  /** The signed octets. */
  tbs: Buffer;
  signatureAlgorithm: AlgorithmIdentifier;
  signature: Buffer;
  responder: { name: Buffer } | { keyHash: Buffer };
  producedAt: Date;
  statuses: OcspStatus[];
  /** Certificates that came with it, possibly including the signer's. */
  certificates: Certificate[];
  extensions: ReadonlyMap<string, Extension>;
}

const digests = ['sha1', 'sha256', 'sha384', 'sha512'] as const;

/**
 * A request about one certificate (RFC 6960 section 4.1) in the form of RFC 5019: SHA-1 names and no nonce, so that any
 * responder understands it and caches may answer. Freshness comes from the times in the answer.
 */
export function encodeOcspRequest(certificate: Certificate, issuer: Certificate): Buffer {
  const hash = (data: Buffer) => createHash('sha1').update(data).digest();
  const certId = der.sequence(
    der.sequence(der.oid(oids.sha1), der.nullValue()),
    der.octetString(hash(certificate.issuerDer)),
    der.octetString(hash(issuer.publicKeyInfo.key)),
    // the content octets as they stand: a serial number may be negative
    Buffer.concat([der.header(0, tags.integer, certificate.serialNumber.length), certificate.serialNumber]),
  );
  return der.sequence(der.sequence(der.sequence(der.sequence(certId))));
}

/** True if the CertID names this certificate of this issuer. */
export function isAbout(id: CertId, certificate: Certificate, issuer: Certificate): boolean {
  const { digest } = id;
  if (digest === undefined || !id.serialNumber.equals(certificate.serialNumber)) return false;
  const hash = (data: Buffer) => createHash(digest).update(data).digest();
  return (
    hash(certificate.issuerDer).equals(id.issuerNameHash) &&
    hash(issuer.publicKeyInfo.key).equals(id.issuerKeyHash)
  );
}

/**
 * Reads `OCSPResponse ::= SEQUENCE { responseStatus, responseBytes [0] }` (RFC 6960 section 4.2.1).
 * @throws SealpostError `certificate-malformed`, also if the responder answers with an error
 */
export function parseOcspResponse(data: Buffer): OcspResponse {
  if (data.length > largestResponse) {
    throw malformedCertificate('OCSP answer', `${data.length} octets; the limit is ${largestResponse}`);
  }
  return reading('OCSP answer', () => {
    const outer = new Cursor(parse(data));
    const status = content(outer.expect(tags.enumerated))[0] ?? 0;
    if (status !== 0)
      throw malformedCertificate('OCSP answer', `the responder refuses with status ${status}`);
    const bytes = new Cursor(new Cursor(outer.expect(0, 2)).expect(tags.sequence));
    if (oid(bytes.expect(tags.oid)) !== oids.ocspBasic) {
      throw malformedCertificate('OCSP answer', 'it is not of the basic type');
    }
    return readBasic(parse(octetString(bytes.expect(tags.octetString))));
  });
}

function readBasic(element: Element): OcspResponse {
  const cursor = new Cursor(element);
  const data = cursor.expect(tags.sequence);
  const signatureAlgorithm = readAlgorithm(cursor.expect(tags.sequence));
  const signature = bitString(cursor.expect(tags.bitString)).octets;
  const certificates = cursor.optional(2, 0);
  cursor.done();
  const inner = new Cursor(data);
  inner.optional(2, 0);
  const responder = readResponder(inner.next());
  const producedAt = time(inner.expect(tags.generalizedTime));
  const statuses = elements(inner.expect(tags.sequence)).map(readStatus);
  return {
    tbs: raw(data),
    signatureAlgorithm,
    signature,
    responder,
    producedAt,
    statuses,
    extensions: readOptionalExtensions(inner),
    certificates:
      certificates === undefined
        ? []
        : elements(new Cursor(certificates).expect(tags.sequence)).map((one) => parseCertificate(raw(one))),
  };
}

function elements(sequence: Element): Element[] {
  const found: Element[] = [];
  const cursor = new Cursor(sequence);
  while (!cursor.atEnd) {
    if (found.length >= mostResponses) throw malformedCertificate('OCSP answer', 'too many entries');
    found.push(cursor.next());
  }
  return found;
}

/** `ResponderID ::= CHOICE { byName [1] Name, byKey [2] OCTET STRING }`, with explicit tags. */
function readResponder(element: Element): { name: Buffer } | { keyHash: Buffer } {
  const inside = new Cursor(element);
  if (element.cls === 2 && element.tag === 1) return { name: raw(inside.expect(tags.sequence)) };
  if (element.cls === 2 && element.tag === 2)
    return { keyHash: octetString(inside.expect(tags.octetString)) };
  throw malformedCertificate('OCSP answer', 'a responder of unknown kind');
}

function readStatus(element: Element): OcspStatus {
  const cursor = new Cursor(element);
  const id = readCertId(cursor.expect(tags.sequence));
  const status = cursor.next();
  const thisUpdate = time(cursor.expect(tags.generalizedTime));
  const next = cursor.optional(2, 0);
  return {
    id,
    ...readCertStatus(status),
    thisUpdate,
    ...(next === undefined ? {} : { nextUpdate: time(new Cursor(next).expect(tags.generalizedTime)) }),
    extensions: readOptionalExtensions(cursor),
  };
}

function readCertId(element: Element): CertId {
  const cursor = new Cursor(element);
  const algorithm = readAlgorithm(cursor.expect(tags.sequence)).oid;
  return {
    digest: digests.find((name) => oids[name] === algorithm),
    issuerNameHash: octetString(cursor.expect(tags.octetString)),
    issuerKeyHash: octetString(cursor.expect(tags.octetString)),
    serialNumber: content(cursor.expect(tags.integer)),
  };
}

/** `CertStatus ::= CHOICE { good [0] NULL, revoked [1] RevokedInfo, unknown [2] NULL }`, with implicit tags. */
function readCertStatus(element: Element): Pick<OcspStatus, 'status' | 'revokedAt' | 'reason'> {
  if (element.cls !== 2) throw malformedCertificate('OCSP answer', 'a status of unknown kind');
  if (element.tag === 0) return { status: 'good' };
  if (element.tag !== 1) return { status: 'unknown' };
  const cursor = new Cursor(element);
  const revokedAt = time(cursor.expect(tags.generalizedTime));
  const reason = cursor.optional(2, 0);
  const number = reason === undefined ? 0 : (content(new Cursor(reason).expect(tags.enumerated))[0] ?? 0);
  return { status: 'revoked', revokedAt, reason: crlReasonName(number) };
}

/** `[1] EXPLICIT Extensions OPTIONAL`, as the last element. */
function readOptionalExtensions(cursor: Cursor): Map<string, Extension> {
  const explicit = cursor.optional(2, 1);
  cursor.done();
  return explicit === undefined ? new Map() : readExtensions(new Cursor(explicit).expect(tags.sequence));
}
