import { decodeWords } from './encoded-words.ts';

/** One address of a From, To, Sender ... field. */
export interface Address {
  /** The display name, decoded for showing; '' when there is none. */
  readonly name: string;
  /** The address as written, without comments and folding white space; never from an encoded word. */
  readonly address: string;
  /** The group that it is a member of (RFC 5322, section 3.4), decoded. */
  readonly group?: string;
}

type Token = { kind: 'text' | 'quoted' | 'comment' | 'special'; text: string };

const SPECIALS = '<>,;:@';

function tokenize(text: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  while (at < text.length) {
    const char = text[at] ?? '';
    if (char === '"') {
      const end = closing(text, at, '"');
      tokens.push({ kind: 'quoted', text: text.slice(at + 1, end).replace(/\\(.)/gs, '$1') });
      at = end + 1;
    } else if (char === '(') {
      const end = closingComment(text, at);
      tokens.push({ kind: 'comment', text: text.slice(at + 1, end).replace(/\\(.)/gs, '$1') });
      at = end + 1;
    } else if (char === '[') {
      const end = closing(text, at, ']');
      tokens.push({ kind: 'text', text: text.slice(at, end + 1) });
      at = end + 1;
    } else if (SPECIALS.includes(char)) {
      tokens.push({ kind: 'special', text: char });
      at++;
    } else if (/\s/.test(char)) at++;
    else {
      const found = /^[^\s"(<>,;:@[]+/.exec(text.slice(at, at + 1000))?.[0] ?? char;
      tokens.push({ kind: 'text', text: found });
      at += found.length;
    }
  }
  return tokens;
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

/** Words of a display name: encoded words are decoded in plain words only, never in quoted strings. */
function phrase(tokens: readonly Token[]): string {
  const pieces: string[] = [];
  let plain: string[] = [];
  const flushPlain = () => {
    if (plain.length > 0) pieces.push(decodeWords(plain.join(' ')));
    plain = [];
  };
  for (const token of tokens) {
    if (token.kind === 'comment') continue;
    if (token.kind === 'quoted') {
      flushPlain();
      pieces.push(token.text);
    } else plain.push(token.text);
  }
  flushPlain();
  return pieces.join(' ');
}

function addrSpec(tokens: readonly Token[]): string {
  const quoteLocal = (text: string) => `"${text.replace(/["\\]/g, '\\$&')}"`;
  let address = '';
  for (const token of tokens) {
    if (token.kind === 'comment') continue;
    address += token.kind === 'quoted' ? quoteLocal(token.text) : token.text;
  }
  // a source route (RFC 5321, appendix C) says nothing about who it is
  return address.replace(/^@[^:]*:/, '');
}

/**
 * Reads an address list (RFC 5322, section 3.4, with the obsolete forms that occur): display names, groups,
 * comments, quoted strings. Tolerant: what has no `@` is given as an address without one, so that nobody
 * takes the list for shorter than it is. For deciding who the sender is, compare with `sameAddress`.
 */
export function parseAddresses(value: string): Address[] {
  const found: Address[] = [];
  let group: string | undefined;
  let pending: Token[] = [];
  let angle: Token[] | undefined;
  let closed = false;

  const flush = () => {
    const tokens = pending;
    const spec = angle;
    pending = [];
    angle = undefined;
    closed = false;
    const address = addrSpec(spec ?? tokens);
    if (address === '' && spec === undefined) return;
    let name = spec === undefined ? '' : phrase(tokens);
    const comment = tokens.find((token) => token.kind === 'comment');
    if (name === '' && comment !== undefined) name = decodeWords(comment.text);
    found.push(group === undefined ? { name, address } : { name, address, group });
  };

  for (const token of tokenize(value)) {
    const special = token.kind === 'special' ? token.text : '';
    if (angle !== undefined && !closed) {
      if (special === '>') closed = true;
      else angle.push(token);
    } else if (special === '<') {
      // a second angle address without a comma between is a second address
      if (angle !== undefined) flush();
      angle = [];
    } else if (special === ',') flush();
    else if (special === ':' && group === undefined && angle === undefined) {
      group = phrase(pending);
      pending = [];
    } else if (special === ';') {
      flush();
      group = undefined;
    } else pending.push(token);
  }
  flush();
  return found;
}
