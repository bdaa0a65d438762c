/** A file of the spool is on disk before it has its name, and its name before anybody is told. */
import assert from 'node:assert/strict';
import { createSecretKey, randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type FileOrder, recordFileOrder } from '../support/file-order.ts';

describe('a file of the spool', { skip: process.platform !== 'linux' }, () => {
  let folder: string;
  let order: FileOrder;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sealpost-order-'));
    order = await recordFileOrder(folder);
  });
  after(() => rm(folder, { recursive: true }));

  for (const size of [10, 200_000])
    it(`of ${size} octets is written, synced, renamed, and its folder synced, in this order`, async () => {
      const { SpoolFolder } = await import('../../src/spool/folder.ts');
      const spool = join(folder, `spool${size}`);
      const store = new SpoolFolder(spool, createSecretKey(randomBytes(32)));
      const id = randomBytes(16).toString('hex');
      const writer = await store.create(id);
      for (let at = 0; at < size; at += 50_000) await writer.write(randomBytes(Math.min(50_000, size)));
      await writer.finish();
      const steps = order.take();
      const renamed = steps.findIndex(({ step }) => step === 'rename');
      const { path: draft = '', to = '' } = steps[renamed] ?? {};
      assert.equal(to, store.path(id));
      assert.ok(draft.startsWith(join(spool, 'tmp')));
      assert.equal(steps.filter(({ step }) => step === 'rename').length, 1);
      const lastWrite = steps.findLastIndex(({ step, path }) => step === 'write' && path === draft);
      const synced = steps.findIndex(({ step, path }) => step === 'sync' && path === draft);
      assert.ok(lastWrite >= 0 && lastWrite < synced && synced < renamed, JSON.stringify(steps));
      // The name is on disk, and so are those of the folders that were made for it.
      assert.deepEqual(
        steps.slice(renamed + 1).map(({ step, path }) => [step, path]),
        [['sync', join(spool, id.slice(0, 2))]],
      );
      const above = steps.slice(0, renamed).filter(({ step, path }) => step === 'sync' && path === spool);
      assert.ok(above.length >= 2, JSON.stringify(steps));
    });

  it('of a key is on disk before it has its name, and its name when the key is given out', async () => {
    const { loadSpoolKey } = await import('../../src/spool/key.ts');
    const dataDir = join(folder, 'data');
    await loadSpoolKey({ store: 'directory', inlineLimit: 1, sweepAfter: 1 }, dataDir);
    const steps = order.take().filter(({ path }) => path.startsWith(dataDir));
    assert.deepEqual(
      steps.map(({ step, path }) => `${step} ${path === dataDir ? 'folder' : 'draft'}`),
      ['write draft', 'sync draft', 'sync folder'],
    );
  });
});
