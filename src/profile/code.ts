/**
 * What protected a message as a short text for its record, such as `iE256c:p1.r2048/O256:p1.r2048`: direction (`i`, `c`
 * for one that only claims to be from the partner, `o`), then a layer after the other from the outside in, then `+h`
 * for a protected header. A layer is a letter, what belongs to it (cipher or digest) and its keys. Names in the table
 * below have short forms, which stand in stored records: add rows, and never change one. Other names stand as they are.
 */
import type { Used, UsedKey, UsedLayer } from '../smime/index.ts';
import type { Direction } from './types.ts';

export interface Seen {
  readonly direction: Direction;
  /** Inbound, and only the From field names the partner: anyone can write that. */
  readonly claimed: boolean;
  readonly used: Used;
}

const pairs = [
  ['aes-256-cbc', '256c'],
  ['aes-192-cbc', '192c'],
  ['aes-128-cbc', '128c'],
  ['aes-256-gcm', '256g'],
  ['aes-192-gcm', '192g'],
  ['aes-128-gcm', '128g'],
  ['aes-256-ccm', '256m'],
  ['aes-192-ccm', '192m'],
  ['aes-128-ccm', '128m'],
  ['chacha20-poly1305', 'cp'],
  ['des-ede3-cbc', '3d'],
  ['rsa-pkcs1', 'p1'],
  ['rsa-oaep-sha256', 'o256'],
  ['rsa-oaep-sha384', 'o384'],
  ['rsa-oaep-sha512', 'o512'],
  ['rsa-oaep-sha1', 'o1'],
  ['ecdh-sha256', 'e256'],
  ['ecdh-sha384', 'e384'],
  ['ecdh-sha512', 'e512'],
  ['ecdh-sha1', 'e1'],
  ['xdh-sha256', 'x256'],
  ['xdh-sha512', 'x512'],
  ['sha256', '256'],
  ['sha384', '384'],
  ['sha512', '512'],
  ['sha1', '1'],
  ['rsa', 'r'],
  ['rsa-pss', 's'],
  ['ecdsa', 'e'],
  ['eddsa', 'd'],
  ['ml-dsa', 'm'],
] as const;
const shorts: ReadonlyMap<string, string> = new Map(pairs);
const longs: ReadonlyMap<string, string> = new Map(pairs.map(([long, short]) => [short, long]));
const short = (name: string) => shorts.get(name) ?? name;
const long = (text: string) => longs.get(text) ?? text;

const families = { rsa: 'r', ec: 'e', okp: 'k', dsa: 'd', dh: 'h', other: 'x' };
const familyLetters: ReadonlyMap<string, string> = new Map(Object.entries(families));
const familyNames: ReadonlyMap<string, string> = new Map(
  Object.entries(families).map(([name, letter]) => [letter, name]),
);

const types = { 'enveloped-data': 'E', 'auth-enveloped-data': 'A', 'encrypted-data': 'N' } as const;

/** Keys and signers of a layer in the code; more are dropped, so that a record stays small. */
const most = 4;

const keyCode = (key: UsedKey | null) =>
  key === null ? '' : `.${familyLetters.get(key.family) ?? 'x'}${key.bits ?? ''}`;

function layerCode(layer: UsedLayer): string {
  switch (layer.layer) {
    case 'encryption':
      return [
        `${types[layer.type]}${short(layer.cipher)}`,
        ...unique(layer.keys.map(({ management, key }) => `${short(management)}${keyCode(key)}`)),
      ].join(':');
    case 'signature':
      return [
        layer.form === 'opaque' ? 'O' : 'D',
        ...unique(
          layer.signers.map(({ digest, scheme, key }) => `${short(digest)}_${short(scheme)}${keyCode(key)}`),
        ),
      ].join(':');
    case 'compression':
      return 'Z';
    case 'digest':
      return 'G';
  }
}

const unique = (codes: readonly string[]) => (codes.length < 2 ? codes : [...new Set(codes)].slice(0, most));

/** `''` for a message without protection: there is nothing to keep. */
export function codeOf(direction: Direction, used: Used | undefined, claimed = false): string {
  if (used === undefined) return '';
  const layers = used.layers.map(layerCode).join('/');
  const letter = direction === 'outbound' ? 'o' : claimed ? 'c' : 'i';
  const code = `${letter}${layers}${used.headerProtection ? '+h' : ''}`;
  // foreign object identifiers and many layers make it long; a record has no room for all of them
  return code.length <= 200 ? code : '';
}

/** What a code says; undefined for one that this version does not know. */
export function readCode(code: string): Seen | undefined {
  const match = /^([ico])([^+]*)(\+h)?$/.exec(code);
  if (match === null) return undefined;
  const [, letter, text = '', header] = match;
  const layers = text.split('/').map(readLayer);
  const known = layers.filter((layer) => layer !== undefined);
  if (known.length !== layers.length) return undefined;
  return {
    direction: letter === 'o' ? 'outbound' : 'inbound',
    claimed: letter === 'c',
    used: { layers: known, headerProtection: header !== undefined },
  };
}

function readLayer(text: string): UsedLayer | undefined {
  const [head = '', ...parts] = text.split(':');
  const rest = head.slice(1);
  switch (head[0]) {
    case 'E':
    case 'A':
    case 'N': {
      const keys = parts.map((part) => {
        const { name, key } = readKey(part);
        return { management: long(name), key };
      });
      const type =
        head[0] === 'E' ? 'enveloped-data' : head[0] === 'A' ? 'auth-enveloped-data' : 'encrypted-data';
      return { layer: 'encryption', type, cipher: long(rest), keys };
    }
    case 'O':
    case 'D': {
      const signers = parts.map((part) => {
        const { name, key } = readKey(part);
        const [digest = '', scheme = ''] = name.split('_');
        return { digest: long(digest), scheme: long(scheme), key };
      });
      return { layer: 'signature', form: head[0] === 'O' ? 'opaque' : 'detached', signers };
    }
    case 'Z':
      return { layer: 'compression' };
    case 'G':
      return { layer: 'digest' };
    default:
      return undefined;
  }
}

/** The key stands behind the last dot; object identifiers have dots, too. */
function readKey(text: string): { name: string; key: UsedKey | null } {
  const match = /^(.*)\.([rekdhx])(\d*)$/.exec(text);
  const family = familyNames.get(match?.[2] ?? '');
  if (match === null || family === undefined) return { name: text, key: null };
  return { name: match[1] ?? '', key: { family, bits: match[3] ? Number(match[3]) : null } };
}
