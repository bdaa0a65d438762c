import { SealpostError } from '../errors.ts';
import type { FetchStore } from './revocation-cache.ts';

export type FetchKind = 'crl' | 'ocsp' | 'issuer';

/**
 * Fetches octets over HTTP for revocation and missing issuers. The implementation decides which addresses may be
 * contacted (an allow-list, no private addresses, no redirects), how long a request may take and how large an answer
 * may be, because the URL in a certificate was chosen by its author. Rejects if there is no answer.
 */
export type RevocationFetcher = (request: {
  kind: FetchKind;
  /** Always http: or https:. */
  url: string;
  /** For OCSP: the request, which is sent with POST as application/ocsp-request. */
  body?: Buffer;
  /** Octets after which the fetcher gives up. */
  maxLength: number;
}) => Promise<Buffer>;

/** Why something could not be fetched, for the operator. */
export interface FetchFailure {
  url: string;
  message: string;
}

const maxLengths: Record<FetchKind, number> = {
  crl: 64 * 1024 * 1024,
  ocsp: 1024 * 1024,
  issuer: 1024 * 1024,
};

/** The cached or fetched answer for a request, parsed. Rejects with what went wrong. */
export async function fetchThrough<T>(
  store: FetchStore<T>,
  request: { kind: FetchKind; url: string; body?: Buffer },
  { fetch, now }: { fetch: RevocationFetcher; now: Date },
  read: (data: Buffer) => T,
  holdsUntil: (value: T) => number,
): Promise<T> {
  const { kind, url, body } = request;
  return store.get(`${url} ${body?.toString('base64') ?? ''}`, now, async () => {
    const maxLength = maxLengths[kind];
    const data = await fetch({ ...request, maxLength });
    if (data.length > maxLength) throw new Error(`more than ${maxLength} octets`);
    const value = read(data);
    return { value, size: data.length, holdsUntil: holdsUntil(value) };
  });
}

/** Only http and https URLs, never ldap or file (threats S9), and at most three. */
export function addresses(urls: readonly string[]): string[] {
  return urls.filter((url) => /^https?:$/.test(URL.parse(url)?.protocol ?? '')).slice(0, 3);
}

/** An unreadable extension names no URL. */
export function orNone<T>(read: () => readonly T[]): readonly T[] {
  try {
    return read();
  } catch (error) {
    if (error instanceof SealpostError) return [];
    throw error;
  }
}
