import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import type { InboundJob, IntakeResult, ListQuery, Origin, QueueRoom } from '../../src/queue/index.ts';
import { openTestQueue, useTestQueue } from '../support/queue.ts';
import { startTestRedis, type TestRedis } from '../support/redis.ts';

const smtp: Origin = { kind: 'smtp', detail: { client: '192.0.2.1' } };
const imap = (uid: number, uidValidity = '7'): Origin => ({
  kind: 'imap',
  detail: { host: 'imap.example', folder: 'INBOX', uidValidity, uid },
});

const usual = { from: 'a@partner.example', to: ['b@own.example'] };

/** The time of day for the queues under test: it stands still until a test moves it. */
let time = Date.now();
const now = () => time;

interface Mail {
  octets: string;
  mailbox?: string;
  messageId?: string | null;
  origin?: Origin;
  envelope?: { from: string; to: string[] };
}

async function take(
  queue: QueueRoom,
  { octets, mailbox = 'edi', messageId = null, origin = smtp, envelope = usual }: Mail,
): Promise<IntakeResult> {
  const writer = queue.intake.begin();
  await writer.write(Buffer.from(octets));
  const [result] = await queue.intake.commit(writer, [{ mailbox, origin, envelope, messageId }]);
  if (!result) throw new Error('nothing was accepted');
  return result;
}

async function jobOf(queue: QueueRoom, id: string): Promise<InboundJob> {
  return JSON.parse((await queue.redis.hget(`{sealpost}:inbound:${id}`, 'data')) ?? '');
}

async function deliver(queue: QueueRoom, id: string): Promise<void> {
  const destinations = ['folder'];
  const result = {
    content: queue.spool.create(),
    result: Buffer.from('{}'),
    partner: null,
    partnerBy: null,
    facts: {},
  };
  await queue.flow.decoded(await jobOf(queue, id), { ...result, destinations });
  const job = JSON.parse((await queue.redis.hget(`{sealpost}:handoff:${id}.folder`, 'data')) ?? '');
  assert.deepEqual(await queue.flow.handedOff(job, {}), { delivered: true });
}

async function all(queue: QueueRoom, query: ListQuery): Promise<string[]> {
  const found: string[] = [];
  let cursor: string | null = null;
  do {
    const page = await queue.ledger.list(cursor === null ? query : { ...query, cursor });
    found.push(...page.messages.map(({ id }) => id));
    cursor = page.cursor;
  } while (cursor !== null);
  return found;
}

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
const partnerWithout = { destinations: [{ type: 'directory', path: '/nowhere' }] };

describe('finding in the ledger', () => {
  let server: TestRedis;
  let queue: QueueRoom;
  useTestQueue(
    (opened) => {
      ({ server, queue } = opened);
    },
    {},
    now,
  );

  it('finds by Message-ID and by digest, alone and with other filters', async () => {
    const one = await take(queue, { octets: 'one', messageId: '<same@x>' });
    const two = await take(queue, { octets: 'two', messageId: '<same@x>' });
    const other = await take(queue, { octets: 'one', mailbox: 'orders', messageId: '<other@x>' });
    assert.deepEqual(new Set(await all(queue, { messageId: '<same@x>' })), new Set([one.id, two.id]));
    assert.deepEqual(
      new Set(await all(queue, { messageId: '<same@x>', limit: 1 })),
      new Set([one.id, two.id]),
    );
    assert.deepEqual(new Set(await all(queue, { sha256: sha256('one') })), new Set([one.id, other.id]));
    assert.deepEqual(await all(queue, { sha256: sha256('one').toUpperCase(), mailbox: 'edi' }), [one.id]);
    assert.deepEqual(await all(queue, { messageId: '<same@x>', sha256: sha256('two') }), [two.id]);
    assert.deepEqual(await all(queue, { messageId: '<nothing@x>' }), []);
    assert.deepEqual(await all(queue, { messageId: '<same@x>', state: 'suspended' }), []);
  });

  it('finds by reason while a message is suspended, and not after', async () => {
    const { id } = await take(queue, { octets: 'for a reason' });
    const job = await jobOf(queue, id);
    await queue.flow.suspend('inbound', job, 'decrypt-no-key');
    assert.deepEqual(await all(queue, { reason: 'decrypt-no-key' }), [id]);
    assert.deepEqual(await all(queue, { reason: 'decrypt-no-key', state: 'suspended', mailbox: 'edi' }), [
      id,
    ]);
    assert.deepEqual(await all(queue, { reason: 'decrypt-no-key', mailbox: 'orders' }), []);
    await queue.flow.suspend('inbound', job, 'not-smime');
    assert.deepEqual(await all(queue, { reason: 'decrypt-no-key' }), []);
    assert.deepEqual(await all(queue, { reason: 'not-smime' }), [id]);
    await queue.flow.resume(id);
    assert.deepEqual(await all(queue, { reason: 'not-smime' }), []);
    await queue.flow.suspend('inbound', job, 'not-smime');
    await queue.flow.terminate(id, 'test');
    assert.deepEqual(await all(queue, { reason: 'not-smime' }), []);
  });

  it('finds by the first characters of an id, in an index once the sweep has seen what has none', async () => {
    const scans = async () =>
      Number(/cmdstat_zscan:calls=(\d+)/.exec(await queue.redis.info('commandstats'))?.[1] ?? 0);
    const { id } = await take(queue, { octets: 'of a version before' });
    const set = `{sealpost}:ix:n:${id.slice(1, 5)}`;
    await queue.redis.zrem(set, id);
    const like = async (prefix: string, most = 50) => (await queue.ledger.matching(prefix, most)).toSorted();
    assert.equal(await queue.redis.get('{sealpost}:ids'), null);
    assert.deepEqual(await like(id.slice(0, 12)), [id], 'no index yet');
    await queue.sweep();
    assert.deepEqual(await queue.redis.zrange(set, '0', '-1'), [id]);
    const known = await like('i', 1000);
    const before = await scans();
    for (const length of [2, 3, 4, 5, 6, 12, 31, 32])
      assert.deepEqual(
        await like(id.slice(0, length), 1000),
        known.filter((each) => each.startsWith(id.slice(0, length))),
        `${length} characters`,
      );
    assert.deepEqual(await like(`${id.slice(0, 31)}${id.endsWith('0') ? '1' : '0'}`), []);
    for (const odd of ['x', 'I', id.slice(1), `${id}0`, 'i~', '*'])
      assert.deepEqual(await like(odd), [], odd);
    assert.equal(await scans(), before, 'nothing is looked through');
    assert.equal((await like('i', 2)).length, 2);
    // a process of that version beside ours: the next sweep sees to it, and no further one looks
    await queue.redis.zrem(set, id);
    await queue.sweep();
    assert.deepEqual(await like(id.slice(0, 12)), [id]);
    const swept = await scans();
    await queue.sweep();
    assert.equal(await scans(), swept);
  });

  it('finds by address, in an index once the sweep has seen what has none, without a look at other records', async () => {
    const hgets = async () =>
      Number(/cmdstat_h(?:m?get|getall):calls=(\d+)/.exec(await queue.redis.info('commandstats'))?.[1] ?? 0);
    const from = (name: string, ...to: string[]) => ({ from: name, to });
    const first = await take(queue, { octets: 'a1', envelope: from('Ada@Far.example', 'x@own.example') });
    const second = await take(queue, {
      octets: 'a2',
      envelope: from('', 'y@own.example', 'ADA@far.example'),
    });
    const third = await take(queue, {
      ...{ octets: 'a3', mailbox: 'orders' },
      envelope: from('other@far.example', 'x@own.example'),
    });
    await queue.redis.del('{sealpost}:addresses');
    const sets = async () =>
      (await queue.redis.keys('{sealpost}:ix:a:*')).filter((key) => key.startsWith('{sealpost}:ix:a:'));
    // as a version before has written them
    await queue.redis.del(...(await sets()));
    const address = 'ada@far.EXAMPLE';
    const both = [second.id, first.id].toSorted();
    const found = async (query: ListQuery) => (await all(queue, query)).toSorted();
    assert.deepEqual(await found({ address }), both, 'no index yet');
    await queue.sweep();
    assert.notEqual(await queue.redis.get('{sealpost}:addresses'), null);
    assert.ok((await sets()).length >= 4);
    for (let at = 0; at < 30; at++) await take(queue, { octets: `others ${at}` });
    const before = await hgets();
    assert.deepEqual(await found({ address }), both);
    assert.deepEqual(await found({ address: 'nobody@far.example' }), []);
    assert.ok((await hgets()) - before < 10, 'records of others were read');
    assert.deepEqual(await found({ address, limit: 1 }), both);
    assert.deepEqual(await found({ address, mailbox: 'orders' }), []);
    assert.deepEqual(await found({ address: 'x@own.example', mailbox: 'orders' }), [third.id]);
    assert.deepEqual(await found({ address: 'x@own.example', limit: 1 }), [first.id, third.id].toSorted());
    assert.deepEqual(await found({ address: 'far.example' }), []);
    await queue.flow.terminate(first.id, 'test');
    time += 1;
    // it comes to life again, and is not there twice
    await take(queue, { octets: 'a1', envelope: from('ada@far.example', 'z@own.example') });
    assert.deepEqual(await found({ address }), both);
    assert.deepEqual(await found({ address: 'x@own.example' }), [third.id]);
  });

  it('finds by address although another one of the same time shares its set', async () => {
    await queue.sweep();
    const { id } = await take(queue, {
      octets: 'shared',
      envelope: { from: 's@far.example', to: ['b@own.example'] },
    });
    const digest = createHash('sha1').update('s@far.example').digest('hex');
    const set = `{sealpost}:ix:a:${digest.slice(0, 4)}`;
    const score = String((await queue.redis.zscore(set, `${digest.slice(4, 12)}${id}`)) ?? '');
    assert.equal(score, String(time));
    // more of a stranger before and behind it than one look examines, all of the same time
    const strangers = (letter: string) =>
      Array.from({ length: 1100 }, (_, at) => [score, `${letter.repeat(8)}i${String(at).padStart(31, '0')}`]);
    await queue.redis.zadd(set, ...[...strangers('0'), ...strangers('f')].flat());
    assert.deepEqual(await all(queue, { address: 's@far.example' }), [id]);
    await queue.redis.del(set);
  });

  it('forgets the addresses of a record with it', async () => {
    const { id } = await take(queue, {
      octets: 'gone',
      envelope: { from: 'gone@far.example', to: ['b@own.example'] },
    });
    const digest = createHash('sha1').update('gone@far.example').digest('hex');
    const set = `{sealpost}:ix:a:${digest.slice(0, 4)}`;
    assert.equal(await queue.redis.zcard(set), 1);
    await queue.flow.terminate(id, 'test');
    time += 400 * 86_400_000;
    await queue.sweep();
    assert.equal(await queue.ledger.get(id), null);
    assert.equal(await queue.redis.exists(set), 0);
  });

  it('finds by a span of time', async () => {
    time += 1;
    const { id } = await take(queue, { octets: 'in the middle' });
    const at = (await queue.ledger.get(id))?.receivedAt ?? 0;
    time += 1;
    await take(queue, { octets: 'afterwards' });
    assert.deepEqual(await all(queue, { since: at, until: at + 1 }), [id]);
    assert.ok(!(await all(queue, { until: at })).includes(id));
    assert.deepEqual(await all(queue, { since: at, until: at + 1, state: 'received', mailbox: 'edi' }), [id]);
  });

  it('gives the ids of many without their records, more than one look of the script', async () => {
    await Promise.all(
      Array.from({ length: 2500 }, (_, at) =>
        take(queue, { octets: `many ${at}`, mailbox: at % 5 === 0 ? 'rare' : 'many' }),
      ),
    );
    const ids: string[] = [];
    for await (const id of queue.ledger.ids({ mailbox: 'many', state: 'received' })) ids.push(id);
    assert.equal(new Set(ids).size, 2000);
    assert.equal(ids.length, 2000);
    assert.equal((await all(queue, { mailbox: 'rare', limit: 7 })).length, 500);
  });

  it('keeps count of the octets that are held, to the octet', async () => {
    const held = async () => {
      const load = await queue.ledger.load();
      return { received: load.received ?? 0, suspended: load.suspended ?? 0 };
    };
    const start = await held();
    const { id } = await take(queue, { octets: 'x'.repeat(1000) });
    assert.deepEqual(await held(), { ...start, received: start.received + 1000 });
    await queue.flow.suspend('inbound', await jobOf(queue, id), 'not-smime');
    assert.deepEqual(await held(), { received: start.received, suspended: start.suspended + 1000 });
    await queue.flow.resume(id);
    assert.deepEqual(await held(), { ...start, received: start.received + 1000 });
    await queue.flow.terminate(id, 'test');
    assert.deepEqual(await held(), start);
  });

  it('leaves nothing in any index of what it forgets', async () => {
    const room = await openTestQueue(
      server,
      {
        redis: { prefix: '{forget}' },
        retention: { ledger: '0s', duplicates: '0s' },
      },
      now,
    );
    const results = [];
    for (let at = 0; at < 5; at++)
      results.push(await take(room, { octets: `gone ${at}`, messageId: `<${at}@x>` }));
    for (const { id } of results) await room.flow.terminate(id, 'test');
    time += 1;
    assert.equal((await room.sweep()).records, 5);
    const keys = await room.redis.keys('{forget}:*');
    // Counters of what happened, which end by themselves.
    const tallies = keys.filter((key) => key.includes(':tally:'));
    for (const key of tallies) assert.ok((await room.redis.pttl(key)) > 0, key);
    const left = keys.filter(
      (key) => !/:(inbound|handoff|outbound|failures|tally):|keycheck|audit$|:(?:ids|addresses)$/.test(key),
    );
    assert.deepEqual(
      left.filter((key) => !key.endsWith(':load')),
      [],
    );
    assert.ok(Object.values(await room.ledger.load()).every((octets) => octets === 0));
    await room.close();
  });
});

describe('retention by number', () => {
  it('forgets the oldest of those that have ended, and still knows those it delivered as duplicates', async (t) => {
    const server = await startTestRedis();
    t.after(() => server.stop());
    const queue = await openTestQueue(server, { retention: { records: 10 } }, now);
    t.after(() => queue.close());
    const ids: string[] = [];
    for (let at = 0; at < 25; at++) {
      ids.push((await take(queue, { octets: `${at}` })).id);
      time += 1;
    }
    for (const id of ids.slice(0, 20)) await deliver(queue, id);
    assert.equal((await queue.sweep()).records, 10);
    const kept = await all(queue, {});
    assert.deepEqual(new Set(kept), new Set(ids.slice(10)));
    assert.equal((await queue.sweep()).records, 0);
    assert.deepEqual(await take(queue, { octets: '4' }), { id: ids[4], duplicate: true });
    assert.equal(await queue.ledger.get(ids[4] ?? ''), null);
    assert.equal((await take(queue, { octets: 'new' })).duplicate, false);
  });
});

describe('what makes a duplicate', () => {
  it('is Message-ID, UID or octets as the mailbox says, also after a restart', async (t) => {
    const server = await startTestRedis();
    t.after(() => server.stop());
    const mailbox = (name: string, more: object) => ({
      name,
      addresses: [`${name}@own.example`],
      ...partnerWithout,
      ...more,
    });
    const settings = {
      mailboxes: [
        mailbox('content', {}),
        mailbox('id', { duplicatesBy: 'message-id' }),
        mailbox('uid', { duplicatesBy: 'uid' }),
      ],
    };
    let queue = await openTestQueue(server, settings);
    t.after(() => queue.close());
    const again = async (mail: Mail) => (await take(queue, mail)).duplicate;
    const messageId = '<1@x>';
    for (const restarted of [false, true]) {
      if (restarted) {
        await queue.close();
        await server.kill();
        await server.start();
        queue = await openTestQueue(server, settings);
      }
      assert.equal(await again({ mailbox: 'content', octets: 'a', messageId }), restarted);
      assert.equal(await again({ mailbox: 'content', octets: 'b', messageId }), restarted);
      assert.equal(await again({ mailbox: 'id', octets: 'a', messageId }), restarted);
      assert.equal(await again({ mailbox: 'id', octets: 'b', messageId }), true);
      assert.equal(await again({ mailbox: 'id', octets: 'a', messageId: null }), restarted);
      assert.equal(await again({ mailbox: 'uid', octets: 'a', origin: imap(1) }), restarted);
      assert.equal(await again({ mailbox: 'uid', octets: 'a', origin: imap(2) }), restarted);
      assert.equal(await again({ mailbox: 'uid', octets: 'a', origin: imap(1, '8') }), restarted);
      assert.equal(await again({ mailbox: 'uid', octets: 'other', origin: imap(1) }), true);
    }
  });
});
