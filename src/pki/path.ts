import { costs, isExhaustion } from '../budget.ts';
import { SealpostError } from '../errors.ts';
import type { Certificate } from './certificate.ts';
import { checkRevocation } from './crl-check.ts';
import { findPaths, Issuers, withoutIssuer } from './path-build.ts';
import { type CheckedPath, checkPath, describe } from './path-check.ts';
import {
  PathFailure,
  type PathLimits,
  type PathOptions,
  type PathReason,
  type PathResult,
  type PathWeakness,
  type RevocationStatus,
} from './path-types.ts';
import { pinnedCertificates } from './pinned.ts';
import { SignatureChecker } from './signature-check.ts';

const defaultLimits: PathLimits = { maxLength: 10, maxIntermediates: 1000, maxWork: 2000 };

/**
 * Decides whether a certificate is trusted at a given time and for a purpose: either it is pinned, or a path that is
 * valid by RFC 5280 section 6 and suitable for mail by RFC 8550 leads from it to a trusted root. All paths are tried,
 * within the limits. Problems in certificates never throw; they become the reason. Throws `work-limit` if the budget of
 * the message is used up.
 */
export function validatePath(leaf: Certificate, options: PathOptions): PathResult {
  if (pinnedCertificates(options.pinned).has(leaf)) return validatePinned(leaf, options);
  const limits = { ...defaultLimits, ...options.limits };
  const intermediates = (options.intermediates ?? []).slice(0, limits.maxIntermediates);
  options.budget?.spend((options.anchors.length + intermediates.length) * costs.comparison);
  const issuers = new Issuers(options.anchors, intermediates);
  const signatures = new SignatureChecker(options, limits.maxWork);
  let failure: PathResult | undefined;
  let noted: PathResult | undefined;
  try {
    const paths = findPaths(leaf, issuers, signatures, limits, (reason, certificate, message) => {
      noted ??= untrusted([leaf], reason, `${describe(certificate)}: ${message}`);
    });
    for (const path of paths) {
      signatures.step(1);
      const result = tryPath(path, options, signatures, issuers);
      if (result.trusted) return result;
      failure ??= result;
    }
    if (failure !== undefined) return failure;
    const missing = withoutIssuer(leaf, issuers);
    return { ...(noted ?? withoutPath(leaf, missing)), missing };
  } catch (error) {
    return failureOf([leaf], error);
  }
}

function tryPath(
  path: Certificate[],
  options: PathOptions,
  signatures: SignatureChecker,
  issuers: Issuers,
): PathResult {
  const refused = refusedIn(path, options);
  if (refused !== undefined) return refused;
  let checked: CheckedPath;
  try {
    checked = checkPath(path, options, signatures);
  } catch (error) {
    if (error instanceof PathFailure && error.reason === 'limit') throw error;
    return failureOf(path, error);
  }
  const weak = new Set(checked.weak);
  const revocation = revocationOf(path, checked, options, signatures, issuers);
  const revoked = revocation.find(({ status }) => status === 'revoked');
  if (revoked !== undefined) {
    const when = revoked.revokedAt === undefined ? '' : ` since ${revoked.revokedAt.toISOString()}`;
    const message = `${describe(revoked.certificate)}: revoked${when}, ${revoked.crlReason ?? 'unspecified'}`;
    return { ...untrusted(path, 'revoked', message), revocation };
  }
  const unknown = revocation.find(({ status }) => status === 'unknown');
  if (unknown !== undefined) {
    if (options.revocation === 'hard') {
      const message = `${describe(unknown.certificate)}: no list or answer in force says whether it was revoked`;
      return { ...untrusted(path, 'revocation-unknown', message), revocation };
    }
    weak.add('revocation-unknown');
  }
  const root = path.at(-1);
  return {
    trusted: true,
    reason: null,
    message: `trusted through ${root === undefined ? 'nothing' : describe(root)}`,
    chain: path,
    pinned: false,
    weak: [...weak],
    policies: [...checked.policies],
    publicKey: checked.leafKey.key,
    revocation,
  };
}

function revocationOf(
  path: Certificate[],
  checked: CheckedPath,
  options: PathOptions,
  signatures: SignatureChecker,
  issuers: Issuers,
): RevocationStatus[] {
  if ((options.revocation ?? 'off') === 'off') return [];
  return checkRevocation(path, checked, options, signatures, issuers);
}

/** A pinned certificate is trusted by itself. Only its validity, key and usage are checked. */
function validatePinned(leaf: Certificate, options: PathOptions): PathResult {
  const refused = refusedIn([leaf], options);
  if (refused !== undefined) return refused;
  try {
    const signatures = new SignatureChecker(options, 0);
    const { leafKey, weak } = checkPath([leaf], options, signatures);
    return {
      trusted: true,
      reason: null,
      message: `${describe(leaf)} is pinned`,
      chain: [leaf],
      pinned: true,
      weak: [...weak],
      policies: [],
      publicKey: leafKey.key,
      revocation: [],
    };
  } catch (error) {
    return failureOf([leaf], error);
  }
}

/** The result for a path through a certificate that the operator has revoked; undefined if the path has none. */
function refusedIn(path: Certificate[], { refused }: PathOptions): PathResult | undefined {
  if (refused === undefined) return undefined;
  for (const certificate of path) {
    const why = refused.why(certificate);
    if (why !== undefined) return untrusted(path, 'revoked', `${describe(certificate)}: ${why}`);
  }
  return undefined;
}

function withoutPath(leaf: Certificate, missing: readonly Certificate[]): PathResult {
  if (leaf.isSelfIssued) {
    return untrusted(
      [leaf],
      'self-signed',
      `${describe(leaf)}: self-signed, neither a trusted root nor pinned`,
    );
  }
  const [end = leaf] = missing;
  const issuer = `its issuer is "${leaf.issuer}"`;
  const gap = end.equals(leaf)
    ? issuer
    : `${issuer}; "${end.issuer}", who issued ${describe(end)}, is missing`;
  return untrusted([leaf], 'no-path', `${describe(leaf)}: no chain leads to a trusted root; ${gap}`);
}

function failureOf(path: Certificate[], error: unknown): PathResult {
  if (isExhaustion(error)) throw error;
  if (error instanceof PathFailure) return untrusted(path, error.reason, error.message);
  if (error instanceof SealpostError) return untrusted(path, 'certificate-malformed', error.message);
  throw error;
}

function untrusted(chain: Certificate[], reason: PathReason, message: string): PathResult {
  const weak: PathWeakness[] = [];
  return { trusted: false, reason, message, chain, pinned: false, weak, policies: [], revocation: [] };
}
