import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';
import type { SignedUrl } from './types.ts';

const route = /^\/v1\/messages\/([A-Za-z0-9._~%-]{1,400})\/content$/;

export type UrlCheck = { valid: string; piece?: string } | { wrong: 'route' | 'signature' | 'expired' };

/**
 * Signs and checks URLs that give access to the content of one message for a limited time:
 * `<base>/v1/messages/<id>/content?expires=<unix seconds>&signature=<base64url>`, with `piece=<path>` for one of its
 * pieces. The key is derived from the spool key (HKDF, RFC 5869), so every process has it, and a leaked URL reveals
 * nothing about the spool.
 */
export class UrlSigner {
  readonly #key: Buffer;
  readonly #base: string;
  readonly #lifetime: number;

  /** `base` is `http.publicUrl`; `lifetime` in milliseconds. */
  constructor(spoolKey: Buffer, base: string, lifetime = 24 * 3_600_000) {
    this.#key = Buffer.from(hkdfSync('sha256', spoolKey, Buffer.alloc(0), 'sealpost content url v1', 32));
    this.#base = withoutSlashes(base);
    this.#lifetime = lifetime;
  }

  /** A URL for the content of a message; `now` and `expires` in milliseconds since the epoch. */
  sign(id: string, now: number, piece?: string): SignedUrl {
    const expires = Math.ceil((now + this.#lifetime) / 1000);
    const signature = this.#mac(id, String(expires), piece).toString('base64url');
    const query = piece === undefined ? '' : `piece=${encodeURIComponent(piece)}&`;
    const path = `/v1/messages/${encodeURIComponent(id)}/content`;
    return {
      url: `${this.#base}${path}?${query}expires=${expires}&signature=${signature}`,
      expires: expires * 1000,
    };
  }

  /** Checks path and query as received. Returns the id only if the signature is valid and has not expired. */
  check(target: string, now: number): UrlCheck {
    const url = URL.parse(target, 'http://localhost');
    const encoded = url === null ? undefined : route.exec(url.pathname)?.[1];
    const id = encoded === undefined ? undefined : decode(encoded);
    if (url === null || id === undefined) return { wrong: 'route' };
    const expires = url.searchParams.get('expires') ?? '';
    const given = Buffer.from(url.searchParams.get('signature') ?? '', 'base64url');
    const piece = url.searchParams.get('piece') ?? undefined;
    // digits only, so that it cannot be mistaken for a piece
    if (!/^\d{1,15}$/.test(expires)) return { wrong: 'signature' };
    const wanted = this.#mac(id, expires, piece);
    if (given.length !== wanted.length || !timingSafeEqual(given, wanted)) return { wrong: 'signature' };
    if (Number(expires) * 1000 <= now) return { wrong: 'expired' };
    return piece === undefined ? { valid: id } : { valid: id, piece };
  }

  /** The length of the id comes first, so that no other pair of id and time yields the same octets. */
  #mac(id: string, expires: string, piece: string | undefined): Buffer {
    const of = piece === undefined ? '' : `piece:${piece}:`;
    return createHmac('sha256', this.#key)
      .update(`${Buffer.byteLength(id)}:${id}:${of}${expires}`)
      .digest();
  }
}

function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

function withoutSlashes(url: string): string {
  let end = url.length;
  while (url[end - 1] === '/') end--;
  return url.slice(0, end);
}
