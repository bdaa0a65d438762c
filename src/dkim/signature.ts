import { createHash, type KeyObject, sign } from 'node:crypto';
import { type Domain, isWithin } from '../domain.ts';
import { type HeaderBlock, type HeaderField, isKnown, readMailHeader } from '../message/index.ts';

/** A key that signs for a domain (RFC 6376; RFC 8463 for Ed25519). */
export interface DkimKey {
  domain: Domain;
  selector: string;
  /** RSA or Ed25519. */
  privateKey: KeyObject;
  /** Names of the fields that are signed, in lower case; `from` is one of them. */
  headers: readonly string[];
  /** Each name is listed once more than it occurs, so that another field of that name breaks the signature. */
  oversign: boolean;
  /** Milliseconds that a signature is valid; undefined for no end. */
  expires?: number | undefined;
}

const fieldName = 'DKIM-Signature';
/** Characters of a line of the field, without its line end. */
const MAX_LINE = 76;

/**
 * The keys that sign a message: those of the nearest domain that all authors in its From belong to. None if an author
 * belongs elsewhere, because a signature of another domain proves nothing of them (alignment, RFC 7489 section 3.1).
 */
export function keysFor(keys: readonly DkimKey[], header: HeaderBlock): DkimKey[] {
  const { from, fault } = readMailHeader(header).authors;
  if (fault !== undefined || from.length === 0) return [];
  const own = keys.filter(({ domain }) => from.every((each) => isKnown(each) && isWithin(each.host, domain)));
  const nearest = Math.max(...own.map(({ domain }) => domain.length));
  return own.filter(({ domain }) => domain.length === nearest);
}

/**
 * The field DKIM-Signature for a message, canonicalization relaxed/relaxed, with its CRLF.
 *
 * @param bodyHash as `RelaxedBodyHash` gives it
 * @param now milliseconds since the epoch
 */
export function signatureField(key: DkimKey, header: HeaderBlock, bodyHash: string, now: number): Buffer {
  const { domain, selector, privateKey, expires } = key;
  const signed = signedFields(key, header);
  const seconds = Math.floor(now / 1000);
  const end = expires === undefined ? [] : [`x=${seconds + Math.ceil(expires / 1000)}`];
  const names = signed.map(([name]) => name).join(':');
  const isEd25519 = privateKey.asymmetricKeyType === 'ed25519';
  const tags = [
    ...['v=1', `a=${isEd25519 ? 'ed25519' : 'rsa'}-sha256`, 'c=relaxed/relaxed'],
    ...[`d=${domain}`, `s=${selector}`, `t=${seconds}`, ...end, `h=${names}`, `bh=${bodyHash}`, 'b='],
  ];
  const unsigned = folded(tags);
  const input = [
    ...signed.flatMap(([name, raw]) => (raw === undefined ? [] : [`${name}:${relaxedValue(raw)}\r\n`])),
    // the field itself comes last, without its line end (RFC 6376 section 3.7)
    `${fieldName.toLowerCase()}:${relaxedValue(unsigned.slice(fieldName.length + 1))}`,
  ].join('');
  const signature = signatureOf(privateKey, Buffer.from(input, 'latin1')).toString('base64');
  return Buffer.from(`${filled(unsigned, signature)}\r\n`, 'latin1');
}

/** RFC 8463 section 3: Ed25519 signs the SHA-256 of what RSA signs. */
function signatureOf(privateKey: KeyObject, input: Buffer): Buffer {
  if (privateKey.asymmetricKeyType !== 'ed25519') return sign('sha256', input, privateKey);
  return sign(null, createHash('sha256').update(input).digest(), privateKey);
}

/**
 * The names for `h=` and what each stands for: fields of a name from the last one up, then (to oversign) one that is
 * not there (RFC 6376 section 5.4.2).
 */
function signedFields(
  { headers, oversign }: DkimKey,
  { fields }: HeaderBlock,
): [name: string, raw: string | undefined][] {
  return headers.flatMap((name) => {
    const found = fields.filter(({ key }) => key === name).reverse();
    const all: [string, string | undefined][] = found.map((field) => [name, writtenValue(field)]);
    return oversign ? [...all, [name, undefined] as [string, undefined]] : all;
  });
}

const writtenValue = ({ raw }: HeaderField) => {
  const text = raw.toString('latin1');
  return text.slice(text.indexOf(':') + 1);
};

/** RFC 6376 section 3.4.2: unfolded, white space reduced to one space, none at the ends. */
function relaxedValue(value: string): string {
  const text = value.replaceAll(/\r?\n/g, '').replaceAll(/[ \t]+/g, ' ');
  return text.slice(text.startsWith(' ') ? 1 : 0, text.length > 1 && text.endsWith(' ') ? -1 : undefined);
}

/** The tags in lines; the list of names may be folded after each colon. */
function folded(tags: readonly string[]): string {
  const lines = [`${fieldName}:`];
  tags.forEach((tag, index) => {
    const pieces = `${tag}${index === tags.length - 1 ? '' : ';'}`.split(/(?<=:)/);
    pieces.forEach((piece, at) => {
      const longer = `${lines.at(-1)}${at === 0 ? ' ' : ''}${piece}`;
      if (longer.length <= MAX_LINE) lines[lines.length - 1] = longer;
      else lines.push(` ${piece}`);
    });
  });
  return lines.join('\r\n');
}

/** The signature behind `b=`, in lines. */
function filled(unsigned: string, signature: string): string {
  let line = unsigned.length - (unsigned.lastIndexOf('\r\n') + 2);
  let text = unsigned;
  for (let at = 0; at < signature.length; ) {
    const room = Math.max(1, MAX_LINE - line);
    text += signature.slice(at, at + room);
    at += room;
    if (at < signature.length) text += '\r\n ';
    line = 1;
  }
  return text;
}
