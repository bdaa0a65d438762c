/**
 * Attacks of a client that may write into its queue in Redis: other keys, forged jobs, jobs of another form or size.
 */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { Queue } from 'bullmq';
import type { Redis } from 'ioredis';
import { publicKeyOf, sealRequest } from '../../src/sealed/index.ts';
import { startQueues, type TestQueues } from '../support/client-queue.ts';
import { until } from '../support/net.ts';
import { useTestQueue } from '../support/queue.ts';

describe('attacks on the queue of a client', () => {
  let test: Parameters<Parameters<typeof useTestQueue>[0]>[0];
  useTestQueue((opened) => {
    test = opened;
  });
  let queues: TestQueues;
  let erp: Awaited<ReturnType<TestQueues['client']>>;
  let shop: Awaited<ReturnType<TestQueues['client']>>;
  before(async () => {
    queues = await startQueues(test);
    erp = await queues.client('erp');
    shop = await queues.client('shop', { partners: ['globex'] });
  });
  after(() => queues.close());

  const messages = async () => (await test.queue.ledger.list({ limit: 1000 })).messages;
  /** Puts data into the queue of erp as it is; returns the answer. */
  let forged = 0;
  const answerTo = async (data: string, name?: string) => {
    forged += 1;
    const id = name ?? `forged-${forged}`;
    const base = erp.made.prefix;
    await erp.raw.hset(`${base}:${id}`, 'data', data);
    await erp.raw.lpush(`${base}:wait`, id);
    let answer: string | null | undefined;
    await until(`${id} is answered`, async () => {
      [answer] = await erp.raw.hmget(`${base}:${id}`, 'returnvalue');
      return answer !== null && answer !== undefined;
    });
    // What was sent is of no more use there.
    assert.equal(await test.queue.redis.hexists(`${base}:${id}`, 'data'), 0);
    return JSON.parse(answer ?? '{}');
  };
  const sealed = (request: object, content = 'order', key = erp.made.key, client = 'erp') => {
    const whole = { idempotencyKey: String(Math.random()), ...request };
    return sealRequest(publicKeyOf(Buffer.from(key, 'base64')), client, whole, Buffer.from(content));
  };

  it('its Redis user may write jobs and read answers of its own queue, and nothing else', async () => {
    const { prefix } = test.queue;
    const own = erp.made.prefix;
    const refused: [string, () => Promise<unknown>][] = [
      ['a key of another client', () => erp.raw.hset(`${shop.made.prefix}:x`, 'data', '1')],
      ['the list of clients', () => erp.raw.hset(`${prefix}:clients`, 'a', '1')],
      ['a message', () => erp.raw.hmget(`${prefix}:m:o1`, 'state')],
      ['a queue of Sealpost', () => erp.raw.lpush(`${prefix}:outbound:wait`, 'o1')],
      [
        'a key that only begins alike',
        () => erp.raw.hset(`${own.replace(/:submit$/, '')}:submit2:x`, 'a', '1'),
      ],
      ['EVAL', () => erp.raw.eval('return 1', 0)],
      ['EVALSHA', () => erp.raw.evalsha('0'.repeat(40), 0)],
      ['SCRIPT', () => erp.raw.script('FLUSH')],
      ['KEYS', () => erp.raw.keys('*')],
      ['SCAN', () => erp.raw.scan('0')],
      ['GET', () => erp.raw.get(`${prefix}:keycheck`)],
      ['DEL', () => erp.raw.del(`${own}:wait`)],
      ['CONFIG', () => erp.raw.config('GET', '*')],
      ['ACL', () => erp.raw.call('ACL', 'LIST')],
      ['FLUSHALL', () => erp.raw.flushall()],
      ['SUBSCRIBE', () => erp.raw.call('SUBSCRIBE', 'x')],
      ['PUBLISH', () => erp.raw.publish('x', 'y')],
      ['CLIENT LIST', () => erp.raw.client('LIST')],
      ['MONITOR', () => erp.raw.call('MONITOR')],
      ['SHUTDOWN', () => erp.raw.call('SHUTDOWN', 'NOSAVE')],
    ];
    for (const [what, call] of refused) await assert.rejects(call(), /NOPERM/, what);
  });

  it('the partner, sender or identity of another, or a reference to octets, is refused in the answer', async () => {
    const before = (await messages()).length;
    const partner = (await answerTo(sealed({ partner: 'globex' }))).error;
    const unknown = (await answerTo(sealed({ partner: 'nobody' }))).error;
    assert.equal(partner.code, 'partner-unknown');
    assert.deepEqual(
      [unknown.code, unknown.message, unknown.hint],
      [partner.code, partner.message.replace('globex', 'nobody'), partner.hint],
    );
    const codeOf = async (request: object, content?: string) =>
      (await answerTo(sealed(request, content))).error?.code;
    assert.equal(await codeOf({ recipients: ['in@globex.example'] }), 'partner-unknown');
    assert.equal(await codeOf({ partner: 'acme', from: 'ceo@own.example' }), 'not-granted');
    const mail = 'From: <ceo@own.example>\r\nSubject: x\r\n\r\n1';
    assert.equal(await codeOf({ partner: 'acme', mail: true }, mail), 'not-granted');
    assert.equal(await codeOf({ partner: 'acme', octets: { kind: 'file', id: 'x' } }), 'request-invalid');
    assert.equal(await codeOf({ partner: 'acme', client: 'shop' }), 'request-invalid');
    assert.equal(await codeOf({ partner: 'acme', origin: { kind: 'command' } }), 'request-invalid');
    assert.equal(await codeOf({}), 'request-invalid');
    assert.equal(await codeOf({ partner: 'acme', priority: 11 }), 'request-invalid');
    assert.equal(await codeOf({ partner: 'acme', contentType: 'text/plain\r\nBcc: x@y.example' }), 'usage');
    assert.equal((await messages()).length, before);
  });

  it('a file name or subject of several lines, or a name with folders, is refused', async () => {
    const before = (await messages()).length;
    for (const odd of [
      { filename: 'a\r\nBcc: x@y.example' },
      { filename: 'a', subject: 'a\r\nBcc: x@y.example' },
      { filename: 'a', subject: 'a\u2028Bcc: x@y.example' },
      { filename: '../../etc/passwd' },
      { filename: 'C:\\order' },
      { filename: 'x'.repeat(256) },
    ]) {
      const { error } = await answerTo(sealed({ partner: 'acme', ...odd }));
      assert.equal(error?.code, 'request-invalid', JSON.stringify(odd));
    }
    assert.equal((await messages()).length, before);
  });

  it('what was not sealed for this client, by anybody, is refused', async () => {
    const other = generateKeyPairSync('x25519').publicKey;
    const foreign = other.export({ format: 'der', type: 'spki' }).subarray(12).toString('base64');
    for (const data of [
      sealed({ partner: 'acme' }, 'order', foreign),
      sealed({ partner: 'globex' }, 'order', erp.made.key, 'shop'),
      JSON.stringify({ partner: 'acme', content: 'in clear' }),
      JSON.stringify({ v: 1, sealed: '' }),
      'not JSON',
      'x'.repeat(150_000),
      '',
    ]) {
      const { error } = await answerTo(data);
      assert.ok(['request-invalid', 'message-too-large'].includes(error.code), data.slice(0, 40));
    }
  });

  it('a job that is too large is refused before it is read, the limit is taken', async () => {
    const { redis } = test.queue;
    const reads = async () =>
      Number(/cmdstat_hget:calls=(\d+)/.exec(await redis.info('commandstats'))?.[1] ?? 0);
    const before = await reads();
    const { error } = await answerTo('x'.repeat(20_000_000));
    assert.equal(error.code, 'message-too-large');
    assert.equal(await reads(), before);
    const over = await answerTo(sealed({ partner: 'acme', filename: 'a' }, 'x'.repeat(100_001)));
    assert.equal(over.error.code, 'message-too-large');
    const at = await answerTo(sealed({ partner: 'acme', filename: 'a' }, 'x'.repeat(100_000)));
    assert.equal(at.messages.length, 1);
  });

  it('keys of other types, odd ids and jobs that are not there stop nothing', async () => {
    const base = erp.made.prefix;
    const push = (redis: Redis, id: string) => redis.lpush(`${base}:wait`, id);
    await push(erp.raw, 'is-not-there');
    await push(erp.raw, 'wait');
    await push(erp.raw, 'active');
    await push(erp.raw, '../../m:o1');
    await push(erp.raw, 'x'.repeat(100_000));
    const { messages: sent } = await answerTo(sealed({ partner: 'acme', filename: 'a' }), 'ok');
    assert.equal(sent.length, 1);
    // The list of erp's jobs becomes something else: erp waits, shop does not.
    await erp.raw.multi().hset(`${base}:y`, 'data', '1').exec();
    await test.queue.redis.del(`${base}:wait`);
    await erp.raw.hset(`${base}:wait`, 'a', '1');
    const [result] = await shop.producer.submit({ partner: 'globex', filename: 'a', content: '1' });
    assert.equal(result?.partner, 'globex');
    await test.queue.redis.del(`${base}:wait`);
  });

  it('what comes too fast waits, and is not refused', async () => {
    const { producer, made } = await queues.client('fast', { limits: { messages: 1, octets: 0, size: 0 } });
    const message = { partner: 'acme', filename: 'a', content: '1' };
    await producer.submit(message);
    // Only a job that is put back is pushed to that end, and it is away for a moment that is too short to be seen.
    const putBack = async () =>
      Number(/^cmdstat_rpush:calls=(\d+)/m.exec(await test.queue.redis.info('commandstats'))?.[1] ?? 0);
    const before = await putBack();
    const second = await producer.enqueue(message);
    await until('it was tried', async () => (await putBack()) > before);
    await until('and waits', async () => (await test.queue.redis.llen(`${made.prefix}:wait`)) === 1);
    const [answer, data] = await test.queue.redis.hmget(`${made.prefix}:${second}`, 'returnvalue', 'data');
    assert.deepEqual([answer, typeof data], [null, 'string']);
    await test.queue.redis.del(`${made.prefix}:wait`);
  });

  it('a flood of one client does not keep another waiting', async () => {
    const base = erp.made.prefix;
    const flood = erp.raw.multi();
    for (let index = 0; index < 3000; index += 1) flood.lpush(`${base}:wait`, `flood-${index}`);
    await flood.exec();
    const [result] = await shop.producer.submit({ partner: 'globex', filename: 'b', content: '2' });
    assert.equal(result?.partner, 'globex');
    const left = await test.queue.redis.llen(`${base}:wait`);
    assert.ok(left > 0, 'the flood is still there');
    await test.queue.redis.del(`${base}:wait`);
  });

  it('whoever reads Redis learns nothing of a message; a job has the form of BullMQ', async () => {
    await queues.consumer.stop(5000);
    const secret = 'the secret order 4711';
    const id = await erp.producer.enqueue({ partner: 'acme', filename: 'secret.txt', content: secret });
    const job = JSON.stringify(await test.queue.redis.hgetall(`${erp.made.prefix}:${id}`));
    for (const word of [secret, Buffer.from(secret).toString('base64').slice(0, 20), 'acme', 'secret'])
      assert.ok(!job.includes(word), word);
    const connection = test.queue.redis.duplicate();
    connection.on('error', () => undefined);
    const bull = new Queue('submit', { connection, prefix: erp.made.prefix.replace(/:submit$/, '') });
    try {
      const [found] = await bull.getWaiting();
      assert.deepEqual([found?.id, found?.name, Object.keys(found?.data)], [id, 'submit', ['v', 'sealed']]);
    } finally {
      await bull.close();
      connection.disconnect();
    }
  });
});
