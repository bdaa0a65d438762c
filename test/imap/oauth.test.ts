/** Bearer tokens: when the endpoint is asked, and what of its answers counts. */
import assert from 'node:assert/strict';
import { createServer, type ServerResponse } from 'node:http';
import { after, before, describe, it } from 'node:test';
import { TokenSource } from '../../src/imap/oauth.ts';

const signal = new AbortController().signal;
const asked: string[] = [];
let answer: (response: ServerResponse) => void;
const server = createServer((request, response) => {
  request.resume().on('end', () => {
    asked.push(request.url ?? '');
    answer(response);
  });
});
let tokenUrl = '';
before(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  tokenUrl = `http://127.0.0.1:${address.port}/token`;
});
after(() => server.close());

const source = () =>
  new TokenSource({ tokenUrl, clientId: 'me', clientSecret: { env: 'X' } }, () => 's3cret');
/** An answer; of type Bearer if it is an object without a type. */
const says = (status: number, body: unknown) => (response: ServerResponse) => {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(typeof body === 'string' ? body : JSON.stringify({ token_type: 'Bearer', ...Object(body) }));
};

describe('a granted token', () => {
  it('is used until a minute before it expires, and asked for anew after that, or when it was refused', async (t) => {
    t.mock.method(performance, 'now', () => clock);
    let clock = 1_000_000;
    const tokens = source();
    asked.length = 0;
    answer = (response) => says(200, { access_token: `token${asked.length}`, expires_in: 3600 })(response);
    const until = clock + 3_540_000;
    assert.equal(await tokens.get(signal), 'token1');
    for (clock of [1_000_001, until - 1, until]) assert.equal(await tokens.get(signal), 'token1');
    clock = until + 1;
    assert.equal(await tokens.get(signal), 'token2');
    tokens.forget();
    assert.equal(await tokens.get(signal), 'token3');
    assert.equal(asked.length, 3);
  });

  it('is used once where it expires within a minute, and for four minutes where nothing is said', async (t) => {
    t.mock.method(performance, 'now', () => clock);
    let clock = 1_000_000;
    asked.length = 0;
    const short = source();
    answer = says(200, { access_token: 'short', expires_in: '30' });
    await short.get(signal);
    clock++;
    await short.get(signal);
    assert.equal(asked.length, 2);
    const silent = source();
    answer = says(200, { access_token: 'silent' });
    await silent.get(signal);
    clock += 240_000;
    await silent.get(signal);
    assert.equal(asked.length, 3);
    clock++;
    await silent.get(signal);
    assert.equal(asked.length, 4);
  });

  for (const [what, status, body, code = ''] of [
    ['an error that brings one', 400, { access_token: 'x', expires_in: 60 }],
    ['a success without one', 200, { token_type: 'Bearer' }],
    ['a success with an empty one', 200, { access_token: '' }],
    ['a success with one that is no text', 200, { access_token: 7 }],
    ['a success that is no JSON', 200, '<html>'],
    ['an error without one', 401, { error: 'invalid_client' }, ', invalid_client'],
    ['an error whose code is not one', 400, { error: 'no\r\ntoken=s3cret' }],
    ['one of another type', 200, { access_token: 'x', token_type: 'mac' }],
    ['one of no type', 200, '{"access_token":"x"}'],
    ['one that is bound to a key', 200, { access_token: 'x', token_type: 'DPoP' }],
  ] as const)
    it(`is not taken from ${what}`, async () => {
      answer = says(status, body);
      await assert.rejects(source().get(signal), {
        code: 'imap-failed',
        message: new RegExp(`gave no token \\(status ${status}${code}\\)$`),
      });
    });

  it('is not taken from another server that the endpoint leads to', async () => {
    answer = (response) => {
      response.writeHead(307, { location: '/elsewhere' }).end();
    };
    asked.length = 0;
    await assert.rejects(source().get(signal), { code: 'imap-failed', message: /cannot be reached/ });
    assert.deepEqual(asked, ['/token']);
  });

  it('comes within 64 KiB, and an answer without end is not read to it', async () => {
    const padded = (octets: number) => {
      const text = JSON.stringify({ access_token: 'x', token_type: 'Bearer', padding: '' });
      return text.replace('"padding":""', `"padding":"${'p'.repeat(octets - text.length)}"`);
    };
    assert.equal(padded(65_536).length, 65_536);
    answer = says(200, padded(65_536));
    assert.equal(await source().get(signal), 'x');
    answer = says(200, padded(65_537));
    await assert.rejects(source().get(signal), { code: 'imap-failed' });

    let given = 0;
    const ended = Promise.withResolvers<void>();
    answer = (response) => {
      const piece = Buffer.alloc(65_536, 0x20);
      const more = () => {
        // a bound for the test alone: what reads on gets its token in the end
        if (given > 1000) return void response.end('{"access_token":"late","token_type":"Bearer"}');
        given++;
        response.write(piece, more);
      };
      response.on('close', () => ended.resolve());
      more();
    };
    await assert.rejects(source().get(signal), { code: 'imap-failed' });
    await ended.promise;
    assert.ok(given < 1000, 'the connection is closed long before');
  });
});
