import {
  Cursor,
  content,
  type Element,
  type OidName,
  oid,
  oids,
  parse,
  raw,
  tags,
  text,
} from '../asn1/index.ts';
import { malformedCertificate, reading } from './malformed.ts';

/** One attribute of a distinguished name. */
export interface NameAttribute {
  /** Dotted object identifier of the type. */
  type: string;
  value: string;
  /** The form for comparison (RFC 5280 section 7.1). */
  canonical: string;
  /** The whole value element as it stands. */
  der: Buffer;
}

/** A distinguished name: relative names in the order of the encoding, the most significant first. */
export interface Name {
  der: Buffer;
  rdns: NameAttribute[][];
  /** One string per relative name. Two names are the same if all of these are. */
  canonicalRdns: string[];
  canonical: string;
}

const mostRdns = 256;
/** Octets of a Name: twice what RFC 5280 allows for its longest attribute (ub-name). */
const largestName = 65_536;
/** Characters of a value that is normalized. Real names have a few dozen. */
const longestFolded = 4096;
/**
 * More marks in a row than any language writes (UAX #15, section 13, Stream-Safe Text). The cost of ordering them grows
 * with the square of their number.
 */
const tooManyMarks = /\p{M}{31}/u;

/** Short names of attribute types (RFC 4514 section 3), and names that people know from other programs. */
const shortNames = new Map<string, string>(
  (
    [
      ['commonName', 'CN'],
      ['localityName', 'L'],
      ['stateOrProvinceName', 'ST'],
      ['organizationName', 'O'],
      ['organizationalUnitName', 'OU'],
      ['countryName', 'C'],
      ['streetAddress', 'STREET'],
      ['domainComponent', 'DC'],
      ['userId', 'UID'],
      ['emailAddress', 'emailAddress'],
      ['serialNumber', 'serialNumber'],
      ['surname', 'SN'],
      ['givenName', 'givenName'],
      ['title', 'title'],
    ] satisfies [OidName, string][]
  ).map(([name, short]) => [oids[name], short]),
);

const stringTags: ReadonlySet<number> = new Set([
  tags.utf8String,
  tags.numericString,
  tags.printableString,
  tags.teletexString,
  tags.ia5String,
  tags.visibleString,
  tags.universalString,
  tags.bmpString,
]);

/**
 * Reads a Name: `RDNSequence ::= SEQUENCE OF SET OF SEQUENCE { type OID, value ANY }` (RFC 5280
 * section 4.1.2.4).
 * @throws SealpostError `certificate-malformed`
 */
export function readName(der: Buffer): Name {
  return reading('name', () => {
    if (der.length > largestName) throw malformedCertificate('name', `more than ${largestName} octets`);
    const rdns: NameAttribute[][] = [];
    const cursor = new Cursor(parse(der));
    while (!cursor.atEnd) {
      if (rdns.length >= mostRdns) throw malformedCertificate('name', `more than ${mostRdns} parts`);
      rdns.push(readRdn(cursor.expect(tags.set)));
    }
    return nameOf(der, rdns);
  });
}

/** Reads one RelativeDistinguishedName, whose tag an IMPLICIT one may have replaced. */
export function readRdn(element: Element): NameAttribute[] {
  const attributes: NameAttribute[] = [];
  const cursor = new Cursor(element);
  while (!cursor.atEnd) {
    if (attributes.length >= mostRdns) throw malformedCertificate('name', `more than ${mostRdns} attributes`);
    const pair = new Cursor(cursor.expect(tags.sequence));
    const type = oid(pair.expect(tags.oid));
    const value = pair.next();
    pair.done();
    attributes.push(readAttribute(type, value));
  }
  if (attributes.length === 0) throw malformedCertificate('name', 'an empty part');
  return attributes;
}

/** A name made of the parts of `base` and one more: the nameRelativeToCRLIssuer of RFC 5280 section 4.2.1.13. */
export function appendRdn(base: Name, rdn: NameAttribute[]): Name {
  return nameOf(base.der, [...base.rdns, rdn]);
}

function nameOf(der: Buffer, rdns: NameAttribute[][]): Name {
  // JSON escapes whatever a value may hold, so no value can look like two
  const canonicalRdns = rdns.map((rdn) =>
    JSON.stringify(rdn.map(({ type, canonical }) => `${type}=${canonical}`).sort()),
  );
  return { der, rdns, canonicalRdns, canonical: canonicalRdns.join('\n') };
}

function readAttribute(type: string, element: Element): NameAttribute {
  const der = raw(element);
  if (element.cls !== 0 || !stringTags.has(element.tag)) {
    const hex = `#${der.toString('hex')}`;
    return { type, value: hex, canonical: hex, der };
  }
  const value = text(element);
  // such a value only equals another one octet for octet
  const foldable = value.length <= longestFolded && !tooManyMarks.test(value);
  const canonical = foldable ? canonicalValue(value) : `#${der.toString('hex')}`;
  return { type, value, canonical, der };
}

/** Case and runs of white space are ignored (RFC 5280 section 7.1, RFC 4518). */
function canonicalValue(value: string): string {
  return value.normalize('NFKC').toLowerCase().replace(/\s+/g, ' ').trim();
}

/**
 * True if `name` lies in the subtree of `base`, that is, begins with all parts of `base` (RFC 5280 section 4.2.1.10).
 */
export function isWithin(name: Name, base: Name): boolean {
  return (
    name.canonicalRdns.length >= base.canonicalRdns.length &&
    base.canonicalRdns.every((part, index) => part === name.canonicalRdns[index])
  );
}

/** The string form of RFC 4514: the last part first, special characters escaped. */
export function nameToString(name: Name): string {
  return name.rdns
    .map((rdn) => rdn.map(attributeToString).join('+'))
    .reverse()
    .join(',');
}

function attributeToString({ type, value, der }: NameAttribute): string {
  const short = shortNames.get(type);
  if (short === undefined) return `${type}=#${der.toString('hex')}`;
  return `${short}=${value.startsWith('#') && value.slice(1) === der.toString('hex') ? value : escapeValue(value)}`;
}

/** RFC 4514 section 2.4. Control characters are written in hexadecimal, so that a name is safe to print. */
function escapeValue(value: string): string {
  return value
    .replace(/["+,;<>\\=]/g, '\\$&')
    .replace(/^[ #]/, '\\$&')
    .replace(/(?<!\\) $/, '\\ ')
    .replace(/\p{Cc}/gu, (control) =>
      [...Buffer.from(control)].map((octet) => `\\${octet.toString(16).padStart(2, '0')}`).join(''),
    );
}

/** The values of one attribute type, in order. */
export function attributeValues(name: Name, type: string): string[] {
  return name.rdns.flatMap((rdn) =>
    rdn.filter((attribute) => attribute.type === type).map(({ value }) => value),
  );
}

/** True for a Name without parts. Certificates that carry all names in subjectAltName have such a subject. */
export function isEmptyName(der: Buffer): boolean {
  return content(parse(der)).length === 0;
}
