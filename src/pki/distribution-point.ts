import { boolean, Cursor, content, type Element, oid, oids, parse, tags } from '../asn1/index.ts';
import { namedBits } from './extensions.ts';
import { type GeneralName, readGeneralName, readGeneralNames } from './general-name.ts';
import { malformedCertificate } from './malformed.ts';
import { type NameAttribute, readRdn } from './name.ts';

/** Bits of ReasonFlags in order (RFC 5280 section 4.2.1.13). */
export const reasonFlags = [
  'unused',
  'keyCompromise',
  'cACompromise',
  'affiliationChanged',
  'superseded',
  'cessationOfOperation',
  'certificateHold',
  'privilegeWithdrawn',
  'aACompromise',
] as const;

export type ReasonFlag = (typeof reasonFlags)[number];

/** `DistributionPointName ::= CHOICE { fullName [0] GeneralNames, nameRelativeToCRLIssuer [1] RDN }` */
export interface DistributionPointName {
  fullName?: GeneralName[];
  relativeName?: NameAttribute[];
}

/** One entry of cRLDistributionPoints or freshestCRL (RFC 5280 section 4.2.1.13). */
export interface DistributionPoint {
  name?: DistributionPointName;
  reasons?: ReasonFlag[];
  crlIssuer?: GeneralName[];
}

const mostPoints = 1000;

export function readDistributionPoints(value: Buffer): DistributionPoint[] {
  const points: DistributionPoint[] = [];
  const cursor = new Cursor(parse(value));
  while (!cursor.atEnd) {
    if (points.length >= mostPoints)
      throw malformedCertificate('distribution points', `more than ${mostPoints}`);
    points.push(readDistributionPoint(cursor.expect(tags.sequence)));
  }
  return points;
}

function readDistributionPoint(element: Element): DistributionPoint {
  const cursor = new Cursor(element);
  const name = cursor.optional(2, 0);
  const reasons = cursor.optional(2, 1);
  const crlIssuer = cursor.optional(2, 2);
  cursor.done();
  return {
    ...(name === undefined ? {} : { name: readDistributionPointName(name) }),
    ...(reasons === undefined ? {} : { reasons: namedBits(reasons, reasonFlags) }),
    ...(crlIssuer === undefined ? {} : { crlIssuer: readGeneralNames(crlIssuer) }),
  };
}

/** The CHOICE inside an explicit tag. */
function readDistributionPointName(element: Element): DistributionPointName {
  const choice = new Cursor(element).next();
  if (choice.tag === 0) return { fullName: readGeneralNames(choice) };
  if (choice.tag === 1) return { relativeName: readRdn(choice) };
  throw malformedCertificate('distribution point', `a name of kind ${choice.tag}`);
}

/** `IssuingDistributionPoint` of a CRL: what it covers (RFC 5280 section 5.2.5). */
export interface IssuingDistributionPoint {
  name?: DistributionPointName;
  onlyUserCertificates: boolean;
  onlyCaCertificates: boolean;
  onlySomeReasons?: ReasonFlag[];
  indirect: boolean;
  onlyAttributeCertificates: boolean;
}

export function readIssuingDistributionPoint(value: Buffer): IssuingDistributionPoint {
  const cursor = new Cursor(parse(value));
  const name = cursor.optional(2, 0);
  const flag = (tag: number): boolean => {
    const element = cursor.optional(2, tag);
    return element !== undefined && boolean(element);
  };
  const onlyUserCertificates = flag(1);
  const onlyCaCertificates = flag(2);
  const reasons = cursor.optional(2, 3);
  const point: IssuingDistributionPoint = {
    onlyUserCertificates,
    onlyCaCertificates,
    indirect: flag(4),
    onlyAttributeCertificates: flag(5),
    ...(name === undefined ? {} : { name: readDistributionPointName(name) }),
    ...(reasons === undefined ? {} : { onlySomeReasons: namedBits(reasons, reasonFlags) }),
  };
  cursor.done();
  return point;
}

/** Addresses of authorityInfoAccess (RFC 5280 section 4.2.2.1). */
export interface AuthorityInfoAccess {
  ocsp: string[];
  caIssuers: string[];
}

export function readAuthorityInfoAccess(value: Buffer): AuthorityInfoAccess {
  const access: AuthorityInfoAccess = { ocsp: [], caIssuers: [] };
  const cursor = new Cursor(parse(value));
  for (let count = 0; !cursor.atEnd; count++) {
    if (count >= mostPoints)
      throw malformedCertificate('authorityInfoAccess', `more than ${mostPoints} entries`);
    const description = new Cursor(cursor.expect(tags.sequence));
    const method = oid(description.expect(tags.oid));
    const element = description.next();
    // only URLs are used, so a malformed name of another kind does not matter
    if (element.tag !== 6 || content(element).length > 4096) continue;
    const location = readGeneralName(element);
    if (location.kind !== 'uri') continue;
    if (method === oids.ocsp) access.ocsp.push(location.value);
    if (method === oids.caIssuers) access.caIssuers.push(location.value);
  }
  return access;
}
