import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Delivery, Destination } from '../../src/handoff/index.ts';
import { deliverStep, Turns } from '../../src/pipeline/index.ts';
import { writeResult } from '../../src/pipeline/stored.ts';
import type { Facts, HandoffJob, MessageState, Outcome } from '../../src/queue/index.ts';
import { envelope, fetchFrom, kindOf, MemorySpool, never, origin } from './support.ts';

const verdict = { status: 'ok' };
const header = Buffer.from('Subject: x\r\n\r\n');

/** One attempt at a destination that answers as told. */
async function deliver(
  answer: Outcome,
  {
    content = Buffer.from('content'),
    state = 'decoded' as MessageState | null,
    to = 'orders',
    again = 0,
  } = {},
) {
  const spool = new MemorySpool(1000);
  const result = {
    verdict,
    header,
    whole: false,
    pieces: [{ path: '1.2', contentType: 'text/plain', ref: spool.put(Buffer.from('part')) }],
  };
  const job: HandoffJob = {
    ...{ id: 'i1', direction: 'inbound', mailbox: 'edi', destination: to, origin, envelope },
    ...{ messageId: null, receivedAt: 1 },
    original: spool.put(Buffer.from('original')),
    content: spool.put(content),
    result: spool.put(writeResult(result)),
    ...(again === 0 ? {} : { again }),
  };
  const deliveries: Delivery[] = [];
  const recorded: [Facts, number | undefined][] = [];
  const orders: Destination = {
    name: 'orders',
    async deliver(delivery, signal) {
      assert.equal(signal, never);
      deliveries.push(delivery);
      return answer;
    },
    report: async () => ({ done: true }),
    close: async () => {},
  };
  const step = deliverStep({
    spool,
    flow: {
      fetch: fetchFrom(spool, state),
      async handedOff(_job, facts, keepUntil) {
        recorded.push([facts, keepUntil]);
        return { delivered: true };
      },
    },
    destination: (mailbox, name) => (mailbox === 'edi' && name === 'orders' ? orders : undefined),
    large: new Turns(1),
  });
  return { outcome: await step(job, { signal: never }), deliveries, recorded, spool };
}

describe('deliver', () => {
  it('records what a destination took, with its facts and how long it wants the content kept', async () => {
    const { outcome, recorded, deliveries } = await deliver({
      done: true,
      facts: { folder: 'f' },
      keepUntil: 9,
    });
    assert.deepEqual(outcome, { done: true });
    assert.deepEqual(recorded, [[{ folder: 'f' }, 9]]);
    const [delivery] = deliveries;
    assert.ok(delivery);
    assert.equal(delivery.idempotencyKey, 'i1.orders');
    assert.equal(delivery.again, undefined);
    assert.deepEqual([delivery.verdict, delivery.header, delivery.contentOctets], [verdict, header, 7]);
    assert.equal((await delivery.read()).toString(), 'content');
    assert.equal((await delivery.pieces[0]?.read())?.toString(), 'part');
  });

  it('has another key for a message that was decoded again', async () => {
    const { deliveries } = await deliver({ done: true }, { again: 2 });
    assert.deepEqual([deliveries[0]?.idempotencyKey, deliveries[0]?.again], ['i1.orders.again2', 2]);
  });

  it('streams what lies in a file, from the beginning each time', async () => {
    const content = Buffer.alloc(2500, 'x');
    const { deliveries, spool } = await deliver({ done: true }, { content });
    for (const opened of [1, 2]) {
      const chunks = await Array.fromAsync(deliveries[0]?.content() ?? []);
      assert.ok(Buffer.concat(chunks).equals(content));
      assert.deepEqual([chunks.length, spool.opened], [5, opened]);
    }
    assert.ok((await deliveries[0]?.read())?.equals(content));
  });

  it('says of which destination an outcome is, and records nothing', async () => {
    const facts = { message: 'no' };
    for (const answer of [
      { retry: 'handoff-failed', facts, after: 5000, peer: 'down' },
      { retry: 'spool-unreachable', facts, untried: true },
      { suspend: 'mime-limit', facts },
    ] as const) {
      const { outcome, recorded } = await deliver(answer);
      assert.deepEqual(outcome, { ...answer, facts: { destination: 'orders', message: 'no' } });
      assert.deepEqual(recorded, []);
    }
  });

  it('asks nobody when the work was done, or the message has ended or is unknown', async () => {
    for (const state of ['delivered', 'terminated', 'received', null] as const) {
      const { outcome, deliveries } = await deliver({ done: true }, { state });
      assert.deepEqual([outcome, deliveries], [{ done: true }, []], String(state));
    }
    // suspended for another destination
    assert.equal((await deliver({ done: true }, { state: 'suspended' })).deliveries.length, 1);
  });

  it('suspends for a removed destination', async () => {
    const { outcome, deliveries } = await deliver({ done: true }, { to: 'gone' });
    assert.deepEqual([kindOf(outcome), deliveries], ['suspend destination-unknown', []]);
  });
});
