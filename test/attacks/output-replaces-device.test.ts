/**
 * An output that is a device, a FIFO or a link was replaced by a regular file: as root, `--out /dev/null` broke the
 * machine.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { OutputFile } from '../../src/commands/files.ts';
import { sealpost } from '../support/daemon.ts';
import { makeWorld, skipWithout, textEntity } from '../support/world.ts';

const make = (program: string, ...args: string[]) => spawnSync(program, args).status === 0;

describe('an output that is not a regular file', { skip: skipWithout('openssl', 'mkfifo') }, () => {
  const world = makeWorld();
  after(() => world.remove());
  const folder = join(world.folder, 'outputs');
  mkdirSync(folder);
  const at = (name: string) => join(folder, name);
  /** Writes in two pieces and commits. */
  async function write(file: string, options?: { isNew: boolean }): Promise<void> {
    const output = await OutputFile.create(file, options);
    await output.write(Buffer.from('the '));
    await output.write(Buffer.from('content'));
    await output.commit();
  }
  const text = (name: string) => readFileSync(at(name), 'utf8');

  it('is a FIFO: its reader gets the octets, and it stays a FIFO', async () => {
    assert.ok(make('mkfifo', at('fifo')));
    const [read] = await Promise.all([readFile(at('fifo'), 'utf8'), write(at('fifo'))]);
    assert.equal(read, 'the content');
    assert.ok(lstatSync(at('fifo')).isFIFO());
  });

  it('is a FIFO, and the command fails: nothing is written', async () => {
    const output = await OutputFile.create(at('fifo'));
    await output.write(Buffer.from('half'));
    await output.abort();
    await output.abort();
    const [read] = await Promise.all([readFile(at('fifo'), 'utf8'), write(at('fifo'))]);
    assert.equal(read, 'the content');
  });

  it('is a device of our own making', async (t) => {
    if (!make('mknod', at('null'), 'c', '1', '3')) return t.skip('only root makes devices');
    if (!make('sh', '-c', `: > ${at('null')}`)) return t.skip('devices cannot be opened here');
    await write(at('null'));
    assert.ok(lstatSync(at('null')).isCharacterDevice());
    assert.ok(make('mknod', at('full'), 'c', '1', '7'));
    await assert.rejects(write(at('full')), { code: 'file-access', message: /full: no space left$/ });
    assert.ok(lstatSync(at('full')).isCharacterDevice());
  });

  it('is a link: what it leads to is replaced, whether it is there or not', async () => {
    writeFileSync(at('target'), 'old', { mode: 0o644 });
    mkdirSync(at('deep'));
    symlinkSync('target', at('link'));
    symlinkSync('../link', at('deep/link'));
    symlinkSync('deep/new', at('dangling'));
    symlinkSync('/dev/null', at('to-null'));
    for (const name of ['deep/link', 'dangling', 'to-null']) await write(at(name));
    for (const name of ['link', 'deep/link', 'dangling', 'to-null'])
      assert.ok(lstatSync(at(name)).isSymbolicLink(), name);
    assert.deepEqual([text('target'), text('deep/new')], ['the content', 'the content']);
    for (const name of ['target', 'deep/new']) assert.equal(statSync(at(name)).mode & 0o777, 0o600);
    assert.ok(statSync('/dev/null').isCharacterDevice());
  });

  it('is a circle of links, or a folder: an error before anything is written', async () => {
    symlinkSync('circle', at('circle'));
    await assert.rejects(OutputFile.create(at('circle')), {
      code: 'file-access',
      message: /its links form a loop$/,
    });
    await assert.rejects(OutputFile.create(at('deep')), { code: 'file-access', message: /it is a folder$/ });
  });

  it('must be new: a regular file is refused, also one that came meanwhile, and through a link', async () => {
    for (const name of ['target', 'link'])
      await assert.rejects(write(at(name), { isNew: true }), { message: /it already exists$/ });
    const output = await OutputFile.create(at('late'), { isNew: true });
    writeFileSync(at('late'), 'mine');
    await assert.rejects(output.commit(), { message: /it already exists$/ });
    assert.equal(text('late'), 'mine');
    await write(at('fresh'), { isNew: true });
    assert.equal(text('fresh'), 'the content');
  });

  it('leaves nothing beside it', () => {
    assert.deepEqual(
      readdirSync(folder).filter((name) => name.startsWith('.')),
      [],
    );
  });

  it('goes for decode and encode', async () => {
    const mail = world.file('mail.eml', world.mail(textEntity('an order')));
    const key = ['--key', world.own.keyFile, '--cert', world.own.certFile];
    for (const [command, wanted] of [
      [['decode', mail, ...key], /an order/],
      [['encode', mail, '--to', world.partner.certFile], /enveloped-data/],
    ] as const) {
      const [read, ran] = await Promise.all([
        readFile(at('fifo'), 'utf8'),
        sealpost([...command, '--out', at('fifo')]),
      ]);
      assert.equal(ran.code, 0, ran.stderr);
      assert.match(read, wanted);
      assert.ok(lstatSync(at('fifo')).isFIFO());
    }
  });
});
