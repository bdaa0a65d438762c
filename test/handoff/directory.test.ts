import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { draftOwner } from '../../src/files.ts';
import { createDestination } from '../../src/handoff/index.ts';
import type { DestinationDeps } from '../../src/handoff/types.ts';
import { crlf, delivery, deps, mixed, never, piece, temporary, verdict } from './support.ts';

const folder = '20261123T000001234Z-m-0001';
const order = crlf(
  'Content-Type: text/xml; charset=utf-8\nContent-Transfer-Encoding: base64\n\nPG9yZGVyLz4=\n',
);

async function destination(t: TestContext, changes: Partial<DestinationDeps> = {}, at?: string) {
  const path = at ?? (await temporary(t));
  const made = await createDestination({ type: 'directory', path }, deps(changes));
  t.after(() => made.close());
  return { path, made, read: (name: string) => readFileSync(join(path, folder, name)) };
}

/** A multipart of a text and one large attachment, as chunks made on the fly; digest and size of the attachment. */
function largeContent(mebibytes: number) {
  const line = Buffer.from(`${Buffer.alloc(57, 0x5a).toString('base64')}\r\n`);
  const block = Buffer.concat(Array.from({ length: 1024 }, () => line));
  const blocks = Math.ceil((mebibytes * 1024 * 1024) / block.length);
  const head = crlf(
    'Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain\n\nsee file\n--b\n',
  );
  const file = crlf(
    'Content-Type: application/pdf; name=big.pdf\nContent-Transfer-Encoding: base64\nContent-Disposition: attachment\n\n',
  );
  const tail = crlf('\n--b--\n');
  const octets = head.length + file.length + blocks * block.length + tail.length;
  const hash = createHash('sha256');
  const plain = Buffer.alloc(57 * 1024, 0x5a);
  for (let i = 0; i < blocks; i++) hash.update(plain);
  async function* content() {
    yield head;
    yield file;
    for (let i = 0; i < blocks; i++) yield block;
    yield tail;
  }
  const read = async () => assert.fail('large content is not read at once');
  return {
    changes: { content, contentOctets: octets, read },
    sha256: hash.digest('hex'),
    size: blocks * plain.length,
  };
}

const digest = (octets: Buffer) => createHash('sha256').update(octets).digest('hex');

describe('handoff directory', () => {
  it('writes message, verdict and body of a message of one part', async (t) => {
    const { path, made, read } = await destination(t);
    assert.deepEqual(await made.deliver(delivery(order), never), { done: true, facts: { folder } });
    assert.deepEqual(readdirSync(path), [folder]);
    assert.deepEqual(readdirSync(join(path, folder)).sort(), ['body.xml', 'message.eml', 'verdict.json']);
    assert.equal(read('body.xml').toString(), '<order/>');
    assert.ok(read('message.eml').subarray(-order.length).equals(order));
    assert.deepEqual(JSON.parse(read('verdict.json').toString()), verdict);
    assert.equal(statSync(join(path, folder, 'body.xml')).mode & 0o007, 0);
  });

  it('writes the content of each piece as a file of its own, small and streamed', async (t) => {
    const text = crlf('Content-Type: text/plain\n\nthe piece');
    const raw = Buffer.alloc(5000, 0xa5);
    const pieces = [piece('1', text), piece('1/2.1', raw, null)];
    for (const changes of [{}, largeContent(11).changes]) {
      const { path, made, read } = await destination(t);
      assert.ok('done' in (await made.deliver(delivery(order, { ...changes, pieces }), never)));
      assert.deepEqual(readdirSync(join(path, folder, 'pieces')).sort(), ['1.eml', '1_2.1.bin']);
      assert.deepEqual(read('pieces/1.eml'), text);
      assert.deepEqual(read('pieces/1_2.1.bin'), raw);
      assert.ok(!read('message.eml').includes('the piece'));
      assert.equal(statSync(join(path, folder, 'pieces/1.eml')).mode & 0o007, 0);
    }
  });

  it('leaves nothing when a piece cannot be read', async (t) => {
    const { path, made } = await destination(t);
    const broken = piece('1', order);
    async function* content() {
      yield order;
      throw new Error('the spool is broken');
    }
    const outcome = await made.deliver(delivery(order, { pieces: [{ ...broken, content }] }), never);
    assert.ok('retry' in outcome, JSON.stringify(outcome));
    assert.deepEqual(readdirSync(path), []);
  });

  it('writes each part under a safe name, with its facts', async (t) => {
    const { path, made, read } = await destination(t);
    await made.deliver(delivery(mixed), never);
    assert.deepEqual(readdirSync(join(path, folder)).sort(), [
      'body.xml',
      'message.eml',
      'parts',
      'parts.json',
      'verdict.json',
    ]);
    assert.deepEqual(readdirSync(join(path, folder, 'parts')).sort(), [
      '01-part.txt',
      '02-part.html',
      '03-Bestellung €.xml',
      '04-_CON.eml',
      '05-second.xml',
    ]);
    assert.equal(read('parts/03-Bestellung €.xml').toString(), '<order/>');
    assert.equal(read('parts/01-part.txt').toString('latin1').trimEnd(), 'Grüße aus Zürich');
    assert.equal(read('body.xml').toString().trimEnd(), '<second/>');
    const facts = JSON.parse(read('parts.json').toString());
    assert.equal(facts.body, 5);
    assert.equal(facts.parts[2].file, '03-Bestellung €.xml');
    assert.equal(facts.parts[2].octets, 8);
  });

  it('writes the parts of a message of one part that has a name', async (t) => {
    const { made, read } = await destination(t);
    const named = crlf('Content-Type: application/octet-stream; name=order.edi\n\nISA*00~');
    await made.deliver(delivery(named), never);
    assert.equal(read('parts/01-order.edi').toString(), 'ISA*00~');
    assert.equal(read('body.edi').toString(), 'ISA*00~');
  });

  it('takes the configured body part', async (t) => {
    const { read, made } = await destination(t, { bodyPart: { index: 3 } });
    await made.deliver(delivery(mixed), never);
    assert.equal(read('body.xml').toString(), '<order/>');
  });

  it('writes octets that are no MIME entity as the body', async (t) => {
    const { made, read } = await destination(t);
    await made.deliver(delivery(Buffer.from("UNA:+.? 'UNB+UNOA:1'")), never);
    assert.equal(read('body.bin').toString(), "UNA:+.? 'UNB+UNOA:1'");
  });

  it('keeps a name inside of its folder whatever the partner calls it', async (t) => {
    const nasty = [
      '../../../../tmp/owned',
      '/etc/passwd',
      '..',
      'a/../../b',
      '..\\..\\c',
      '%2e%2e%2fd',
      'x'.repeat(400),
    ];
    const parts = nasty.map(
      (name) =>
        `--b\nContent-Type: text/plain\nContent-Disposition: attachment; filename="${name.replaceAll('\\', '\\\\')}"\n\n${name}\n`,
    );
    const { path, made } = await destination(t);
    await made.deliver(
      delivery(crlf(`Content-Type: multipart/mixed; boundary=b\n\n${parts.join('')}--b--\n`)),
      never,
    );
    assert.deepEqual(readdirSync(path), [folder]);
    const files = readdirSync(join(path, folder), { recursive: true, encoding: 'utf8' });
    assert.equal(files.filter((file) => /^parts\/0\d-[^/]+$/.test(file)).length, nasty.length);
  });

  it('streams large content and gives the same files', async (t) => {
    const { path, made, read } = await destination(t);
    const large = largeContent(8);
    const outcome = await made.deliver(delivery(Buffer.alloc(0), large.changes), never);
    assert.deepEqual(outcome, { done: true, facts: { folder } });
    const pdf = read('parts/02-big.pdf');
    assert.equal(pdf.length, large.size);
    assert.equal(digest(pdf), large.sha256);
    assert.equal(read('body.txt').toString(), 'see file');
    assert.equal(JSON.parse(read('parts.json').toString()).parts[1].octets, large.size);
    assert.match(read('message.eml').subarray(0, 600).toString(), /^Received:[\s\S]+boundary=b\r\n\r\n--b/);
    assert.deepEqual(readdirSync(path), [folder]);
  });

  it('streams large content of one part without a parts folder', async (t) => {
    const { path, made } = await destination(t);
    const content = Buffer.concat([crlf('Content-Type: text/csv\n\n'), Buffer.alloc(2_000_000, 'a;b\n')]);
    await made.deliver(delivery(content), never);
    assert.deepEqual(readdirSync(join(path, folder)).sort(), ['body.csv', 'message.eml', 'verdict.json']);
  });

  it('holds no more of 100 MB than its chunks', async (t) => {
    const { made } = await destination(t);
    const before = process.memoryUsage().arrayBuffers;
    let most = 0;
    const large = largeContent(100);
    async function* watched() {
      for await (const chunk of large.changes.content()) {
        most = Math.max(most, process.memoryUsage().arrayBuffers);
        yield chunk;
      }
    }
    const outcome = await made.deliver(
      delivery(Buffer.alloc(0), { ...large.changes, content: watched }),
      never,
    );
    assert.ok('done' in outcome);
    assert.ok(most - before < 64 * 1024 * 1024, `${most - before} octets`);
  });

  it('does a repeated delivery once, also when both run at a time', async (t) => {
    const { path, made } = await destination(t);
    const outcomes = await Promise.all([1, 2, 3].map(() => made.deliver(delivery(mixed), never)));
    assert.ok(outcomes.every((outcome) => 'done' in outcome));
    const again = await made.deliver(delivery(mixed), never);
    assert.deepEqual(again, { done: true, facts: { folder, repeated: true } });
    assert.deepEqual(readdirSync(path), [folder]);
  });

  it('suspends what cannot be taken apart and leaves nothing behind', async (t) => {
    const { path, made } = await destination(t);
    const broken = crlf('Content-Type: text/plain\nContent-Transfer-Encoding: base64\n\nA=BC\n');
    for (const content of [broken, Buffer.concat([broken, Buffer.alloc(2_000_000, 'A=BC')])]) {
      const outcome = await made.deliver(delivery(content), never);
      assert.ok('suspend' in outcome);
      assert.equal(outcome.suspend, 'transfer-encoding');
    }
    assert.deepEqual(readdirSync(path), []);
  });

  it('stops when it is told to and leaves nothing behind', async (t) => {
    const { path, made } = await destination(t);
    const stop = new AbortController();
    async function* content() {
      yield crlf('Content-Type: text/plain\n\n');
      for (;;) {
        stop.abort();
        yield Buffer.alloc(65536, 'x');
      }
    }
    const outcome = await made.deliver(delivery(order, { content, contentOctets: 5_000_000 }), stop.signal);
    assert.ok('retry' in outcome && outcome.untried === true);
    assert.deepEqual(readdirSync(path), []);
  });

  it('tries again when the folder is away, and delivers when it is back', async (t) => {
    const { path, made } = await destination(t);
    await rename(path, `${path}-away`);
    const outcome = await made.deliver(delivery(order), never);
    await rename(`${path}-away`, path);
    assert.ok('retry' in outcome);
    assert.match(String(outcome.facts?.message), /ENOENT/);
    assert.ok('done' in (await made.deliver(delivery(order), never)));
  });

  it('can be made while its folder cannot, and delivers as soon as it can', async (t) => {
    const root = await temporary(t);
    writeFileSync(join(root, 'mount'), 'a file in the place of a folder');
    const { made } = await destination(t, {}, join(root, 'mount', 'in'));
    const outcome = await made.deliver(delivery(order), never);
    assert.ok('retry' in outcome);
    assert.match(String(outcome.facts?.message), /ENOTDIR/);
    await rm(join(root, 'mount'));
    assert.ok('done' in (await made.deliver(delivery(order), never)));
    assert.deepEqual(readdirSync(join(root, 'mount', 'in')), [folder]);
  });

  it('tries again when the disk is full, small or large, and leaves nothing behind', async (t) => {
    const path = await temporary(t);
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', path], { stdio: 'ignore' });
    } catch {
      return t.skip('mounting a tmpfs is not permitted here');
    }
    try {
      const { made } = await destination(t, {}, path);
      const small = Buffer.concat([crlf('Content-Type: text/plain\n\n'), Buffer.alloc(700_000, 'x')]);
      for (const content of [small, Buffer.concat([small, small])]) {
        const outcome = await made.deliver(delivery(content), never);
        assert.ok('retry' in outcome);
        assert.match(String(outcome.facts?.message), /no space is left \(ENOSPC\)/);
        assert.deepEqual(readdirSync(path), []);
      }
      assert.ok('done' in (await made.deliver(delivery(order), never)));
      await made.close();
    } finally {
      execFileSync('umount', [path]);
    }
  });

  it('shows nothing of a message whose writer is killed, and the next attempt delivers it', async (t) => {
    const path = await temporary(t);
    const child = spawn(process.execPath, [join(import.meta.dirname, 'killed-writer.ts'), path], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(child.stdout, 'data');
    child.kill('SIGKILL');
    await once(child, 'exit');
    const left = readdirSync(path);
    assert.deepEqual(
      left.filter((name) => !name.startsWith('.')),
      [],
    );
    assert.equal(left.length, 1, 'the writer was killed in the middle of its work');
    assert.ok(readdirSync(join(path, String(left[0]))).includes('message.eml'));

    const { made } = await destination(t, {}, path);
    assert.ok('done' in (await made.deliver(delivery(order), never)));
    assert.deepEqual(
      readdirSync(path).filter((name) => !name.startsWith('.')),
      [folder],
    );
    // what a dead process of this machine was writing goes at the next start
    assert.deepEqual(readdirSync(path), [folder]);
  });

  it('removes at its start what dead processes were writing, and what others were an hour ago', async (t) => {
    const path = await temporary(t);
    const [machine, pid, start] = draftOwner.split('-');
    const old = new Date(Date.now() - 3_700_000);
    const young = new Date(Date.now() - 3_500_000);
    const drafts: [string, boolean][] = [
      [`.sealpost-a.${draftOwner}`, true],
      // a later process with the same id
      [`.sealpost-b.${machine}-${pid}-${Number(start) - 1}`, false],
      // an id that nobody has: above any that Linux gives
      [`.sealpost-c.${machine}-4194305-1`, false],
      // another machine's, young and old, of no process that runs here
      [`.sealpost-d.${'0'.repeat(16)}-4194305-1`, true],
      ['.sealpost-e', true],
    ];
    for (const [name] of drafts) {
      mkdirSync(join(path, name));
      utimesSync(join(path, name), young, young);
    }
    mkdirSync(join(path, '.sealpost-f'));
    utimesSync(join(path, '.sealpost-f'), old, old);
    await destination(t, {}, path);
    const kept = drafts.filter(([, keep]) => keep).map(([name]) => name);
    assert.deepEqual(readdirSync(path).sort(), kept.sort());
  });

  it('leaves foreign files in the folder alone', async (t) => {
    const path = await temporary(t);
    mkdirSync(join(path, '.mine'));
    const old = new Date(0);
    utimesSync(join(path, '.mine'), old, old);
    await destination(t, {}, path);
    assert.deepEqual(readdirSync(path), ['.mine']);
    await rm(join(path, '.mine'), { recursive: true });
  });
});
