import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { configSchema } from '../../src/config/schema.ts';
import { createLog } from '../../src/log.ts';
import { openQueue, type QueueRoom } from '../../src/queue/index.ts';
import { until } from '../support/net.ts';
import { skipWithoutPostfix, smtpSource } from '../support/postfix.ts';
import { startTestRedis, type TestRedis } from '../support/redis.ts';
import { RawClient, startReceiver, type TestReceiver } from '../support/smtp.ts';

describe('smtp receiver on a real queue', () => {
  let redis: TestRedis;
  let queue: QueueRoom;
  let test: TestReceiver;
  let port = 0;

  before(async () => {
    redis = await startTestRedis();
    const config = configSchema.parse({
      redis: { url: redis.url, commandTimeout: '3s' },
      dataDir: redis.dataDir,
    });
    queue = await openQueue(config, { role: 'test', log: createLog('silent', 'test') });
    test = await startReceiver({}, { intake: queue.intake });
    port = test.ports[0] ?? 0;
  });
  after(async () => {
    await test.receiver.close(1000);
    await queue.close();
    await redis.stop();
  });

  async function send(octets: string, to = ['orders@example.com']): Promise<string> {
    const client = await RawClient.connect(port);
    await client.hello();
    await client.envelope(to);
    client.write(`${octets}.\r\n`);
    const reply = await client.reply();
    client.close();
    return reply;
  }

  const idsIn = (reply: string) => reply.replace(/^250 2\.0\.0 Ok: queued as /, '').split(' ');

  it('gives the id under which the ledger knows the message, and the same for the same octets', async () => {
    const mail = 'Message-ID: <same@example.org>\r\n\r\nsame\r\n';
    const reply = await send(mail, ['orders@example.com', 'invoices@example.com']);
    const ids = idsIn(reply);
    assert.equal(ids.length, 2);
    const records = await Promise.all(ids.map((id) => queue.ledger.get(id)));
    assert.deepEqual(
      records.map((record) => record?.mailbox),
      ['orders', 'invoices'],
    );
    for (const record of records) {
      assert.deepEqual(
        [record?.state, record?.messageId, record?.octets],
        ['received', '<same@example.org>', mail.length],
      );
      assert.equal(record?.sha256, createHash('sha256').update(mail).digest('hex'));
    }
    assert.equal(await send(mail, ['orders@example.com', 'invoices@example.com']), reply);
    assert.notEqual(await send(mail.replace('\r\nsame', '\r\nother')), reply, 'one Message-ID, two bodies');
  });

  it('spools a large message', async () => {
    const mail = `\r\n${randomBytes(3_000_000).toString('base64').replace(/.{76}/g, '$&\r\n')}\r\n`;
    const [id = ''] = idsIn(await send(mail));
    const record = await queue.ledger.get(id);
    assert.deepEqual(
      [record?.octets, record?.sha256],
      [mail.length, createHash('sha256').update(mail).digest('hex')],
    );
  });

  it('answers 451 while Redis hangs or is gone, and 250 when it is back', async () => {
    process.kill(redis.pid, 'SIGSTOP');
    assert.match(await send('\r\nhanging\r\n'), /^451 4\.3\.0 /);
    process.kill(redis.pid, 'SIGCONT');
    await redis.kill();
    assert.match(await send('\r\ngone\r\n'), /^451 4\.3\.0 /);
    await redis.start();
    await until('it takes mail again', async () => (await send('\r\nback\r\n')).startsWith('250 '));
  });

  it('keeps every message of smtp-source', { skip: skipWithoutPostfix() }, async () => {
    const before = await queue.ledger.count();
    await smtpSource(port, '-s 20 -m 500 -l 10240 -d -f a@example.org -t orders@example.com'.split(' '));
    assert.equal((await queue.ledger.count()).received, before.received + 500);
  });
});
