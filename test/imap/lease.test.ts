/**
 * A folder is read by one process: what a poller does when the lease is somebody else's, or nobody can say whose it is.
 */
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { configSchema } from '../../src/config/schema.ts';
import { createImapPoller } from '../../src/imap/poller.ts';
import { createLog } from '../../src/log.ts';
import { lifetimes } from '../../src/redis/lifetimes.ts';
import { startBadImap } from '../support/bad-imap.ts';
import { until } from '../support/net.ts';
import { MemoryIntake } from '../support/smtp.ts';

type Hold = 'ours' | 'theirs' | 'unknown';

/** A poller in a session that has nothing to read. Its renewals come when `renew` says so. */
async function session(t: TestContext) {
  t.mock.timers.enable({ apis: ['setInterval'] });
  const server = await startBadImap();
  const [mailbox] = configSchema.parse({
    mailboxes: [
      {
        name: 'edi',
        imap: {
          host: '127.0.0.1',
          port: server.port,
          tls: 'none',
          user: 'u',
          password: { env: 'X' },
          action: 'seen',
          pollInterval: '1h',
        },
        destinations: [{ type: 'directory', path: '/nonexistent' }],
      },
    ],
  }).mailboxes;
  assert.ok(mailbox?.imap);
  let answer: Hold = 'ours';
  const told = { asked: 0, released: [] as string[] };
  const poller = createImapPoller({
    mailbox: mailbox.name,
    config: mailbox.imap,
    intake: new MemoryIntake(),
    checkpoint: {
      load: async () => null,
      save: async () => {},
      hold: async () => {
        told.asked++;
        if (answer === 'unknown') throw new Error('Redis is away');
        return answer === 'ours';
      },
      release: async (_folder, owner) => {
        told.released.push(owner);
      },
    },
    log: createLog('silent', 'test'),
    readSecret: () => 'secret',
  });
  t.after(async () => {
    await poller.stop(0);
    server.stop();
  });
  poller.start();
  await until('it has read the folder', () => poller.status().state === 'idle');
  const renew = async (next: Hold) => {
    answer = next;
    const before = told.asked;
    t.mock.timers.tick(5000);
    await until('it asked', () => told.asked > before);
    // whatever comes of it: the end of a connection is noticed in a few turns
    for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
  };
  return { poller, server, told, renew };
}

describe('the lease of a folder', () => {
  it('is renewed while the session lasts, which goes on as long as it is ours', async (t) => {
    const { poller, server, told, renew } = await session(t);
    for (let round = 0; round < 5; round++) await renew('ours');
    assert.deepEqual([poller.status().state, told.asked], ['idle', 6]);
    await poller.stop(1000);
    assert.equal(told.released.length, 1);
    assert.equal(server.commands.filter((line) => line.startsWith('LOGIN')).length, 1);
  });

  it('ends the session at once when somebody else has it', async (t) => {
    const { poller, told, renew } = await session(t);
    await renew('theirs');
    await until('the session is over', () => poller.status().state !== 'idle');
    assert.ok(told.asked >= 2);
    assert.notEqual(poller.status().state, 'reading');
  });

  it('ends the session when the lease could not be renewed for its lifetime, and not before', async (t) => {
    const clock = performance.now.bind(performance);
    let ahead = 0;
    t.mock.method(performance, 'now', () => clock() + ahead);
    const { poller, renew } = await session(t);
    ahead += lifetimes.imapLease - 10_000;
    await renew('unknown');
    assert.equal(poller.status().state, 'idle');
    await renew('ours');
    ahead += lifetimes.imapLease - 10_000;
    await renew('unknown');
    assert.equal(poller.status().state, 'idle', 'it counts from the last renewal');
    ahead += 10_001;
    await renew('unknown');
    await until('the session is over', () => poller.status().state !== 'idle');
  });
});
