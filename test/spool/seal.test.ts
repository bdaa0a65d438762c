import assert from 'node:assert/strict';
import { createCipheriv, createHmac, createSecretKey, randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import { openStored } from '../../src/spool/large-store.ts';
import {
  chunkSize,
  openValue,
  openWhole,
  StreamSealer,
  sealValue,
  sealWhole,
  tagSize,
} from '../../src/spool/seal.ts';

const key = createSecretKey(randomBytes(32));
const corrupt = { code: 'spool-corrupt' };

const step = chunkSize + tagSize;

/** A sealed stream: its header, its chunks, and what ends it. The octets come in pieces of any size. */
function sealed(id: string, plain: Buffer, piece = 100_000): { head: Buffer; chunks: Buffer[]; end: Buffer } {
  const sealer = new StreamSealer(key, id);
  const written: Buffer[] = [];
  for (let at = 0; at < plain.length; at += piece)
    written.push(...sealer.seal(plain.subarray(at, at + piece)));
  const octets = Buffer.concat([...written, ...sealer.end()]);
  const length = octets.length - tagSize;
  const chunks = Array.from({ length: Math.ceil(length / step) }, (_, at) =>
    octets.subarray(at * step, Math.min((at + 1) * step, length)),
  );
  return { head: sealer.header, chunks, end: octets.subarray(length) };
}

/** The plain octets of a stored object, read some chunks at a time. */
async function opened(id: string, object: Buffer, chunks = 1): Promise<Buffer> {
  const plain: Buffer[] = [];
  const read = async (from: number, length: number) => ({
    octets: Buffer.from(object.subarray(from, from + length)),
    size: object.length,
  });
  for await (const piece of openStored(key, id, chunks, read)) plain.push(piece);
  return Buffer.concat(plain);
}

/** As version 0.1.0 sealed a stream: the last of its chunks says so in its nonce. */
function sealedAsOf010(id: string, plain: Buffer): Buffer {
  const salt = randomBytes(16);
  const objectKey = createHmac('sha256', key).update('sealpost spool 1').update(salt).update('\x01').digest();
  const parts = [Buffer.of(2), salt];
  const count = Math.max(1, Math.ceil(plain.length / 65_536));
  for (let at = 0; at < count; at++) {
    const nonce = Buffer.alloc(12);
    nonce.writeUInt32BE(at, 7);
    nonce[11] = at === count - 1 ? 1 : 0;
    const cipher = createCipheriv('aes-256-gcm', objectKey, nonce).setAAD(Buffer.from(id));
    parts.push(
      cipher.update(plain.subarray(at * 65_536, (at + 1) * 65_536)),
      cipher.final(),
      cipher.getAuthTag(),
    );
  }
  return Buffer.concat(parts);
}

describe('sealed values', () => {
  it('open to the same octets', () => {
    const pieces = [randomBytes(10), Buffer.alloc(0), randomBytes(70_000)];
    assert.deepEqual(openWhole(key, 'a', sealWhole(key, 'a', pieces)), Buffer.concat(pieces));
    assert.equal(openWhole(key, 'a', sealWhole(key, 'a', [])).length, 0);
  });

  it('do not open when any octet was changed or the end was cut', () => {
    const sealed = sealWhole(key, 'a', [Buffer.from('twelve octet')]);
    for (let at = 0; at < sealed.length; at++) {
      const changed = Buffer.from(sealed);
      changed[at] = (changed[at] ?? 0) ^ 1;
      assert.throws(() => openWhole(key, 'a', changed), corrupt, `octet ${at}`);
      assert.throws(() => openWhole(key, 'a', sealed.subarray(0, at)), corrupt, `cut at ${at}`);
    }
  });

  it('do not open under another id or key', () => {
    const sealed = sealWhole(key, 'a', [Buffer.from('x')]);
    assert.throws(() => openWhole(key, 'b', sealed), corrupt);
    assert.throws(() => openWhole(createSecretKey(randomBytes(32)), 'a', sealed), corrupt);
  });

  it('never come out the same twice', () => {
    const seen = new Set(Array.from({ length: 600 }, () => sealWhole(key, 'a', []).toString('hex')));
    assert.equal(seen.size, 600);
  });

  it('hold JSON for one context', () => {
    const sealed = sealValue(key, 'state', { a: [1] });
    assert.deepEqual(openValue(key, 'state', sealed), { a: [1] });
    assert.throws(() => openValue(key, 'other', sealed), corrupt);
  });
});

describe('sealed streams', () => {
  for (const size of [
    0,
    1,
    chunkSize - tagSize,
    chunkSize - 1,
    chunkSize,
    chunkSize + 1,
    2 * chunkSize - 1,
    3 * chunkSize,
  ])
    it(`open to the same ${size} octets, however they came and are read`, async () => {
      const plain = randomBytes(size);
      for (const piece of [1 + (size >> 3), chunkSize, 2 * chunkSize + 7]) {
        const { head, chunks, end } = sealed('s', plain, piece);
        for (const atATime of [1, 2, 8])
          assert.deepEqual(await opened('s', Buffer.concat([head, ...chunks, end]), atATime), plain);
      }
    });

  for (const size of [0, 1, 65_536, 65_537, 4 * 65_536, 300_000])
    it(`of ${size} octets that version 0.1.0 sealed open as well, and not when cut`, async () => {
      const plain = randomBytes(size);
      const object = sealedAsOf010('s', plain);
      for (const atATime of [1, 8]) assert.deepEqual(await opened('s', object, atATime), plain);
      for (const cut of [1, tagSize, tagSize + 1, 65_552, object.length - 17])
        if (cut <= object.length - 17)
          await assert.rejects(opened('s', object.subarray(0, -cut)), corrupt, `${cut}`);
    });

  it('do not open when chunks are missing, exchanged, repeated or from another object', async () => {
    const { head, chunks, end } = sealed('s', randomBytes(3 * chunkSize));
    const other = sealed('t', randomBytes(3 * chunkSize));
    const [a, b, c] = chunks;
    assert.ok(a && b && c && other.chunks[1]);
    const object = (...parts: Buffer[]) => Buffer.concat([head, ...parts]);
    for (const wrong of [
      [a, b, end],
      [a, end],
      [end],
      [b, a, c, end],
      [a, a, b, c, end],
      [a, c, end],
      [b, c, end],
      [a, other.chunks[1], c, end],
      [a, b, c, other.end],
      [a, b, c, end, end],
      [a, b, c],
      [a, b],
      [],
    ])
      await assert.rejects(opened('s', object(...wrong)), corrupt);
    await assert.rejects(opened('t', object(a, b, c, end)), corrupt);
    await assert.rejects(opened('s', Buffer.concat([other.head, a, b, c, end])), corrupt);
  });

  it('do not open when any octet of a short one was changed, or wherever it was cut', async () => {
    const { head, chunks, end } = sealed('s', Buffer.from('twelve octet'));
    const object = Buffer.concat([head, ...chunks, end]);
    for (let at = 0; at < object.length; at++) {
      const changed = Buffer.from(object);
      changed[at] = (changed[at] ?? 0) ^ 1;
      await assert.rejects(opened('s', changed), corrupt, `octet ${at}`);
      await assert.rejects(opened('s', object.subarray(0, at)), corrupt, `cut at ${at}`);
    }
  });

  it('do not open when the last chunk was cut', async () => {
    const { head, chunks, end } = sealed('s', randomBytes(chunkSize + 100));
    const object = Buffer.concat([head, ...chunks, end]);
    for (const cut of [1, tagSize, 2 * tagSize, 100 + tagSize, 100 + 2 * tagSize, 200])
      await assert.rejects(opened('s', object.subarray(0, -cut)), corrupt, `cut by ${cut}`);
  });

  it('give out nothing of a chunk that does not open', async () => {
    const { head, chunks, end } = sealed('s', randomBytes(2 * chunkSize));
    const object = Buffer.concat([head, ...chunks, end]);
    // in the middle of the second chunk
    const at = head.length + step + chunkSize / 2;
    object[at] = (object[at] ?? 0) ^ 1;
    let octets = 0;
    const read = async (from: number, length: number) => ({
      octets: object.subarray(from, from + length),
      size: object.length,
    });
    await assert.rejects(async () => {
      for await (const piece of openStored(key, 's', 8, read)) octets += piece.length;
    }, corrupt);
    assert.equal(octets, chunkSize);
  });

  it('end with an error when the object shrinks while it is read', async () => {
    const { head, chunks, end } = sealed('s', randomBytes(2 * chunkSize));
    const object = Buffer.concat([head, ...chunks, end]);
    const read = async (from: number, length: number) => ({
      octets: object.subarray(from, Math.min(from + length, head.length + step)),
      size: object.length,
    });
    await assert.rejects(async () => {
      for await (const _ of openStored(key, 's', 1, read));
    }, corrupt);
  });
});
