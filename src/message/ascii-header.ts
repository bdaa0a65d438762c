import { isAscii, isUtf8 } from 'node:buffer';
import { SealpostError } from '../errors.ts';

/*
 * Header fields in the form that every mail server accepts: ASCII, in lines that are not too long. UTF-8 is encoded as
 * the field allows, as words (RFC 2047) or parameters (RFC 2231). An address cannot be encoded (RFC 6531, section 3.3),
 * so it stays unchanged.
 */

/** Octets of a line without its line end (RFC 5322, section 2.1.1): the hard limit and the recommended one. */
export const MAX_LINE = 998;
const WISHED_LINE = 76;
/** Octets of text in one encoded word, chosen so that the word has at most 75 (RFC 2047, section 2). */
const WORD_OCTETS = 45;
/** Characters of a percent-encoded piece of a parameter. */
const PIECE = 60;

const addressFields: ReadonlySet<string> = new Set([
  ...['from', 'sender', 'reply-to', 'to', 'cc', 'bcc', 'return-path', 'disposition-notification-to'],
  ...['resent-from', 'resent-sender', 'resent-to', 'resent-cc', 'resent-reply-to', 'delivered-to'],
]);
const parameterFields: ReadonlySet<string> = new Set(['content-type', 'content-disposition']);
/** Fields with a grammar of their own, in which encoded words are not allowed. */
const otherFields: ReadonlySet<string> = new Set([
  ...[
    'date',
    'message-id',
    'in-reply-to',
    'references',
    'received',
    'content-id',
    'content-transfer-encoding',
  ],
  ...['mime-version', 'dkim-signature', 'arc-seal', 'arc-message-signature', 'authentication-results'],
]);

/**
 * A field (with its name, lines ended by CRLF) in ASCII and in lines of at most 998 octets; unchanged if it already is.
 * A non-ASCII address stays, and then the field is not ASCII.
 *
 * Errors: `mime-malformed` for a NUL, or for a line that cannot be folded.
 */
export function asciiField(field: Buffer): Buffer {
  if (isAscii(field) && !field.includes(0) && longestLine(field) <= MAX_LINE) return field;
  const text = field.toString(isUtf8(field) ? 'utf8' : 'latin1');
  const colon = text.indexOf(':');
  const name = text.slice(0, colon).trimEnd();
  if (text.includes('\0'))
    throw new SealpostError('mime-malformed', `header field ${nameOf(name)} holds a NUL`);
  const value = text
    .slice(colon + 1)
    .replace(/\r?\n/g, '')
    .trim();
  return Buffer.from(fold(name, encodeValue(name.toLowerCase(), value)), 'utf8');
}

function encodeValue(key: string, value: string): string {
  if (addressFields.has(key)) return addresses(value);
  if (parameterFields.has(key)) return parameters(value);
  return otherFields.has(key) ? value : words(value);
}

/** Octets of the longest line, without its line end. */
export function longestLine(octets: Buffer): number {
  let longest = 0;
  let start = 0;
  for (let end = octets.indexOf(0x0a); end >= 0; end = octets.indexOf(0x0a, start)) {
    const length = end - start - (octets[end - 1] === 0x0d ? 1 : 0);
    longest = Math.max(longest, length);
    start = end + 1;
  }
  return Math.max(longest, octets.length - start);
}

const plain = (text: string): boolean => isAscii(Buffer.from(text));

/**
 * Text of an unstructured field. Non-ASCII words, and those too long for a line, are encoded together with the white
 * space between them.
 */
function words(text: string): string {
  const parts: string[] = [];
  let run: string[] = [];
  const flush = () => {
    if (run.length > 0) parts.push(encodedWords(run.join(' ')));
    run = [];
  };
  for (const word of text.split(/[ \t]/)) {
    if (plain(word) && word.length < MAX_LINE - 100) {
      flush();
      parts.push(word);
    } else run.push(word);
  }
  flush();
  return parts.join(' ');
}

function encodedWords(text: string): string {
  const out: string[] = [];
  let piece = '';
  let octets = 0;
  const flush = () => {
    if (piece !== '') out.push(`=?utf-8?B?${Buffer.from(piece).toString('base64')}?=`);
    piece = '';
    octets = 0;
  };
  for (const character of text) {
    const length = Buffer.byteLength(character);
    if (octets + length > WORD_OCTETS) flush();
    piece += character;
    octets += length;
  }
  flush();
  return out.join(' ');
}

/** Display names and comments are encoded; addresses stay unchanged. */
function addresses(text: string): string {
  const out: string[] = [];
  // pieces are joined at the end, because looking at the end of a growing text copies all of it each time
  let last = '';
  const put = (piece: string) => {
    if (piece === '') return;
    // an encoded word must stand alone
    const apart = last !== '' && (piece.startsWith('=?') || last.endsWith('?='));
    if (apart && !/[\s,:;(]/.test(last.slice(-1)) && !/^[\s,;)]/.test(piece)) out.push(' ');
    out.push(piece);
    last = piece;
  };
  for (let at = 0; at < text.length; ) {
    const end = endOfPiece(text, at);
    const piece = text.slice(at, end);
    const quoted = piece.startsWith('"');
    if (plain(piece) || piece.startsWith('<') || (quoted && text[end] === '@')) put(piece);
    else if (quoted)
      put(encodedWords(piece.slice(1, piece.endsWith('"') ? -1 : undefined).replace(/\\(.)/g, '$1')));
    else if (piece.startsWith('(')) put(`(${words(piece.slice(1, piece.endsWith(')') ? -1 : undefined))})`);
    else put(piece.includes('@') ? piece : words(piece));
    at = end;
  }
  return out.join('');
}

/** Where the quoted string, comment, angle address or other run that starts here ends. */
function endOfPiece(text: string, start: number): number {
  const first = text[start];
  const close = first === '"' ? '"' : first === '(' ? ')' : first === '<' ? '>' : undefined;
  if (close === undefined) {
    let end = start + 1;
    while (end < text.length && !'"(<'.includes(text[end] ?? '') && text[end - 1] !== ',') end++;
    return end;
  }
  let depth = 1;
  for (let at = start + 1; at < text.length; at++) {
    const character = text[at];
    if (character === '\\' && first !== '<') at++;
    else if (character === close && --depth === 0) return at + 1;
    else if (character === '(' && first === '(') depth++;
  }
  return text.length;
}

/**
 * A value with parameters (RFC 2045, section 5.1). Parameters that are non-ASCII or too long are encoded by RFC 2231.
 */
function parameters(text: string): string {
  const [value = '', ...rest] = splitParameters(text);
  return [value.trim(), ...rest.map((each) => parameter(each.trim()))]
    .filter((each) => each !== '')
    .join('; ');
}

/** The texts between the semicolons of a value with parameters. Semicolons in quoted strings do not count. */
export function splitParameters(text: string): string[] {
  const parts: string[] = [];
  let start = 0;
  let quoted = false;
  for (let at = 0; at < text.length; at++) {
    if (quoted && text[at] === '\\') at++;
    else if (text[at] === '"') quoted = !quoted;
    else if (text[at] === ';' && !quoted) {
      parts.push(text.slice(start, at));
      start = at + 1;
    }
  }
  return [...parts, text.slice(start)];
}

function parameter(text: string): string {
  if (plain(text) && text.length < MAX_LINE - 100) return text;
  const equals = text.indexOf('=');
  if (equals < 0) return words(text);
  const name = text.slice(0, equals).trim();
  const raw = text.slice(equals + 1).trim();
  const value = raw.startsWith('"')
    ? raw.slice(1, raw.endsWith('"') ? -1 : undefined).replace(/\\(.)/g, '$1')
    : raw;
  const pieces: string[] = [];
  let piece = '';
  for (const character of value) {
    const encoded = /[A-Za-z0-9._-]/.test(character) ? character : percent(character);
    if (piece.length + encoded.length > PIECE) {
      pieces.push(piece);
      piece = '';
    }
    piece += encoded;
  }
  pieces.push(piece);
  if (pieces.length === 1) return `${name}*=utf-8''${piece}`;
  return pieces.map((each, at) => `${name}*${at}*=${at === 0 ? "utf-8''" : ''}${each}`).join('; ');
}

function percent(character: string): string {
  return Array.from(
    Buffer.from(character),
    (octet) => `%${octet.toString(16).toUpperCase().padStart(2, '0')}`,
  ).join('');
}

/** Folds into lines of 76 octets where white space allows it, and of 998 at most. */
function fold(name: string, value: string): string {
  const lines: string[] = [];
  let line = `${name}:`;
  for (const word of value.split(/[ \t]+/)) {
    if (word === '') continue;
    if (Buffer.byteLength(line) + 1 + Buffer.byteLength(word) > WISHED_LINE && !line.endsWith(':')) {
      lines.push(line);
      line = '';
    }
    line += ` ${word}`;
  }
  lines.push(line);
  const text = `${lines.join('\r\n')}\r\n`;
  if (lines.some((each) => Buffer.byteLength(each) > MAX_LINE)) {
    throw new SealpostError(
      'mime-malformed',
      `header field ${nameOf(name)} has more than ${MAX_LINE} octets without white space`,
    );
  }
  return text;
}

/** A field's name for an error message. It could be anything. */
function nameOf(name: string): string {
  return name.replace(/[^!-9;-~]/g, '?').slice(0, 80);
}
