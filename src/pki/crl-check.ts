import { isExhaustion } from '../budget.ts';
import { SealpostError } from '../errors.ts';
import type { Certificate } from './certificate.ts';
import { useFault } from './certificate-use.ts';
import type { Crl, CrlEntry } from './crl.ts';
import {
  type DistributionPoint,
  type DistributionPointName,
  type IssuingDistributionPoint,
  type ReasonFlag,
  reasonFlags,
} from './distribution-point.ts';
import type { GeneralName } from './general-name.ts';
import { appendRdn, type Name } from './name.ts';
import { ocspStatus } from './ocsp-check.ts';
import { findPaths, type Issuers } from './path-build.ts';
import { type CheckedPath, checkPath } from './path-check.ts';
import { clockSkew, PathFailure, type PathOptions, type RevocationStatus } from './path-types.ts';
import type { IssuerKey, SignatureChecker } from './signature-check.ts';

const allReasons: ReadonlySet<ReasonFlag> = new Set(reasonFlags.filter((flag) => flag !== 'unused'));

/** What stays the same for all certificates of one path. */
interface Lookup {
  options: PathOptions;
  signatures: SignatureChecker;
  issuers: Issuers;
  anchor: Certificate;
  /** The certificate at the lower end of the path, with its key. */
  leaf: Issuer;
  /** Signers of lists whose own status is being looked up, each only once per chain of questions. */
  asking: ReadonlySet<string>;
}

/**
 * Revocation of each certificate of a valid path except the root, by OCSP answers or else by CRLs: RFC 5280 section
 * 6.3, with distribution points, and indirect, partitioned and delta lists. The leaf comes first.
 */
export function checkRevocation(
  path: readonly Certificate[],
  checked: CheckedPath,
  options: PathOptions,
  signatures: SignatureChecker,
  issuers: Issuers,
  asking: ReadonlySet<string> = new Set(),
): RevocationStatus[] {
  const anchor = path.at(-1);
  const leaf = path[0];
  if (anchor === undefined || leaf === undefined) return [];
  const lookup: Lookup = {
    options,
    signatures,
    issuers,
    anchor,
    leaf: { certificate: leaf, key: checked.leafKey },
    asking,
  };
  return path.slice(0, -1).map((certificate, index) => {
    const issuer = path[index + 1];
    const key = checked.issuerKeys[index];
    if (issuer === undefined || key === undefined) return { certificate, status: 'unknown' };
    return statusOf(certificate, { certificate: issuer, key }, lookup);
  });
}

interface Issuer {
  certificate: Certificate;
  key: IssuerKey;
}

function statusOf(certificate: Certificate, issuer: Issuer, lookup: Lookup): RevocationStatus {
  const unknown: RevocationStatus = { certificate, status: 'unknown' };
  try {
    const answer = ocspStatus(certificate, issuer, lookup.options, lookup.signatures);
    if (answer !== undefined) return answer;
    const covered = new Set<ReasonFlag>();
    let thisUpdate: Date | undefined;
    // lists of the issuer itself count in the end even if no distribution point names them (end of 6.3.3)
    for (const point of [...(certificate.crlDistributionPoints ?? []), {}]) {
      for (const crl of lookup.options.crls ?? []) {
        if (isComplete(covered)) break;
        const found = tryList(certificate, issuer, point, crl, lookup);
        if (found === undefined || [...found.reasons].every((reason) => covered.has(reason))) continue;
        if (found.entry !== undefined) {
          const { revokedAt, reason } = found.entry;
          return {
            certificate,
            status: 'revoked',
            revokedAt,
            crlReason: reason,
            thisUpdate: found.thisUpdate,
            source: 'crl',
          };
        }
        for (const reason of found.reasons) covered.add(reason);
        if (thisUpdate === undefined || found.thisUpdate < thisUpdate) thisUpdate = found.thisUpdate;
      }
    }
    if (!isComplete(covered) || thisUpdate === undefined) return unknown;
    return { certificate, status: 'good', thisUpdate, source: 'crl' };
  } catch (error) {
    if (isExhaustion(error) || (error instanceof PathFailure && error.reason === 'limit')) throw error;
    if (error instanceof PathFailure || error instanceof SealpostError) return unknown;
    throw error;
  }
}

function isComplete(covered: ReadonlySet<ReasonFlag>): boolean {
  return covered.size === allReasons.size;
}

interface Found {
  reasons: ReadonlySet<ReasonFlag>;
  entry: CrlEntry | undefined;
  thisUpdate: Date;
}

/** Section 6.3.3 (b) to (l) for one distribution point and one complete list. Undefined if the list does not apply. */
function tryList(
  certificate: Certificate,
  issuer: Issuer,
  point: DistributionPoint,
  crl: Crl,
  lookup: Lookup,
): Found | undefined {
  try {
    if (crl.isDelta || !hasBegun(crl, lookup) || !crl.isUnderstood) return undefined;
    if (!covers(crl, certificate, point)) return undefined;
    if (!isSigned(crl, certificate, issuer, lookup)) return undefined;
    if (!inForce(crl, lookup)) return revokedForGood(certificate, point, crl);
    const delta = findDelta(crl, certificate, issuer, lookup);
    const name = certificate.issuerName.canonical;
    // the delta takes precedence: (i), then (j), then (k)
    const changed = delta?.find(name, certificate.serialNumber);
    const entry = changed ?? crl.find(name, certificate.serialNumber);
    return {
      reasons: reasonsOf(point, crl.distributionPoint),
      entry: entry?.reason === 'removeFromCRL' ? undefined : entry,
      thisUpdate: delta?.thisUpdate ?? crl.thisUpdate,
    };
  } catch (error) {
    // an unreadable list is ignored; there may be another one
    if (error instanceof SealpostError && !isExhaustion(error)) return undefined;
    throw error;
  }
}

/**
 * What an outdated list still proves: a revocation, other than a hold, cannot be undone (RFC 5280 section 5.3.1). A
 * missing entry no longer proves anything.
 */
function revokedForGood(certificate: Certificate, point: DistributionPoint, crl: Crl): Found | undefined {
  const entry = crl.find(certificate.issuerName.canonical, certificate.serialNumber);
  if (entry === undefined || entry.reason === 'certificateHold' || entry.reason === 'removeFromCRL') {
    return undefined;
  }
  return { reasons: reasonsOf(point, crl.distributionPoint), entry, thisUpdate: crl.thisUpdate };
}

function hasBegun(crl: Crl, { options }: Lookup): boolean {
  return crl.thisUpdate.getTime() <= (options.revocationAt ?? options.at).getTime() + clockSkew;
}

/** Without nextUpdate, which RFC 5280 section 5.1.2.5 requires, the validity of a list is unknown. */
function inForce(crl: Crl, lookup: Lookup): boolean {
  const at = lookup.options.revocationAt ?? lookup.options.at;
  return hasBegun(crl, lookup) && crl.nextUpdate !== undefined && at <= crl.nextUpdate;
}

/** (b): the issuer of the list and its scope fit the certificate and the distribution point. */
function covers(crl: Crl, certificate: Certificate, point: DistributionPoint): boolean {
  const scope = crl.distributionPoint;
  if (point.crlIssuer !== undefined) {
    if (scope?.indirect !== true || !hasDirectoryName(point.crlIssuer, crl.issuerName.canonical))
      return false;
  } else if (crl.issuerName.canonical !== certificate.issuerName.canonical) return false;
  if (scope === undefined) return true;
  if (scope.onlyAttributeCertificates) return false;
  const isCa = certificate.basicConstraints?.ca === true;
  if ((scope.onlyUserCertificates && isCa) || (scope.onlyCaCertificates && !isCa)) return false;
  if (scope.name === undefined) return true;
  const ofList = fullNames(scope.name, crl.issuerName);
  // the URL is compared, not fetched: the certificate uses it to name the list
  const ofPoint =
    point.name === undefined
      ? (point.crlIssuer ?? [{ kind: 'directory', name: certificate.issuerName } satisfies GeneralName])
      : fullNames(point.name, pointBase(point, certificate));
  return ofPoint.some((a) => ofList.some((b) => sameName(a, b)));
}

/** A relative name of a point is relative to its cRLIssuer, or else to the issuer of the certificate. */
function pointBase(point: DistributionPoint, certificate: Certificate): Name {
  const issuer = point.crlIssuer?.find((name) => name.kind === 'directory');
  return issuer?.kind === 'directory' ? issuer.name : certificate.issuerName;
}

function fullNames({ fullName, relativeName }: DistributionPointName, base: Name): GeneralName[] {
  if (fullName !== undefined) return fullName;
  return relativeName === undefined ? [] : [{ kind: 'directory', name: appendRdn(base, relativeName) }];
}

function sameName(a: GeneralName, b: GeneralName): boolean {
  if (a.kind === 'directory' && b.kind === 'directory') return a.name.canonical === b.name.canonical;
  return a.kind === 'uri' && b.kind === 'uri' && a.value === b.value;
}

function hasDirectoryName(names: readonly GeneralName[], canonical: string): boolean {
  return names.some((name) => name.kind === 'directory' && name.name.canonical === canonical);
}

/** (d): the reasons that the list covers. */
function reasonsOf(
  point: DistributionPoint,
  scope: IssuingDistributionPoint | undefined,
): ReadonlySet<ReasonFlag> {
  const ofPoint = point.reasons === undefined ? allReasons : new Set(point.reasons);
  const ofList = scope?.onlySomeReasons === undefined ? allReasons : new Set(scope.onlySomeReasons);
  return new Set([...allReasons].filter((reason) => ofPoint.has(reason) && ofList.has(reason)));
}

/**
 * (c): a delta list in force for the same scope, built upon this list or an earlier one. If there are several, the
 * newest.
 */
function findDelta(crl: Crl, certificate: Certificate, issuer: Issuer, lookup: Lookup): Crl | undefined {
  const { number } = crl;
  if (number === undefined) return undefined;
  return (lookup.options.crls ?? [])
    .filter(
      (delta) =>
        delta.isDelta &&
        delta.issuerName.canonical === crl.issuerName.canonical &&
        inForce(delta, lookup) &&
        delta.isUnderstood &&
        (delta.baseNumber ?? number + 1n) <= number &&
        (delta.number ?? -1n) >= number &&
        sameExtension(delta, crl, '2.5.29.28') &&
        sameExtension(delta, crl, '2.5.29.35') &&
        isSigned(delta, certificate, issuer, lookup),
    )
    .sort((a, b) => Number((b.number ?? 0n) - (a.number ?? 0n)))[0];
}

function sameExtension(a: Crl, b: Crl, type: string): boolean {
  const left = a.extensions.get(type)?.value;
  const right = b.extensions.get(type)?.value;
  return left === undefined || right === undefined ? left === right : left.equals(right);
}

/**
 * (f) and (g): the list is signed by the issuer of the certificate, or by another certificate of the list's issuer that
 * has a valid path to the same root.
 */
function isSigned(crl: Crl, certificate: Certificate, issuer: Issuer, lookup: Lookup): boolean {
  const { signatures, options } = lookup;
  try {
    signatures.scheme(crl, new Set());
  } catch (error) {
    if (error instanceof PathFailure) return false;
    throw error;
  }
  const sameIssuer = issuer.certificate.subjectName.canonical === crl.issuerName.canonical;
  if (sameIssuer && maySignLists(issuer.certificate) && signatures.verify(crl, issuer.key)) return true;
  // an issuer may leave a signer's own status to that signer's indirect list (PKITS 4.14.30)
  const { leaf } = lookup;
  if (!sameIssuer && leaf.certificate.equals(certificate) && maySignLists(certificate)) {
    const isSigner = certificate.subjectName.canonical === crl.issuerName.canonical;
    if (isSigner && signatures.verify(crl, leaf.key)) return true;
  }
  for (const signer of lookup.issuers.named(crl.issuerName.canonical)) {
    if (signer.equals(issuer.certificate) || signer.equals(certificate) || !maySignLists(signer)) continue;
    const key = trustedSigner(signer, { ...lookup, options: { ...options, purpose: 'any' } });
    if (key !== undefined && signatures.verify(crl, key)) return true;
  }
  return false;
}

function maySignLists(certificate: Certificate): boolean {
  return useFault(certificate, 'sign-lists') === undefined;
}

/** The key of a list signer that has a valid path to the same root, with nothing revoked on it. */
function trustedSigner(signer: Certificate, lookup: Lookup): IssuerKey | undefined {
  const { options, signatures, issuers, anchor, asking } = lookup;
  if (asking.has(signer.thumbprint) || asking.size >= 4) return undefined;
  const limits = { maxLength: 10, maxIntermediates: 0, maxWork: 0 };
  for (const path of findPaths(signer, issuers, signatures, limits, () => undefined)) {
    if (path.at(-1)?.equals(anchor) !== true) continue;
    try {
      const checked = checkPath(path, signerOptions(options), signatures);
      const statuses = checkRevocation(
        path,
        checked,
        options,
        signatures,
        issuers,
        new Set([...asking, signer.thumbprint]),
      );
      if (statuses.every(({ status }) => status === 'good')) return checked.leafKey;
    } catch (error) {
      if (!(error instanceof PathFailure) || error.reason === 'limit') throw error;
    }
  }
  return undefined;
}

/** Policies that are required of the leaf are not required of list signers. */
function signerOptions({ policies: _, requireExplicitPolicy: __, ...options }: PathOptions): PathOptions {
  return { ...options, purpose: 'any' };
}
