import { isIPv4, isIPv6 } from 'node:net';
import { domainToASCII, domainToUnicode } from 'node:url';

declare const proof: unique symbol;

/**
 * A domain name in the one form that is compared, looked up and sent: A-labels (RFC 5890) in lower case, only letters,
 * digits, hyphens and dots, without a trailing dot. Only `toDomain` makes one.
 */
export type Domain = string & { readonly [proof]: 'domain' };

/** RFC 1034, section 3.5, as RFC 1123, section 2.1 relaxes it. */
const label = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
/**
 * What may be mapped. `domainToASCII` is the host parser of URLs: it accepts escapes, ends at `/`, `?` and `#`, and
 * drops tabs and invisible characters. None of these reach it.
 */
const mappable = /^[a-z0-9.\-\p{L}\p{M}\p{N}]+$/iu;
const ascii = /^[a-z0-9.-]+$/i;
/** Longer names are not a domain in any form (RFC 1035, section 2.3.4), and take time to map. */
const mostCharacters = 253;

/**
 * Reads a domain name: ASCII, or Unicode that UTS 46 (non-transitional) maps to A-labels.
 * An A-label counts only if it is that of the Unicode it decodes to (RFC 5891, section 5.4).
 *
 * @returns undefined for anything else: other characters before or after the mapping, empty or overlong labels, an
 *   address of numbers
 */
export function toDomain(text: string): Domain | undefined {
  if (text.length > mostCharacters || !mappable.test(text)) return undefined;
  const mapped = ascii.test(text) ? text.toLowerCase() : domainToASCII(text);
  return isDomain(mapped) ? mapped : undefined;
}

function isDomain(text: string): text is Domain {
  if (text.length > mostCharacters) return false;
  const labels = text.split('.');
  // a name that ends in a number is an address for a connecting client (the URL standard, section 3.5)
  if (/^(?:\d+|0x[0-9a-f]*)$/.test(labels.at(-1) ?? '')) return false;
  return labels.every((each) => label.test(each) && (!each.startsWith('xn--') || isALabel(each)));
}

function isALabel(text: string): boolean {
  const unicode = domainToUnicode(text);
  return !ascii.test(unicode) && mappable.test(unicode) && domainToASCII(unicode) === text;
}

/**
 * ASCII letters in lower case, as addresses are compared. All others stay: `toLowerCase` makes a k of the Kelvin sign
 * (U+212A), which is another letter to every mail server.
 */
export const smallLetters = (text: string): string =>
  text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());

/** True for a subdomain of the other one, but not for that domain itself. */
export function isBelow(domain: Domain, parent: Domain): boolean {
  return domain.endsWith(`.${parent}`);
}

/** The part after the `@` of an address: a domain, or an address literal, `[192.0.2.1]` or `[ipv6:2001:db8::1]`. */
export type MailHost = Domain | `[${string}]`;

/** True for the domain of an address that is this domain or below it. */
export function isWithin(host: MailHost, domain: Domain): boolean {
  return host === domain || host.endsWith(`.${domain}`);
}

/**
 * Reads the domain of an address, or its literal (RFC 5321, section 4.1.3), in the form for comparison: IPv6 as in RFC
 * 5952. Undefined for anything else, including other kinds of literals.
 */
export function toMailHost(text: string): MailHost | undefined {
  const inside = /^\[(.*)\]$/s.exec(text)?.[1];
  if (inside === undefined) return toDomain(text);
  if (isIPv4(inside)) return `[${inside}]`;
  const six = /^ipv6:([0-9a-f:.]+)$/i.exec(inside)?.[1];
  if (six === undefined || !isIPv6(six)) return undefined;
  return `[ipv6:${new URL(`http://[${six}]/`).hostname.slice(1, -1)}]`;
}
