import { type MailHost, toMailHost } from '../domain.ts';
import { decodeWords } from './encoded-words.ts';
import { mailboxKey } from './mailbox.ts';

/** One address of a field such as From, To or Sender. */
export interface Address {
  /** The display name, decoded for display; '' if there is none. */
  readonly name: string;
  /** The address as written, without comments and folding white space. Never from an encoded word. */
  readonly address: string;
  /** The group that it is a member of (RFC 5322, section 3.4), decoded. */
  readonly group?: string;
}

/** A valid address, in the form of `Mailbox`. */
export interface KnownAddress extends Address {
  readonly host: MailHost;
  readonly key: string;
}

/** What a field with addresses says. */
export interface AddressList {
  /** In order, including invalid ones (`isKnown`), so that the list is never shorter than the field. */
  readonly addresses: readonly (Address | KnownAddress)[];
  /**
   * Why the value is not an address list of RFC 5322 (including obsolete forms) with a valid domain in each address.
   * Undefined if it is one. Then all addresses are known, and any parser finds the same ones.
   */
  readonly fault: string | undefined;
}

export function isKnown(address: Address | KnownAddress): address is KnownAddress {
  return 'key' in address;
}

type Token = { kind: 'text' | 'quoted' | 'comment' | 'literal' | 'special'; text: string };

const SPECIALS = '<>,;:@';
/** Characters of an atom (RFC 5322, section 3.2.3; RFC 6532, section 3.2) and dots. No invisible characters. */
const ATOM = /^(?:[-A-Za-z0-9!#$%&'*+/=?^_`{|}~.]|[^\p{ASCII}\p{C}\p{Z}])+$/u;
const ENCODED_WORD = /=\?[^?]*\?[bq]\?/i;

/** Parses one address list, and records the first violation of the grammar. */
class Reader {
  readonly addresses: (Address | KnownAddress)[] = [];
  fault: string | undefined;

  constructor(value: string) {
    if (/[^\P{Cc}\t]/u.test(value)) this.#wrong('has a control character');
    this.#list(this.#tokenize(value));
  }

  #wrong(fault: string): void {
    this.fault ??= fault;
  }

  #tokenize(text: string): Token[] {
    const tokens: Token[] = [];
    let at = 0;
    while (at < text.length) {
      const char = text[at] ?? '';
      if (char === '"' || char === '[') {
        const end = closing(text, at, char === '"' ? '"' : ']');
        if (end === text.length) this.#wrong('has a quoted string or literal without its end');
        tokens.push(
          char === '"'
            ? { kind: 'quoted', text: text.slice(at + 1, end).replace(/\\(.)/gs, '$1') }
            : { kind: 'literal', text: text.slice(at, end + 1) },
        );
        at = end + 1;
      } else if (char === '(') {
        const end = closingComment(text, at);
        if (end === text.length) this.#wrong('has a comment without its end');
        tokens.push({ kind: 'comment', text: text.slice(at + 1, end).replace(/\\(.)/gs, '$1') });
        at = end + 1;
      } else if (SPECIALS.includes(char)) {
        tokens.push({ kind: 'special', text: char });
        at++;
      } else if (/\s/.test(char)) {
        if (char !== ' ' && char !== '\t') this.#wrong('has white space that mail does not know');
        at++;
      } else {
        const found = /^[^\s"(<>,;:@[]+/.exec(text.slice(at, at + 1000))?.[0] ?? char;
        tokens.push({ kind: 'text', text: found });
        at += found.length;
      }
    }
    return tokens;
  }

  #list(tokens: readonly Token[]): void {
    let group: string | undefined;
    let element = new Element();
    const flush = () => {
      this.#element(element, group);
      element = new Element();
    };
    for (const token of tokens) {
      const special = token.kind === 'special' ? token.text : '';
      if (element.open) element.inAngle(token);
      else if (special === '<') {
        // a second angle address without a comma before it is a second address
        if (element.angle !== undefined) {
          this.#wrong('has two addresses without a comma between');
          flush();
        }
        element.angle = [];
        element.open = true;
      } else if (special === ',') flush();
      else if (special === ':' && group === undefined && element.angle === undefined) {
        group = phrase(element.before);
        if (!isPhrase(element.before) || words(element.before).length === 0)
          this.#wrong('has a group without a name');
        element = new Element();
      } else if (special === ';') {
        if (group === undefined) this.#wrong('ends a group that did not begin');
        flush();
        group = undefined;
        element.afterGroup = true;
      } else element.outside(token);
    }
    if (group !== undefined) this.#wrong('has a group without its end');
    flush();
  }

  #element(element: Element, group: string | undefined): void {
    const { before, angle, after, open, afterGroup } = element;
    const outside = [...before, ...after];
    if (angle === undefined && words(outside).length === 0) return;
    if (open) this.#wrong('has an angle bracket without its end');
    if (afterGroup) this.#wrong('has something behind a group');
    if (words(after).length > 0) this.#wrong('has something behind an angle bracket');
    if (angle !== undefined && !isPhrase(before)) this.#wrong('has an invalid display name');
    let name = angle === undefined ? '' : phrase(outside);
    const comment = outside.find((token) => token.kind === 'comment');
    if (name === '' && comment !== undefined) name = decodeWords(comment.text);
    const spec = addrSpec(words(angle ?? outside));
    if (typeof spec === 'string') this.#wrong(spec);
    const found = typeof spec === 'string' ? { address: joined(words(angle ?? outside)) } : spec;
    this.addresses.push({ name, ...found, ...(group === undefined ? {} : { group }) });
  }
}

/** The text between two commas. */
class Element {
  readonly before: Token[] = [];
  readonly after: Token[] = [];
  /** The text between angle brackets. `open` until the closing one. */
  angle: Token[] | undefined;
  open = false;
  /** It follows the `;` of a group without a comma in between. */
  afterGroup = false;

  inAngle(token: Token): void {
    if (token.kind === 'special' && token.text === '>') this.open = false;
    else this.angle?.push(token);
  }

  outside(token: Token): void {
    (this.angle === undefined ? this.before : this.after).push(token);
  }
}

function closing(text: string, start: number, quote: string): number {
  for (let at = start + 1; at < text.length; at++) {
    if (text[at] === '\\') at++;
    else if (text[at] === quote) return at;
  }
  return text.length;
}

function closingComment(text: string, start: number): number {
  let depth = 0;
  for (let at = start; at < text.length; at++) {
    if (text[at] === '\\') at++;
    else if (text[at] === '(') depth++;
    else if (text[at] === ')' && --depth === 0) return at;
  }
  return text.length;
}

const words = (tokens: readonly Token[]) => tokens.filter(({ kind }) => kind !== 'comment');

/** RFC 5322, sections 3.2.5 and 4.1: atoms, dots and quoted strings. */
function isPhrase(tokens: readonly Token[]): boolean {
  return words(tokens).every(({ kind, text }) => kind === 'quoted' || (kind === 'text' && ATOM.test(text)));
}

/** Words of a display name. Encoded words are decoded only in plain words, never in quoted strings. */
function phrase(tokens: readonly Token[]): string {
  const pieces: string[] = [];
  let plain: string[] = [];
  const flushPlain = () => {
    if (plain.length > 0) pieces.push(decodeWords(plain.join(' ')));
    plain = [];
  };
  for (const token of words(tokens)) {
    if (token.kind === 'quoted') {
      flushPlain();
      pieces.push(token.text);
    } else plain.push(token.text);
  }
  flushPlain();
  return pieces.join(' ');
}

const quote = (text: string) => `"${text.replace(/["\\]/g, '\\$&')}"`;

function joined(tokens: readonly Token[]): string {
  const text = tokens.map((token) => (token.kind === 'quoted' ? quote(token.text) : token.text)).join('');
  return withoutRoute(text);
}

/** A source route (RFC 5321, appendix C) says nothing about the author. */
function withoutRoute(text: string): string {
  const colon = text.startsWith('@') ? text.indexOf(':') : -1;
  return text.slice(colon + 1);
}

const isSpecial = (token: Token | undefined, text: string) =>
  token?.kind === 'special' && token.text === text;

/** RFC 5322, sections 3.4.1 and 4.4. @returns what is wrong with it, if it is not an address */
function addrSpec(tokens: readonly Token[]): Pick<KnownAddress, 'address' | 'host' | 'key'> | string {
  const colon = isSpecial(tokens[0], '@') ? tokens.findIndex((token) => isSpecial(token, ':')) : -1;
  const route = tokens.slice(0, Math.max(colon, 0));
  if (route.some((token) => token.kind === 'quoted' || isSpecial(token, '<')))
    return 'has an invalid source route';
  const spec = tokens.slice(colon + 1);
  const at = spec.findIndex((token) => isSpecial(token, '@'));
  if (at < 0) return 'has an address without a domain';
  const local = spec.slice(0, at);
  const domain = spec.slice(at + 1);
  if (!isDotted(local)) return 'has an invalid local part';
  const isLiteral = domain.length === 1 && domain[0]?.kind === 'literal';
  if (!isLiteral && (!isDotted(domain) || domain.some(({ kind }) => kind === 'quoted')))
    return 'has an invalid domain';
  const host = toMailHost(domain.map(({ text }) => text).join(''));
  if (host === undefined) return 'has an invalid domain';
  const value = local.map(({ text }) => text).join('');
  if (/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u.test(value))
    return 'has a local part with characters that are not visible';
  return { address: joined([...local, ...spec.slice(at)]), host, key: mailboxKey(value, host) };
}

/** Words separated by dots (`obs-local-part`, `obs-domain`). White space does not join them. */
function isDotted(tokens: readonly Token[]): boolean {
  let dotNeeded = false;
  let dotAllowed = false;
  for (const { kind, text } of tokens) {
    if (kind === 'quoted') {
      if (dotNeeded) return false;
    } else if (kind !== 'text' || !ATOM.test(text) || ENCODED_WORD.test(text) || text.includes('..'))
      return false;
    else if (text.startsWith('.') ? !dotAllowed : dotNeeded) return false;
    dotNeeded = kind === 'quoted' || !text.endsWith('.');
    dotAllowed = dotNeeded;
  }
  return dotNeeded;
}

/**
 * Parses an address list (RFC 5322, section 3.4, with the obsolete forms of section 4.4): display names, groups,
 * comments, quoted strings. Never throws: `fault` says what is wrong.
 */
export function readAddressList(value: string): AddressList {
  const { addresses, fault } = new Reader(value);
  return { addresses, fault };
}
