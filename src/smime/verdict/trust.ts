import type { KeyObject } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { type Budget, costs, isExhaustion } from '../../budget.ts';
import { SealpostError } from '../../errors.ts';
import {
  type Certificate,
  type Crl,
  type IssuerOptions,
  issuerAddresses,
  type PathOptions,
  type PathResult,
  parseCrl,
  pathReasons,
  pathWeaknesses,
  type RevocationCache,
  type RevocationFetcher,
  type RevocationOptions,
  sameKey,
  validatePath,
} from '../../pki/index.ts';
import type { SignerRevocation } from './verdict-schema.ts';

/** How missing issuers are fetched, by the functions that can wait for an answer. */
export type IssuerFetch = IssuerOptions;

/** How the revocation of signers is looked up, by the functions that can wait for an answer. */
export interface RevocationCheck {
  /** What happens to a signer whose status cannot be determined: `soft` keeps it trusted and says so. */
  readonly mode: 'soft' | 'hard';
  readonly fetch: RevocationFetcher;
  /** One for each process. */
  readonly cache: RevocationCache;
  /** The current time, at which lists and answers must be valid. */
  readonly now: Date;
  readonly methods?: NonNullable<RevocationOptions['methods']>;
}

/** What makes a signer trusted: a path to an anchor, or a pin. All of it comes from the caller. */
export interface Trust
  extends Pick<
    PathOptions,
    | 'anchors'
    | 'intermediates'
    | 'pinned'
    | 'refused'
    | 'limits'
    | 'md5'
    | 'sha1'
    | 'minimumKeyBits'
    | 'revocation'
    | 'crls'
    | 'policies'
    | 'requireExplicitPolicy'
    | 'inhibitPolicyMapping'
    | 'inhibitAnyPolicy'
  > {
  /** Keeps results, so that a path is validated once a minute instead of once per message. */
  readonly cache?: PathCache;
  /** Asks the authorities about trusted signers. Only `decode` and `decodeReopenable` do, because they can wait. */
  readonly revocationCheck?: RevocationCheck;
  /** Fetches issuers that a message lacks (AIA). Again, only `decode` and `decodeReopenable` do. */
  readonly issuerFetch?: IssuerFetch;
}

/** What was found out about a signer's certificate, for the key that verified its signature (`trustUnder`). */
export interface SignerTrust {
  readonly trusted: boolean;
  /** From the signer to the anchor, if trusted. */
  readonly chain: readonly { subject: string; thumbprint: string }[];
  readonly reason: string | null;
  readonly message: string | null;
  readonly weak: readonly string[];
  readonly revocation: SignerRevocation;
}

/**
 * Results of path validation, bounded in number. One cache may serve several Trusts. Results are told apart by the
 * identity of a Trust's arrays of certificates and CRLs, so to change the trust, pass new arrays.
 */
export class PathCache {
  readonly #results: LRUCache<string, PathResult>;
  readonly #numbers = new WeakMap<object, number>();
  #count = 0;

  /** @param most entries; the least recently used one goes first */
  constructor(most = 1000) {
    this.#results = new LRUCache({ max: most });
  }

  get(key: string): PathResult | undefined {
    return this.#results.get(key);
  }

  set(key: string, result: PathResult): void {
    this.#results.set(key, result);
  }

  /** Identifies this Trust by its arrays and options. */
  keyOf(trust: Trust): string {
    const arrays = [trust.anchors, trust.intermediates, trust.pinned, trust.refused, trust.crls];
    const numbers = arrays.map((array) => (array === undefined ? 0 : this.#numberOf(array)));
    const { policies, requireExplicitPolicy, inhibitPolicyMapping, inhibitAnyPolicy } = trust;
    const words = [trust.md5, trust.sha1, trust.minimumKeyBits, trust.revocation, policies?.join()];
    return [...numbers, ...words, requireExplicitPolicy, inhibitPolicyMapping, inhibitAnyPolicy].join(' ');
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

/** Maximum number of CRLs read from one message. */
const MOST_CRLS = 50;

/** What a SignedData contains besides its signers. */
export interface MessageBag {
  readonly certificates: readonly Certificate[];
  /** Each a CertificateList in DER. */
  readonly crls: readonly Buffer[];
}

export const notChecked: SignerRevocation = {
  status: 'not-checked',
  source: null,
  thisUpdate: null,
  ageSeconds: null,
  message: null,
};

/** For an invalid signature, where the certificate that it brings means nothing. */
export const unjudged: SignerTrust = {
  trusted: false,
  chain: [],
  reason: null,
  message: null,
  weak: [],
  revocation: notChecked,
};

/**
 * Judges the certificate of a valid signature at a given time (RFC 8550).
 *
 * @param key the key that verified the signature
 * @param bag from the message: its certificates may be intermediates, and its CRLs may show revocation, but neither
 *    proves anything by itself
 */
export function judgeSigner(
  certificate: Certificate,
  key: KeyObject,
  bag: MessageBag,
  trust: Trust,
  at: Date,
  budget: Budget,
): SignerTrust {
  return trustUnder(key, validate(certificate, bag, trust, at, budget), at);
}

function validate(
  certificate: Certificate,
  bag: MessageBag,
  trust: Trust,
  at: Date,
  budget: Budget,
): PathResult {
  const path = () => validatePath(certificate, pathOptions(bag, trust, at, budget));
  const { cache } = trust;
  // CRLs of this message may show what was unknown at an earlier result
  const revealing = bag.crls.length > 0 && (trust.revocation ?? 'off') !== 'off';
  if (cache === undefined || revealing) return path();
  const minute = Math.floor(at.getTime() / 60_000);
  const key = `${cache.keyOf(trust)} ${certificate.thumbprint} ${minute}`;
  const known = cache.get(key);
  if (known !== undefined) return known;
  // the path may have failed only because certificates are missing that another message brings
  const bagKey = `${key} ${bag.certificates
    .slice(0, 20)
    .map(({ thumbprint }) => thumbprint)
    .join(' ')} ${bag.certificates.length}`;
  const failed = cache.get(bagKey);
  if (failed !== undefined) return failed;
  const result = path();
  cache.set(result.trusted ? key : bagKey, result);
  return result;
}

/**
 * What a path is worth for a signature. This is the only way from a path to trust: the key at the end of the path must
 * be the one that verified the signature.
 *
 * @param now the time from which the age of revocation lists and answers is counted
 * @param why see `missingIssuerHint`
 */
export function trustUnder(
  key: KeyObject,
  result: PathResult,
  now: Date,
  why?: ReadonlyMap<string, string>,
): SignerTrust {
  const revocation = revocationOf(result, now);
  const weak = weaknessesOf(result);
  if (!result.trusted) {
    const { reason } = result;
    return { trusted: false, chain: [], reason, message: failureText(result, why), weak, revocation };
  }
  if (result.publicKey === undefined || !sameKey(result.publicKey, key)) {
    const message = pathReasons['signature-invalid'];
    return { trusted: false, chain: [], reason: 'signature-invalid', message, weak, revocation };
  }
  const chain = result.chain.map(({ subject, thumbprint }) => ({ subject, thumbprint }));
  return { trusted: true, chain, reason: null, message: null, weak, revocation };
}

/**
 * Why a certificate is not trusted, in words, with a remedy if issuers are missing.
 * @param why see `missingIssuerHint`
 */
function failureText(result: PathResult, why?: ReadonlyMap<string, string>): string | null {
  if (result.reason === null) return null;
  return `${result.message || pathReasons[result.reason]}${missingIssuerHint(result, why)}`;
}

function weaknessesOf({ weak }: PathResult): string[] {
  return weak.map((word) => pathWeaknesses[word]);
}

/**
 * The complete key of a certificate that inherits its parameters, which only a trusted path can give. Revocation is
 * judged with the signer.
 */
export function inheritedKey(
  certificate: Certificate,
  others: readonly Certificate[],
  trust: Trust,
  at: Date,
  budget: Budget,
): KeyObject | undefined {
  const bag = { certificates: others, crls: [] };
  const path = validatePath(certificate, { ...pathOptions(bag, trust, at, budget), revocation: 'off' });
  return path.trusted ? path.publicKey : undefined;
}

/** How a signer's path is validated, with the certificates and CRLs of the message. */
export function pathOptions(bag: MessageBag, trust: Trust, at: Date, budget: Budget): PathOptions {
  const { cache: _, revocationCheck: __, issuerFetch: ___, intermediates = [], ...options } = trust;
  return {
    ...options,
    intermediates: [...intermediates, ...bag.certificates],
    ...withCrls(bag, trust, budget),
    at,
    budget,
    purpose: 'sign',
  };
}

/** The caller's CRLs and those of the message, if revocation is checked. */
function withCrls(bag: MessageBag, trust: Trust, budget: Budget): Pick<PathOptions, 'crls'> {
  const own = trust.crls === undefined ? {} : { crls: trust.crls };
  if ((trust.revocation ?? 'off') === 'off' || bag.crls.length === 0) return own;
  return { crls: [...(trust.crls ?? []), ...crlsOf(bag.crls, budget)] };
}

/** The lists of a message, parsed for its first signer and reused for the others. */
const readLists = new WeakMap<readonly Buffer[], readonly Crl[]>();

function crlsOf(lists: readonly Buffer[], budget: Budget): readonly Crl[] {
  const known = readLists.get(lists);
  if (known !== undefined) return known;
  const found: Crl[] = [];
  for (const der of lists.slice(0, MOST_CRLS)) {
    budget.spend(costs.crl(der.length));
    try {
      found.push(parseCrl(der));
    } catch (error) {
      // an unreadable list says nothing; whether that is enough depends on the revocation mode
      if (!(error instanceof SealpostError) || isExhaustion(error)) throw error;
    }
  }
  readLists.set(lists, found);
  return found;
}

/** The revocation status of a path: the worst of its certificates, and how old the signer's status is. */
export function revocationOf(
  { revocation }: Pick<PathResult, 'revocation'>,
  now: Date,
  message: string | null = null,
): SignerRevocation {
  const worst = (['revoked', 'unknown', 'good'] as const).find((word) =>
    revocation.some(({ status }) => status === word),
  );
  if (worst === undefined) return notChecked;
  const { source, thisUpdate } = revocation.find(({ status }) => status === worst) ?? {};
  return {
    status: worst,
    source: source ?? null,
    thisUpdate: thisUpdate?.toISOString() ?? null,
    ageSeconds: thisUpdate === undefined ? null : Math.round((now.getTime() - thisUpdate.getTime()) / 1000),
    message,
  };
}

/** Longest URL that is shown, in characters. The sender chose it. */
const mostShown = 200;
/** Broken paths whose ends are reported, at most. */
const mostEnds = 2;

/**
 * What a person can do about missing issuers: where to get their certificates (AIA), and why they were not fetched.
 * Empty if none is missing.
 *
 * @param why reason for each URL that was not fetched; for any other, the text says that nobody asked
 */
function missingIssuerHint(
  { missing = [] }: Pick<PathResult, 'missing'>,
  why: ReadonlyMap<string, string> = new Map(),
): string {
  return missing
    .slice(0, mostEnds)
    .map((certificate) => `; ${hintFor(certificate, why)}`)
    .join('');
}

function hintFor(certificate: Certificate, why: ReadonlyMap<string, string>): string {
  const urls = issuerAddresses(certificate);
  if (urls.length === 0) return 'no http address (AIA) says where to get that issuer';
  return urls
    .map((url) => {
      const reason = why.get(url) ?? 'fetching of issuers is turned off';
      return `AIA address ${(URL.parse(url)?.href ?? '').slice(0, mostShown)} not used: ${reason}`;
    })
    .join('; ');
}
