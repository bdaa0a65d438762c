import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { startQueues, type TestQueues } from '../support/client-queue.ts';
import { useTestQueue } from '../support/queue.ts';

describe('the queue of a client', () => {
  let test: Parameters<Parameters<typeof useTestQueue>[0]>[0];
  useTestQueue((opened) => {
    test = opened;
  });
  let queues: TestQueues;
  let erp: Awaited<ReturnType<TestQueues['client']>>;
  before(async () => {
    queues = await startQueues(test);
    erp = await queues.client('Erp', { partners: ['acme', 'globex'] });
  });
  after(() => queues.close());

  it('takes content and mails for several partners, with what they ask for', async () => {
    const results = await erp.producer.submit({
      recipients: ['edi@acme.example', 'in@globex.example'],
      content: 'Subject: order\r\n\r\n4711\r\n',
      mail: true,
      metadata: { order: '4711' },
      priority: 2,
      notBefore: new Date(Date.now() + 60_000),
    });
    assert.deepEqual(
      results.map(({ partner, recipients, duplicate }) => [partner, recipients, duplicate]),
      [
        ['acme', ['edi@acme.example'], false],
        ['globex', ['in@globex.example'], false],
      ],
    );
    const record = await test.queue.ledger.get(results[0]?.id ?? '');
    assert.deepEqual([record?.client, record?.origin.kind], ['Erp', 'queue']);
    assert.deepEqual([record?.metadata, record?.delivery?.priority], [{ order: '4711' }, 2]);
    const content = Buffer.from([0, 1, 255]);
    const [one] = await erp.producer.submit({ partner: 'acme', content, filename: 'ü.bin', subject: 'Ä' });
    const ref = await test.queue.flow.originalOf(one?.id ?? '');
    const text = ref ? (await test.queue.spool.read(ref)).toString('latin1') : '';
    assert.match(text, /Subject: =\?utf-8\?B\?w4Q=\?=\r\n/);
    assert.ok(text.endsWith('\r\n\r\n\x00\x01\xff'));
  });

  it('makes one message of a repeated key, also when two ask at once, and refuses another with it', async () => {
    const message = { partner: 'acme', content: 'once', filename: 'a', idempotencyKey: 'k1' };
    const results = await Promise.all([1, 2, 3].map(() => erp.producer.submit(message)));
    assert.equal(new Set(results.map(([each]) => each?.id)).size, 1);
    assert.equal(results.filter(([each]) => each?.duplicate).length, 2);
    await assert.rejects(erp.producer.submit({ ...message, content: 'twice' }), {
      code: 'idempotency-conflict',
    });
  });

  it('says what it refuses, with code and hint, and what has no answer in time', async () => {
    await assert.rejects(erp.producer.submit({ partner: 'nobody', content: '1', filename: 'a' }), {
      code: 'partner-unknown',
      hint: /^partners are acme, globex$/,
    });
    await assert.rejects(erp.producer.submit({ partner: 'acme', content: '' }), { code: 'message-empty' });
    await assert.rejects(erp.producer.result('no-such-job', 50), { code: 'redis-unreachable' });
  });

  it('takes up what a process had taken when it ended', async () => {
    const id = await erp.producer.enqueue({ partner: 'acme', content: '1', filename: 'late' });
    await erp.producer.result(id);
    await queues.consumer.stop(1000);
    const job = await erp.producer.enqueue({ partner: 'acme', content: '2', filename: 'late' });
    await test.queue.redis.rpoplpush(`${erp.made.prefix}:wait`, `${erp.made.prefix}:active`);
    const next = await startQueues(test);
    const [result] = await erp.producer.result(job);
    assert.equal(result?.duplicate, false);
    assert.deepEqual(await test.queue.redis.lrange(`${erp.made.prefix}:active`, 0, -1), []);
    assert.ok((await test.queue.redis.ttl(`${erp.made.prefix}:${job}`)) > 0, 'answers do not pile up');
    await next.close();
  });
});
