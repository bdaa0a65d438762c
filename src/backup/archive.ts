/**
 * The file of a backup: sealed to a key that is kept elsewhere, written and read in bounded memory.
 *
 *     "SEALPOST BACKUP 1" LF | id of the key (8) | encapsulated key (32) | sealed content key (32) | tag (16) | stream
 *
 * The content key is sealed with HPKE (`sealed/hpke.ts`), bound to what stands before it. The stream is that of the
 * spool (`spool/seal.ts`) under the content key, so what is cut, changed, repeated or put in another order does not
 * open. In it are frames: a letter, the length in 4 octets (big-endian), and so many octets.
 *
 *     H  head (JSON): what the backup is of
 *     K  a key of Redis begins (JSON): name without the prefix, type, when it ends. It replaces what came before
 *     P  elements of it: length (4 octets) and octets of each
 *     G  a key is gone (JSON)
 *     O  an object of the spool begins (JSON), as it is stored: sealed with the spool key
 *     F  a file begins (JSON): where it belongs, and its name
 *     D  octets of the object or file
 *     E  it ends (JSON): its octets and their SHA-256
 *     A  it was gone before its end, and counts for nothing
 *     T  trailer (JSON): how many there are of each. Nothing follows
 *
 * A tar or zip of a library has no frames for what changes while it is read, and knows names and links that lead out of
 * a folder; it would be sealed by this stream in any case.
 */
import { createHash, createSecretKey, type KeyObject, randomBytes } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import { hasCode, SealpostError } from '../errors.ts';
import { keySize, openSealed, publicOctets, seal } from '../sealed/index.ts';
import { openStream, StreamSealer } from '../spool/index.ts';

const magic = Buffer.from('SEALPOST BACKUP 1\n');
const keyIdSize = 8;
const info = Buffer.from('sealpost backup v1');
const streamName = 'backup';
const sealedKeySize = keySize + 32 + 16;
const headSize = magic.length + keyIdSize + sealedKeySize;
/** How many octets of frames are sealed and written together. */
const portion = 256 * 1024;
/** How many octets a frame may have. A value of Redis is divided into pieces of `pieceSize`. */
export const mostInFrame = 4 * 1024 * 1024;
export const pieceSize = 256 * 1024;

const frameTypes = ['H', 'K', 'P', 'G', 'O', 'F', 'D', 'E', 'A', 'T'] as const;
export type FrameType = (typeof frameTypes)[number];

export interface Frame {
  type: FrameType;
  body: Buffer;
}

export function invalid(why: string, cause?: unknown): SealpostError {
  return new SealpostError('backup-invalid', `the backup cannot be used: ${why}`, { cause });
}

/** Names a key of backups, for people and in the file: the first octets of the SHA-256 of the public key, in hex. */
export function backupKeyId(key: KeyObject): string {
  return createHash('sha256')
    .update(publicOctets(key))
    .digest('hex')
    .slice(0, 2 * keyIdSize);
}

function headOf(id: string): Buffer {
  return Buffer.concat([magic, Buffer.from(id, 'hex')]);
}

/** Where the octets go. Calls do not overlap. */
export interface ArchiveSink {
  write(octets: Buffer): Promise<void>;
}

export class ArchiveWriter {
  readonly contentKey: KeyObject = createSecretKey(randomBytes(32));
  readonly #sink: ArchiveSink;
  readonly #sealer: StreamSealer;
  #held: Buffer[] = [];
  #size = 0;

  constructor(sink: ArchiveSink) {
    this.#sink = sink;
    this.#sealer = new StreamSealer(this.contentKey, streamName);
  }

  /** Everything before the frames. */
  async begin(recipient: KeyObject): Promise<void> {
    const head = headOf(backupKeyId(recipient));
    const sealed = seal(recipient, [this.contentKey.export()], { info, aad: head });
    await this.#sink.write(Buffer.concat([head, sealed, this.#sealer.header]));
  }

  async frame(type: FrameType, body: Buffer | object): Promise<void> {
    const octets = Buffer.isBuffer(body) ? body : Buffer.from(JSON.stringify(body));
    if (octets.length > mostInFrame)
      throw new SealpostError('internal', 'a frame of the backup is too large');
    const head = Buffer.alloc(5);
    head.write(type, 'latin1');
    head.writeUInt32BE(octets.length, 1);
    this.#held.push(head, octets);
    this.#size += 5 + octets.length;
    if (this.#size >= portion) await this.#flush();
  }

  async end(): Promise<void> {
    await this.#flush();
    await this.#sink.write(Buffer.concat(this.#sealer.end()));
  }

  async #flush(): Promise<void> {
    const octets = Buffer.concat(this.#held);
    this.#held = [];
    this.#size = 0;
    await this.#sink.write(Buffer.concat(this.#sealer.seal(octets)));
  }
}

/**
 * The frames of a backup, each opened and verified before it is given; the end of the file is known to be the end of
 * the backup when this returns. Errors: `backup-invalid`, `file-access`.
 *
 * @param key the private key, or the content key of a backup that was just written
 */
export async function* readArchive(file: string, key: KeyObject): AsyncGenerator<Frame> {
  const handle = await openFile(file);
  try {
    const contentKey = key.type === 'secret' ? key : await contentKeyOf(handle, key);
    yield* framesOf(streamOf(handle, contentKey));
  } finally {
    await handle.close();
  }
}

async function openFile(file: string): Promise<FileHandle> {
  try {
    return await open(file, 'r');
  } catch (cause) {
    const why = hasCode(cause, 'ENOENT') ? 'there is no such file' : 'it cannot be read';
    throw new SealpostError('file-access', `cannot read ${file}: ${why}`, { cause });
  }
}

/** The content key of a backup, which is proof of who made it. Errors: `backup-invalid`, `file-access`. */
export async function openContentKey(file: string, key: KeyObject): Promise<KeyObject> {
  const handle = await openFile(file);
  try {
    return await contentKeyOf(handle, key);
  } finally {
    await handle.close();
  }
}

async function contentKeyOf(handle: FileHandle, key: KeyObject): Promise<KeyObject> {
  const head = Buffer.alloc(headSize);
  const { bytesRead } = await handle.read(head, 0, headSize, 0);
  if (bytesRead < headSize || !head.subarray(0, magic.length).equals(magic))
    throw invalid('it is no backup of Sealpost, or of another version');
  const aad = head.subarray(0, magic.length + keyIdSize);
  if (!aad.equals(headOf(backupKeyId(key))))
    throw invalid(
      `it is sealed to key ${aad.subarray(magic.length).toString('hex')}, not to ${backupKeyId(key)}`,
    );
  try {
    return createSecretKey(openSealed(key, head.subarray(aad.length), { info, aad }));
  } catch (cause) {
    throw invalid('its head was changed', cause);
  }
}

async function* streamOf(handle: FileHandle, key: KeyObject): AsyncGenerator<Buffer> {
  const { size } = await handle.stat();
  let buffer = Buffer.alloc(0);
  const read = async (from: number, length: number) => {
    if (buffer.length < length) buffer = Buffer.allocUnsafe(length);
    const { bytesRead } = await handle.read(buffer, 0, length, headSize + from);
    return { octets: buffer.subarray(0, bytesRead), size: size - headSize };
  };
  try {
    yield* openStream(key, streamName, 1, read);
  } catch (cause) {
    if (cause instanceof SealpostError && cause.code === 'spool-corrupt')
      throw invalid('it was changed or cut', cause);
    throw cause;
  }
}

async function* framesOf(stream: AsyncIterable<Buffer>): AsyncGenerator<Frame> {
  let held: Buffer = Buffer.alloc(0);
  for await (const octets of stream) {
    held = held.length === 0 ? Buffer.from(octets) : Buffer.concat([held, octets]);
    let at = 0;
    for (let length = lengthAt(held, at); length !== undefined; length = lengthAt(held, at)) {
      yield { type: typeAt(held, at), body: held.subarray(at + 5, at + 5 + length) };
      at += 5 + length;
    }
    held = held.subarray(at);
  }
  if (held.length > 0) throw invalid('it ends in the middle of a frame');
}

/** Length of the frame at a position; undefined if it is not there as a whole. Errors: `backup-invalid`. */
function lengthAt(held: Buffer, at: number): number | undefined {
  if (held.length < at + 5) return undefined;
  const length = held.readUInt32BE(at + 1);
  if (length > mostInFrame) throw invalid('it has a frame that is too large');
  return held.length < at + 5 + length ? undefined : length;
}

function typeAt(held: Buffer, at: number): FrameType {
  const letter = String.fromCharCode(held[at] ?? 0);
  const type = frameTypes.find((each) => each === letter);
  if (type === undefined) throw invalid('it has a frame that is not known: it is of a later version');
  return type;
}

/** Elements of a key as the body of a frame, and back. */
export function packed(elements: readonly Buffer[]): Buffer {
  const lengths = elements.map(({ length }) => {
    const head = Buffer.alloc(4);
    head.writeUInt32BE(length);
    return head;
  });
  return Buffer.concat(elements.flatMap((each, at) => [lengths[at] ?? Buffer.alloc(4), each]));
}

/** Errors: `backup-invalid`. */
export function unpacked(body: Buffer): Buffer[] {
  const elements: Buffer[] = [];
  for (let at = 0; at < body.length; ) {
    const length = at + 4 <= body.length ? body.readUInt32BE(at) : Number.POSITIVE_INFINITY;
    at += 4;
    if (at + length > body.length) throw invalid('elements of a key are cut');
    elements.push(body.subarray(at, at + length));
    at += length;
  }
  return elements;
}
