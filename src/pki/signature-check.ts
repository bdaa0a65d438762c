import type { KeyObject } from 'node:crypto';
import type { AlgorithmIdentifier } from '../asn1/index.ts';
import { type Budget, costs, publicKeyCost } from '../budget.ts';
import type { Certificate } from './certificate.ts';
import { PathFailure, type PathOptions, type PathWeakness } from './path-types.ts';
import { type KeyTraits, keyTraits, oversized, type PublicKeyInfo } from './public-key.ts';
import { type SignatureScheme, signatureScheme, verifySignature } from './signature.ts';

/** A signing key with what it takes to judge and use it. */
export interface IssuerKey {
  info: PublicKeyInfo;
  key: KeyObject;
}

/** A signed structure (certificate, CRL or OCSP answer) and its algorithm. */
export interface SignedObject {
  tbs: Buffer;
  signature: Buffer;
  signatureAlgorithm: AlgorithmIdentifier;
}

const weakBelow = 2048;
const weakCurveBelow = 224;

/**
 * Checks signatures for one validation within a work budget, and caches the results. With cross-certificates and a
 * large bag, the same check comes up many times.
 */
export class SignatureChecker {
  readonly #results = new WeakMap<SignedObject, Map<string, boolean>>();
  readonly #options: PathOptions;
  readonly #budget: Budget | undefined;
  #work: number;

  constructor(options: PathOptions, work: number) {
    this.#options = options;
    this.#budget = options.budget;
    this.#work = work;
  }

  /**
   * The scheme of a signature.
   * @throws PathFailure if it is unknown or not accepted
   */
  scheme(signed: SignedObject, weak: Set<PathWeakness>): SignatureScheme {
    const scheme = signatureScheme(signed.signatureAlgorithm);
    if (scheme === undefined) {
      throw new PathFailure('algorithm-unsupported', `signature algorithm ${signed.signatureAlgorithm.oid}`);
    }
    if (scheme.digest === 'md5' || scheme.digest === 'sha1') {
      const rule = this.#options[scheme.digest] ?? (scheme.digest === 'md5' ? 'refuse' : 'weak');
      if (rule === 'refuse') throw new PathFailure('algorithm-refused', `signed with ${scheme.digest}`);
      weak.add(`${scheme.digest}-signature`);
    }
    return scheme;
  }

  /** @throws PathFailure `limit` if the budget is used up; also for an unknown algorithm */
  verify(signed: SignedObject, issuer: IssuerKey): boolean {
    const known = this.#results.get(signed) ?? new Map<string, boolean>();
    this.#results.set(signed, known);
    // with inherited parameters, the key is more than its own octets
    const name = `${issuer.info.der.toString('latin1')}${issuer.info.parameters?.toString('latin1') ?? ''}`;
    const before = known.get(name);
    if (before !== undefined) return before;
    this.#spend(issuer.info, signed.tbs.length);
    const scheme = this.scheme(signed, new Set());
    const { family, onlyFor } = keyTraits(issuer.info);
    const valid =
      // OpenSSL enforces the restrictions of id-RSASSA-PSS, but does not know id-RSAES-OAEP
      onlyFor !== 'encrypt' &&
      scheme.family === family &&
      verifySignature(scheme, signed.tbs, signed.signature, issuer.key);
    known.set(name, valid);
    return valid;
  }

  /** Counts a step of the search, so that steps without a signature check are bounded too. */
  step(cost = 0.05): void {
    this.#budget?.spend(costs.pathStep);
    this.#work -= cost;
    this.#checkWork();
  }

  /** RSA with 2,048 bits costs one. Curves, DSA and larger moduli cost in proportion. */
  #spend(info: PublicKeyInfo, octets: number): void {
    const traits = keyTraits(info);
    const { family, bits } = traits;
    this.#budget?.spend(publicKeyCost(traits) + octets * costs.digestOctet('sha3'));
    const size = (bits ?? weakBelow) / weakBelow;
    this.#work -=
      family === 'rsa' ? Math.max(1, size * size) : family === 'dsa' ? 10 * Math.max(1, size * size) : 5;
    this.#checkWork();
  }

  #checkWork(): void {
    if (this.#work < 0) throw new PathFailure('limit', 'more signatures to check than the limit allows');
  }
}

/**
 * Judges the size of a certificate's key before it is used.
 * @throws PathFailure `key-too-small`, `key-too-large`
 */
export function checkKeySize(certificate: Certificate, options: PathOptions, weak: Set<PathWeakness>): void {
  const traits = keyTraits(certificate.publicKeyInfo);
  const { family, bits } = traits;
  if (bits === undefined) return;
  const word = sizeWeakness(traits);
  if (word !== undefined) weak.add(word);
  if (family === 'rsa' || family === 'dsa' || family === 'dh') {
    const tooLarge = oversized(traits);
    if (tooLarge !== undefined) throw new PathFailure('key-too-large', tooLarge);
    const minimum = options.minimumKeyBits ?? 1024;
    if (bits < minimum) throw new PathFailure('key-too-small', `${family.toUpperCase()} key of ${bits} bits`);
  }
}

/** Why a key is too small to be strong; undefined if it is not, or if its size is unknown. */
export function sizeWeakness({ family, bits }: KeyTraits): 'small-key' | 'small-curve' | undefined {
  if (bits === undefined) return undefined;
  if (family === 'ec') return bits < weakCurveBelow ? 'small-curve' : undefined;
  const isNumber = family === 'rsa' || family === 'dsa' || family === 'dh';
  return isNumber && bits < weakBelow ? 'small-key' : undefined;
}
