import type { HeaderBlock } from './headers.ts';

/**
 * The Message-ID of a message with its angle brackets (RFC 5322 section 3.6.4): of the first such field. Null if it is
 * missing or invalid. This is the only reading, so ledger, duplicate detection and hand-off agree.
 */
export function readMessageId(headers: HeaderBlock): string | null {
  const value = (headers.get('message-id') ?? '').slice(0, LONGEST);
  return /^<[!-;=?-~]+>/.exec(value)?.[0] ?? null;
}

/** Octets of a line that a server accepts (RFC 5321, section 4.5.3.1.6). */
const LONGEST = 998;
