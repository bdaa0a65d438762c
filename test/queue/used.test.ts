/** How messages were protected, counted by partner and day. */
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { Redis } from 'ioredis';
import type { InboundJob, OutboundJob, QueueRoom } from '../../src/queue/index.ts';
import { useTestQueue } from '../support/queue.ts';

const code = 'iE256c:p1.r2048/O:256_r.r2048';

describe('the counters of how messages were protected', () => {
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
    const octets = await queue.flow.originalOf(result?.id ?? '');
    assert.ok(result && octets);
    return { ...entry, id: result.id, direction: 'inbound', receivedAt: Date.now(), octets };
  }
  async function decode(job: InboundJob, partner: string | null, used?: string): Promise<void> {
    const content = queue.spool.create();
    await content.write(Buffer.from('content'));
    const facts = used === undefined ? {} : { used };
    const by = partner === null ? null : ('signature' as const);
    const result = Buffer.from('{}');
    const outcome = { content, result, destinations: ['erp'], partner, partnerBy: by, facts };
    await queue.flow.decoded(job, outcome);
  }
  const today = () => new Date().toISOString().slice(0, 10);
  const counted = async (partner: string) =>
    (await queue.ledger.used(partner, 2, Date.now())).map((each) => [each.code, each.messages]);

  it('count each message once, however it goes on, and show its day', async () => {
    const at = today();
    const from = { partner: 'acme', partnerBy: 'signature' } as const;
    await decode(await arrived('one'), 'acme', code);
    const two = await arrived('two');
    const handed = { ...from, destination: 'erp', facts: {}, decoded: { used: code } };
    await queue.flow.handedOffAtOnce(two, handed);
    const three = await arrived('three');
    for (const again of [false, true]) {
      if (again) await queue.flow.resume(three.id);
      await queue.flow.suspend('inbound', three, 'policy-profile', { used: code }, 1, undefined, from);
    }
    await queue.flow.dropped(await arrived('four'), {
      ...from,
      event: 'dropped',
      facts: { used: 'iE3d:p1.r2048' },
    });
    assert.deepEqual(
      (await queue.ledger.used('acme', 1, Date.now())).map(({ day }) => day).includes(at),
      true,
    );
    assert.deepEqual((await counted('acme')).sort(), [
      ['iE256c:p1.r2048/O:256_r.r2048', 3],
      ['iE3d:p1.r2048', 1],
    ]);
    const record = await queue.ledger.get(two.id);
    assert.equal(record?.events.find(({ type }) => type === 'decoded')?.facts.used, code);
  });

  it('count what was sent', async () => {
    const writer = queue.intake.begin();
    await writer.write(Buffer.from('out'));
    const entry = { partner: 'out', origin, envelope, messageId: null };
    const [result] = await queue.intake.commitOutbound(writer, [entry]);
    const octets = await queue.flow.originalOf(result?.id ?? '');
    assert.ok(result && octets);
    const job: OutboundJob = { ...entry, id: result.id, direction: 'outbound', receivedAt: 1, octets };
    await queue.flow.sent(job, { reply: '250 "used":"x"', used: 'oE256c:p1.r2048' });
    await queue.flow.sent(job, { used: 'oE256c:p1.r2048' });
    assert.deepEqual(await counted('out'), [['oE256c:p1.r2048', 1]]);
  });

  it('count nothing without a partner, or without a code', async () => {
    const before = await redis.keys('{sealpost}:used:*');
    await decode(await arrived('nobody'), null, code);
    await decode(await arrived('plain'), 'plain');
    await queue.flow.suspend('inbound', await arrived('unread'), 'decrypt-no-key', { used: code });
    assert.deepEqual((await redis.keys('{sealpost}:used:*')).sort(), before.sort());
  });

  it('have room for 64 codes a day; what comes after them counts as *', async () => {
    for (let at = 0; at < 66; at++) await decode(await arrived(`many ${at}`), 'many', `iE${at}`);
    await decode(await arrived('many again'), 'many', 'iE0');
    const counts = new Map(
      (await queue.ledger.used('many', 1, Date.now())).map((each) => [each.code, each.messages]),
    );
    assert.deepEqual([counts.size, counts.get('*'), counts.get('iE0'), counts.get('iE63')], [65, 2, 2, 1]);
    assert.equal(counts.has('iE64'), false);
  });

  it('end by themselves, and are read for the days that are asked for', async () => {
    const day = Math.floor(Date.now() / 86_400_000);
    const [key = ''] = await redis.keys('{sealpost}:used:acme:*');
    const left = await redis.ttl(key);
    assert.ok(left > 91 * 86_400 && left <= 92 * 86_400, String(left));
    await redis.hset(`{sealpost}:used:late:${day - 3}`, 'iE3d', 7);
    assert.equal((await queue.ledger.used('late', 3, Date.now())).length, 0);
    assert.deepEqual(await queue.ledger.used('late', 4, Date.now()), [
      { day: new Date((day - 3) * 86_400_000).toISOString().slice(0, 10), code: 'iE3d', messages: 7 },
    ]);
  });
});
