import { createPublicKey, type KeyObject } from 'node:crypto';
import type { DkimKey } from './signature.ts';

type KeyOfRecord = Pick<DkimKey, 'domain' | 'selector' | 'privateKey'>;

/** Octets of one string of a TXT record (RFC 1035 section 3.3.14). */
const MAX_STRING = 255;

/** Where the public key stands in DNS (RFC 6376 section 3.6.2.1). */
export function recordName({ domain, selector }: Pick<DkimKey, 'domain' | 'selector'>): string {
  return `${selector}._domainkey.${domain}`;
}

/** The text of the record for a key. */
export function recordText({ privateKey }: Pick<DkimKey, 'privateKey'>): string {
  const type = typeOf(privateKey);
  return `v=DKIM1; k=${type}; h=sha256; p=${publicKeysOf(privateKey)[0]}`;
}

/** The line of a zone file; long text is in several strings, which are one. */
export function recordLine(key: KeyOfRecord): string {
  const text = recordText(key);
  const strings: string[] = [];
  for (let at = 0; at < text.length; at += MAX_STRING) strings.push(`"${text.slice(at, at + MAX_STRING)}"`);
  return `${recordName(key)}. IN TXT ${strings.length === 1 ? strings[0] : `( ${strings.join(' ')} )`}`;
}

/** What is wrong with what DNS has for a key; undefined if signatures can be verified with it. */
export type RecordFault =
  /** There is no record, or none that is a key. */
  | 'missing'
  /** Verifiers may take any of them. */
  | 'several'
  | 'revoked'
  | 'other-key'
  /** The record does not allow what is signed: its `h=`, `s=` or `k=`. */
  | 'not-allowed'
  /** Verifiers are told that signatures are a test (`t=y`), and ignore those that fail. */
  | 'testing';

/** @param texts the TXT records of `recordName`, the strings of each joined */
export function recordFault(
  key: Pick<DkimKey, 'privateKey'>,
  texts: readonly string[],
): RecordFault | undefined {
  const records = texts.map(tagsOf).filter((tags) => tags.has('p') && (tags.get('v') ?? 'DKIM1') === 'DKIM1');
  const [tags] = records;
  if (tags === undefined) return 'missing';
  if (records.length > 1) return 'several';
  const published = (tags.get('p') ?? '').replaceAll(/[ \t\r\n]/g, '');
  if (published === '') return 'revoked';
  if ((tags.get('k') ?? 'rsa') !== typeOf(key.privateKey)) return 'not-allowed';
  if (!publicKeysOf(key.privateKey).includes(published)) return 'other-key';
  const lists = (name: string, ...values: string[]) => {
    const list = tags
      .get(name)
      ?.split(':')
      .map((each) => each.trim());
    return list === undefined || values.some((value) => list.includes(value));
  };
  if (!lists('h', 'sha256') || !lists('s', '*', 'email')) return 'not-allowed';
  return tags
    .get('t')
    ?.split(':')
    .some((flag) => flag.trim() === 'y')
    ? 'testing'
    : undefined;
}

/** RFC 6376 section 3.2: tags and values, white space around them removed. */
function tagsOf(text: string): Map<string, string> {
  return new Map(
    text.split(';').flatMap((each): [string, string][] => {
      const equals = each.indexOf('=');
      return equals < 0 ? [] : [[each.slice(0, equals).trim(), each.slice(equals + 1).trim()]];
    }),
  );
}

function typeOf(privateKey: KeyObject): 'rsa' | 'ed25519' {
  return privateKey.asymmetricKeyType === 'ed25519' ? 'ed25519' : 'rsa';
}

/**
 * The public key in base64, first as it is to be published. RSA keys are published as SubjectPublicKeyInfo; RFC 6376
 * section 3.6.1 names RSAPublicKey, and verifiers take both. RFC 8463 section 4: the 32
 * octets of an Ed25519 key.
 */
function publicKeysOf(privateKey: KeyObject): string[] {
  const key = createPublicKey(privateKey);
  if (typeOf(privateKey) === 'ed25519')
    return [Buffer.from(String(key.export({ format: 'jwk' }).x), 'base64url').toString('base64')];
  const spki = key.export({ format: 'der', type: 'spki' }).toString('base64');
  return [spki, key.export({ format: 'der', type: 'pkcs1' }).toString('base64')];
}
