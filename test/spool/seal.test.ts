import assert from 'node:assert/strict';
import { createSecretKey, randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import {
  chunkSize,
  openValue,
  openWhole,
  StreamOpener,
  StreamSealer,
  sealValue,
  sealWhole,
  tagSize,
} from '../../src/spool/seal.ts';

const key = createSecretKey(randomBytes(32));
const corrupt = { code: 'spool-corrupt' };

function sealChunks(id: string, plain: Buffer): { head: Buffer; chunks: Buffer[] } {
  const sealer = new StreamSealer(key, id);
  const chunks: Buffer[] = [];
  const count = Math.max(1, Math.ceil(plain.length / chunkSize));
  for (let at = 0; at < count; at++)
    chunks.push(sealer.seal(plain.subarray(at * chunkSize, (at + 1) * chunkSize), at === count - 1));
  return { head: sealer.header, chunks };
}

function openChunks(id: string, head: Buffer, chunks: Buffer[]): Buffer {
  const opener = new StreamOpener(key, id, head);
  return Buffer.concat(chunks.map((chunk, at) => opener.open(chunk, at === chunks.length - 1)));
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
  for (const size of [0, 1, chunkSize - 1, chunkSize, chunkSize + 1, 3 * chunkSize]) {
    it(`open to the same ${size} octets`, () => {
      const plain = randomBytes(size);
      const { head, chunks } = sealChunks('s', plain);
      assert.deepEqual(openChunks('s', head, chunks), plain);
    });
  }

  it('do not open when chunks are missing, exchanged, repeated or from another object', () => {
    const { head, chunks } = sealChunks('s', randomBytes(3 * chunkSize));
    const other = sealChunks('t', randomBytes(3 * chunkSize));
    const [a, b, c] = chunks;
    assert.ok(a && b && c && other.chunks[1]);
    for (const wrong of [[a, b], [a], [b, a, c], [a, a, b, c], [a, c], [b, c], [a, other.chunks[1], c], []])
      assert.throws(() => {
        openChunks('s', head, wrong);
        // No chunk at all is what an empty file looks like: the caller reads one empty chunk then.
        if (wrong.length === 0) new StreamOpener(key, 's', head).open(Buffer.alloc(0), true);
      }, corrupt);
    assert.throws(() => openChunks('t', head, chunks), corrupt);
    assert.throws(() => openChunks('s', other.head, chunks), corrupt);
  });

  it('do not open when the last chunk was cut', () => {
    const { head, chunks } = sealChunks('s', randomBytes(chunkSize + 100));
    const [first, last] = chunks;
    assert.ok(first && last);
    for (const cut of [0, tagSize - 1, tagSize, last.length - 1])
      assert.throws(() => openChunks('s', head, [first, last.subarray(0, cut)]), corrupt, `cut at ${cut}`);
  });
});
