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

/** How issuers that a message does not bring along are had; by the functions that can wait for an answer. */
export type IssuerFetch = IssuerOptions;

/** How signers are looked up with their authorities, by the functions that can wait for an answer. */
export interface RevocationCheck {
  /** What becomes of a signer of whom nothing can be found out: `soft` leaves it trusted and says so. */
  readonly mode: 'soft' | 'hard';
  readonly fetch: RevocationFetcher;
  /** One for a process. */
  readonly cache: RevocationCache;
  /** The present, at which lists and answers have to be in force. */
  readonly now: Date;
  readonly methods?: NonNullable<RevocationOptions['methods']>;
}

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
    | 'policies'
    | 'requireExplicitPolicy'
    | 'inhibitPolicyMapping'
    | 'inhibitAnyPolicy'
  > {
  /** Keeps results, so that a path is validated once a minute and not for each message. */
  readonly cache?: PathCache;
  /** Asks the authorities about signers that are trusted; only in `decode` and `decodeReopenable`, which can wait. */
  readonly revocationCheck?: RevocationCheck;
  /** Gets issuers that a message does not bring along (AIA); only in `decode` and `decodeReopenable` as well. */
  readonly issuerFetch?: IssuerFetch;
}

/** What was found about a signer's certificate, for the key that its signature verified under (`trustUnder`). */
export interface SignerTrust {
  readonly trusted: boolean;
  /** From the signer to the anchor, when trusted. */
  readonly chain: readonly { subject: string; thumbprint: string }[];
  readonly reason: string | null;
  readonly message: string | null;
  readonly weak: readonly string[];
  readonly revocation: SignerRevocation;
}

/**
 * Results of path validation, bounded in number. One cache may serve several Trusts: results are kept apart
 * by the arrays of certificates and CRLs that a Trust has, so a change of trust is a new array.
 */
export class PathCache {
  readonly #results: LRUCache<string, PathResult>;
  readonly #numbers = new WeakMap<object, number>();
  #count = 0;

  /** @param most entries; the one that was not used for longest goes first */
  constructor(most = 1000) {
    this.#results = new LRUCache({ max: most });
  }

  get(key: string): PathResult | undefined {
    return this.#results.get(key);
  }

  set(key: string, result: PathResult): void {
    this.#results.set(key, result);
  }

  /** What tells this Trust from others: which arrays and words it has. */
  keyOf(trust: Trust): string {
    const arrays = [trust.anchors, trust.intermediates, trust.pinned, trust.crls];
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

/** CRLs of one message that are read. */
const MOST_CRLS = 50;

/** What a SignedData carries beside its signers. */
export interface MessageBag {
  readonly certificates: readonly Certificate[];
  /** CertificateList in DER each. */
  readonly crls: readonly Buffer[];
}

export const notChecked: SignerRevocation = {
  status: 'not-checked',
  source: null,
  thisUpdate: null,
  ageSeconds: null,
  message: null,
};

/** Of a signature that is not valid: whose certificate it brings says nothing. */
export const unjudged: SignerTrust = {
  trusted: false,
  chain: [],
  reason: null,
  message: null,
  weak: [],
  revocation: notChecked,
};

/**
 * Judges the certificate of a valid signature at a time (RFC 8550).
 *
 * @param key the key that the signature verified under
 * @param bag what the message brings: its certificates may lie between, its CRLs may tell of revocation;
 *   both prove nothing by themselves
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
  // CRLs of this message may say what a result of before did not know
  const revealing = bag.crls.length > 0 && (trust.revocation ?? 'off') !== 'off';
  if (cache === undefined || revealing) return path();
  const minute = Math.floor(at.getTime() / 60_000);
  const key = `${cache.keyOf(trust)} ${certificate.thumbprint} ${minute}`;
  const known = cache.get(key);
  if (known !== undefined) return known;
  // a failure may only be due to certificates that another message brings
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
 * What a path is worth to a signature. The only way from a path to trust: the key at its end has to be the one that
 * the signature verified under.
 *
 * @param now what the age of revocation lists and answers is counted from
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
 * Why a certificate is not trusted, in words, with what can be done about missing issuers.
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
 * The whole key of a certificate that leaves its parameters to its issuer: that of a trusted path, and of nothing else.
 * Revocation is left to the judgement of the signer.
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

/** How the path of a signer is validated, with what the message brings along. */
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

/** The caller's CRLs with those of the message, where revocation is looked at. */
function withCrls(bag: MessageBag, trust: Trust, budget: Budget): Pick<PathOptions, 'crls'> {
  const own = trust.crls === undefined ? {} : { crls: trust.crls };
  if ((trust.revocation ?? 'off') === 'off' || bag.crls.length === 0) return own;
  return { crls: [...(trust.crls ?? []), ...crlsOf(bag.crls, budget)] };
}

/** Lists of a message as they were read for its first signer: the others ask the same ones. */
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
      // a list that cannot be read says nothing; whether that is enough is the revocation word's matter
      if (!(error instanceof SealpostError) || isExhaustion(error)) throw error;
    }
  }
  readLists.set(lists, found);
  return found;
}

/** What the revocation of a path is worth: the worst of its certificates, with the age of what is said of the signer. */
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

/** Characters of an address that are shown; the sender wrote it. */
const mostShown = 200;
/** Ends of broken paths that are told of. */
const mostEnds = 2;

/**
 * What a person can do about issuers that are not there: where their certificates may be had (AIA), and why
 * they were not. Empty where none is missing.
 *
 * @param why by address, why it brought nothing; of others it is told that nobody asked
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
