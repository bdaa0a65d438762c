/** A file that a command writes is on the disk before it has its name, and is there whole or not at all. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import promises from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it, type TestContext } from 'node:test';
import { OutputFile } from '../../src/commands/files.ts';

const folder = mkdtempSync(join(tmpdir(), 'sealpost-output-'));
after(() => rmSync(folder, { recursive: true, force: true }));

/** What is done to files from now on, in order. */
async function recorded(t: TestContext): Promise<string[]> {
  const done: string[] = [];
  const handle = await promises.open(join(folder, 'probe'), 'w');
  const prototype: typeof handle = Object.getPrototypeOf(handle);
  await handle.close();
  rmSync(join(folder, 'probe'));
  for (const name of ['appendFile', 'sync'] as const) {
    const original = prototype[name];
    t.mock.method(prototype, name, async function (this: typeof handle, ...args: unknown[]) {
      await Reflect.apply(original, this, args);
      done.push(name);
    });
  }
  for (const name of ['rename', 'link'] as const) {
    const original = promises[name];
    t.mock.method(promises, name, async (from: string, to: string) => {
      await original(from, to);
      done.push(name);
    });
  }
  syncBuiltinESMExports();
  t.after(() => {
    t.mock.reset();
    syncBuiltinESMExports();
  });
  return done;
}

describe('a file that a command writes', () => {
  for (const [what, isNew, name] of [
    ['replaces an old one', false, 'rename'],
    ['must be new', true, 'link'],
  ] as const)
    it(`and that ${what} is on the disk before it has its name`, async (t) => {
      const file = join(folder, what);
      if (!isNew) writeFileSync(file, 'old', { mode: 0o644 });
      const done = await recorded(t);
      const output = await OutputFile.create(file, { isNew });
      await output.write(Buffer.from('the '));
      await output.write(Buffer.from('content'));
      assert.deepEqual(done, ['appendFile', 'appendFile']);
      assert.equal(existsSync(file) && readFileSync(file, 'utf8'), isNew ? false : 'old');
      await output.commit();
      assert.deepEqual(done.slice(2, 4), ['sync', name]);
      assert.equal(readFileSync(file, 'utf8'), 'the content');
      assert.equal(statSync(file).mode & 0o777, 0o600);
    });

  it('and that is given up leaves the old one, and nothing beside it', async () => {
    const file = join(folder, 'kept');
    writeFileSync(file, 'old');
    const before = readdirSync(folder);
    const output = await OutputFile.create(file);
    await output.write(Buffer.from('half'));
    assert.equal(readdirSync(folder).length, before.length + 1);
    await output.abort();
    await output.abort();
    assert.deepEqual([readdirSync(folder), readFileSync(file, 'utf8')], [before, 'old']);
  });

  it('and that is begun anew holds nothing of before', async () => {
    const file = join(folder, 'restarted');
    const output = await OutputFile.create(file);
    await output.write(Buffer.from('the first, which is longer'));
    await output.restart();
    await output.write(Buffer.from('second'));
    await output.commit();
    assert.equal(readFileSync(file, 'utf8'), 'second');
  });
});
