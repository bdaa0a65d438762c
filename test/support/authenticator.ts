/** An authenticator for passkeys (WebAuthn level 3) that says whatever a test wants, signed with a key of its own. */
import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';

/** Bits of the flags (section 6.1). */
export const present = 0x01;
export const verified = 0x04;
export const mayBeCopied = 0x08;
export const isCopied = 0x10;
const hasKey = 0x40;

const sha256 = (octets: string | Buffer) => createHash('sha256').update(octets).digest();

/** CBOR (RFC 8949), as much as is needed. */
function cbor(value: unknown): Buffer {
  const head = (kind: number, count: number) =>
    count < 24
      ? Buffer.from([(kind << 5) | count])
      : count < 256
        ? Buffer.from([(kind << 5) | 24, count])
        : Buffer.from([(kind << 5) | 25, count >> 8, count & 255]);
  if (typeof value === 'number') return value < 0 ? head(1, -1 - value) : head(0, value);
  if (typeof value === 'string')
    return Buffer.concat([head(3, Buffer.byteLength(value)), Buffer.from(value)]);
  if (Buffer.isBuffer(value)) return Buffer.concat([head(2, value.length), value]);
  if (Array.isArray(value)) return Buffer.concat([head(4, value.length), ...value.map(cbor)]);
  if (!(value instanceof Map)) throw new Error('not needed');
  return Buffer.concat([head(5, value.size), ...[...value].flat().map(cbor)]);
}

export interface Said {
  origin?: string;
  rpId?: string;
  type?: string;
  challenge?: string;
  flags?: number;
  counter?: number;
  crossOrigin?: boolean;
  topOrigin?: string;
  userHandle?: string | null;
  /** Of the credential. */
  id?: string;
  /** Who made the authenticator, as sticks of the first generation say it (fido-u2f, section 8.6). */
  maker?: { certificate: Buffer; key: KeyObject };
}

export class Authenticator {
  readonly id = randomBytes(16).toString('base64url');
  readonly #keys = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  readonly #place: { origin: string; rpId: string };
  flags = present | verified;
  counter = 0;
  userHandle = '';

  constructor(place: { origin: string; rpId: string }) {
    this.#place = place;
  }

  #clientData(type: string, challenge: string, said: Said): Buffer {
    const { origin = this.#place.origin, crossOrigin = false, topOrigin } = said;
    const data = { type: said.type ?? type, challenge: said.challenge ?? challenge, origin, crossOrigin };
    return Buffer.from(JSON.stringify({ ...data, ...(topOrigin !== undefined && { topOrigin }) }));
  }

  #data(said: Said, more: Buffer = Buffer.alloc(0)): Buffer {
    const counter = Buffer.alloc(4);
    counter.writeUInt32BE(said.counter ?? this.counter);
    const flags = (said.flags ?? this.flags) | (more.length > 0 ? hasKey : 0);
    return Buffer.concat([sha256(said.rpId ?? this.#place.rpId), Buffer.from([flags]), counter, more]);
  }

  /** @param options that the console gave, as JSON */
  make(options: string, said: Said = {}): string {
    const { challenge, user } = JSON.parse(options);
    this.userHandle = user.id;
    const { x = '', y = '' } = this.#keys.publicKey.export({ format: 'jwk' });
    const key = new Map<number, unknown>([
      ...([
        [1, 2],
        [3, -7],
        [-1, 1],
      ] as const),
      [-2, Buffer.from(x, 'base64url')],
      [-3, Buffer.from(y, 'base64url')],
    ]);
    const id = Buffer.from(this.id, 'base64url');
    const more = Buffer.concat([Buffer.alloc(16), Buffer.from([0, id.length]), id, cbor(key)]);
    const clientData = this.#clientData('webauthn.create', challenge, said);
    const attStmt = new Map<string, unknown>();
    if (said.maker) {
      const place = sha256(said.rpId ?? this.#place.rpId);
      const point = Buffer.from([4, ...Buffer.from(x, 'base64url'), ...Buffer.from(y, 'base64url')]);
      const signed = Buffer.concat([Buffer.alloc(1), place, sha256(clientData), id, point]);
      attStmt.set('sig', sign('sha256', signed, said.maker.key)).set('x5c', [said.maker.certificate]);
    }
    const parts: [string, unknown][] = [
      ['fmt', said.maker ? 'fido-u2f' : 'none'],
      ['attStmt', attStmt],
      ['authData', this.#data(said, more)],
    ];
    return JSON.stringify({
      ...{ id: this.id, rawId: this.id, type: 'public-key', clientExtensionResults: {} },
      response: {
        clientDataJSON: clientData.toString('base64url'),
        attestationObject: cbor(new Map(parts)).toString('base64url'),
        transports: ['internal'],
      },
    });
  }

  /** @param options that the console gave, as JSON */
  use(options: string, said: Said = {}): string {
    const { challenge } = JSON.parse(options);
    const clientData = this.#clientData('webauthn.get', challenge, said);
    const data = this.#data(said);
    const signature = sign('sha256', Buffer.concat([data, sha256(clientData)]), this.#keys.privateKey);
    const { id = this.id, userHandle = this.userHandle } = said;
    return JSON.stringify({
      ...{ id, rawId: id, type: 'public-key', clientExtensionResults: {} },
      response: {
        clientDataJSON: clientData.toString('base64url'),
        authenticatorData: data.toString('base64url'),
        signature: signature.toString('base64url'),
        ...(userHandle !== null && { userHandle }),
      },
    });
  }
}
