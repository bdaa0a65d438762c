import { SealpostError, toErrorInfo } from '../errors.ts';
import type { Certificate } from './certificate.ts';
import { readCertificates } from './certificate-file.ts';
import { type Crl, parseCrl } from './crl.ts';
import type { DistributionPoint } from './distribution-point.ts';
import { encodeOcspRequest, type OcspResponse, parseOcspResponse } from './ocsp.ts';
import { validatePath } from './path.ts';
import type { PathOptions, PathResult } from './path-types.ts';
import type { FetchStore, RevocationCache } from './revocation-cache.ts';

export type FetchKind = 'crl' | 'ocsp' | 'issuer';

/**
 * Gets octets over HTTP for revocation. Whoever gives it decides which addresses may be asked (an
 * allow-list, no private addresses, no redirects to them), how long and how much: an address in a
 * certificate is chosen by whoever wrote the certificate. It rejects when there is no answer.
 */
export type RevocationFetcher = (request: {
  kind: FetchKind;
  /** Always http: or https:. */
  url: string;
  /** For OCSP the request, to be sent with POST as application/ocsp-request. */
  body?: Buffer;
  /** Octets after which the fetcher gives up. */
  maxLength: number;
}) => Promise<Buffer>;

export interface RevocationOptions {
  fetch: RevocationFetcher;
  cache: RevocationCache;
  /** The present: what lists and answers have to be in force at. */
  now: Date;
  /** Ask OCSP responders, and where they do not answer get lists; default both. */
  methods?: readonly ('ocsp' | 'crl')[];
  /** Get issuers that the message does not bring along from the addresses in certificates; default false. */
  fetchIssuers?: boolean;
  /** Requests for one validation; default 20. */
  maxRequests?: number;
}

/** Why something could not be had, for the operator. */
export interface FetchFailure {
  url: string;
  message: string;
}

const maxLengths: Record<FetchKind, number> = {
  crl: 64 * 1024 * 1024,
  ocsp: 1024 * 1024,
  issuer: 1024 * 1024,
};

/**
 * `validatePath` with revocation lists and answers fetched for the path that it finds. Whether the
 * unknown is refused (`hard`) or marked (`soft`) is the operator's word in `options.revocation`.
 */
export async function validateWithRevocation(
  leaf: Certificate,
  options: PathOptions & { revocation: 'soft' | 'hard' },
  revocation: RevocationOptions,
): Promise<PathResult & { failures: FetchFailure[] }> {
  const session = new Session(revocation);
  let offline: PathOptions = { ...options, revocation: 'off' };
  let result = validatePath(leaf, offline);
  // Each round can bring one issuer nearer to a root.
  for (let round = 0; round < 4 && result.reason === 'no-path' && revocation.fetchIssuers === true; round++) {
    const found = await session.issuersOf([leaf, ...(offline.intermediates ?? [])]);
    if (found.length <= (offline.intermediates?.length ?? 0)) break;
    offline = { ...offline, intermediates: found };
    result = validatePath(leaf, offline);
  }
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
  readonly #seen = new Set<string>();
  #left: number;

  constructor(options: RevocationOptions) {
    this.#options = options;
    this.#left = options.maxRequests ?? 20;
  }

  /** Fetches for each certificate but the root: OCSP first, lists where that gives nothing. */
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
      // Several addresses of one point lead to the same list: the first that answers is enough.
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

  /** The certificates but the first, with those that their addresses lead to. */
  async issuersOf([leaf, ...others]: readonly Certificate[]): Promise<Certificate[]> {
    const found = [...others];
    for (const certificate of leaf === undefined ? others : [leaf, ...others]) {
      for (const url of addresses(orNone(() => certificate.authorityInfoAccess.caIssuers))) {
        if (this.#seen.has(url)) continue;
        this.#seen.add(url);
        const issuers = await this.#get(
          this.#options.cache.issuers,
          { kind: 'issuer', url },
          readCertificates,
          () => Number.POSITIVE_INFINITY,
        );
        if (issuers !== undefined) found.push(...issuers.slice(0, 20));
      }
    }
    return found;
  }

  /** Undefined where it can not be had; why goes into `failures`. */
  async #get<T>(
    store: FetchStore<T>,
    request: { kind: FetchKind; url: string; body?: Buffer },
    read: (data: Buffer) => T,
    holdsUntil: (value: T) => number,
  ): Promise<T | undefined> {
    const { now, fetch } = this.#options;
    const { kind, url, body } = request;
    if (this.#left-- <= 0) {
      this.failures.push({ url, message: 'more addresses than may be asked for one message' });
      return undefined;
    }
    try {
      return await store.get(`${url} ${body?.toString('base64') ?? ''}`, now, async () => {
        const maxLength = maxLengths[kind];
        const data = await fetch({ ...request, maxLength });
        if (data.length > maxLength) throw new Error(`more than ${maxLength} octets`);
        const value = read(data);
        return { value, size: data.length, holdsUntil: holdsUntil(value) };
      });
    } catch (error) {
      this.failures.push({ url, message: toErrorInfo(error).message });
      return undefined;
    }
  }
}

/** An extension that can not be read names no address; the revocation is unknown then. */
function orNone<T>(read: () => readonly T[]): readonly T[] {
  try {
    return read();
  } catch (error) {
    if (error instanceof SealpostError) return [];
    throw error;
  }
}

function answerHoldsUntil({ statuses }: OcspResponse): number {
  return Math.min(...statuses.map(({ nextUpdate, thisUpdate }) => (nextUpdate ?? thisUpdate).getTime()));
}

function urlsOf({ name }: DistributionPoint): string[] {
  return (name?.fullName ?? []).flatMap((one) => (one.kind === 'uri' ? [one.value] : []));
}

/** Only http and https are asked, never ldap or file (threats S9); at most three of them. */
function addresses(urls: readonly string[]): string[] {
  return urls.filter((url) => /^https?:$/.test(URL.parse(url)?.protocol ?? '')).slice(0, 3);
}
