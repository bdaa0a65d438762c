/** Subjects that are kept: where they stand, how they are found, and what a search may cost. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { InboundJob, QueueRoom } from '../../src/queue/index.ts';
import { longestSubject } from '../../src/queue/subjects.ts';
import { useTestQueue } from '../support/queue.ts';

describe('subjects in the ledger', () => {
  let queue: QueueRoom;
  useTestQueue((opened) => {
    queue = opened.queue;
  });

  async function send(subject: string | undefined, partner = 'acme'): Promise<string> {
    const writer = queue.intake.begin();
    await writer.write(Buffer.from('x'));
    const [result] = await queue.intake.commitOutbound(writer, [
      {
        ...{ origin: { kind: 'api', detail: {} }, messageId: null, partner },
        envelope: { from: 'a@own.example', to: ['b@acme.example'] },
        ...(subject !== undefined && { subject }),
      },
    ]);
    return result?.id ?? '';
  }

  async function receive(octets: string): Promise<InboundJob> {
    const writer = queue.intake.begin();
    await writer.write(Buffer.from(octets));
    const [result] = await queue.intake.commit(writer, [
      {
        ...{ mailbox: 'edi', origin: { kind: 'smtp', detail: {} }, messageId: null },
        envelope: { from: 'a@acme.example', to: ['b@own.example'] },
      },
    ]);
    return JSON.parse((await queue.redis.hget(`{sealpost}:inbound:${result?.id}`, 'data')) ?? '');
  }

  const from = (subject?: string) => ({
    ...{ partner: 'acme', partnerBy: 'signature' as const },
    ...(subject !== undefined && { subject }),
  });
  const found = async (subject: string, more = {}) =>
    (await queue.ledger.list({ subject, ...more })).messages.map(({ id }) => id);
  const raw = (id: string) => queue.redis.hget(`{sealpost}:m:${id}`, 't');

  it('are sealed, and in no record, job or event', async () => {
    const id = await send('Invoice 4711 of Zylinder');
    const keys = await queue.redis.keys('*');
    for (const key of keys) {
      const dump = (await queue.redis.dumpBuffer(key))?.toString('latin1') ?? '';
      assert.ok(!dump.includes('Zylinder'), key);
    }
    const record = await queue.ledger.get(id);
    assert.ok(!JSON.stringify(record).includes((await raw(id)) ?? ''), 'not even sealed');
    assert.deepEqual(await queue.ledger.subjects([id, 'o0', await send(undefined)]), [
      'Invoice 4711 of Zylinder',
      null,
      null,
    ]);
  });

  it('are found by a part, in any case and form, beside other filters', async () => {
    const id = await send('R\u00e9sum\u00e9  and\tMore', 'forms');
    await send('Nothing alike', 'forms');
    assert.deepEqual(await found('re\u0301SUME\u0301 and more'), [id]);
    assert.deepEqual(await found('and more', { partner: 'forms' }), [id]);
    assert.deepEqual(await found('and more', { partner: 'acme' }), []);
    assert.deepEqual(await found('and more', { direction: 'inbound' }), []);
    const job = await receive('by digest');
    await queue.flow.suspend('inbound', job, 'not-smime', {}, 1, undefined, from('By Digest'));
    const { sha256 } = job.octets;
    assert.deepEqual(await found('digest', { sha256 }), [job.id]);
    assert.deepEqual(await found('another', { sha256 }), []);
    assert.deepEqual(await Array.fromAsync(queue.ledger.ids({ subject: 'and more' })), [id]);
  });

  it('come with each way in which decoding ends, and go when they are kept no more', async () => {
    const job = await receive('suspended first');
    await queue.flow.suspend('inbound', job, 'not-smime', {}, 1, undefined, from('Suspended one'));
    assert.deepEqual(await queue.ledger.subjects([job.id]), ['Suspended one']);
    assert.deepEqual((await queue.ledger.get(job.id))?.partnerBy, 'signature');
    // a step that knows nothing of the sender leaves it
    await queue.flow.suspend('inbound', job, 'mail-loop');
    assert.deepEqual(await queue.ledger.subjects([job.id]), ['Suspended one']);
    await queue.flow.resume(job.id);
    const content = {
      content: queue.spool.create(),
      result: Buffer.from('{}'),
      destinations: ['a'],
      facts: {},
    };
    await queue.flow.decoded(job, { ...content, ...from('Decoded one') });
    assert.deepEqual(await queue.ledger.subjects([job.id]), ['Decoded one']);
    const next = await receive('handed off at once');
    const done = { destination: 'a', facts: {}, decoded: {} };
    await queue.flow.handedOffAtOnce(next, { ...done, ...from('At once') });
    assert.deepEqual(await queue.ledger.subjects([next.id]), ['At once']);
    const kept = await receive('not kept');
    await queue.flow.suspend('inbound', kept, 'not-smime', {}, 1, undefined, from('Kept'));
    await queue.flow.suspend('inbound', kept, 'not-smime', {}, 1, undefined, from());
    assert.equal(await raw(kept.id), null);
    assert.equal((await queue.ledger.get(kept.id))?.partner, 'acme');
    const dropped = await receive('dropped');
    await queue.flow.dropped(dropped, { ...from('Dropped'), event: 'dropped', facts: {} });
    assert.deepEqual(await queue.ledger.subjects([dropped.id]), ['Dropped']);
  });

  it('are cut, and never in the middle of a character', async () => {
    const [subject = ''] = await queue.ledger.subjects([await send('x'.repeat(longestSubject + 1))]);
    assert.equal(subject?.length, longestSubject);
    const [cut] = await queue.ledger.subjects([await send(`${'x'.repeat(longestSubject - 1)}\u{1f600}`)]);
    assert.equal(cut, 'x'.repeat(longestSubject - 1));
  });

  it('do not open for another message', async () => {
    const [one, other] = [await send('Of one'), await send('Of another')];
    await queue.redis.hset(`{sealpost}:m:${one}`, 't', (await raw(other)) ?? '');
    assert.deepEqual(await queue.ledger.subjects([one, other]), [null, 'Of another']);
    assert.deepEqual(await found('of another'), [other]);
  });
});

describe('a search that opens records', () => {
  let queue: QueueRoom;
  useTestQueue((opened) => {
    queue = opened.queue;
  });

  /** Records as small as they can be, one each millisecond, the last one the newest. */
  async function fill(
    count: number,
    facts: (at: number) => { id: string; mailbox: string; subject?: string },
  ) {
    const start = Date.now() - count;
    const r = JSON.stringify({
      ...{ direction: 'inbound', origin: { kind: 'smtp', detail: {} }, messageId: null },
      ...{ envelope: { from: 'a@b.example', to: [] }, octets: 1, sha256: 'aa'.repeat(32) },
    });
    let pipe = queue.redis.pipeline();
    for (let at = 0; at < count; at += 1) {
      const { id, mailbox, subject } = facts(at);
      const time = start + at;
      const sealed = subject === undefined ? '' : queue.seal(`subject:${id}`, subject).toString('base64');
      pipe.hset(`{sealpost}:m:${id}`, { r, s: 'delivered', a: time, u: time, b: mailbox });
      if (sealed !== '') pipe.hset(`{sealpost}:m:${id}`, 't', sealed);
      pipe.zadd('{sealpost}:ix:all', time, id);
      pipe.zadd(`{sealpost}:ix:b:${mailbox}`, time, id);
      if (at % 2000 === 0) {
        await pipe.exec();
        pipe = queue.redis.pipeline();
      }
    }
    await pipe.exec();
  }

  /** 10,000 of the search, and what the room reads for itself meanwhile; one look more would be 1,000. */
  const most = 10_100;
  const calls = async () =>
    Number(/cmdstat_hget:calls=(\d+)/.exec(await queue.redis.info('commandstats'))?.[1] ?? 0);

  it('looks at the newest 10,000 for a page, and goes on from there', async () => {
    const at = (place: number) => `i${String(place).padStart(31, '0')}`;
    // counted from the newest: the 10,000th and the one behind it
    const wanted = new Map([
      [9_999, 'last of the page'],
      [10_000, 'first of the next page'],
    ]);
    await fill(10_020, (each) => {
      const subject = wanted.get(10_019 - each);
      return { id: at(each), mailbox: 'm0', ...(subject !== undefined && { subject }) };
    });
    const all = { mailboxes: '*', partners: '*' } as const;
    for (const list of [
      (cursor?: string) => queue.ledger.list({ subject: 'page', ...(cursor && { cursor }) }),
      (cursor?: string) => queue.ledger.listAmong({ subject: 'page', ...(cursor && { cursor }) }, all),
    ]) {
      const before = await calls();
      const first = await list();
      assert.deepEqual(
        first.messages.map(({ id }) => id),
        [at(20)],
      );
      assert.ok((await calls()) - before <= most, 'no more than that');
      assert.ok(first.cursor);
      const second = await list(first.cursor);
      assert.deepEqual(
        second.messages.map(({ id }) => id),
        [at(19)],
      );
      assert.equal(second.cursor, null);
    }
  });

  it('shares that among all the lists of what is granted, and finds everything in the end', async () => {
    await queue.redis.flushall();
    // 100 mailboxes with 108 each; the subject is in the oldest one of the first
    await fill(10_800, (each) => ({
      id: `i${String(each).padStart(31, '0')}`,
      mailbox: `m${each % 100}`,
      ...(each === 0 && { subject: 'the oldest' }),
    }));
    const among = { mailboxes: Array.from({ length: 100 }, (_, each) => `m${each}`), partners: [] };
    const found: string[] = [];
    let cursor: string | null | undefined;
    let pages = 0;
    do {
      const before = await calls();
      const page = await queue.ledger.listAmong({ subject: 'oldest', ...(cursor && { cursor }) }, among);
      const cost = (await calls()) - before;
      assert.ok(cost <= most, `page ${pages} opened ${cost}`);
      found.push(...page.messages.map(({ id }) => id));
      cursor = page.cursor;
      pages += 1;
      assert.ok(pages < 20, 'it gets further with each page');
    } while (cursor !== null);
    assert.deepEqual(found, [`i${'0'.repeat(31)}`]);
    assert.ok(pages > 1, `${pages}`);
  });
});
