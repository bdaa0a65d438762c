/** The disk that loses power, held against programs that sync too little; and the folders that must survive it. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { runOk } from '../support/peers/run.ts';
import { noPowerLoss, PowerSupply } from './support/power.ts';

const program = (source: string) => `
  import { fsyncSync, mkdirSync, openSync, renameSync, rmSync, linkSync, writeSync, closeSync } from 'node:fs';
  import * as promises from 'node:fs/promises';
  const write = (name, text, flags = 'w') => {
    const fd = openSync(name, flags);
    writeSync(fd, text);
    return fd;
  };
  const sync = (name) => fsyncSync(openSync(name, 'r'));
  ${source}`;

describe('power loss', { skip: noPowerLoss() ?? false }, () => {
  let parent: string;
  let supply: PowerSupply;
  before(() => {
    parent = mkdtempSync(join(tmpdir(), 'sealpost-power-'));
  });
  after(() => rmSync(parent, { recursive: true, force: true }));

  /** Runs a program in the root, and returns what it finds there. */
  async function run(source: string, options = {}): Promise<void> {
    supply = new PowerSupply(parent, options);
    await more(source);
  }
  async function more(source: string): Promise<void> {
    const args = ['--input-type=module', '-e', program(source)];
    await runOk(process.execPath, args, { env: supply.env, cwd: supply.root });
  }
  const text = (name: string) => readFileSync(join(supply.root, name), 'utf8');

  it('keeps what was synced with its folder', async () => {
    await run(
      `fsyncSync(write('a', 'whole')); mkdirSync('d'); fsyncSync(write('d/b', 'b')); sync('d'); sync('.');`,
    );
    const loss = await supply.lose();
    assert.deepEqual([loss.cut, loss.vanished], [[], []]);
    assert.deepEqual([text('a'), text('d/b')], ['whole', 'b']);
  });

  it('cuts what was written after the sync, also to a file of before', async () => {
    await run(`const fd = write('a', 'synced'); fsyncSync(fd); sync('.'); writeSync(fd, ' and not');`);
    assert.deepEqual((await supply.lose()).cut, ['a']);
    assert.equal(text('a'), 'synced');
    await more(`const fd = write('a', ', again', 'a'); fsyncSync(fd); writeSync(fd, ' and not');`);
    assert.equal((await supply.lose()).octets, 8);
    assert.equal(text('a'), 'synced, again');
  });

  it('has no name that was not synced, and no content either', async () => {
    await run(`fsyncSync(write('a', 'no name')); write('b', 'nothing'); mkdirSync('d'); sync('d');`);
    assert.deepEqual((await supply.lose()).vanished.sort(), ['a', 'b', 'd']);
    await run(`write('b', 'no content'); sync('.');`);
    await supply.lose();
    assert.equal(text('b'), '');
  });

  it('undoes a rename, unless the folder was synced', async () => {
    const made = `fsyncSync(write('old', 'old')); sync('.'); fsyncSync(write('new', 'new'));`;
    await run(`${made} renameSync('new', 'old');`);
    await supply.lose();
    assert.equal(text('old'), 'old');
    await more(`fsyncSync(write('new', 'new')); renameSync('new', 'old'); sync('.');`);
    await supply.lose();
    assert.deepEqual(readdirSync(supply.root), ['old']);
    assert.equal(text('old'), 'new');
  });

  it('sees what the thread pool does, folders that move, links and removals', async () => {
    await run(`
      await promises.mkdir('d/e', { recursive: true });
      const file = await promises.open('d/e/f', 'wx');
      await file.writeFile('text');
      await file.sync();
      await promises.link('d/e/f', 'd/e/g');
      for (const name of ['d/e', 'd', '.']) sync(name);
      await promises.rename('d', 'moved');
      await promises.rm('moved/e/f');
      sync('.');
      await promises.mkdir('gone');
      sync('.');
      await promises.rm('gone', { recursive: true });
      rmSync('absent', { recursive: true, force: true });`);
    await supply.lose();
    assert.deepEqual(readdirSync(supply.root, { recursive: true }).sort(), ['moved', 'moved/e', 'moved/e/g']);
    assert.equal(text('moved/e/g'), 'text');
  });

  it('knows a disk that lies', async () => {
    await run(`fsyncSync(write('a', 'whole')); sync('.');`, { liars: 'node' });
    await supply.lose();
    assert.deepEqual(readdirSync(supply.root), []);
  });

  it('a folder that makeFolder made is there, with those above it', async () => {
    const folders = join(import.meta.dirname, '../../src/files.ts');
    await run(
      `const { makeFolder } = await import('${folders}'); await makeFolder('a/b/c'); await makeFolder('a/d');`,
    );
    assert.deepEqual((await supply.lose()).vanished, []);
    assert.deepEqual(readdirSync(supply.root, { recursive: true }).sort(), ['a', 'a/b', 'a/b/c', 'a/d']);
  });
});
