/** Refresh tokens that their endpoint replaces: kept in Redis, sealed, and used by one process at a time. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import type { OAuth2Config } from '../../src/config/index.ts';
import { createRefreshTokens } from '../../src/oauth/refresh-tokens.ts';
import { Tokens } from '../../src/oauth/tokens.ts';
import type { QueueRoom } from '../../src/queue/index.ts';
import { useTestQueue } from '../support/queue.ts';
import { startTokenServer, type TokenServer } from '../support/token-server.ts';

const { signal } = new AbortController();
let queue: QueueRoom;
let server: TokenServer;
useTestQueue((opened) => {
  queue = opened.queue;
});
before(async () => {
  server = await startTokenServer();
});
after(() => server.stop());
beforeEach(async () => {
  server.asked.length = 0;
  server.rotates = true;
  server.replaced.clear();
  for (const key of await queue.redis.keys('*oauth*')) await queue.redis.del(key);
});

const config = (more: Partial<OAuth2Config> = {}): OAuth2Config => ({
  tokenUrl: server.url,
  clientId: 'me',
  refreshToken: { file: 'configured' },
  ...more,
});
/** As a process would have it. */
const process = (
  secrets: Record<string, string>,
  room: Pick<QueueRoom, 'redis' | 'prefix' | 'seal' | 'unseal'> = queue,
) =>
  new Tokens({
    readSecret: (secret) => ('file' in secret ? (secrets[secret.file] ?? '') : ''),
    refreshTokens: createRefreshTokens(room),
  });
const tokenOf = (tokens: Tokens, settings = config()) =>
  tokens.for(settings, 'user').login(
    signal,
    async (token) => token,
    () => false,
  );
const sentRefreshTokens = () => server.asked.map((form) => form.get('refresh_token'));

describe('a refresh token', () => {
  it('is replaced where the endpoint says so, and the next process begins with the new one', async () => {
    server.refreshToken = 'first';
    const secrets = { configured: 'first' };
    await tokenOf(process(secrets));
    const second = server.refreshToken;
    await tokenOf(process(secrets));
    assert.deepEqual(sentRefreshTokens(), ['first', second]);
    assert.notEqual(server.refreshToken, undefined, 'no old one came again');
  });

  it('stays the same where the endpoint keeps it', async () => {
    server.rotates = false;
    server.refreshToken = 'lasting';
    for (let times = 0; times < 2; times++) await tokenOf(process({ configured: 'lasting' }));
    assert.deepEqual(sentRefreshTokens(), ['lasting', 'lasting']);
  });

  it('is used by one process at a time: none of ten sends one that another has used', async () => {
    server.refreshToken = 'shared';
    server.delay = 5;
    const all = Array.from({ length: 10 }, () => tokenOf(process({ configured: 'shared' })));
    const tokens = await Promise.all(all);
    server.delay = 0;
    assert.equal(new Set(tokens).size, 10);
    assert.equal(new Set(sentRefreshTokens()).size, 10);
    assert.notEqual(server.refreshToken, undefined);
  });

  it('starts again with another one that the operator writes', async () => {
    server.refreshToken = 'one';
    const secrets = { configured: 'one' };
    await tokenOf(process(secrets));
    secrets.configured = 'two';
    server.refreshToken = 'two';
    await tokenOf(process(secrets));
    assert.deepEqual(sentRefreshTokens(), ['one', 'two']);
  });

  it('of one app is none of another app', async () => {
    server.refreshToken = 'same';
    await tokenOf(process({ configured: 'same' }));
    server.refreshToken = 'same';
    server.replaced.clear();
    await tokenOf(process({ configured: 'same' }), config({ clientId: 'other' }));
    assert.deepEqual(sentRefreshTokens(), ['same', 'same']);
  });

  it('that cannot be stored is kept by the process, and stored before it is used again', async (t) => {
    server.refreshToken = 'start';
    t.mock.method(performance, 'now', () => clock);
    let clock = 1_000_000;
    let away = true;
    const redis = new Proxy(queue.redis, {
      get(target, name) {
        if (name === 'set' && away) return () => Promise.reject(new Error('away'));
        const value: unknown = Reflect.get(target, name);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
    const { prefix, seal, unseal } = queue;
    const tokens = process({ configured: 'start' }, { redis, prefix, seal, unseal });
    await assert.rejects(tokenOf(tokens), { code: 'redis-unreachable' });
    away = false;
    clock += 600_000;
    await tokenOf(tokens);
    await tokenOf(process({ configured: 'start' }));
    assert.equal(new Set(sentRefreshTokens()).size, 3);
    assert.notEqual(server.refreshToken, undefined);
  });

  it('that was revoked says to log in again', async () => {
    server.refreshToken = undefined;
    await assert.rejects(tokenOf(process({ configured: 'gone' })), {
      code: 'token-failed',
      message: /gave no token \(status 400, invalid_grant\)$/,
      hint: /log in again and write the new one/,
    });
  });

  it('is not used where the new one cannot be kept', async () => {
    server.refreshToken = 'kept';
    const tokens = new Tokens({ readSecret: () => 'kept', refreshTokens: undefined });
    await assert.rejects(tokenOf(tokens), { code: 'token-failed', message: /only while the daemon runs/ });
    assert.deepEqual(sentRefreshTokens(), []);
  });
});
