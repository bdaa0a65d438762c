import {
  bitString,
  Cursor,
  type Element,
  Header,
  integer,
  oids,
  parse,
  type ReadAlgorithm,
  raw,
  readAlgorithm,
  readElement,
  tags,
  time,
} from '../asn1/index.ts';
import { type IssuingDistributionPoint, readIssuingDistributionPoint } from './distribution-point.ts';
import {
  type AuthorityKeyIdentifier,
  decodeExtension,
  type Extension,
  readAuthorityKeyIdentifier,
  readExtensions,
} from './extensions.ts';
import { readGeneralNames } from './general-name.ts';
import { lazy, malformedCertificate, reading } from './malformed.ts';
import { type Name, readName } from './name.ts';

/** Larger lists are refused. Some real ones have 50 MB. */
const largestCrl = 128 * 1024 * 1024;
const mostEntries = 5_000_000;

/** CRLReason by number (RFC 5280 section 5.3.1). */
const crlReasons = [
  'unspecified',
  'keyCompromise',
  'cACompromise',
  'affiliationChanged',
  'superseded',
  'cessationOfOperation',
  'certificateHold',
  undefined,
  'removeFromCRL',
  'privilegeWithdrawn',
  'aACompromise',
] as const;

export interface CrlEntry {
  revokedAt: Date;
  /** CRLReason by name. */
  reason: string;
}

/** Supported extensions of a list and its entries. Any other critical extension makes the list unusable. */
const understood: ReadonlySet<string> = new Set([
  oids.authorityKeyIdentifier,
  oids.cRLNumber,
  oids.deltaCRLIndicator,
  oids.issuingDistributionPoint,
  oids.freshestCRL,
  oids.issuerAltName,
]);
const understoodInEntries: ReadonlySet<string> = new Set([
  oids.cRLReason,
  oids.invalidityDate,
  oids.certificateIssuer,
]);

/** A certificate revocation list (RFC 5280 section 5). Entries are read at the first look-up and cached. */
export class Crl {
  readonly der: Buffer;
  readonly tbs: Buffer;
  readonly signatureAlgorithm: ReadAlgorithm;
  readonly signature: Buffer;
  readonly issuerDer: Buffer;
  readonly issuerName: Name;
  readonly thisUpdate: Date;
  readonly nextUpdate: Date | undefined;
  readonly extensions: ReadonlyMap<string, Extension>;
  readonly #revoked: Element | undefined;

  readonly #distributionPoint = lazy(() =>
    decodeExtension(
      this.extensions,
      oids.issuingDistributionPoint,
      'issuingDistributionPoint',
      readIssuingDistributionPoint,
    ),
  );
  readonly #authorityKeyIdentifier = lazy(() =>
    decodeExtension(
      this.extensions,
      oids.authorityKeyIdentifier,
      'authorityKeyIdentifier',
      readAuthorityKeyIdentifier,
    ),
  );
  readonly #number = this.#integerExtension('cRLNumber');
  readonly #baseNumber = this.#integerExtension('deltaCRLIndicator');
  readonly #entries = lazy(() => reading('revokedCertificates', () => this.#readEntries()));

  /** @throws SealpostError `certificate-malformed` */
  constructor(der: Buffer) {
    if (der.length > largestCrl)
      throw malformedCertificate('CRL', `${der.length} octets; the limit is ${largestCrl}`);
    const element = reading('CRL', () => readElement(der, 0));
    const outer = new Cursor(reading('CRL', () => element));
    const tbs = reading('CRL', () => outer.expect(tags.sequence));
    this.der = der;
    this.tbs = raw(tbs);
    this.signatureAlgorithm = reading('CRL', () => readAlgorithm(outer.expect(tags.sequence)));
    this.signature = reading('CRL', () => bitString(outer.expect(tags.bitString)).octets);
    const cursor = new Cursor(tbs);
    const inner = reading('CRL', () => {
      cursor.optional(0, tags.integer);
      return raw(cursor.expect(tags.sequence));
    });
    if (!inner.equals(this.signatureAlgorithm.der)) {
      throw malformedCertificate('CRL', 'the signature algorithm is not the one that the signed part names');
    }
    this.issuerDer = reading('CRL issuer', () => raw(cursor.expect(tags.sequence)));
    this.issuerName = readName(this.issuerDer);
    this.thisUpdate = reading('thisUpdate', () => time(cursor.next()));
    this.nextUpdate = reading('nextUpdate', () => {
      const next = cursor.optional(0, tags.utcTime) ?? cursor.optional(0, tags.generalizedTime);
      return next === undefined ? undefined : time(next);
    });
    this.#revoked = reading('CRL', () => cursor.optional(0, tags.sequence));
    this.extensions = reading('CRL extensions', () => {
      const explicit = cursor.optional(2, 0);
      cursor.done();
      return explicit === undefined ? new Map() : readExtensions(new Cursor(explicit).expect(tags.sequence));
    });
  }

  get distributionPoint(): IssuingDistributionPoint | undefined {
    return this.#distributionPoint();
  }

  get authorityKeyIdentifier(): AuthorityKeyIdentifier | undefined {
    return this.#authorityKeyIdentifier();
  }

  get number(): bigint | undefined {
    return this.#number();
  }

  /** For a delta list: the number of the complete list that it builds upon. */
  get baseNumber(): bigint | undefined {
    return this.#baseNumber();
  }

  get isDelta(): boolean {
    return this.extensions.has(oids.deltaCRLIndicator);
  }

  /** False if the list or one of its entries has a critical extension that is not understood (section 5.2). */
  get isUnderstood(): boolean {
    for (const { oid, critical } of this.extensions.values()) {
      if (critical && !understood.has(oid)) return false;
    }
    return this.#entries().understood;
  }

  /**
   * The entry of a certificate, if it is on the list.
   * @param issuer canonical name of the certificate's issuer, which indirect lists need
   */
  find(issuer: string, serialNumber: Buffer): CrlEntry | undefined {
    const at = this.#entries().byIssuer.get(issuer)?.get(serialNumber.toString('latin1'));
    return at === undefined ? undefined : reading('CRL entry', () => this.#entryAt(at));
  }

  #integerExtension(name: 'cRLNumber' | 'deltaCRLIndicator'): () => bigint | undefined {
    return lazy(() => decodeExtension(this.extensions, oids[name], name, (value) => integer(parse(value))));
  }

  /**
   * One pass over a list that may have a million entries. It records only where each entry is; the rest is read on
   * demand.
   */
  #readEntries(): { byIssuer: Map<string, Map<string, number>>; understood: boolean } {
    const byIssuer = new Map<string, Map<string, number>>();
    let understood = true;
    if (this.#revoked === undefined) return { byIssuer, understood };
    const { source, contentStart, contentEnd } = this.#revoked;
    const header = new Header();
    const expect = (tag: number, at: number, limit: number): number => {
      const fits =
        header.read(source, at, limit) && header.cls === 0 && header.tag === tag && header.length >= 0;
      const end = header.contentStart + header.length;
      if (!fits || end > limit) throw malformedCertificate('CRL', `a wrong entry at offset ${at}`);
      return end;
    };
    // in an indirect list, the issuer of an entry also applies to those that follow it (section 5.3.3)
    let current = entriesOf(byIssuer, this.issuerName.canonical);
    let count = 0;
    // most entries have the same few extensions
    const known = new Map<string, { understood: boolean; issuer: string | undefined }>();
    for (let at = contentStart; at < contentEnd; ) {
      if (++count > mostEntries) throw malformedCertificate('CRL', `more than ${mostEntries} entries`);
      const end = expect(tags.sequence, at, contentEnd);
      const serialStart = header.contentStart;
      const serialEnd = expect(tags.integer, serialStart, end);
      const serial = source.toString('latin1', header.contentStart, serialEnd);
      if (!header.read(source, serialEnd, end))
        throw malformedCertificate('CRL', `a wrong entry at offset ${at}`);
      const extensionsStart = header.contentStart + header.length;
      if (extensionsStart < end) {
        const octets = source.toString('latin1', extensionsStart, end);
        const extensions =
          known.get(octets) ?? entryExtensions(readElement(source.subarray(0, end), extensionsStart));
        if (known.size < mostKnown) known.set(octets, extensions);
        understood &&= extensions.understood;
        if (extensions.issuer !== undefined) current = entriesOf(byIssuer, extensions.issuer);
      }
      current.set(serial, at);
      at = end;
    }
    return { byIssuer, understood };
  }

  #entryAt(at: number): CrlEntry {
    const entry = new Cursor(readElement(this.#revoked?.source ?? this.der, at));
    entry.expect(tags.integer);
    const revokedAt = time(entry.next());
    const list = entry.optional(0, tags.sequence);
    return { revokedAt, reason: entryReason(list === undefined ? undefined : readExtensions(list)) };
  }
}

const mostKnown = 1000;

function entriesOf(byIssuer: Map<string, Map<string, number>>, issuer: string): Map<string, number> {
  const known = byIssuer.get(issuer) ?? new Map<string, number>();
  byIssuer.set(issuer, known);
  return known;
}

function entryExtensions(list: Element): { understood: boolean; issuer: string | undefined } {
  const extensions = readExtensions(list);
  const understood = [...extensions.values()].every(
    ({ oid, critical }) => !critical || understoodInEntries.has(oid),
  );
  return { understood, issuer: entryIssuer(extensions) };
}

/** Reads one DER list. @throws SealpostError `certificate-malformed` */
export function parseCrl(der: Buffer): Crl {
  return new Crl(der);
}

function entryIssuer(extensions: ReadonlyMap<string, Extension>): string | undefined {
  const names = decodeExtension(extensions, oids.certificateIssuer, 'certificateIssuer', (value) =>
    readGeneralNames(parse(value)),
  );
  const directory = names?.find((name) => name.kind === 'directory');
  return directory?.kind === 'directory' ? directory.name.canonical : undefined;
}

/** The name of a CRLReason number; `unspecified` for an unknown one. */
export function crlReasonName(number: number): string {
  return crlReasons[number] ?? 'unspecified';
}

function entryReason(extensions: ReadonlyMap<string, Extension> | undefined): string {
  const value = extensions?.get(oids.cRLReason)?.value;
  // ENUMERATED in one octet: 0a 01 nn.
  return crlReasonName(value?.length === 3 ? (value[2] ?? 0) : 0);
}
