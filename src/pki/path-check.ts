import { Cursor, oids, parse, smallInteger } from '../asn1/index.ts';
import { costs, isExhaustion } from '../budget.ts';
import { SealpostError } from '../errors.ts';
import type { Certificate } from './certificate.ts';
import { isForMail, useFault, validityAt } from './certificate-use.ts';
import { decodeExtension, understoodExtensions } from './extensions.ts';
import { ConstraintSet } from './name-constraints.ts';
import { PathFailure, type PathOptions, type PathWeakness } from './path-types.ts';
import { PolicyGraph, readCertificatePolicies, readPolicyMappings } from './policy-graph.ts';
import { inheritsParameters, toKeyObject } from './public-key.ts';
import { checkKeySize, type IssuerKey, type SignatureChecker } from './signature-check.ts';

/** The result of a valid path: the leaf's key and the policies. */
export interface CheckedPath {
  leafKey: IssuerKey;
  /** The key that signed each certificate, by its place in the path. The root has none. */
  issuerKeys: (IssuerKey | undefined)[];
  policies: Set<string>;
  weak: Set<PathWeakness>;
}

/**
 * Basic path validation (RFC 5280 section 6.1), without revocation.
 * @param path the leaf first, the trusted root last
 * @throws PathFailure with the first problem, seen from the root
 */
export function checkPath(
  path: readonly Certificate[],
  options: PathOptions,
  signatures: SignatureChecker,
): CheckedPath {
  const fromRoot = [...path].reverse();
  const [anchor, ...below] = fromRoot;
  if (anchor === undefined) throw new PathFailure('no-path', 'an empty path');
  const weak = new Set<PathWeakness>();
  const leafIsAnchor = below.length === 0;
  const constraints = new ConstraintSet(options.budget);
  named(anchor, () => {
    checkValidity(anchor, options.at);
    if (!leafIsAnchor) {
      checkAnchorMayIssue(anchor);
      constraints.add(anchor);
    }
    checkKeySize(anchor, options, weak);
  });
  let key = named(anchor, () => certifiedKey(anchor, undefined));
  const keys: IssuerKey[] = [];
  const policies = new PolicyState(below.length, options);
  let maxPathLength = pathLengthOf(anchor) ?? Number.POSITIVE_INFINITY;
  below.forEach((certificate, index) => {
    const final = index === below.length - 1;
    named(certificate, () => {
      // policies and constraints are processed again for each path
      options.budget?.spend(costs.attribute(certificate.der.length));
      keys.push(key);
      checkSigned(certificate, fromRoot[index] ?? anchor, key, signatures, weak);
      checkValidity(certificate, options.at);
      checkKeySize(certificate, options, weak);
      if (final || !certificate.isSelfIssued) {
        const violation = constraints.violation(certificate);
        if (violation !== undefined) throw new PathFailure('name-constraints', violation);
      }
      policies.enter(certificate, final);
      checkCritical(certificate);
      if (!final) {
        checkMayIssue(certificate);
        constraints.add(certificate);
        if (!certificate.isSelfIssued && maxPathLength-- <= 0) {
          throw new PathFailure('path-length', 'more certificates follow than pathLenConstraint allows');
        }
        maxPathLength = Math.min(maxPathLength, pathLengthOf(certificate) ?? Number.POSITIVE_INFINITY);
        policies.prepareNext(certificate);
      } else policies.wrapUp(certificate);
      key = certifiedKey(certificate, key);
    });
  });
  if (leafIsAnchor) named(anchor, () => checkCritical(anchor));
  checkPurpose(path, options);
  const found = leafIsAnchor ? new Set([oids.anyPolicy as string]) : policies.result;
  return { leafKey: key, issuerKeys: [...keys].reverse(), policies: found, weak };
}

/** Adds the certificate's name to errors, and turns parse errors into failures of the path. */
function named<T>(certificate: Certificate, check: () => T): T {
  try {
    return check();
  } catch (error) {
    if (isExhaustion(error)) throw error;
    if (error instanceof PathFailure) {
      throw new PathFailure(error.reason, `${describe(certificate)}: ${error.message}`);
    }
    if (error instanceof SealpostError) {
      throw new PathFailure('certificate-malformed', `${describe(certificate)}: ${error.message}`);
    }
    throw error;
  }
}

/** A certificate's name for messages. */
export function describe(certificate: Certificate): string {
  try {
    return `"${certificate.subject}"`;
  } catch {
    return `certificate with serial ${certificate.serialHex}`;
  }
}

/**
 * The key of a certificate. It inherits missing DSA parameters from the key that signed it (section 6.1.4 (f)).
 * @param above that key, once its signature over the certificate has been checked; parameters have no other source
 */
export function certifiedKey(certificate: Certificate, above: IssuerKey | undefined): IssuerKey {
  const info = certificate.publicKeyInfo;
  if (!inheritsParameters(info)) return { info, key: certificate.publicKey };
  const parameters = above?.info.algorithm === oids.dsa ? above.info.parameters : undefined;
  return { info: { ...info, parameters }, key: toKeyObject(info, parameters) };
}

function checkSigned(
  certificate: Certificate,
  issuer: Certificate,
  key: IssuerKey,
  signatures: SignatureChecker,
  weak: Set<PathWeakness>,
): void {
  if (certificate.issuerName.canonical !== issuer.subjectName.canonical) {
    throw new PathFailure('no-path', 'the issuer has a different name');
  }
  signatures.scheme(certificate, weak);
  if (!signatures.verify(certificate, key)) {
    throw new PathFailure('signature-invalid', 'the signature of its issuer does not match');
  }
}

function checkValidity(certificate: Certificate, at: Date): void {
  const { notBefore, notAfter } = certificate;
  const state = validityAt(certificate, at);
  if (state === 'not-yet-valid') throw new PathFailure(state, `valid from ${notBefore.toISOString()}`);
  if (state === 'expired') throw new PathFailure(state, `valid until ${notAfter.toISOString()}`);
}

/** Section 6.1.4 (k) to (n). */
function checkMayIssue(certificate: Certificate): void {
  if (certificate.basicConstraints?.ca !== true)
    throw new PathFailure('not-a-ca', 'basicConstraints does not say so');
  const fault = useFault(certificate, 'issue');
  if (fault !== undefined) throw new PathFailure('not-a-ca', fault.message);
}

/** A root is trusted as such. It may issue unless it says that it is not a CA. Old roots have version 1. */
function checkAnchorMayIssue(anchor: Certificate): void {
  if (anchor.version === 3) checkMayIssue(anchor);
}

function pathLengthOf(certificate: Certificate): number | undefined {
  return certificate.basicConstraints?.pathLength;
}

function checkCritical(certificate: Certificate): void {
  for (const { oid, critical } of certificate.extensions.values()) {
    if (critical && !understoodExtensions.has(oid)) throw new PathFailure('critical-extension', oid);
  }
}

/** RFC 8550 section 4.4: keyUsage of the leaf, and extKeyUsage of the leaf and, by common practice, of issuers. */
function checkPurpose(path: readonly Certificate[], { purpose }: PathOptions): void {
  if (purpose === 'any') return;
  path.forEach((certificate, index) => {
    named(certificate, () => {
      const fault = index === 0 ? useFault(certificate, purpose) : undefined;
      if (fault !== undefined) throw new PathFailure('key-usage', fault.message);
      if (!isForMail(certificate))
        throw new PathFailure('extended-key-usage', 'extKeyUsage lacks emailProtection');
    });
  });
}

/** The policy variables of section 6.1.2, as they change along the path. */
class PolicyState {
  readonly #graph = new PolicyGraph();
  readonly #initial: ReadonlySet<string> | undefined;
  #explicit: number;
  #mapping: number;
  #any: number;
  result = new Set<string>();

  constructor(length: number, options: PathOptions) {
    const { policies } = options;
    this.#initial =
      policies === undefined || policies.includes(oids.anyPolicy) ? undefined : new Set(policies);
    this.#explicit = options.requireExplicitPolicy === true ? 0 : length + 1;
    this.#mapping = options.inhibitPolicyMapping === true ? 0 : length + 1;
    this.#any = options.inhibitAnyPolicy === true ? 0 : length + 1;
  }

  /** Section 6.1.3 (d) to (f). */
  enter(certificate: Certificate, final: boolean): void {
    const { extensions } = certificate;
    const policies = decodeExtension(
      extensions,
      oids.certificatePolicies,
      'certificatePolicies',
      readCertificatePolicies,
    );
    this.#graph.addCertificate(policies, this.#any > 0 || (!final && certificate.isSelfIssued));
    this.#require(!this.#graph.isNull);
  }

  /** Section 6.1.4 (a), (b), (h) to (j). */
  prepareNext(certificate: Certificate): void {
    const { extensions } = certificate;
    const mappings = decodeExtension(extensions, oids.policyMappings, 'policyMappings', readPolicyMappings);
    if (mappings !== undefined) {
      if (mappings.has(oids.anyPolicy) || [...mappings.values()].some((to) => to.has(oids.anyPolicy))) {
        throw new PathFailure('policy', 'a mapping from or to anyPolicy');
      }
      this.#graph.map(mappings, this.#mapping > 0);
    }
    if (!certificate.isSelfIssued) {
      this.#explicit = Math.max(0, this.#explicit - 1);
      this.#mapping = Math.max(0, this.#mapping - 1);
      this.#any = Math.max(0, this.#any - 1);
    }
    const constraints = decodeExtension(extensions, oids.policyConstraints, 'policyConstraints', readSkips);
    this.#explicit = Math.min(this.#explicit, constraints?.explicit ?? this.#explicit);
    this.#mapping = Math.min(this.#mapping, constraints?.mapping ?? this.#mapping);
    const any = decodeExtension(extensions, oids.inhibitAnyPolicy, 'inhibitAnyPolicy', readCount);
    this.#any = Math.min(this.#any, any ?? this.#any);
  }

  /** Section 6.1.5 (a), (b) and (g). */
  wrapUp(certificate: Certificate): void {
    this.#explicit = Math.max(0, this.#explicit - 1);
    const { extensions } = certificate;
    const constraints = decodeExtension(extensions, oids.policyConstraints, 'policyConstraints', readSkips);
    if (constraints?.explicit === 0) this.#explicit = 0;
    this.result = this.#graph.constrainedBy(this.#initial);
    this.#require(this.result.size > 0);
  }

  #require(hasPolicy: boolean): void {
    if (this.#explicit <= 0 && !hasPolicy) {
      throw new PathFailure('policy', 'no acceptable certificate policy where one is required');
    }
  }
}

/** `PolicyConstraints ::= SEQUENCE { requireExplicitPolicy [0], inhibitPolicyMapping [1] }` */
function readSkips(value: Buffer): { explicit?: number; mapping?: number } {
  const cursor = new Cursor(parse(value));
  const explicit = cursor.optional(2, 0);
  const mapping = cursor.optional(2, 1);
  cursor.done();
  return {
    ...(explicit === undefined ? {} : { explicit: nonNegative(smallInteger(explicit)) }),
    ...(mapping === undefined ? {} : { mapping: nonNegative(smallInteger(mapping)) }),
  };
}

function readCount(value: Buffer): number {
  return nonNegative(smallInteger(parse(value)));
}

function nonNegative(count: number): number {
  if (count < 0) throw new PathFailure('certificate-malformed', 'a negative count of certificates');
  return count;
}

/**
 * True if subjectKeyIdentifier and authorityKeyIdentifier are both present and differ: the issuer is another key with
 * the same name.
 */
export function namesAnotherKey(certificate: Certificate, issuer: Certificate): boolean {
  const wanted = certificate.authorityKeyIdentifier?.keyIdentifier;
  const has = issuer.subjectKeyIdentifier;
  return wanted !== undefined && has !== undefined && !wanted.equals(has);
}
