/** Messages that wait for their time, in the real queue: they take no attempts, and no place of others. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { sendStep } from '../../src/pipeline/send.ts';
import type { DeliveryOptions, Outcome, QueueRoom } from '../../src/queue/index.ts';
import { configOf } from '../pipeline/support.ts';
import { until } from '../support/messages.ts';
import { commitOne, useTestQueue } from '../support/queue.ts';

let queue: QueueRoom;
useTestQueue(
  (opened) => {
    ({ queue } = opened);
  },
  // The queues wait in steps of at most five minutes, or of the longest delay.
  { retry: { attempts: 2, firstDelay: '1h', maxDelay: '1h' } },
);

const { partners, limits } = configOf(`
partners:
  - { name: acme, addresses: ['@acme.example'], encrypt: false, sign: none }
  - { name: globex, addresses: ['@globex.example'], encrypt: false, sign: none }
`);

async function submit(partner: string, delivery: DeliveryOptions): Promise<string> {
  const writer = queue.intake.begin();
  void writer.write(Buffer.from('Subject: order\r\n\r\n4711\r\n'));
  const envelope = { from: 'us@own.example', to: [`edi@${partner}.example`] };
  const origin = { kind: 'command', detail: {} } as const;
  const { id } = await commitOne(queue, writer, { partner, origin, envelope, messageId: null, delivery });
  return id;
}

/** Works through the queue with a server that says the same to all; returns the partners that were asked. */
async function working(answer: Outcome, done: () => Promise<boolean>, now = Date.now): Promise<string[]> {
  const asked: string[] = [];
  const step = sendStep({
    spool: queue.spool,
    flow: queue.flow,
    route: (name) => {
      const partner = partners.find((each) => each.name === name);
      return (
        partner && {
          partner,
          sender: {
            async send() {
              asked.push(name);
              return answer;
            },
          },
        }
      );
    },
    protection: () => ({}),
    limits,
    ...{ hostname: 'own.example', trace: () => '', isOwn: () => false, dkim: [] },
    now,
    opensAt: (_windows, at) => at,
  });
  const worker = await queue.queues.createWorker('outbound', step, { concurrency: 1 });
  await until(done);
  await worker.close(5000);
  return asked;
}

const stateOf = async (id: string) => (await queue.ledger.get(id))?.state;

describe('a message that waits for its time', () => {
  it('waits in steps, takes no attempt and leaves the others their places', async () => {
    const early = await submit('acme', { notBefore: Date.now() + 86_400_000 });
    const other = await submit('globex', {});
    const sent = async () => (await stateOf(other)) === 'sent' && (await delayed()) === 1;
    assert.deepEqual(await working({ done: true, facts: {} }, sent), ['globex']);
    assert.ok(Math.abs((await dueIn(early)) - 3_600_000) < 60_000, 'a step of one hour');
    const types = (await queue.ledger.get(early))?.events.map(({ type }) => type);
    assert.deepEqual(types, ['queued']);

    // More steps than there are attempts, then its time.
    for (let step = 0; step < 3; step++) {
      await makeDue(early);
      const stepped = async () => (await delayed()) === 1 && (await dueIn(early)) > 3_000_000;
      assert.deepEqual(await working({ done: true, facts: {} }, stepped), []);
    }
    await makeDue(early);
    const left = async () => (await stateOf(early)) === 'sent';
    assert.deepEqual(await working({ done: true, facts: {} }, left, () => Date.now() + 86_400_001), ['acme']);
  });

  it('is suspended when it expires, not with the retry an hour later', async () => {
    const id = await submit('acme', { notAfter: Date.now() + 1500 });
    const suspended = async () => (await stateOf(id)) === 'suspended';
    const reached = ['edi@acme.example'];
    assert.deepEqual(await working({ retry: 'send-failed', facts: {}, reached }, suspended), ['acme']);
    const record = await queue.ledger.get(id);
    assert.equal(record?.reason, 'expired');
    assert.deepEqual(record?.events.at(-1)?.facts.reached, reached, 'who has it all the same is said');
    assert.deepEqual(
      record?.events.map(({ type }) => type),
      ['queued', 'retried', 'suspended'],
    );
    // A resumed one expires again: nothing is sent behind its time.
    await queue.flow.resume(id);
    const again = async () => (await stateOf(id)) === 'suspended';
    assert.deepEqual(await working({ done: true, facts: {} }, again), []);
  });
});

describe('a message that waits for a place of its route', () => {
  it('is suspended when it expires, and asks nobody; the one behind it waits on', async () => {
    await queue.routes.follow();
    await queue.routes.pause('partner', 'acme', { by: 'test', at: Date.now(), why: '' });
    await until(() => Promise.resolve(queue.routes.isPaused('partner', 'acme')));
    const [late, other] = [await submit('acme', { notAfter: Date.now() + 1500 }), await submit('acme', {})];
    const sent = await submit('globex', { notAfter: Date.now() + 86_400_000 });
    const done = async () => {
      await queue.flow.bringExpired();
      return (await stateOf(late)) === 'suspended' && (await stateOf(sent)) === 'sent';
    };
    assert.deepEqual(await working({ done: true, facts: {} }, done), ['globex']);
    assert.equal((await queue.ledger.get(late))?.reason, 'expired');
    assert.equal(await stateOf(other), 'queued');
    assert.deepEqual(await queue.redis.zrange('{sealpost}:parked:outbound', '0', '-1'), [other]);
    assert.equal(await queue.redis.zscore('{sealpost}:ends', sent), null, 'it cannot expire any more');
    await queue.routes.resume('partner', 'acme');
    await until(() => Promise.resolve(!queue.routes.isPaused('partner', 'acme')));
    const left = async () => (await stateOf(other)) === 'sent';
    assert.deepEqual(await working({ done: true, facts: {} }, left), ['acme']);
  });
});

async function delayed(): Promise<number> {
  return (await queue.queues.depth()).outbound.delayed;
}

async function dueIn(id: string): Promise<number> {
  return Number(await queue.redis.zscore('{sealpost}:outbound:delayed', id)) / 4096 - Date.now();
}

async function makeDue(id: string): Promise<void> {
  await queue.redis.zadd('{sealpost}:outbound:delayed', 'XX', Date.now() * 4096, id);
  await queue.redis.zadd('{sealpost}:outbound:marker', 0, '0');
}
