/**
 * What is known of the whole: counts of the last hours, how long it took, groups of suspended messages, paused routes.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { OutboundJob, QueueRoom } from '../../src/queue/index.ts';
import { latencyOf } from '../../src/queue/tallies.ts';
import { accept, until } from '../support/messages.ts';
import { commitOne, useTestQueue } from '../support/queue.ts';

let queue: QueueRoom;
useTestQueue(
  (opened) => {
    ({ queue } = opened);
  },
  {
    partners: ['acme', 'other'].map((name) => ({
      name,
      addresses: [`edi@${name}.example`],
      encrypt: false,
      sign: 'none',
      route: { host: '127.0.0.1', port: 9, tls: 'none' },
    })),
  },
);

const submit = async (partner: string) => {
  const writer = queue.intake.begin();
  await writer.write(Buffer.from(`for ${partner}`));
  return await commitOne(queue, writer, {
    partner,
    origin: { kind: 'command', detail: {} },
    envelope: { from: 'a@own.example', to: ['edi@acme.example'] },
    messageId: null,
  });
};
const sum = async () => {
  const { spans, latency } = await queue.ledger.tallies(Date.now() - 3_600_000, Date.now());
  const of = (each: (span: (typeof spans)[number]) => number) =>
    spans.reduce((total, span) => total + each(span), 0);
  return {
    received: of(({ received }) => received),
    queued: of(({ queued }) => queued),
    sent: of(({ sent }) => sent),
    inbound: of(({ suspended }) => suspended.inbound),
    outbound: of(({ suspended }) => suspended.outbound),
    latency,
  };
};

describe('the overview of what happened', () => {
  it('counts each message once, whatever a person does with it', async () => {
    const { id } = await accept(queue, 'one');
    const record = await queue.ledger.get(id);
    const original = await queue.flow.originalOf(id);
    assert.ok(record?.mailbox && original);
    const { mailbox, origin, envelope, messageId, receivedAt } = record;
    const job = {
      ...{ id, mailbox, origin, envelope, messageId, receivedAt },
      direction: 'inbound' as const,
      octets: original,
    };
    await queue.flow.suspend('inbound', job, 'no-recipient-key');
    assert.equal(await queue.flow.resume(id), true);
    await queue.flow.suspend('inbound', job, 'no-recipient-key');
    const counted = await sum();
    assert.deepEqual([counted.received, counted.inbound, counted.outbound], [1, 2, 0]);
    assert.deepEqual(counted.latency, { inbound: null, outbound: null });
  });

  it('counts what was sent with how long it took', async () => {
    const { id } = await submit('acme');
    const seen: OutboundJob[] = [];
    const worker = await queue.queues.createWorker(
      'outbound',
      async (job, { end }) => {
        seen.push(job);
        await queue.flow.sent(job, {}, end);
        return { done: true };
      },
      { concurrency: 1 },
    );
    await until(async () => (await queue.ledger.get(id))?.state === 'sent');
    await worker.close(1000);
    const { queued, sent, latency } = await sum();
    assert.deepEqual([queued, sent, latency.outbound?.messages], [1, 1, 1]);
    assert.ok((latency.outbound?.p99 ?? 0) >= 1);
    const [state] = await queue.routes.states('partner', ['acme']);
    await until(async () => (await queue.routes.states('partner', ['acme']))[0]?.ok != null);
    assert.equal(state?.failure, null);
  });

  it('has percentiles that are upper bounds', () => {
    assert.equal(latencyOf(new Map()), null);
    assert.deepEqual(latencyOf(new Map([[0, 1]])), { messages: 1, p50: 1, p90: 1, p99: 1 });
    const many = new Map([
      [20, 89],
      [4, 10],
      [30, 1],
    ]);
    assert.deepEqual(latencyOf(many), { messages: 100, p50: 1024, p90: 1024, p99: 1024 });
    assert.equal(latencyOf(new Map([...many, [30, 2]]))?.p99, 32_768);
  });

  it('groups what is suspended, for those who may see it', async () => {
    const { groups, more } = await queue.ledger.suspended();
    assert.equal(more, false);
    assert.deepEqual(
      groups.map(({ reason, mailbox, partner, direction, messages }) => [
        ...[reason, mailbox, partner, direction, messages],
      ]),
      [['no-recipient-key', 'edi', null, 'inbound', 1]],
    );
    assert.equal(groups[0]?.day, new Date(groups[0]?.oldest ?? 0).toISOString().slice(0, 10));
    const of = async (mailboxes: string[]) =>
      (await queue.ledger.suspended({ mailboxes, partners: '*' })).groups.length;
    assert.deepEqual([await of(['edi']), await of(['orders'])], [1, 0]);
  });

  it('says how many are in a state, and since when the oldest waits', async () => {
    const { messages, oldest } = await queue.ledger.waiting('suspended');
    assert.equal(messages, 1);
    assert.ok(oldest !== null && oldest <= Date.now());
    assert.deepEqual(await queue.ledger.waiting('decoded'), { messages: 0, oldest: null });
  });
});

describe('a route that a person has paused', () => {
  const by = { by: 'a person', at: 1, why: 'maintenance' };

  it('sends nothing until it is resumed, and holds up no other', async () => {
    assert.equal(await queue.routes.pause('partner', 'acme', by), true);
    assert.equal(await queue.routes.pause('partner', 'acme', by), false);
    const done: string[] = [];
    await queue.routes.follow();
    await until(async () => queue.routes.isPaused('partner', 'acme'));
    const worker = await queue.queues.createWorker(
      'outbound',
      async (job, { end }) => {
        done.push(job.partner);
        await queue.flow.sent(job, {}, end);
        return { done: true };
      },
      { concurrency: 2 },
    );
    for (let each = 0; each < 5; each++) await submit('acme');
    for (let each = 0; each < 3; each++) await submit('other');
    await until(async () => done.length === 3);
    assert.deepEqual(new Set(done), new Set(['other']));
    assert.deepEqual(await queue.routes.paused('partner', ['other', 'acme']), [undefined, by]);
    assert.equal((await queue.ledger.backlog('outbound', 'acme')).waiting, 5);
    assert.equal(await queue.routes.resume('partner', 'acme'), true);
    assert.equal(await queue.routes.resume('partner', 'acme'), false);
    await until(async () => done.length === 8);
    await worker.close(1000);
  });

  it('says what attempts showed, since when, and how the other side answered', async () => {
    const worker = await queue.queues.createWorker(
      'outbound',
      async () => ({ suspend: 'send-refused', peer: 'down', facts: { reply: '554 5.7.1 no', host: 'mx' } }),
      { concurrency: 1 },
    );
    const { id } = await submit('other');
    await until(async () => (await queue.ledger.get(id))?.state === 'suspended');
    const failure = await until(
      async () => (await queue.routes.states('partner', ['other']))[0]?.failure ?? undefined,
    );
    await worker.close(1000);
    const { code, down, facts } = failure;
    assert.deepEqual(
      { code, down, facts },
      { code: 'send-refused', down: true, facts: { reply: '554 5.7.1 no', host: 'mx' } },
    );
    const since = await until(
      async () => (await queue.routes.states('partner', ['other']))[0]?.downSince ?? undefined,
    );
    assert.ok(since <= Date.now());
  });

  it('has a mailbox polled once for each time that it is asked for', async () => {
    await queue.routes.follow();
    assert.equal(queue.routes.takePoll('orders'), false);
    await queue.routes.poll('orders');
    await until(async () => queue.routes.takePoll('orders'));
    assert.equal(queue.routes.takePoll('orders'), false);
  });
});
