import {
  type Certificate,
  type PathOptions,
  pathReasons,
  pathWeaknesses,
  validatePath,
} from '../pki/index.ts';

/** What makes a signer trusted: a path to an anchor, or being pinned. All of it is the caller's word. */
export interface Trust
  extends Pick<
    PathOptions,
    | 'anchors'
    | 'intermediates'
    | 'pinned'
    | 'limits'
    | 'md5'
    | 'sha1'
    | 'minimumKeyBits'
    | 'revocation'
    | 'crls'
  > {
  /** Keeps results, so that a path is validated once a minute and not for each message. */
  readonly cache?: PathCache;
}

/** What was found about a signer's certificate. */
export interface SignerTrust {
  readonly trusted: boolean;
  /** From the signer to the anchor, when trusted. */
  readonly chain: readonly { subject: string; thumbprint: string }[];
  readonly reason: string | null;
  readonly message: string | null;
  readonly weak: readonly string[];
}

/**
 * Results of path validation, bounded in number. One cache may serve several Trusts: results are kept apart
 * by the arrays of certificates and CRLs that a Trust has, so a change of trust is a new array.
 */
export class PathCache {
  readonly #most: number;
  readonly #results = new Map<string, SignerTrust>();
  readonly #numbers = new WeakMap<object, number>();
  #count = 0;

  /** @param most entries; the oldest goes first */
  constructor(most = 1000) {
    this.#most = most;
  }

  get(key: string): SignerTrust | undefined {
    return this.#results.get(key);
  }

  set(key: string, result: SignerTrust): void {
    const [oldest] = this.#results.keys();
    if (this.#results.size >= this.#most && oldest !== undefined) this.#results.delete(oldest);
    this.#results.set(key, result);
  }

  /** What tells this Trust from others: which arrays and words it has. */
  keyOf(trust: Trust): string {
    const arrays = [trust.anchors, trust.intermediates, trust.pinned, trust.crls];
    const numbers = arrays.map((array) => (array === undefined ? 0 : this.#numberOf(array)));
    return [...numbers, trust.md5, trust.sha1, trust.minimumKeyBits, trust.revocation].join(' ');
  }

  #numberOf(array: object): number {
    let number = this.#numbers.get(array);
    if (number === undefined) {
      number = ++this.#count;
      this.#numbers.set(array, number);
    }
    return number;
  }
}

export function createTrustCache(most?: number): PathCache {
  return new PathCache(most);
}

const unknownSigner: SignerTrust = { trusted: false, chain: [], reason: null, message: null, weak: [] };

/**
 * Judges a signer's certificate at a time (RFC 8550).
 *
 * @param bag the certificates of the message: they may lie between, and prove nothing by themselves
 */
export function judgeSigner(
  certificate: Certificate | undefined,
  bag: readonly Certificate[],
  trust: Trust,
  at: Date,
): SignerTrust {
  if (certificate === undefined) return unknownSigner;
  const { cache } = trust;
  if (cache === undefined) return judge(certificate, bag, trust, at);
  const minute = Math.floor(at.getTime() / 60_000);
  const key = `${cache.keyOf(trust)} ${certificate.thumbprint} ${minute}`;
  const known = cache.get(key);
  if (known !== undefined) return known;
  // a failure may only be for want of the certificates that another message brings
  const bagKey = `${key} ${bag
    .slice(0, 20)
    .map(({ thumbprint }) => thumbprint)
    .join(' ')} ${bag.length}`;
  const failed = cache.get(bagKey);
  if (failed !== undefined) return failed;
  const result = judge(certificate, bag, trust, at);
  cache.set(result.trusted ? key : bagKey, result);
  return result;
}

function judge(certificate: Certificate, bag: readonly Certificate[], trust: Trust, at: Date): SignerTrust {
  const { cache: _, intermediates = [], ...options } = trust;
  const result = validatePath(certificate, {
    ...options,
    intermediates: [...intermediates, ...bag],
    at,
    purpose: 'sign',
  });
  const weak = result.weak.map((word) => pathWeaknesses[word]);
  if (!result.trusted) {
    const { reason } = result;
    return {
      trusted: false,
      chain: [],
      reason,
      message: result.message || (reason && pathReasons[reason]),
      weak,
    };
  }
  const chain = result.chain.map(({ subject, thumbprint }) => ({ subject, thumbprint }));
  return { trusted: true, chain, reason: null, message: null, weak };
}
