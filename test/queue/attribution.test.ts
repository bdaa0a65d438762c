/**
 * Who sent an inbound message, in its record and in the index by partner: handed off, suspended, dropped, or decoded
 * again.
 */
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { Redis } from 'ioredis';
import type { Attribution, InboundJob, QueueRoom } from '../../src/queue/index.ts';
import { useTestQueue } from '../support/queue.ts';

const of = (partner: string | null, partnerBy: Attribution['partnerBy']): Attribution => ({
  partner,
  partnerBy,
});

describe('the partner of an inbound message', () => {
  let queue: QueueRoom;
  let redis: Redis;
  useTestQueue((opened) => {
    ({ queue } = opened);
    redis = new Redis(opened.server.url.replace('unix://', ''), { lazyConnect: true });
  });
  after(() => redis.disconnect());

  const origin = { kind: 'smtp', detail: {} } as const;
  const envelope = { from: 'edi@acme.example', to: ['orders@own.example'] };
  async function arrived(text: string): Promise<InboundJob> {
    const writer = queue.intake.begin();
    await writer.write(Buffer.from(text));
    const entry = { mailbox: 'orders', origin, envelope, messageId: null };
    const [result] = await queue.intake.commit(writer, [entry]);
    assert.ok(result);
    const octets = await queue.flow.originalOf(result.id);
    assert.ok(octets);
    return { ...entry, id: result.id, direction: 'inbound', receivedAt: Date.now(), octets };
  }
  const suspend = (job: InboundJob, from?: Attribution) =>
    queue.flow.suspend('inbound', job, 'policy-refused', {}, 1, undefined, from);
  const listed = async (partner: string) =>
    (await queue.ledger.list({ partner })).messages.map(({ id, partnerBy }) => [id, partnerBy]);
  const members = (partner: string) => redis.zrange(`{sealpost}:ix:p:${partner}`, '0', '-1');

  it('is found where the message is suspended, with how it was resolved', async () => {
    const one = await arrived('one');
    await suspend(one, of('acme', 'signature'));
    const two = await arrived('two');
    await suspend(two, of(null, 'conflict'));
    assert.deepEqual(await listed('acme'), [[one.id, 'signature']]);
    const record = await queue.ledger.get(two.id);
    assert.deepEqual([record?.partner, record?.partnerBy], [null, 'conflict']);
    const inbound = await queue.ledger.list({ partner: 'acme', state: 'suspended', direction: 'inbound' });
    assert.deepEqual(
      inbound.messages.map(({ id }) => id),
      [one.id],
    );
  });

  it('stays as it is when a later step is suspended that does not know it', async () => {
    const job = await arrived('three');
    await suspend(job, of('later', 'address'));
    await queue.flow.resume(job.id);
    await suspend(job);
    assert.deepEqual(await listed('later'), [[job.id, 'address']]);
  });

  it('is that of the last decoding: the index of the partner before forgets it', async () => {
    const job = await arrived('four');
    await suspend(job, of('before', 'address'));
    await queue.flow.decodeAgain(job.id);
    await suspend(job, of('after', 'signature'));
    assert.deepEqual([await listed('before'), await members('before')], [[], []]);
    assert.deepEqual(await listed('after'), [[job.id, 'signature']]);
    await queue.flow.decodeAgain(job.id);
    await suspend(job, of(null, null));
    assert.deepEqual([await listed('after'), await members('after')], [[], []]);
    const record = await queue.ledger.get(job.id);
    assert.deepEqual([record?.partner, record?.partnerBy], [null, null]);
  });

  it('is found while the message waits to be judged, and stays when that is given up', async () => {
    const job = await arrived('waits');
    await queue.flow.attribute(job.id, { ...of('waiting', 'address'), subject: 'a subject' });
    assert.deepEqual(await listed('waiting'), [[job.id, 'address']]);
    await suspend(job);
    assert.deepEqual(await listed('waiting'), [[job.id, 'address']]);
    await queue.flow.terminate(job.id, 'no more');
    // by a process that lost its lock
    await queue.flow.attribute(job.id, of('late', 'signature'));
    assert.deepEqual(await listed('late'), []);
  });

  it('is whose traffic it counts for, also if it was nobody’s when it was decoded first', async () => {
    const used = async (partner: string) =>
      (await queue.ledger.used(partner, 2, Date.now())).map(({ code, messages }) => [code, messages]);
    const judged = async (job: InboundJob, from: Attribution) => {
      await queue.flow.suspend('inbound', job, 'policy-refused', { used: 'iZ' }, 1, undefined, from);
      await queue.flow.decodeAgain(job.id);
    };
    const job = await arrived('counted');
    await judged(job, of(null, null));
    await judged(job, of('new', 'signature'));
    await judged(job, of('new', 'signature'));
    assert.deepEqual(await used('new'), [['iZ', 1]]);
    await judged(job, of('newer', 'signature'));
    assert.deepEqual([await used('new'), await used('newer')], [[['iZ', 1]], [['iZ', 1]]]);
  });

  it('stands beside the outbound messages to it, in one list', async () => {
    const writer = queue.intake.begin();
    await writer.write(Buffer.from('to both'));
    const [out] = await queue.intake.commitOutbound(writer, [
      { partner: 'both', origin, envelope, messageId: null },
    ]);
    const job = await arrived('from both');
    await suspend(job, of('both', 'signature'));
    const found = await queue.ledger.list({ partner: 'both' });
    assert.deepEqual(
      found.messages.map(({ id, direction }) => [id, direction]).sort(),
      [
        [out?.id, 'outbound'],
        [job.id, 'inbound'],
      ].sort(),
    );
  });

  it('of a record of 0.1.0 is read without how it was resolved', async () => {
    const job = await arrived('old');
    await redis.hset(`{sealpost}:m:${job.id}`, 'p', 'acme-old');
    const record = await queue.ledger.get(job.id);
    assert.deepEqual([record?.partner, record?.partnerBy], ['acme-old', null]);
  });

  it('a message that a rule drops leaves a record without octets, and is judged again when it comes again', async () => {
    const job = await arrived('dropped');
    await queue.flow.dropped(job, {
      ...of(null, null),
      event: 'dropped',
      facts: { reason: 'partner-unknown' },
    });
    const record = await queue.ledger.get(job.id);
    assert.equal(record?.state, 'terminated');
    assert.deepEqual(record?.events.at(-1)?.type, 'dropped');
    assert.equal(record?.events.at(-1)?.facts.reason, 'partner-unknown');
    assert.equal(await queue.flow.originalOf(job.id), null);
    // Once more by a process that lost its lock: nothing happens.
    await queue.flow.dropped(job, { ...of(null, null), event: 'dropped', facts: {} });
    assert.equal((await queue.ledger.get(job.id))?.events.length, record?.events.length);
    await arrived('dropped');
    assert.equal((await queue.ledger.get(job.id))?.state, 'received');
  });
});
