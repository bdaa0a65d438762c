import { createHash, type KeyObject } from 'node:crypto';
import {
  Cursor,
  children,
  childrenOf,
  der,
  type Element,
  octetString,
  oids,
  parse,
  raw,
  readAlgorithm,
  readElement,
  sameAlgorithm,
  smallInteger,
  tags,
} from '../asn1/index.ts';
import { type Budget, costs, isExhaustion, publicKeyCost } from '../budget.ts';
import { SealpostError } from '../errors.ts';
import { type Certificate, inheritsParameters, keyTraits, oversized, sameKey } from '../pki/index.ts';
import { type DigestInfo, digestByOid } from './algorithms.ts';
import {
  type AlgorithmProtection,
  type Attribute,
  readAlgorithmProtection,
  readAttributes,
  readCommonAttributes,
} from './attributes.ts';
import {
  type CertificateIdentifier,
  identifies,
  knownBy,
  readCertificateIdentifier,
} from './certificate-identifier.ts';
import type { DetachedContent } from './content-reader.ts';
import {
  namesCertificate,
  readEncryptionKeyPreference,
  readReceiptRequest,
  readSigningCertificates,
} from './ess-attributes.ts';
import type { KnownCertificates } from './identity.ts';
import type { SignatureReason, SignedAttributes, SignerReport } from './report.ts';
import { maySign } from './rsa-restrictions.ts';
import {
  readSignatureAlgorithm,
  type SignatureAlgorithm,
  signedOctets,
  verifySignature,
} from './signature.ts';

/**
 * `SignerInfo ::= SEQUENCE { version, sid, digestAlgorithm, signedAttrs [0] OPTIONAL,
 * signatureAlgorithm, signature OCTET STRING, unsignedAttrs [1] OPTIONAL }` (RFC 5652 section 5.3).
 */
export interface SignerInfo {
  identifier: CertificateIdentifier;
  digestOid: string;
  /** Both as received. */
  identifiers: AlgorithmProtection;
  digest: DigestInfo | undefined;
  /** The [0] element as received. */
  signedAttributes: Element | undefined;
  algorithm: SignatureAlgorithm;
  signature: Buffer;
  unsignedAttributes: Attribute[];
}

export function readSignerInfo(element: Element): SignerInfo {
  const cursor = new Cursor(element);
  smallInteger(cursor.expect(tags.integer));
  const identifier = readCertificateIdentifier(cursor.next());
  const digestAlgorithm = readAlgorithm(cursor.expect(tags.sequence));
  const { oid: digestOid } = digestAlgorithm;
  const signedAttributes = cursor.optional(2, 0);
  const signatureAlgorithm = readAlgorithm(cursor.expect(tags.sequence));
  const algorithm = readSignatureAlgorithm(signatureAlgorithm);
  const signature = octetString(cursor.expect(tags.octetString));
  const unsigned = cursor.optional(2, 1);
  cursor.done();
  const unsignedAttributes = unsigned === undefined ? [] : readAttributes(unsigned);
  const digest = digestByOid(digestOid);
  const identifiers = { digest: digestAlgorithm, signature: signatureAlgorithm };
  return {
    identifier,
    digestOid,
    identifiers,
    digest,
    signedAttributes,
    algorithm,
    signature,
    unsignedAttributes,
  };
}

/** What signatures are checked with. */
export interface VerificationContext {
  /** eContentType, dotted; null for a countersignature, whose content has no type (RFC 5652 section 11.4). */
  contentType: string | null;
  content: DetachedContent | undefined;
  /** The certificates to search for signers. */
  certificates: readonly Certificate[];
  /** Where to look signers up after those. */
  known: KnownCertificates | undefined;
  /** See `CmsOptions.inheritedKey`. */
  inheritedKey: (certificate: Certificate) => KeyObject | undefined;
  budget: Budget;
}

/** Checks the signature of one signer, without judging its certificate (RFC 5652 section 5.6). */
export function verifySigner(signer: SignerInfo, context: VerificationContext): SignerReport {
  const { identifier, digest, algorithm } = signer;
  context.budget.spend(context.certificates.length * costs.comparison);
  const known = knownBy(identifier, context.known);
  context.budget.spend(known.length * costs.comparison);
  const candidates = namedBy(identifier, [...context.certificates, ...known]);
  const attributes = readSignedAttributes(signer.signedAttributes);
  const { reason, certificates, key } = check(signer, attributes, candidates, context);
  const [certificate = candidates[0], ...alternatives] = certificates;
  const weak = new Set([digest?.weak, algorithm.digest?.weak].filter((why) => why !== undefined));
  return {
    identifier,
    digestAlgorithm: digest?.name ?? signer.digestOid,
    signatureAlgorithm: {
      name: algorithm.name,
      oid: algorithm.oid,
      parameters: parametersInWords(algorithm, certificate),
    },
    signedAttributes: attributes instanceof SealpostError ? undefined : attributes,
    unsignedAttributes: signer.unsignedAttributes.map(({ type }) => type),
    countersignatures: context.contentType === null ? [] : countersignatures(signer, context),
    certificate,
    alternatives,
    valid: reason === 'ok',
    verifiedBy: key,
    reason,
    weak: [...weak],
  };
}

function readSignedAttributes(element: Element | undefined): SignedAttributes | undefined | SealpostError {
  if (element === undefined) return undefined;
  try {
    const attributes = readAttributes(element);
    return {
      ...readCommonAttributes(attributes),
      signingCertificates: readSigningCertificates(attributes),
      receiptRequest: readReceiptRequest(attributes),
      encryptionKeyPreference: readEncryptionKeyPreference(attributes),
    };
  } catch (error) {
    if (error instanceof SealpostError) return error;
    throw error;
  }
}

const mostCountersignatures = 10;

/**
 * The countersignatures of this signature, from an unprotected attribute. Unreadable ones are ignored, and
 * countersignatures of a countersignature are not read.
 */
function countersignatures(signer: SignerInfo, context: VerificationContext): SignerReport[] {
  const found: SignerReport[] = [];
  const values = signer.unsignedAttributes
    .filter(({ type }) => type === oids.countersignature)
    .flatMap((attribute) => attribute.values);
  const content = { digests: new Map<string, Buffer>(), content: signer.signature };
  for (const value of values.slice(0, mostCountersignatures)) {
    context.budget.spend(costs.name(value.length));
    try {
      const info = readSignerInfo(readElement(value, 0));
      found.push(verifySigner(info, { ...context, contentType: null, content }));
    } catch (error) {
      if (!(error instanceof SealpostError) || isExhaustion(error)) throw error;
    }
  }
  return found;
}

/** A digest that was not expected before the content arrived. It is available if the content was small. */
function digestOf(
  { digests, content }: DetachedContent,
  info: DigestInfo,
  budget: Budget,
): Buffer | undefined {
  const known = digests.get(info.name);
  if (known !== undefined || content === undefined) return known;
  budget.spend(content.length * costs.digestOctet(info.name));
  return signedOctets(content).digest(info);
}

/** Draws the cost of a check with a certificate's key, before the key is parsed. */
function drawForKey({ publicKeyInfo }: Certificate, octets: number, budget: Budget): void {
  const traits = keyTraits(publicKeyInfo);
  // a key that is refused for its size costs nothing
  if (oversized(traits) !== undefined) return;
  budget.spend(costs.key + publicKeyCost(traits) + octets * costs.digestOctet('sha3'));
}

/** RFC 5652 sections 11.1 to 11.3: these MUST NOT be unsigned, where anybody could have added them. */
const onlySigned: readonly string[] = [oids.contentType, oids.messageDigest, oids.signingTime];

/** Certificates tried for one signer, at most: some authorities certify a key again under the same identifier. */
const mostCandidates = 4;

/** The certificates that an identifier names, each once. A sender may name several. */
function namedBy(identifier: CertificateIdentifier, certificates: readonly Certificate[]): Certificate[] {
  const found: Certificate[] = [];
  for (const candidate of certificates) {
    if (found.length >= mostCandidates) break;
    if (!identifies(identifier, candidate) || found.some((known) => known.equals(candidate))) continue;
    found.push(candidate);
  }
  return found;
}

/** The result for a signature. If it is valid: the certificates whose key verified it, and that key. */
interface Checked {
  reason: SignatureReason;
  certificates: Certificate[];
  key: KeyObject | undefined;
}

/** Verifies the signature with the key of each matching certificate. Once a key fits, other keys do not count. */
function check(
  signer: SignerInfo,
  attributes: SignedAttributes | undefined | SealpostError,
  candidates: readonly Certificate[],
  context: VerificationContext,
): Checked {
  const wrong = checkContent(signer, attributes, context);
  const found: Checked = { reason: wrong ?? 'certificate-missing', certificates: [], key: undefined };
  if (wrong !== undefined || attributes instanceof SealpostError) return found;
  for (const certificate of candidates) {
    const isFirst = certificate === candidates[0];
    const key = keyOf(certificate, attributes, signer, context);
    if (typeof key === 'string') {
      if (isFirst) found.reason = key;
      continue;
    }
    if (found.key !== undefined) {
      if (sameKey(found.key, key)) found.certificates.push(certificate);
      continue;
    }
    const reason = checkUnder(key, signer, context);
    if (reason === 'ok') {
      found.certificates.push(certificate);
      found.key = key;
    }
    if (isFirst || reason === 'ok') found.reason = reason;
  }
  return found;
}

/** A certificate's key, or why the signature cannot be from it. */
function keyOf(
  certificate: Certificate,
  attributes: SignedAttributes | undefined,
  { signedAttributes, algorithm }: SignerInfo,
  { inheritedKey, content, budget }: VerificationContext,
): KeyObject | SignatureReason {
  // RFC 5035 section 5: a signature that names its certificate must not be shown with another one
  const named = attributes?.signingCertificates.map((each) => {
    budget.spend(certificate.der.length * costs.digestOctet(each.digestAlgorithm));
    return namesCertificate(each, (node) => createHash(node).update(certificate.der).digest());
  });
  if (named?.includes(false)) return 'certificate-mismatch';
  const scheme = algorithm.info?.scheme === 'rsa-pss' ? 'rsa-pss' : 'rsa';
  if (!maySign(certificate.publicKeyInfo, scheme, algorithm.pss)) return 'key-restricted';
  const { start, end } = signedAttributes ?? { start: 0, end: content?.content?.length ?? 0 };
  try {
    // the attributes may have to be hashed in two encodings
    drawForKey(certificate, 2 * (end - start), budget);
    if (inheritsParameters(certificate.publicKeyInfo))
      return inheritedKey(certificate) ?? 'key-parameters-missing';
    return certificate.publicKey;
  } catch (error) {
    if (isExhaustion(error)) throw error;
    return 'certificate-unusable';
  }
}

/** All checks that do not depend on the key; undefined if nothing is wrong. */
function checkContent(
  signer: SignerInfo,
  attributes: SignedAttributes | undefined | SealpostError,
  context: VerificationContext,
): SignatureReason | undefined {
  const { digest } = signer;
  if (context.content === undefined) return 'content-missing';
  if (digest === undefined) return 'digest-unsupported';
  if (attributes instanceof SealpostError) return 'attributes-malformed';
  if (signer.unsignedAttributes.some(({ type }) => onlySigned.includes(type))) return 'attributes-malformed';
  const contentDigest = digestOf(context.content, digest, context.budget);
  if (contentDigest === undefined) return 'digest-unsupported';
  if (attributes !== undefined) {
    // RFC 5652 section 5.3: both attributes MUST be there.
    const typed = context.contentType === null || attributes.contentType !== undefined;
    if (!typed || attributes.messageDigest === undefined) return 'attributes-malformed';
    if (attributes.messageDigest !== contentDigest.toString('hex')) return 'digest-mismatch';
    if (context.contentType !== null && attributes.contentType !== context.contentType)
      return 'content-type-mismatch';
    const protection = readAlgorithmProtection(attributes.all);
    if (protection instanceof SealpostError) return 'attributes-malformed';
    if (protection !== undefined && !protects(protection, signer)) return 'algorithm-mismatch';
  }
  if (attributes === undefined && isSignedAttributes(context.content.content)) return 'attributes-malformed';
  return undefined;
}

function checkUnder(
  key: KeyObject,
  signer: SignerInfo,
  { content, budget }: VerificationContext,
): SignatureReason {
  const { digest, algorithm, signature, signedAttributes } = signer;
  if (content === undefined) return 'content-missing';
  if (digest === undefined) return 'digest-unsupported';
  if (signedAttributes === undefined) {
    const signed = { octets: content.content, digest: (info: DigestInfo) => digestOf(content, info, budget) };
    return verifySignature(key, algorithm, digest, signed, signature);
  }
  let reason: SignatureReason = 'signature-mismatch';
  for (const octets of signedEncodings(signedAttributes, budget)) {
    reason = verifySignature(key, algorithm, digest, signedOctets(octets), signature);
    if (reason === 'ok') break;
  }
  return reason;
}

/**
 * Without attributes, what was signed as attributes would pass for signed content of the same octets
 * (draft-ietf-lamps-cms-euf-cma-signeddata; threats S6). No MIME entity starts like a SET.
 */
function isSignedAttributes(octets: Buffer | undefined): boolean {
  if (octets?.[0] !== (0x20 | tags.set)) return false;
  try {
    const types = readAttributes(parse(octets)).map(({ type }) => type);
    return types.includes(oids.contentType) && types.includes(oids.messageDigest);
  } catch {
    return false;
  }
}

/** RFC 6211 section 3: both are compared with their parameters. */
function protects({ digest, signature }: AlgorithmProtection, { identifiers }: SignerInfo): boolean {
  return sameAlgorithm(digest, identifiers.digest) && sameAlgorithm(signature, identifiers.signature);
}

/** Elements of signed attributes that are re-encoded in DER, at most. Genuine ones have a few dozen. */
const mostEncodedAnew = 10_000;

/**
 * What the signature may cover: the attributes as received with the tag of a SET OF (RFC 5652 section 5.4), and, if
 * these are not DER, their DER encoding, which that section requires.
 */
function* signedEncodings(element: Element, budget: Budget): Generator<Buffer> {
  const received = Buffer.from(raw(element));
  received[0] = 0x20 | tags.set;
  yield received;
  const sorted = inDer(received, budget);
  if (sorted !== undefined && !received.equals(sorted)) yield sorted;
}

/** Undefined if there are too many elements. Then only the octets as received count. */
function inDer(received: Buffer, budget: Budget): Buffer | undefined {
  let attributes: Element;
  try {
    attributes = parse(received, { maxElements: mostEncodedAnew });
  } catch (error) {
    if (error instanceof SealpostError && error.code === 'asn1-limit') return undefined;
    throw error;
  }
  return toDer(attributes, budget);
}

/** Definite lengths for elements that came with indefinite ones, or with lengths in a longer form. */
function toDer(element: Element, budget: Budget): Buffer {
  const octets = raw(element);
  budget.spend(costs.elementAnew(octets.length));
  if (!element.constructed) {
    const identifier = octets[0] ?? 0;
    return Buffer.concat([
      der.header(identifier & 0xe0, element.tag, element.contentEnd - element.contentStart),
      element.source.subarray(element.contentStart, element.contentEnd),
    ]);
  }
  const parts = children(element).map((child) => toDer(child, budget));
  const isSet = element.cls === 0 && element.tag === tags.set;
  const inner = Buffer.concat(isSet ? der.sortDer(parts) : parts);
  return Buffer.concat([der.header((octets[0] ?? 0) & 0xe0, element.tag, inner.length), inner]);
}

function parametersInWords(
  { pss }: SignatureAlgorithm,
  certificate: Certificate | undefined,
): Record<string, string> {
  const words: Record<string, string> = {};
  if (pss !== undefined) {
    words.digest = pss.digest.name;
    words.mgf1 = pss.mgfDigest.name;
    words.saltLength = String(pss.saltLength);
  }
  try {
    const details = certificate?.publicKey.asymmetricKeyDetails;
    if (details?.modulusLength !== undefined) words.bits = String(details.modulusLength);
    if (details?.namedCurve !== undefined) words.curve = details.namedCurve;
  } catch {
    // the reason says that the key cannot be used
  }
  return words;
}

/** Reads the SET OF SignerInfo. */
export function readSignerInfos(octets: Buffer, most: number, budget: Budget): SignerInfo[] {
  const found = childrenOf(readElement(octets, 0), tags.sequence, { maxElements: most + 1 });
  if (found.length > most) throw new SealpostError('cms-limit', `more than ${most} signers`);
  return found.map((element) => {
    budget.spend(costs.name(element.end - element.start));
    return readSignerInfo(element);
  });
}
