import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Redis } from 'ioredis';
import { startDaemon, type TestDaemon } from '../support/daemon.ts';
import { type Dovecot, skipWithoutDovecot, startDovecot } from '../support/dovecot.ts';
import { startTestRedis, type TestRedis } from '../support/redis.ts';
import { RawClient } from '../support/smtp.ts';
import { makeWorld, skipWithout, textEntity, type World } from '../support/world.ts';

describe('a daemon without room', { skip: skipWithout('openssl') || skipWithoutDovecot() }, () => {
  let world: World;
  let redis: TestRedis;
  let admin: Redis;
  let dovecot: Dovecot;
  let daemon: TestDaemon;

  before(async () => {
    world = makeWorld();
    redis = await startTestRedis();
    admin = new Redis(redis.url.replace('unix://', ''));
    dovecot = await startDovecot();
    daemon = await startDaemon(world, {
      config: {
        redis: { url: redis.url },
        limits: { redisMemory: 50 },
        mailboxes: [
          {
            name: 'orders',
            addresses: ['orders@own.example'],
            destinations: [{ type: 'queue', queue: 'own' }],
          },
          {
            name: 'polled',
            imap: {
              ...{ host: '127.0.0.1', port: dovecot.tlsPort, ca: dovecot.tls.cert, user: dovecot.user },
              password: { file: world.file('imap.password', dovecot.password) },
            },
            destinations: [{ type: 'queue', queue: 'own' }],
          },
        ],
      },
    });
  });
  after(async () => {
    await daemon?.stop();
    admin?.disconnect();
    await dovecot?.stop();
    await redis?.stop();
    world?.remove();
  });

  const health = async () => (await daemon.command(['health'])).stdout.toString();
  /** How far from its limit Redis is made to be, in percent. */
  const fill = async (percent: number) => {
    const used = Number(/used_memory:(\d+)/.exec(await admin.info('memory'))?.[1]);
    await admin.config('SET', 'maxmemory', Math.floor((used * 100) / percent));
  };
  const inMailbox = async () => {
    const client = await dovecot.client();
    const status = await client.status('INBOX', { messages: true });
    return status === false ? -1 : status.messages;
  };

  it('refuses at MAIL, leaves mail in its IMAP folder, says why, and continues by itself', async () => {
    assert.doesNotMatch(await health(), /^refuses/m);
    await fill(80);
    await daemon.waitFor('every process sees it', async () => {
      const { stdout } = await daemon.command(['health', '--json']);
      const { alive }: { alive: { refusing: string | null }[] } = JSON.parse(stdout.toString());
      return alive.every(({ refusing }) => refusing !== null);
    });
    const refusal = await health();
    assert.match(refusal, /^refuses {2}\S+: Redis uses \d+ percent of its memory \(limits\.redisMemory\)/m);

    const client = await RawClient.connect(daemon.smtpPort);
    assert.match(await client.reply(), /^220 /);
    assert.match(await client.command('EHLO partner.example'), /^250/);
    // before any octet of it
    assert.match(await client.command('MAIL FROM:<edi@partner.example>'), /^452 4\.3\.1 /);
    client.close();
    const mail = world.mail(textEntity('waits in its folder'));
    await (await dovecot.client()).append('INBOX', mail);
    await daemon.waitFor('the poller says that it waits', () =>
      /"mailbox":"polled"[^\n]*queue-full[^\n]*not read for now/.test(daemon.log()),
    );
    assert.equal(await inMailbox(), 1);
    assert.equal((await daemon.queue.ledger.list({ mailbox: 'polled' })).messages.length, 0);

    await admin.config('SET', 'maxmemory', 0);
    await daemon.waitFor('the mail of the folder is taken', async () => {
      const { messages } = await daemon.queue.ledger.list({ mailbox: 'polled', state: 'delivered' });
      return messages[0];
    });
    const id = await daemon.accept(world.mail(textEntity('there is room')));
    await daemon.reaches(id, 'delivered');
    await daemon.waitFor('nothing refuses', async () => !/^refuses/m.test(await health()));
  });
});
