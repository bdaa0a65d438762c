import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { after, before, describe, it, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Job, Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { createDestination, type FailureDocument } from '../../src/handoff/index.ts';
import { jobId } from '../../src/handoff/queue-destination.ts';
import type { DestinationDeps } from '../../src/handoff/types.ts';
import { startTestRedis, type TestRedis } from '../support/redis.ts';
import { crlf, delivery, deps, mixed, never } from './support.ts';

const found = spawnSync('redis-server', ['--version']).status === 0;
const skip = found || process.env.CI === 'true' ? false : 'redis-server is not installed';

let server: TestRedis;
const connect = () => new Redis(server.url.replace(/^unix:\/\//, ''), { maxRetriesPerRequest: null });

async function destination(t: TestContext, queue: string, changes: Partial<DestinationDeps> = {}) {
  const made = await createDestination(
    { type: 'queue', queue, inlineLimit: 262_144 },
    deps({ connectRedis: connect, ...changes }),
  );
  t.after(() => made.close());
  return made;
}

describe('handoff queue', { skip }, () => {
  before(async () => {
    server = await startTestRedis();
  });
  after(() => server.stop());

  it("reaches the operator's BullMQ worker with the document of a webhook", async (t) => {
    const made = await destination(t, 'orders');
    const outcome = await made.deliver(delivery(mixed), never);
    assert.ok('done' in outcome);
    const connection = connect();
    const { promise, resolve } = Promise.withResolvers<Job>();
    const worker = new Worker('orders', async (job) => resolve(job), { connection, prefix: '{test}' });
    t.after(async () => {
      await worker.close();
      connection.disconnect();
    });
    const job = await promise;
    assert.equal(job.name, 'message');
    assert.equal(job.id, outcome.facts?.jobId);
    assert.equal(job.data.headers.subject, 'Bestellung ✓');
    assert.equal(job.data.idempotencyKey, 'm-0001:orders');
    assert.equal(job.data.parts.length, 5);
    assert.ok(Buffer.from(job.data.message.data, 'base64').subarray(-mixed.length).equals(mixed));
  });

  it('adds a repeated delivery once', async (t) => {
    const made = await destination(t, 'repeats');
    for (let i = 0; i < 3; i++) assert.ok('done' in (await made.deliver(delivery(mixed), never)));
    await made.deliver(delivery(mixed, { id: 'm-2', idempotencyKey: 'm-2:orders' }), never);
    const connection = connect();
    const queue = new Queue('repeats', { connection, prefix: '{test}' });
    assert.equal(await queue.count(), 2);
    await queue.close();
    connection.disconnect();
  });

  it('adds a report of a suspended message once, without an original that is too large', async (t) => {
    const made = await destination(t, 'failed');
    const document: FailureDocument = {
      kind: 'suspended',
      id: 'm-0001',
      idempotencyKey: 'm-0001.suspended.inbound.0',
      direction: 'inbound',
      mailbox: 'orders',
      partner: null,
      partnerBy: null,
      destination: 'queue',
      failed: { step: 'decode', to: null },
      reason: { code: 'not-smime', explanation: 'no', facts: {} },
      receivedAt: '2026-11-23T00:00:00.000Z',
      suspendedAt: '2026-11-23T00:00:01.000Z',
      starts: 1,
      resumed: 0,
      envelope: { from: '', to: [] },
      origin: { kind: 'smtp', detail: {} },
      messageId: null,
      octets: mixed.length,
      sha256: '',
    };
    const original = (octets: number) => ({
      octets,
      async *open() {
        yield mixed;
      },
    });
    for (let i = 0; i < 2; i++)
      assert.ok('done' in (await made.report({ document, original: original(mixed.length) }, never)));
    const large = { ...document, idempotencyKey: 'm-0001.suspended.inbound.1' };
    await made.report({ document: large, original: original(262_145) }, never);
    const connection = connect();
    const queue = new Queue('failed', { connection, prefix: '{test}' });
    assert.equal(await queue.count(), 2);
    const job = await queue.getJob(jobId(document.idempotencyKey));
    assert.equal(job?.name, 'suspended');
    assert.ok(Buffer.from(job.data.original.data, 'base64').equals(mixed));
    assert.deepEqual((await queue.getJob(jobId(large.idempotencyKey)))?.data.original, { octets: 262_145 });
    await queue.close();
    connection.disconnect();
  });

  it('makes job ids that BullMQ takes, and different ones of different keys', () => {
    const keys = ['12345', '', 'a:b:c', 'a-b-c', 'a:b-c', 'a-b:c', ':', '1:2'];
    const ids = keys.map(jobId);
    for (const id of ids) assert.match(id, /^(?=.*\D)[^:]+$/);
    assert.equal(new Set(ids).size, keys.length);
  });

  it('suspends what cannot be taken apart', async (t) => {
    const made = await destination(t, 'broken');
    const broken = crlf('Content-Type: text/plain\nContent-Transfer-Encoding: base64\n\nA=BC\n');
    const outcome = await made.deliver(delivery(broken), never);
    assert.ok('suspend' in outcome);
    assert.equal(outcome.suspend, 'transfer-encoding');
  });

  it('tries again while Redis is away, can be stopped meanwhile, and goes on when it is back', async (t) => {
    const own = await startTestRedis();
    t.after(() => own.stop());
    const path = own.url.replace(/^unix:\/\//, '');
    const made = await destination(t, 'away', {
      connectRedis: () => new Redis(path, { maxRetriesPerRequest: 1, retryStrategy: () => 50 }),
    });
    assert.ok('done' in (await made.deliver(delivery(mixed), never)));
    await own.kill();
    const outcome = await made.deliver(delivery(mixed), never);
    assert.ok('retry' in outcome);
    assert.match(String(outcome.facts?.message), /could not add to queue away/);
    assert.doesNotMatch(String(outcome.facts?.message), /second|Bestellung/);
    await own.start();
    let again = await made.deliver(delivery(mixed), never);
    for (let i = 0; i < 2000 && !('done' in again); i++) {
      await sleep(50);
      again = await made.deliver(delivery(mixed), never);
    }
    assert.ok('done' in again);
  });

  it('can be stopped while the connection hangs', async (t) => {
    const waiting = await destination(t, 'nowhere', {
      connectRedis: () =>
        new Redis('/nonexistent/redis.sock', { maxRetriesPerRequest: null, retryStrategy: () => 50 }),
    });
    const outcome = await waiting.deliver(delivery(mixed), AbortSignal.timeout(100));
    assert.ok('retry' in outcome && outcome.untried === true);
  });
});
