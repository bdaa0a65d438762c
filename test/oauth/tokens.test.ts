/** Bearer tokens: when the endpoint is asked, and what of its answers counts. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { createServer, type ServerResponse } from 'node:http';
import { after, before, describe, it } from 'node:test';
import { SealpostError } from '../../src/errors.ts';
import { TokenSource, Tokens } from '../../src/oauth/tokens.ts';
import { startTokenServer } from '../support/token-server.ts';

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
  new TokenSource({ tokenUrl, clientId: 'me', clientSecret: { env: 'X' } }, 'user', {
    readSecret: () => 's3cret',
    refreshTokens: undefined,
  });
/** The token that a login would get. */
const tokenOf = (tokens: TokenSource) =>
  tokens.login(
    signal,
    async (token) => token,
    () => false,
  );
/** A login that a server refuses; how often it is tried, and with what. */
async function refusedLogin(tokens: TokenSource): Promise<string[]> {
  const tried: string[] = [];
  const refused = tokens.login(
    signal,
    async (token) => {
      tried.push(token);
      throw new Error('refused');
    },
    () => true,
  );
  await assert.rejects(refused, /refused/);
  return tried;
}
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
    assert.equal(await tokenOf(tokens), 'token1');
    for (clock of [1_000_001, until - 1, until]) assert.equal(await tokenOf(tokens), 'token1');
    clock = until + 1;
    assert.equal(await tokenOf(tokens), 'token2');
    // refused although it was used before: once more with a new one
    assert.deepEqual(await refusedLogin(tokens), ['token2', 'token3']);
    // that was in vain, so a route with a wrong user costs the others no token each time
    assert.deepEqual(await refusedLogin(tokens), ['token3']);
    clock += 299_999;
    assert.deepEqual(await refusedLogin(tokens), ['token3']);
    clock++;
    assert.deepEqual(await refusedLogin(tokens), ['token3', 'token4']);
    assert.equal(asked.length, 4);
  });

  it('is used once where it expires within a minute, and for four minutes where nothing is said', async (t) => {
    t.mock.method(performance, 'now', () => clock);
    let clock = 1_000_000;
    asked.length = 0;
    const short = source();
    answer = says(200, { access_token: 'short', expires_in: '30' });
    await tokenOf(short);
    clock++;
    await tokenOf(short);
    assert.equal(asked.length, 2);
    const silent = source();
    answer = says(200, { access_token: 'silent' });
    await tokenOf(silent);
    clock += 240_000;
    await tokenOf(silent);
    assert.equal(asked.length, 3);
    clock++;
    await tokenOf(silent);
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
      await assert.rejects(tokenOf(source()), {
        code: 'token-failed',
        message: new RegExp(`gave no token \\(status ${status}${code}\\)$`),
      });
    });

  it('is not taken from another server that the endpoint leads to', async () => {
    answer = (response) => {
      response.writeHead(307, { location: '/elsewhere' }).end();
    };
    asked.length = 0;
    await assert.rejects(tokenOf(source()), { code: 'token-failed', message: /cannot be reached/ });
    assert.deepEqual(asked, ['/token']);
  });

  it('comes within 64 KiB, and an answer without end is not read to it', async () => {
    const padded = (octets: number) => {
      const text = JSON.stringify({ access_token: 'x', token_type: 'Bearer', padding: '' });
      return text.replace('"padding":""', `"padding":"${'p'.repeat(octets - text.length)}"`);
    };
    assert.equal(padded(65_536).length, 65_536);
    answer = says(200, padded(65_536));
    assert.equal(await tokenOf(source()), 'x');
    answer = says(200, padded(65_537));
    await assert.rejects(tokenOf(source()), { code: 'token-failed' });

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
    await assert.rejects(tokenOf(source()), { code: 'token-failed' });
    await ended.promise;
    assert.ok(given < 1000, 'the connection is closed long before');
  });
});

describe('an endpoint that fails', () => {
  it('is asked again after a while only, and less and less often', async (t) => {
    t.mock.method(performance, 'now', () => clock);
    let clock = 1_000_000;
    const tokens = source();
    asked.length = 0;
    answer = says(503, {});
    const waits: number[] = [];
    let last = clock;
    for (let failures = 1; failures <= 9; clock += 1000) {
      await assert.rejects(tokenOf(tokens), { code: 'token-failed', hint: /asked again/ });
      if (asked.length < failures) continue;
      waits.push((clock - last) / 1000);
      last = clock;
      failures++;
    }
    assert.deepEqual(waits, [0, 5, 10, 20, 40, 80, 160, 300, 300]);
    answer = says(200, { access_token: 'back' });
    clock = last + 300_000;
    assert.equal(await tokenOf(tokens), 'back');
  });

  it('may say for how long it wants to be left alone, up to ten minutes', async (t) => {
    t.mock.method(performance, 'now', () => clock);
    let clock = 1_000_000;
    const begun = clock;
    for (const [seconds, wait] of [
      ['120', 120_000],
      ['7200', 600_000],
      ['soon', 5000],
    ] as const) {
      clock = begun;
      const tokens = source();
      answer = (response) => response.writeHead(429, { 'retry-after': seconds }).end();
      await assert.rejects(tokenOf(tokens));
      asked.length = 0;
      for (clock of [begun + wait - 1, begun + wait]) await assert.rejects(tokenOf(tokens));
      assert.equal(asked.length, 1, seconds);
    }
  });

  it('leaves other endpoints as they were', async () => {
    answer = says(503, {});
    const tokens = new Tokens({ readSecret: () => 's3cret', refreshTokens: undefined });
    const of = (clientId: string) =>
      tokenOf(tokens.for({ tokenUrl, clientId, clientSecret: { env: 'X' } }, 'user'));
    await assert.rejects(of('a'));
    answer = says(200, { access_token: 'good' });
    assert.equal(await of('b'), 'good');
    await assert.rejects(of('a'));
  });

  for (const [what, status, body, hint] of [
    [
      'a wrong secret',
      401,
      { error: 'invalid_client', error_description: 'AADSTS7000215: Invalid' },
      /not its id/,
    ],
    ['an old secret', 401, { error: 'invalid_client', error_description: 'AADSTS7000222: x' }, /has expired/],
    [
      'a wrong app',
      400,
      { error: 'unauthorized_client', error_description: 'AADSTS700016: x' },
      /clientId, and the tenant/,
    ],
    ['a wrong scope', 400, { error: 'invalid_scope', error_description: 'AADSTS1002012: x' }, /\/\.default$/],
    ['an unknown number', 400, { error: 'invalid_scope', error_description: 'AADSTS9999999' }, /scope$/],
  ] as const)
    it(`names the setting: ${what}`, async () => {
      answer = says(status, body);
      await assert.rejects(tokenOf(source()), { code: 'token-failed', hint });
    });
});

describe('a token', () => {
  it('is shared by all logins with the same settings, and asked for once by many at a time', async () => {
    asked.length = 0;
    answer = (response) =>
      void setTimeout(() => says(200, { access_token: `t${asked.length}` })(response), 5);
    const tokens = new Tokens({ readSecret: () => 's3cret', refreshTokens: undefined });
    const settings = (clientId: string) => ({ tokenUrl, clientId, clientSecret: { env: 'X' } });
    const logins = ['sales', 'orders', 'sales'].map((user) => tokenOf(tokens.for(settings('me'), user)));
    assert.deepEqual(await Promise.all(logins), ['t1', 't1', 't1']);
    assert.equal(await tokenOf(tokens.for(settings('other'), 'sales')), 't2');
  });

  it('is not awaited by a login that was given up, and still comes for the others', async () => {
    answer = (response) => void setTimeout(() => says(200, { access_token: 'late' })(response), 50);
    const tokens = source();
    const giveUp = new AbortController();
    const given = tokens.login(
      giveUp.signal,
      async (token) => token,
      () => false,
    );
    const other = tokenOf(tokens);
    giveUp.abort();
    await assert.rejects(given, { code: 'token-failed' });
    assert.equal(await other, 'late');
  });

  it('of a service account is asked for with its own assertion, for the user who logs in', async () => {
    const server = await startTokenServer('box@example.com');
    const { privateKey, publicKey } = generateKeyPairSync('rsa', {
      modulusLength: 2048,
      privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
      publicKeyEncoding: { type: 'spki', format: 'pem' },
    });
    server.serviceKey = publicKey;
    const account = {
      client_email: 'app@example.iam.gserviceaccount.com',
      private_key: privateKey,
      private_key_id: 'k1',
      token_uri: 'https://oauth2.googleapis.com/token',
    };
    let file = JSON.stringify(account);
    const make = () => new Tokens({ readSecret: () => file, refreshTokens: undefined });
    const scope = 'https://mail.google.com/';
    const config = { serviceAccount: { file: 'key.json' }, tokenUrl: server.url, scope };
    try {
      const tokens = make();
      assert.equal(await tokenOf(tokens.for(config, 'box@example.com')), 'token-1');
      // each user has a token of their own
      await assert.rejects(tokenOf(tokens.for(config, 'ceo@example.com')), {
        code: 'token-failed',
        hint: /user of the domain/,
      });
      assert.deepEqual([...(server.asked[0]?.keys() ?? [])].sort(), ['assertion', 'grant_type']);
      for (const broken of ['{', '{}', JSON.stringify({ ...account, private_key: 'nothing' })]) {
        file = broken;
        const error = await tokenOf(make().for(config, 'box@example.com')).catch((each: unknown) => each);
        assert.ok(error instanceof SealpostError && error.code === 'config-invalid');
        assert.ok(!error.message.includes('nothing'));
      }
    } finally {
      await server.stop();
    }
  });
});
