/**
 * Who reads or writes Redis gains no refresh token: not the one that is kept, and none of their own that we would use.
 */
import assert from 'node:assert/strict';
import { after, before, it } from 'node:test';
import { createRefreshTokens } from '../../src/oauth/refresh-tokens.ts';
import { Tokens } from '../../src/oauth/tokens.ts';
import type { QueueRoom } from '../../src/queue/index.ts';
import { useTestQueue } from '../support/queue.ts';
import { startTokenServer, type TokenServer } from '../support/token-server.ts';

let queue: QueueRoom;
let server: TokenServer;
useTestQueue((opened) => {
  queue = opened.queue;
});
before(async () => {
  server = await startTokenServer();
  server.refreshToken = 'configured';
});
after(() => server.stop());

/** A process of the app `clientId`. */
async function login(clientId: string): Promise<void> {
  const tokens = new Tokens({ readSecret: () => 'configured', refreshTokens: createRefreshTokens(queue) });
  const config = { tokenUrl: server.url, clientId, refreshToken: { env: 'X' } };
  const { signal } = new AbortController();
  await tokens.for(config, 'user').login(
    signal,
    async () => {},
    () => false,
  );
}
const keptKeys = async () => (await queue.redis.keys('*oauth*')).filter((key) => !key.includes('lease'));

it('a refresh token in Redis is neither readable nor replaceable', async () => {
  await login('a');
  const [key = ''] = await keptKeys();
  assert.notEqual(key, '');
  assert.equal(server.refreshToken, 'refresh-0');
  const kept = await queue.redis.getBuffer(key);
  assert.ok(
    kept && !kept.includes('refresh-0') && !kept.includes('configured') && !key.includes('configured'),
  );

  // a value of the attacker's own, and one of another app copied over
  server.refreshToken = 'configured';
  server.replaced.clear();
  await login('b');
  const other = (await keptKeys()).find((each) => each !== key) ?? '';
  const copied = await queue.redis.getBuffer(other);
  assert.ok(copied);
  for (const forged of [Buffer.from('"attacker"'), copied]) {
    await queue.redis.set(key, forged);
    server.refreshToken = 'configured';
    server.replaced.clear();
    server.rotates = false;
    await login('a');
    assert.equal(server.asked.at(-1)?.get('refresh_token'), 'configured');
    server.rotates = true;
  }
});
