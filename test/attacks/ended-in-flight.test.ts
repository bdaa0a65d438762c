/**
 * A person ends a message, or has it decoded again, while a step of it is in flight: the step does not touch what has
 * come under the same id since then, and the record says what had left already.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { HandoffJob, InboundJob, OutboundJob, QueueRoom } from '../../src/queue/index.ts';
import { commitOne, useTestQueue } from '../support/queue.ts';

const mailbox = {
  ...{ name: 'by-id', addresses: ['by-id@own.example'], duplicatesBy: 'message-id' },
  destinations: [{ type: 'directory', path: '/nowhere' }],
};
let queue: QueueRoom;
useTestQueue(
  (opened) => {
    queue = opened.queue;
  },
  { mailboxes: [mailbox], retention: { original: '1h' } },
);

let numbers = 0;
/** A mailbox that knows a message by its Message-ID: the octets that come again may be others. */
async function bring(text: string, messageId: string): Promise<string> {
  const writer = queue.intake.begin();
  await writer.write(Buffer.from(text));
  const origin = { kind: 'smtp', detail: {} } as const;
  const envelope = { from: '', to: [] };
  const [result] = await queue.intake.commit(writer, [{ mailbox: 'by-id', origin, messageId, envelope }]);
  assert.equal(result?.duplicate, false);
  return result?.id ?? '';
}

async function send(text: string, idempotencyKey: string): Promise<string> {
  const writer = queue.intake.begin();
  await writer.write(Buffer.from(text));
  const origin = { kind: 'command', detail: {} } as const;
  const envelope = { from: '', to: [] };
  const idempotency = { key: idempotencyKey, fingerprint: 'one' };
  const entry = { partner: 'acme', idempotency, messageId: null, origin, envelope };
  const { id, duplicate } = await commitOne(queue, writer, entry);
  assert.equal(duplicate, false);
  return id;
}

/** The job that waits longest in a queue, taken out of it: somebody works on it from now on. */
async function take<J>(name: string, id: string): Promise<J> {
  const key = `{sealpost}:${name}`;
  const job = (await queue.redis.lrange(`${key}:wait`, 0, -1))
    .reverse()
    .find((each) => each === id || each.startsWith(`${id}.`));
  assert.ok(job, `no job of ${id} in ${name}`);
  await queue.redis.lrem(`${key}:wait`, 1, job);
  const data = await queue.redis.hget(`${key}:${job}`, 'data');
  await queue.redis.del(`${key}:${job}`);
  return JSON.parse(data ?? '');
}

async function decoded(job: InboundJob, content: Buffer | null, destinations = ['one']): Promise<void> {
  const writer = queue.spool.create();
  await writer.write(content ?? Buffer.alloc(0));
  const rest = { result: Buffer.from('{}'), destinations, partner: null, partnerBy: null, facts: {} };
  await queue.flow.decoded(job, { content: writer, ...rest });
}

async function octetsOf(job: InboundJob): Promise<Buffer> {
  const { state } = await queue.flow.fetch(job.id, [job.octets]);
  assert.equal(state, 'received');
  return await queue.spool.read(job.octets);
}

const record = async (id: string) => {
  const found = await queue.ledger.get(id);
  assert.ok(found);
  return found;
};
const end = (id: string) => queue.flow.terminate(id, 'the wrong order', { by: 'ada' });
const typesOf = async (id: string) => (await record(id)).events.map(({ type }) => type);
const lateOf = async (id: string) =>
  (await record(id)).events.filter(({ facts }) => facts.late === true).map(({ type }) => type);

/** Two messages under one id: the job of the first one, which a person has ended, and that of the second one. */
async function twoLives(): Promise<{ id: string; first: InboundJob; second: InboundJob }> {
  const messageId = `<${++numbers}@partner.example>`;
  const id = await bring('the wrong order', messageId);
  const first = await take<InboundJob>('inbound', id);
  assert.equal((await octetsOf(first)).toString(), 'the wrong order');
  await end(id);
  assert.equal(await bring('the right order', messageId), id);
  return { id, first, second: await take<InboundJob>('inbound', id) };
}

/** What the destination gets of the second one, to its end. */
async function handOffSecond(id: string): Promise<string> {
  const job = await take<HandoffJob>('handoff', id);
  const { state, octets } = await queue.flow.fetch(id, [job.content]);
  assert.equal(state, 'decoded');
  assert.deepEqual(await queue.flow.handedOff(job, {}), { delivered: true });
  assert.equal((await record(id)).state, 'delivered');
  return String(octets[0]);
}

describe('a message that a person ends while it is decoded', () => {
  it('is not handed off for the one that came after it', async () => {
    const { id, first, second } = await twoLives();
    await decoded(first, Buffer.from('the wrong order'));
    assert.equal((await record(id)).state, 'received');
    await assert.rejects(take('handoff', id), /no job/);
    await decoded(second, await octetsOf(second));
    assert.equal(await handOffSecond(id), 'the right order');
  });

  it('is not handed off for the one that came after it in the step that decodes it', async () => {
    const { id, first } = await twoLives();
    const data = Buffer.from(JSON.stringify({ wrong: true }));
    const job = { prefix: '{sealpost}', queue: 'theirs', name: 'message', id: `x-${id}`, data, options: {} };
    await queue.flow.handedOffAtOnce(first, {
      ...{ destination: 'one', facts: {}, decoded: {}, partner: null, partnerBy: null },
      job,
    });
    assert.equal((await record(id)).state, 'received');
    assert.equal(await queue.redis.exists(`{sealpost}:theirs:x-${id}`), 0);
  });

  it('does not suspend the one that came after it', async () => {
    const { id, first, second } = await twoLives();
    await queue.flow.suspend('inbound', first, 'decrypt-no-key');
    assert.equal((await record(id)).state, 'received');
    await decoded(second, await octetsOf(second));
    assert.equal(await handOffSecond(id), 'the right order');
  });
});

describe('a message that a person ends while it is handed off', () => {
  it('stays ended, and its record says that it arrived', async () => {
    const id = await bring('an order', `<${++numbers}@partner.example>`);
    const job = await take<InboundJob>('inbound', id);
    await decoded(job, await octetsOf(job), ['one', 'two']);
    const [one, two] = [await take<HandoffJob>('handoff', id), await take<HandoffJob>('handoff', id)];
    assert.equal(await end(id), true);
    assert.deepEqual(await queue.flow.handedOff(one, {}), { delivered: false });
    await queue.flow.suspend('handoff', two, 'handoff-failed');
    assert.equal((await record(id)).state, 'terminated');
    assert.deepEqual(await typesOf(id), ['received', 'decoded', 'terminated', 'handed-off']);
    assert.deepEqual(await lateOf(id), ['handed-off']);
    // whatever did not reach its destination by now finds nothing to do
    assert.equal((await queue.flow.fetch(id, [two.content])).state, 'terminated');
  });

  it('does not count for the one that came after it', async () => {
    const { id, first, second } = await twoLives();
    await decoded(second, await octetsOf(second));
    // the hand-off of the first one, as it would be had it been decoded before it was ended
    const job = { ...first, destination: 'one', original: first.octets, content: first.octets };
    assert.deepEqual(await queue.flow.handedOff({ ...job, result: first.octets }, { status: 204 }), {
      delivered: false,
    });
    await queue.flow.suspend('handoff', { ...job, result: first.octets }, 'handoff-failed');
    assert.equal((await record(id)).state, 'decoded');
    assert.deepEqual(await lateOf(id), ['handed-off']);
    assert.equal(await handOffSecond(id), 'the right order');
  });
});

describe('an outbound message that a person ends while it is sent', () => {
  it('stays ended, and its record says that it arrived', async () => {
    const id = await send('an order', `key ${++numbers}`);
    const job = await take<OutboundJob>('outbound', id);
    await end(id);
    await queue.flow.sent(job, { reply: '250 2.0.0 ok' });
    assert.deepEqual(await typesOf(id), ['queued', 'terminated', 'sent']);
    assert.deepEqual([(await record(id)).state, await lateOf(id)], ['terminated', ['sent']]);
  });

  it('does not count for the one that came after it', async () => {
    const key = `key ${++numbers}`;
    const id = await send('the wrong order', key);
    const first = await take<OutboundJob>('outbound', id);
    await end(id);
    assert.equal(await send('the right order', key), id);
    await queue.flow.sent(first, {});
    await queue.flow.suspend('outbound', first, 'smtp-rejected');
    assert.deepEqual([(await record(id)).state, await lateOf(id)], ['queued', ['sent']]);
    const second = await take<OutboundJob>('outbound', id);
    const { state, octets } = await queue.flow.fetch(id, [second.octets]);
    assert.deepEqual([state, String(octets[0])], ['queued', 'the right order']);
    await queue.flow.sent(second, {});
    assert.equal((await record(id)).state, 'sent');
  });
});

describe('decoding again while a hand-off is in flight', () => {
  it('is refused until the hand-off has an outcome', async () => {
    const id = await bring('an order', `<${++numbers}@partner.example>`);
    const job = await take<InboundJob>('inbound', id);
    await decoded(job, await octetsOf(job), ['one', 'two']);
    const [one, two] = [await take<HandoffJob>('handoff', id), await take<HandoffJob>('handoff', id)];
    await assert.rejects(queue.flow.decodeAgain(id), { code: 'usage' });
    await queue.flow.suspend('handoff', one, 'handoff-failed');
    await assert.rejects(queue.flow.decodeAgain(id), { code: 'message-busy' });
    assert.deepEqual(await queue.flow.handedOff(two, {}), { delivered: false });
    await queue.flow.decodeAgain(id);
    const again = await take<InboundJob>('inbound', id);
    await decoded(again, await octetsOf(again), ['one', 'two']);
    // an attempt that lost its lock long ago ends now, and takes nothing from the new ones
    await queue.flow.handedOff(one, {});
    await queue.flow.suspend('handoff', one, 'handoff-failed');
    assert.deepEqual([(await record(id)).state, await lateOf(id)], ['decoded', ['handed-off']]);
    for (const last of [false, true]) {
      const next = await take<HandoffJob>('handoff', id);
      assert.equal(next.again, 1);
      assert.deepEqual(await queue.flow.handedOff(next, {}), { delivered: last });
    }
  });
});
