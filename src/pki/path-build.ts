import { isExhaustion } from '../budget.ts';
import { SealpostError } from '../errors.ts';
import type { Certificate } from './certificate.ts';
import { namesAnotherKey } from './path-check.ts';
import { PathFailure, type PathLimits, type PathReason } from './path-types.ts';
import { inheritsParameters } from './public-key.ts';
import type { SignatureChecker } from './signature-check.ts';

/** Certificates by subject, those of the roots first. */
export class Issuers {
  readonly #bySubject = new Map<string, Certificate[]>();
  readonly #anchors: ReadonlySet<string>;

  constructor(anchors: readonly Certificate[], intermediates: readonly Certificate[]) {
    this.#anchors = new Set(anchors.map(({ thumbprint }) => thumbprint));
    const seen = new Set<string>();
    for (const certificate of [...anchors, ...intermediates]) {
      if (seen.has(certificate.thumbprint)) continue;
      seen.add(certificate.thumbprint);
      this.#add(certificate);
    }
  }

  #add(certificate: Certificate): void {
    const name = subjectOf(certificate);
    if (name === undefined) return;
    const known = this.#bySubject.get(name);
    if (known === undefined) this.#bySubject.set(name, [certificate]);
    else known.push(certificate);
  }

  isAnchor(certificate: Certificate): boolean {
    return this.#anchors.has(certificate.thumbprint);
  }

  /** Who may have issued it, by name. Those whose key identifier fits come first, and roots before others. */
  of(certificate: Certificate): Certificate[] {
    const named = this.named(certificate.issuerName.canonical);
    const rank = (candidate: Certificate): number =>
      (another(certificate, candidate) ? 2 : 0) + (this.isAnchor(candidate) ? 0 : 1);
    return named
      .map((candidate) => ({ candidate, place: rank(candidate) }))
      .sort((a, b) => a.place - b.place)
      .map(({ candidate }) => candidate);
  }

  named(canonical: string): readonly Certificate[] {
    return this.#bySubject.get(canonical) ?? [];
  }
}

function subjectOf(certificate: Certificate): string | undefined {
  try {
    return certificate.subjectName.canonical;
  } catch {
    return undefined; // An unreadable certificate issues nothing.
  }
}

function another(certificate: Certificate, issuer: Certificate): boolean {
  try {
    return namesAnotherKey(certificate, issuer);
  } catch {
    return true;
  }
}

/**
 * Finds the paths from a leaf to the roots one by one, the likeliest first (RFC 4158). A step with a bad signature is
 * not taken, so many namesakes cost one check each, not one per combination. `SignatureChecker` bounds the total.
 * @param note called with the reason if a namesake of an issuer was not used
 */
export function* findPaths(
  leaf: Certificate,
  issuers: Issuers,
  signatures: SignatureChecker,
  limits: PathLimits,
  note: (reason: PathReason, certificate: Certificate, message: string) => void,
): Generator<Certificate[]> {
  yield* extend([leaf]);

  function* extend(path: Certificate[]): Generator<Certificate[]> {
    const last = path.at(-1);
    if (last === undefined) return;
    if (issuers.isAnchor(last)) {
      yield path;
      return; // A root needs nothing above it.
    }
    if (path.length >= limits.maxLength) return;
    for (const issuer of issuersOf(last)) {
      if (path.some((used) => isSameEntity(used, issuer))) continue;
      signatures.step();
      if (mayHaveSigned(last, issuer)) yield* extend([...path, issuer]);
    }
  }

  /** An unreadable certificate leads nowhere, and must not spoil other paths. */
  function issuersOf(certificate: Certificate): Certificate[] {
    try {
      return issuers.of(certificate);
    } catch (error) {
      if (!(error instanceof SealpostError)) throw error;
      note('certificate-malformed', certificate, error.message);
      return [];
    }
  }

  /** Keys with inherited parameters are checked later, when the path above them is known. */
  function mayHaveSigned(certificate: Certificate, issuer: Certificate): boolean {
    const info = issuer.publicKeyInfo;
    if (inheritsParameters(info)) return true;
    try {
      if (signatures.verify(certificate, { info, key: issuer.publicKey })) return true;
      note('signature-invalid', certificate, 'no issuer of that name has signed it');
    } catch (error) {
      if (isExhaustion(error)) throw error;
      if (error instanceof PathFailure) {
        if (error.reason === 'limit') throw error;
        note(error.reason, issuer, error.message);
      } else if (error instanceof SealpostError) note('certificate-malformed', issuer, error.message);
      else throw error;
    }
    return false;
  }
}

/** How many certificates are searched for the ends of broken paths, and how many ends are reported. */
const mostLookedAt = 20;
const mostEnds = 5;

/**
 * Where the paths up from a leaf end: certificates whose issuer is unknown by name and key identifier. Signatures are
 * not checked, because this says what to fetch, not what to trust.
 */
export function withoutIssuer(leaf: Certificate, issuers: Issuers): Certificate[] {
  const ends: Certificate[] = [];
  const seen = [leaf];
  for (let at = 0; at < seen.length && ends.length < mostEnds; at++) {
    const certificate = seen[at];
    if (certificate === undefined || isRootLike(certificate, issuers)) continue;
    const above = aboveOf(certificate, issuers);
    if (above === undefined) continue;
    if (above.length === 0) ends.push(certificate);
    for (const issuer of above) {
      if (seen.length >= mostLookedAt) break;
      if (!seen.some((known) => known.equals(issuer))) seen.push(issuer);
    }
  }
  return ends;
}

function isRootLike(certificate: Certificate, issuers: Issuers): boolean {
  return issuers.isAnchor(certificate) || certificate.isSelfIssued;
}

/** Undefined for an unreadable certificate. */
function aboveOf(certificate: Certificate, issuers: Issuers): Certificate[] | undefined {
  try {
    const { canonical } = certificate.issuerName;
    return issuers.named(canonical).filter((candidate) => !another(certificate, candidate));
  } catch {
    return undefined;
  }
}

/** The same name and key twice in a path is a loop, even through different certificates (RFC 4158 section 2.4.2). */
function isSameEntity(a: Certificate, b: Certificate): boolean {
  return a.equals(b) || (a.subjectDer.equals(b.subjectDer) && a.spki.equals(b.spki));
}
