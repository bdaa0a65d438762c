import type { HeaderBlock } from './headers.ts';

/**
 * The Message-ID of a message with its angle brackets (RFC 5322 section 3.6.4): of the first field of that name. Null
 * when there is none, or what stands there is none. The one reading of it: the ledger, the key by which duplicates are
 * known and what is handed off have the same.
 */
export function readMessageId(headers: HeaderBlock): string | null {
  const value = (headers.get('message-id') ?? '').slice(0, LONGEST);
  return /^<[!-;=?-~]+>/.exec(value)?.[0] ?? null;
}

/** Octets of a line that a server takes (RFC 5321, section 4.5.3.1.6). */
const LONGEST = 998;
