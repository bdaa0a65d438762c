import { toErrorInfo } from '../errors.ts';
import type { Certificate } from './certificate.ts';
import { type Crl, parseCrl } from './crl.ts';
import type { DistributionPoint } from './distribution-point.ts';
import {
  addresses,
  type FetchFailure,
  type FetchKind,
  fetchThrough,
  orNone,
  type RevocationFetcher,
} from './fetching.ts';
import { encodeOcspRequest, type OcspResponse, parseOcspResponse } from './ocsp.ts';
import { validatePath } from './path.ts';
import type { PathOptions, PathResult } from './path-types.ts';
import type { FetchStore, RevocationCache } from './revocation-cache.ts';

export interface RevocationOptions {
  fetch: RevocationFetcher;
  cache: RevocationCache;
  /** The present, at which lists and answers must be valid. */
  now: Date;
  /** What to ask: OCSP responders, and lists if they do not answer. Default: both. */
  methods?: readonly ('ocsp' | 'crl')[];
  /** Requests for one validation, at most. Default 20. */
  maxRequests?: number;
}

/**
 * `validatePath`, with revocation lists and answers fetched for the path that it finds. `options.revocation` decides
 * whether an unknown status is refused (`hard`) or marked (`soft`).
 */
export async function validateWithRevocation(
  leaf: Certificate,
  options: PathOptions & { revocation: 'soft' | 'hard' },
  revocation: RevocationOptions,
): Promise<PathResult & { failures: FetchFailure[] }> {
  const session = new Session(revocation);
  const offline: PathOptions = { ...options, revocation: 'off' };
  const result = validatePath(leaf, offline);
  if (!result.trusted || result.pinned) return { ...result, failures: session.failures };
  await session.gather(result.chain);
  const final = validatePath(leaf, {
    ...offline,
    revocation: options.revocation,
    revocationAt: revocation.now,
    crls: [...(options.crls ?? []), ...session.crls],
    ocsp: [...(options.ocsp ?? []), ...session.answers],
  });
  return { ...final, failures: session.failures };
}

/** What one validation has fetched. */
class Session {
  readonly crls: Crl[] = [];
  readonly answers: OcspResponse[] = [];
  readonly failures: FetchFailure[] = [];
  readonly #options: RevocationOptions;
  #left: number;

  constructor(options: RevocationOptions) {
    this.#options = options;
    this.#left = options.maxRequests ?? 20;
  }

  /** Fetches for each certificate except the root: OCSP first, then lists if that yields nothing. */
  async gather(chain: readonly Certificate[]): Promise<void> {
    const methods = this.#options.methods ?? ['ocsp', 'crl'];
    await Promise.all(
      chain.slice(0, -1).map(async (certificate, index) => {
        const issuer = chain[index + 1];
        if (issuer === undefined) return;
        if (methods.includes('ocsp') && (await this.#askResponders(certificate, issuer))) return;
        if (methods.includes('crl')) await this.#getLists(certificate);
      }),
    );
  }

  async #askResponders(certificate: Certificate, issuer: Certificate): Promise<boolean> {
    const body = encodeOcspRequest(certificate, issuer);
    for (const url of addresses(orNone(() => certificate.authorityInfoAccess.ocsp))) {
      const answer = await this.#get(
        this.#options.cache.answers,
        { kind: 'ocsp', url, body },
        parseOcspResponse,
        answerHoldsUntil,
      );
      if (answer === undefined) continue;
      this.answers.push(answer);
      return true;
    }
    return false;
  }

  async #getLists(certificate: Certificate): Promise<void> {
    const points = [
      ...orNone(() => certificate.crlDistributionPoints ?? []),
      ...orNone(() => certificate.freshestCrl ?? []),
    ];
    for (const point of points) {
      // several URLs of one point lead to the same list, so the first that answers is enough
      for (const url of addresses(urlsOf(point))) {
        const crl = await this.#get(
          this.#options.cache.crls,
          { kind: 'crl', url },
          parseCrl,
          ({ nextUpdate }) => nextUpdate?.getTime() ?? 0,
        );
        if (crl === undefined) continue;
        if (!this.crls.includes(crl)) this.crls.push(crl);
        break;
      }
    }
  }

  /** Undefined if it cannot be fetched. The reason goes into `failures`. */
  async #get<T>(
    store: FetchStore<T>,
    request: { kind: FetchKind; url: string; body?: Buffer },
    read: (data: Buffer) => T,
    holdsUntil: (value: T) => number,
  ): Promise<T | undefined> {
    const { url } = request;
    if (this.#left-- <= 0) {
      this.failures.push({ url, message: 'more addresses than may be contacted for one message' });
      return undefined;
    }
    try {
      return await fetchThrough(store, request, this.#options, read, holdsUntil);
    } catch (error) {
      this.failures.push({ url, message: toErrorInfo(error).message });
      return undefined;
    }
  }
}

function answerHoldsUntil({ statuses }: OcspResponse): number {
  return Math.min(...statuses.map(({ nextUpdate, thisUpdate }) => (nextUpdate ?? thisUpdate).getTime()));
}

function urlsOf({ name }: DistributionPoint): string[] {
  return (name?.fullName ?? []).flatMap((one) => (one.kind === 'uri' ? [one.value] : []));
}
