import { type MailHost, smallLetters, toMailHost } from '../domain.ts';
import { SealpostError } from '../errors.ts';

/** An envelope address in its parts. */
export interface Mailbox {
  /** Without the quotes and escapes of a quoted local part. */
  readonly localPart: string;
  /** As written. An address literal keeps its brackets. */
  readonly domain: string;
  /** The text as it was accepted. */
  readonly address: string;
  /** The domain in the form that is compared, looked up and sent. */
  readonly host: MailHost;
  /** The form for comparison: equal for two texts that name the same mailbox. */
  readonly key: string;
}

const DOT_STRING = /^[-A-Za-z0-9!#$%&'*+/=?^_`{|}~]+(?:\.[-A-Za-z0-9!#$%&'*+/=?^_`{|}~]+)*$/;
const DOT_STRING_UTF8 =
  /^[-A-Za-z0-9!#$%&'*+/=?^_`{|}~\u0080-\u{10ffff}]+(?:\.[-A-Za-z0-9!#$%&'*+/=?^_`{|}~\u0080-\u{10ffff}]+)*$/u;
/** A quoted local part without white space and angle brackets, which some servers would misread. */
const QUOTED = /^"(?:[!#-;=?-[\]-~]|\\[!-;=?-~])*"$/;

/** Contains nothing that `checkCharacters` refuses. This matches most addresses. */
const VISIBLE_ASCII = /^[!-;=?-~]*$/;

/**
 * Parses an envelope address (RFC 5321, section 4.1.2; with `utf8` RFC 6531, section 3.3), strictly. A valid address
 * contains no CR, LF, control character, space or angle bracket, so it cannot become a second SMTP command. The caller
 * handles the empty reverse path.
 *
 * Errors: `address-invalid`; the message does not repeat the address.
 */
export function parseMailbox(text: string, options: { utf8?: boolean } = {}): Mailbox {
  const utf8 = options.utf8 ?? false;
  const refused = (why: string) => new SealpostError('address-invalid', `an envelope address ${why}`);
  if (text.length > 320) throw refused('is too long');
  if (!VISIBLE_ASCII.test(text)) checkCharacters(text, utf8, refused);
  const at = text.lastIndexOf('@');
  if (at < 1) throw refused('has no local part or no domain');
  const local = text.slice(0, at);
  const domain = text.slice(at + 1);
  const quoted = QUOTED.test(local);
  if (!quoted && !(utf8 ? DOT_STRING_UTF8 : DOT_STRING).test(local))
    throw refused('has an invalid local part');
  if (Buffer.byteLength(local) > 64) throw refused('has a local part of more than 64 octets');
  const host = toMailHost(domain);
  if (host === undefined) throw refused('has an invalid domain');
  const localPart = quoted ? local.slice(1, -1).replace(/\\(.)/g, '$1') : local;
  return { localPart, domain, address: text, host, key: mailboxKey(localPart, host) };
}

function checkCharacters(text: string, utf8: boolean, refused: (why: string) => SealpostError): void {
  for (const char of text) {
    const code = char.codePointAt(0) ?? 0;
    if (code <= 0x20 || code === 0x7f || (code >= 0x80 && code < 0xa0)) {
      throw refused('has a space or control character');
    }
    if (char === '<' || char === '>') throw refused('has an angle bracket');
    if (code > 0x7f && !utf8) throw refused('is not ASCII, and SMTPUTF8 was not requested');
    if (/\p{Zs}|\p{Zl}|\p{Zp}|\p{Cf}|\p{Cs}/u.test(char)) throw refused('has an invisible character');
  }
}

/**
 * A mailbox for comparison: the exact value of the local part (RFC 5321, section 2.4), without its quotes, and the
 * domain as A-labels in lower case.
 */
export function mailboxKey(localPart: string, host: MailHost): string {
  return `${/^\p{ASCII}*$/u.test(localPart) ? localPart : composed(localPart)}@${host}`;
}

/**
 * In NFC, but for the three characters that it makes ASCII of (a K of the Kelvin sign): to a mail server they are
 * others, and one who has such a mailbox is not who has that of the ASCII character.
 */
const composed = (text: string) =>
  text.replace(/[^\u037e\u1fef\u212a]+/g, (others) => others.normalize('NFC'));

/** The key without regard to case: certificates and senders write ASCII letters of the local part in either. */
export const caselessKey = ({ key }: Pick<Mailbox, 'key'>): string => smallLetters(key);

/** The key of an address. Undefined for an invalid address, which equals nothing. */
export function comparableAddress(address: string): string | undefined {
  try {
    return parseMailbox(address, { utf8: true }).key;
  } catch (error) {
    if (error instanceof SealpostError) return undefined;
    throw error;
  }
}

/** As `comparableAddress`, without regard to case. */
export function caselessAddress(address: string): string | undefined {
  const key = comparableAddress(address);
  return key && caselessKey({ key });
}

/** True if both are valid and name the same mailbox, without regard to case. */
export function sameAddress(a: string, b: string): boolean {
  const first = caselessAddress(a);
  return first !== undefined && first === caselessAddress(b);
}
