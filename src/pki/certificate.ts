import { createHash, type KeyObject, X509Certificate } from 'node:crypto';
import {
  bitString,
  Cursor,
  content,
  type Element,
  oids,
  parse,
  type ReadAlgorithm,
  raw,
  readAlgorithm,
  smallInteger,
  tags,
  time,
} from '../asn1/index.ts';
import {
  type AuthorityInfoAccess,
  type DistributionPoint,
  readAuthorityInfoAccess,
  readDistributionPoints,
} from './distribution-point.ts';
import {
  type AuthorityKeyIdentifier,
  type BasicConstraints,
  decodeExtension,
  type Extension,
  type KeyUsage,
  readAuthorityKeyIdentifier,
  readBasicConstraints,
  readExtensions,
  readKeyUsage,
  readOids,
  readSubjectKeyIdentifier,
} from './extensions.ts';
import { type GeneralName, normalizeEmail, readGeneralNames } from './general-name.ts';
import { lazy, malformedCertificate, reading } from './malformed.ts';
import { attributeValues, type Name, nameToString, readName } from './name.ts';
import { type PublicKeyInfo, readPublicKeyInfo, toKeyObject } from './public-key.ts';

/** Larger certificates are refused. Those with post-quantum keys have about 10 kB. */
const largestCertificate = 1024 * 1024;

/**
 * An X.509 certificate (RFC 5280 section 4.1). The constructor checks that the octets are well-formed. Names, keys and
 * extensions are decoded on first use and cached. Their getters throw `certificate-malformed` if that part is wrong.
 * Nothing here implies trust.
 */
export class Certificate {
  readonly der: Buffer;
  /** tbsCertificate as it stands: the octets that are signed. */
  readonly tbs: Buffer;
  /** 1, 2 or 3. */
  readonly version: number;
  /** Content octets of the serialNumber INTEGER. */
  readonly serialNumber: Buffer;
  readonly subjectDer: Buffer;
  readonly issuerDer: Buffer;
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly publicKeyInfo: PublicKeyInfo;
  readonly signatureAlgorithm: ReadAlgorithm;
  readonly signature: Buffer;
  /** Each extension with its critical flag, by dotted object identifier. */
  readonly extensions: ReadonlyMap<string, Extension>;

  #serialHex: string | undefined;
  readonly #x509 = lazy(() => reading('certificate', () => new X509Certificate(this.der)));
  readonly #subject = lazy(() => readName(this.subjectDer));
  readonly #issuer = lazy(() => readName(this.issuerDer));
  readonly #subjectText = lazy(() => nameToString(this.#subject()));
  readonly #issuerText = lazy(() => nameToString(this.#issuer()));
  readonly #thumbprint = lazy(() => createHash('sha256').update(this.der).digest('hex'));
  readonly #publicKey = lazy(() => toKeyObject(this.publicKeyInfo));
  readonly #emails = lazy(() => findEmails(this));
  readonly #subjectKeyIdentifier = this.#decoded('subjectKeyIdentifier', readSubjectKeyIdentifier);
  readonly #authorityKeyIdentifier = this.#decoded('authorityKeyIdentifier', readAuthorityKeyIdentifier);
  readonly #keyUsage = this.#decoded('keyUsage', readKeyUsage);
  readonly #extendedKeyUsage = this.#decoded('extKeyUsage', readOids);
  readonly #basicConstraints = this.#decoded('basicConstraints', readBasicConstraints);
  readonly #subjectAltNames = this.#decoded('subjectAltName', (value) => readGeneralNames(parse(value)));
  readonly #crlDistributionPoints = this.#decoded('cRLDistributionPoints', readDistributionPoints);
  readonly #freshestCrl = this.#decoded('freshestCRL', readDistributionPoints);
  readonly #authorityInfoAccess = this.#decoded('authorityInfoAccess', readAuthorityInfoAccess);

  /** @throws SealpostError `certificate-malformed` */
  constructor(der: Buffer) {
    if (der.length > largestCertificate) {
      throw malformedCertificate('certificate', `${der.length} octets; the limit is ${largestCertificate}`);
    }
    const outer = new Cursor(reading('certificate', () => expectSequence(parse(der))));
    const tbs = reading('certificate', () => outer.expect(tags.sequence));
    this.der = der;
    this.tbs = raw(tbs);
    this.signatureAlgorithm = reading('signatureAlgorithm', () => readAlgorithm(outer.expect(tags.sequence)));
    this.signature = reading('signature', () => wholeOctets(outer.expect(tags.bitString)));
    reading('certificate', () => outer.done());
    const cursor = new Cursor(tbs);
    this.version = reading('version', () => readVersion(cursor));
    this.serialNumber = reading('serialNumber', () => content(cursor.expect(tags.integer)));
    const inner = reading('signature', () => raw(cursor.expect(tags.sequence)));
    // RFC 5280 section 4.1.1.2: both must name the same algorithm, or an attacker could choose
    if (!inner.equals(this.signatureAlgorithm.der)) {
      throw malformedCertificate('signatureAlgorithm', 'not the one that the signed part names');
    }
    this.issuerDer = reading('issuer', () => raw(cursor.expect(tags.sequence)));
    const validity = new Cursor(reading('validity', () => cursor.expect(tags.sequence)));
    this.notBefore = reading('notBefore', () => readTime(validity));
    this.notAfter = reading('notAfter', () => readTime(validity));
    this.subjectDer = reading('subject', () => raw(cursor.expect(tags.sequence)));
    this.publicKeyInfo = reading('subjectPublicKeyInfo', () =>
      readPublicKeyInfo(cursor.expect(tags.sequence)),
    );
    this.extensions = reading('extensions', () => readOptionalParts(cursor));
  }

  /** Node's own object, for whatever is not read here. */
  get x509(): X509Certificate {
    return this.#x509();
  }

  /** The subject as a string of RFC 4514. */
  get subject(): string {
    return this.#subjectText();
  }

  /** The issuer as a string of RFC 4514. */
  get issuer(): string {
    return this.#issuerText();
  }

  get subjectName(): Name {
    return this.#subject();
  }

  get issuerName(): Name {
    return this.#issuer();
  }

  /** Subject and issuer are the same name. Such a certificate need not be self-signed. */
  get isSelfIssued(): boolean {
    return this.subjectDer.equals(this.issuerDer) || this.subjectName.canonical === this.issuerName.canonical;
  }

  get serialHex(): string {
    this.#serialHex ??= this.serialNumber.toString('hex');
    return this.#serialHex;
  }

  /** SHA-256 of the certificate in hexadecimal: its name in logs, settings and verdicts. */
  get thumbprint(): string {
    return this.#thumbprint();
  }

  /** SHA-1 of the certificate in hexadecimal, as Windows shows it. */
  get thumbprintSha1(): string {
    return createHash('sha1').update(this.der).digest('hex');
  }

  /** subjectPublicKeyInfo as it stands. */
  get spki(): Buffer {
    return this.publicKeyInfo.der;
  }

  /** Dotted object identifier of the key's algorithm. */
  get publicKeyAlgorithm(): string {
    return this.publicKeyInfo.algorithm;
  }

  /**
   * The key. For a key that inherits DSA parameters from the issuer, use `validatePath`.
   * @throws SealpostError `certificate-malformed`
   */
  get publicKey(): KeyObject {
    return this.#publicKey();
  }

  /**
   * Addresses in subjectAltName (rfc822Name, SmtpUTF8Mailbox) and the subject, without repeats. Domains are in lower
   * case.
   */
  get emails(): readonly string[] {
    return this.#emails();
  }

  get subjectKeyIdentifier(): Buffer | undefined {
    return this.#subjectKeyIdentifier();
  }

  get authorityKeyIdentifier(): AuthorityKeyIdentifier | undefined {
    return this.#authorityKeyIdentifier();
  }

  get keyUsage(): ReadonlySet<KeyUsage> | undefined {
    return this.#keyUsage();
  }

  /** Dotted object identifiers. */
  get extendedKeyUsage(): readonly string[] | undefined {
    return this.#extendedKeyUsage();
  }

  get basicConstraints(): BasicConstraints | undefined {
    return this.#basicConstraints();
  }

  get subjectAltNames(): readonly GeneralName[] {
    return this.#subjectAltNames() ?? [];
  }

  get crlDistributionPoints(): readonly DistributionPoint[] | undefined {
    return this.#crlDistributionPoints();
  }

  get freshestCrl(): readonly DistributionPoint[] | undefined {
    return this.#freshestCrl();
  }

  /** Addresses of OCSP responders and of the issuer's certificate. */
  get authorityInfoAccess(): AuthorityInfoAccess {
    return this.#authorityInfoAccess() ?? { ocsp: [], caIssuers: [] };
  }

  toPem(): string {
    const lines = this.der.toString('base64').replace(/.{64}(?=.)/g, '$&\n');
    return `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`;
  }

  equals(other: Certificate): boolean {
    return this === other || this.der.equals(other.der);
  }

  #decoded<T>(name: keyof typeof oids, decode: (value: Buffer) => T): () => T | undefined {
    return lazy(() => decodeExtension(this.extensions, oids[name], name, decode));
  }
}

/**
 * Reads one DER certificate. The octets are not copied, so the caller must not change them.
 * @throws SealpostError `certificate-malformed`, saying which part is wrong
 */
export function parseCertificate(der: Buffer): Certificate {
  return new Certificate(der);
}

function expectSequence(element: Element): Element {
  if (element.cls !== 0 || element.tag !== tags.sequence) {
    throw malformedCertificate('certificate', 'it does not begin with a SEQUENCE');
  }
  return element;
}

/** The octets of a BIT STRING without unused bits, as signatures have them. */
function wholeOctets(element: Element): Buffer {
  const { octets, unusedBits } = bitString(element);
  if (unusedBits !== 0) throw malformedCertificate('signature', 'it does not end with an octet');
  return octets;
}

function readVersion(cursor: Cursor): number {
  const explicit = cursor.optional(2, 0);
  if (explicit === undefined) return 1;
  const version = smallInteger(new Cursor(explicit).expect(tags.integer)) + 1;
  if (version < 1 || version > 3) throw malformedCertificate('version', `${version} is not known`);
  return version;
}

function readTime(cursor: Cursor): Date {
  const element = cursor.next();
  if (element.cls !== 0) throw malformedCertificate('validity', 'not a time');
  return time(element);
}

/** issuerUniqueID and subjectUniqueID are skipped; extensions follow. */
function readOptionalParts(cursor: Cursor): Map<string, Extension> {
  cursor.optional(2, 1);
  cursor.optional(2, 2);
  const explicit = cursor.optional(2, 3);
  cursor.done();
  return explicit === undefined ? new Map() : readExtensions(new Cursor(explicit).expect(tags.sequence));
}

/**
 * Stands for an invalid address among the addresses of a certificate. It names nobody, but keeps the certificate from
 * counting as one without addresses, whose holder may write as anybody who is not a partner.
 */
export const unreadableAddress = '…';

function findEmails(certificate: Certificate): readonly string[] {
  const found = certificate.subjectAltNames
    .flatMap((name) => (name.kind === 'email' || name.kind === 'utf8Email' ? [name.value] : []))
    .concat(attributeValues(certificate.subjectName, oids.emailAddress))
    .map((address) => normalizeEmail(address) ?? unreadableAddress);
  return [...new Set(found)];
}
