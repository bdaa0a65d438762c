import { toErrorInfo } from '../errors.ts';
import type { Certificate } from './certificate.ts';
import { readCertificates } from './certificate-file.ts';
import { addresses, type FetchFailure, fetchThrough, orNone, type RevocationFetcher } from './fetching.ts';
import { validatePath } from './path.ts';
import type { PathOptions, PathResult } from './path-types.ts';
import type { RevocationCache } from './revocation-cache.ts';

export interface IssuerOptions {
  fetch: RevocationFetcher;
  /** One for a process. */
  cache: RevocationCache;
  /** The present, which decides how old the cached answers may be. */
  now: Date;
  /** Addresses that are asked for one message. Default 8. */
  maxRequests?: number;
}

/** Issuers, one above the other, that are fetched for one path. */
const mostRounds = 4;
/**
 * Certificates taken from one answer: enough for an authority and those that cross-certify it, but not for a whole
 * store.
 */
const mostFromAnswer = 20;

/**
 * Gets issuers that a message lacks from the addresses that certificates name for them (caIssuers of
 * authorityInfoAccess, RFC 5280 section 4.2.2.1). What is fetched proves nothing: it is one more certificate that a
 * path may lead through, and each signature of the path is checked. One search per message, so that its signers share
 * the bound on requests.
 */
export class IssuerSearch {
  readonly #options: IssuerOptions;
  readonly #answers = new Map<string, Promise<Certificate[] | FetchFailure>>();
  #left: number;

  constructor(options: IssuerOptions) {
    this.#options = options;
    this.#left = options.maxRequests ?? 8;
  }

  /**
   * `validatePath`, repeated with what could be fetched while an issuer is missing.
   * @returns the result, the certificates that it rests on besides those of `options`, and what could not be fetched
   */
  async complete(
    leaf: Certificate,
    options: PathOptions,
  ): Promise<{ result: PathResult; fetched: Certificate[]; failures: FetchFailure[] }> {
    const fetched: Certificate[] = [];
    const failures: FetchFailure[] = [];
    const asked = new Set<string>();
    let result = validatePath(leaf, options);
    for (let round = 0; round < mostRounds; round++) {
      const urls = (result.missing ?? []).flatMap(issuerAddresses).filter((url) => !asked.has(url));
      const before = fetched.length;
      for (const answer of await Promise.all(urls.map((url) => this.#ask(url)))) {
        if (!Array.isArray(answer)) failures.push(answer);
        else fetched.push(...answer.filter((each) => !fetched.some((known) => known.equals(each))));
      }
      for (const url of urls) asked.add(url);
      if (fetched.length === before) break;
      // before those of the message, of which only some may be considered
      result = validatePath(leaf, {
        ...options,
        intermediates: [...fetched, ...(options.intermediates ?? [])],
      });
    }
    return { result, fetched, failures };
  }

  #ask(url: string): Promise<Certificate[] | FetchFailure> {
    const known = this.#answers.get(url);
    if (known !== undefined) return known;
    const answer = this.#left-- > 0 ? this.#fetch(url) : tooMany(url);
    this.#answers.set(url, answer);
    return answer;
  }

  async #fetch(url: string): Promise<Certificate[] | FetchFailure> {
    try {
      const { cache } = this.#options;
      const request = { kind: 'issuer', url } as const;
      // the cache asks again after a day, whatever the certificate's own validity
      const until = () => Number.POSITIVE_INFINITY;
      const found = await fetchThrough(cache.issuers, request, this.#options, readCertificates, until);
      return found.slice(0, mostFromAnswer);
    } catch (error) {
      return { url, message: toErrorInfo(error).message };
    }
  }
}

async function tooMany(url: string): Promise<FetchFailure> {
  return { url, message: 'more addresses than may be contacted for one message' };
}

/** Where the issuer's certificate is, over http or https, according to a certificate. */
export function issuerAddresses(certificate: Certificate): string[] {
  return addresses(orNone(() => certificate.authorityInfoAccess.caIssuers));
}
