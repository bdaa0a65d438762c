import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { createLocalDestination } from '../../src/handoff/local.ts';
import { plainText, readText } from '../../src/handoff/mail-text.ts';

import { entityInfo, parseHeaders } from '../../src/message/index.ts';
import { crlf, delivery, deps, mixed, never } from './support.ts';

describe('a queue beside the decoding', () => {
  const settings = { type: 'queue', queue: 'orders', inlineLimit: 262_144 } as const;
  const text = (type: string) => crlf(`Content-Type: ${type}\n\nGr\u00fc\u00dfe\n`);

  it('gives its job to the step', async () => {
    const local = await createLocalDestination(settings, deps({ redisPrefix: '{test}' }));
    const result = await local?.take(delivery(text('text/plain; charset=utf-8')), never);
    assert.deepEqual(result?.facts, { queue: 'orders', jobId: result?.job?.id });
    const { prefix, queue, name, data } = result?.job ?? {};
    assert.deepEqual([prefix, queue, name], ['{test}', 'orders', 'message']);
    assert.equal(JSON.parse(String(data)).parts[0].text, 'Gr\u00fc\u00dfe\n');
  });

  it('leaves to the hand-off what needs mailparser, and content that needs a URL', async () => {
    const signedUrl = () => ({ url: 'http://127.0.0.1/', expires: 1 });
    const local = await createLocalDestination(settings, deps());
    assert.equal(await local?.take(delivery(text('text/plain; charset=iso-8859-15')), never), undefined);
    assert.equal(await local?.take(delivery(text('text/plain; format=flowed')), never), undefined);
    const small = await createLocalDestination({ ...settings, inlineLimit: 10 }, deps({ signedUrl }));
    assert.equal(await small?.take(delivery(mixed), never), undefined);
  });

  it('is none with keys of its own, nor is a folder or a webhook', async () => {
    const secret = { env: 'NONE' };
    const webhook = { type: 'webhook', url: 'https://example.com/', secret, inlineLimit: 1 } as never;
    assert.equal(await createLocalDestination({ ...settings, prefix: '{other}' }, deps()), undefined);
    assert.equal(await createLocalDestination(webhook, deps()), undefined);
    assert.equal(await createLocalDestination({ type: 'directory', path: '/none' }, deps()), undefined);
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
