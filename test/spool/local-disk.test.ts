/** Octets of large messages go to a local disk at once; a volume that may hang is left to the threads. */
import assert from 'node:assert/strict';
import { createSecretKey, randomBytes } from 'node:crypto';
import fs from 'node:fs';
import promises, { mkdtemp, rm } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

const types = { ext4: 0xef53, nfs: 0x6969, fuse: 0x65735546 };

describe('a file of the spool', () => {
  let folder: string;
  let type = types.ext4;
  let atOnce = 0;
  const { writevSync } = fs;
  const { statfs } = promises;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sealpost-disk-'));
    Object.assign(fs, {
      writevSync(fd: number, octets: NodeJS.ArrayBufferView[]) {
        atOnce++;
        // a part, as from a disk that is almost full
        const [first] = octets;
        return writevSync(
          fd,
          first ? [Buffer.from(first.buffer, first.byteOffset, first.byteLength >> 1)] : [],
        );
      },
    });
    Object.assign(promises, { statfs: async () => ({ type }) });
    syncBuiltinESMExports();
  });
  after(async () => {
    Object.assign(fs, { writevSync });
    Object.assign(promises, { statfs });
    syncBuiltinESMExports();
    await rm(folder, { recursive: true });
  });

  for (const [name, number] of Object.entries(types))
    it(`is written ${name === 'ext4' ? 'at once' : 'by threads'} on ${name}, and is whole`, async () => {
      const { SpoolFolder } = await import('../../src/spool/folder.ts');
      type = number;
      atOnce = 0;
      const store = new SpoolFolder(join(folder, name), createSecretKey(randomBytes(32)));
      const id = randomBytes(16).toString('hex');
      const writer = await store.create(id);
      const octets = randomBytes(700_000);
      let promised = 0;
      for (let at = 0; at < octets.length; at += 50_000) {
        const wait = writer.write(octets.subarray(at, at + 50_000));
        if (wait) promised++;
        await wait;
      }
      await writer.finish();
      const plain: Buffer[] = [];
      for await (const chunk of store.open(id)) plain.push(chunk);
      assert.ok(octets.equals(Buffer.concat(plain)));
      // 14 writes and the end
      assert.deepEqual([atOnce, promised], name === 'ext4' ? [15, 0] : [0, 14]);
    });
});
