import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import fc from 'fast-check';
import { createDestination } from '../../src/handoff/index.ts';
import { createLocalDestination, LocalFolder } from '../../src/handoff/local.ts';
import { plainText, readText } from '../../src/handoff/mail-text.ts';

import { entityInfo, parseHeaders } from '../../src/message/index.ts';
import type { Outcome } from '../../src/queue/types.ts';
import { crlf, delivery, deps, mixed, never } from './support.ts';

const done: Outcome = { done: true, facts: { folder: 'f' } };
const taken = { facts: { folder: 'f' } };
const settle = () => new Promise((resolve) => setImmediate(resolve));

/** A folder whose writes end when the test says so. */
function folder(t: TestContext) {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const writes: PromiseWithResolvers<Outcome>[] = [];
  const signals: AbortSignal[] = [];
  const local = new LocalFolder({
    name: 'orders',
    deliver(_delivery, signal) {
      const write = Promise.withResolvers<Outcome>();
      writes.push(write);
      signals.push(signal);
      return write.promise;
    },
  });
  return { local, writes, signals, take: () => local.take(delivery(mixed), never) };
}

describe('a folder beside the decoding', () => {
  it('is written one message at a time, in order', async (t) => {
    const { writes, take } = folder(t);
    const [first, second] = [take(), take()];
    await settle();
    assert.equal(writes.length, 1);
    writes[0]?.resolve(done);
    assert.deepEqual(await first, taken);
    await settle();
    assert.equal(writes.length, 2);
    writes[1]?.resolve(done);
    assert.deepEqual(await second, taken);
  });

  it('takes nothing while it is slow, and again ten seconds after it has answered', async (t) => {
    const { writes, signals, take } = folder(t);
    const [first, second] = [take(), take()];
    await settle();
    t.mock.timers.tick(999);
    await settle();
    assert.equal(signals[0]?.aborted, false);
    t.mock.timers.tick(1);
    assert.equal(await first, undefined);
    assert.equal(await second, undefined);
    assert.equal(signals[0]?.aborted, true);
    assert.equal(await take(), undefined);
    assert.equal(writes.length, 1);
    t.mock.timers.tick(60_000);
    await settle();
    assert.equal(await take(), undefined, 'the write still hangs');
    writes[0]?.resolve(done);
    await settle();
    t.mock.timers.tick(9999);
    await settle();
    assert.equal(await take(), undefined);
    t.mock.timers.tick(1);
    await settle();
    const later = take();
    await settle();
    assert.equal(writes.length, 2);
    writes[1]?.resolve(done);
    assert.deepEqual(await later, taken);
  });

  it('rests when its disk fails, and not when the message does', async (t) => {
    const { writes, take } = folder(t);
    const refused = take();
    await settle();
    writes[0]?.resolve({ suspend: 'mime-limit', facts: { message: 'no' } });
    assert.equal(await refused, undefined);
    const failed = take();
    await settle();
    writes[1]?.resolve({ retry: 'handoff-failed', facts: { message: 'no' }, peer: 'down' });
    assert.equal(await failed, undefined);
    assert.equal(await take(), undefined);
    assert.equal(writes.length, 2);
  });

  it('has sixteen messages wait, and no more', async (t) => {
    const { writes, take } = folder(t);
    const all = Array.from({ length: 16 }, take);
    assert.equal(await take(), undefined);
    for (let at = 0; at < 16; at++) {
      await settle();
      writes[at]?.resolve(done);
    }
    assert.deepEqual(await Promise.all(all), Array(16).fill(taken));
  });

  it('has the files that the hand-off would write', async (t) => {
    const base = await mkdtemp(join(tmpdir(), 'sealpost-local-'));
    t.after(() => rm(base, { recursive: true, force: true }));
    const make = async (name: string) => {
      const path = join(base, name);
      return { path, settings: { type: 'directory', path } as const };
    };
    const [here, there] = [await make('here'), await make('there')];
    const local = await createLocalDestination(here.settings, deps());
    assert.ok(
      'done' in (await (await createDestination(there.settings, deps())).deliver(delivery(mixed), never)),
    );
    const { facts } = (await local?.take(delivery(mixed), never)) ?? {};
    assert.deepEqual(await readdir(here.path), [facts?.folder]);
    const files = async (path: string) => {
      const entries = await readdir(path, { recursive: true, withFileTypes: true });
      const names = entries
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name));
      return new Map(
        await Promise.all(
          names.map(
            async (name): Promise<[string, string]> => [
              name.slice(path.length),
              (await readFile(name)).toString('base64'),
            ],
          ),
        ),
      );
    };
    assert.deepEqual(await files(here.path), await files(there.path));
    assert.ok((await files(here.path)).size > 4);
    // The same message again is there already.
    assert.deepEqual((await local?.take(delivery(mixed), never))?.facts, { ...facts, repeated: true });
  });
});

describe('a queue beside the decoding', () => {
  const settings = { type: 'queue', queue: 'orders', inlineLimit: 262_144 } as const;
  const text = (type: string) => crlf(`Content-Type: ${type}\n\nGr\u00fc\u00dfe\n`);

  it('gives its job to the step', async () => {
    const local = await createLocalDestination(settings, deps({ redisPrefix: '{test}' }));
    const result = await local?.take(delivery(text('text/plain; charset=utf-8')), never);
    assert.deepEqual(result?.facts, { queue: 'orders', jobId: result?.job?.id });
    const { prefix, queue, name, data } = result?.job ?? {};
    assert.deepEqual([prefix, queue, name], ['{test}', 'orders', 'message']);
    assert.equal(JSON.parse(data ?? '').parts[0].text, 'Gr\u00fc\u00dfe\n');
  });

  it('leaves to the hand-off what needs mailparser, and content that needs a URL', async () => {
    const signedUrl = () => ({ url: 'http://127.0.0.1/', expires: 1 });
    const local = await createLocalDestination(settings, deps());
    assert.equal(await local?.take(delivery(text('text/plain; charset=iso-8859-15')), never), undefined);
    assert.equal(await local?.take(delivery(text('text/plain; format=flowed')), never), undefined);
    const small = await createLocalDestination({ ...settings, inlineLimit: 10 }, deps({ signedUrl }));
    assert.equal(await small?.take(delivery(mixed), never), undefined);
  });

  it('is none with keys of its own, nor is a webhook', async () => {
    const secret = { env: 'NONE' };
    const webhook = { type: 'webhook', url: 'https://example.com/', secret, inlineLimit: 1 } as never;
    assert.equal(await createLocalDestination({ ...settings, prefix: '{other}' }, deps()), undefined);
    assert.equal(await createLocalDestination(webhook, deps()), undefined);
  });
});

describe('plain text', () => {
  const typeOf = (value: string) =>
    entityInfo(parseHeaders(Buffer.from(`Content-Type: ${value}\r\n\r\n`))).contentType;
  const types = ['text/plain', 'text/html', 'text/xml', 'text/csv'];
  const charsets = ['', '; charset=utf-8', '; charset="UTF-8"', '; charset=us-ascii', '; charset=utf8'];
  const lines = fc.array(
    fc.constantFrom('\r\n', '\n', '\r', ' ', '\u0000', '\ufeff', 'a', '<b>', '\u00e9', '\t', '=20'),
  );

  it('is what mailparser gives', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...types),
        fc.constantFrom(...charsets),
        fc.oneof(
          lines.map((each) => Buffer.from(each.join(''))),
          fc.uint8Array().map((each) => Buffer.from(each)),
        ),
        async (type, charset, octets) => {
          const read = typeOf(`${type}${charset}`);
          const plain = plainText(read, octets);
          assert.notEqual(plain, undefined);
          assert.equal(plain?.text, await readText(read, octets));
        },
      ),
      { numRuns: 300 },
    );
  });

  it('is not made of other charsets, nor of flowed text', () => {
    for (const parameters of [
      '; charset=iso-8859-1',
      '; charset=utf-16',
      '; format=flowed',
      '; format=fixed',
    ])
      assert.equal(plainText(typeOf(`text/plain${parameters}`), mixed), undefined);
  });
});
