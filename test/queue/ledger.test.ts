import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { ListQuery, QueueRoom } from '../../src/queue/index.ts';
import { accept } from '../support/messages.ts';
import { openTestQueue } from '../support/queue.ts';
import { startTestRedis, type TestRedis } from '../support/redis.ts';

describe('ledger', () => {
  let server: TestRedis;
  let queue: QueueRoom;
  const ids: string[] = [];
  before(async () => {
    server = await startTestRedis();
    queue = await openTestQueue(server);
    // Many of them in the same millisecond: pages must not lose or repeat any.
    for (let round = 0; round < 3; round++) {
      const results = await Promise.all(
        Array.from({ length: 200 }, (_, at) =>
          accept(queue, `${round} ${at}`, at % 4 === 0 ? 'edi' : 'orders'),
        ),
      );
      ids.push(...results.map(({ id }) => id));
    }
  });
  after(async () => {
    await queue.close();
    await server.stop();
  });

  const all = async (query: ListQuery): Promise<string[]> => {
    const found: string[] = [];
    let cursor: string | null = null;
    do {
      const page = await queue.ledger.list(cursor === null ? query : { ...query, cursor });
      found.push(...page.messages.map(({ id }) => id));
      cursor = page.cursor;
    } while (cursor !== null);
    return found;
  };

  it('lists every message once over pages of any size, newest first', async () => {
    for (const limit of [1, 7, 50, 600, 1000]) {
      const found = await all({ limit });
      assert.equal(found.length, 600, `pages of ${limit}`);
      assert.deepEqual(new Set(found), new Set(ids));
    }
    const { messages } = await queue.ledger.list({ limit: 600 });
    const times = messages.map(({ receivedAt }) => receivedAt);
    assert.deepEqual(
      times,
      times.toSorted((a, b) => b - a),
    );
  });

  it('lists by mailbox, state, partner and time', async () => {
    assert.equal((await all({ mailbox: 'edi' })).length, 150);
    assert.equal((await all({ mailbox: 'edi', state: 'received' })).length, 150);
    assert.equal((await all({ mailbox: 'nobody' })).length, 0);
    assert.equal((await all({ partner: 'acme' })).length, 0);
    const [id = ''] = ids;
    await queue.flow.terminate(id, 'test');
    assert.deepEqual(await all({ state: 'terminated' }), [id]);
    assert.equal((await all({ state: 'received' })).length, 599);
    const last = await queue.ledger.get(ids.at(-1) ?? '');
    const since = await all({ since: last?.receivedAt ?? 0 });
    assert.ok(since.includes(last?.id ?? '') && since.length < 600);
    await assert.rejects(queue.ledger.list({ cursor: 'nonsense' }), { code: 'usage' });
  });

  it('counts by state', async () => {
    const counts = await queue.ledger.count();
    assert.equal(counts.received + counts.terminated, 600);
    assert.equal(counts.delivered, 0);
  });

  it('forgets what has ended when its time is over, and nothing else', async () => {
    const [first = '', second = ''] = ids.slice(10);
    await queue.flow.terminate(first, 'test');
    const room = await openTestQueue(server, { retention: { ledger: '0s', duplicates: '0s' } });
    await new Promise((resolve) => setTimeout(resolve, 5));
    const { records } = await room.sweep();
    assert.ok(records >= 1);
    assert.equal(await room.ledger.get(first), null);
    assert.equal((await room.ledger.get(second))?.state, 'received');
    assert.equal((await all({})).length, 600 - records);
    assert.equal((await room.sweep()).records, 0);
    await room.close();
  });

  it('stays small when a message is retried for weeks', async () => {
    const id = ids[50] ?? '';
    for (let at = 0; at < 1000; at++)
      await queue.ledger.note(id, { type: 'retried', at, facts: { reason: 'send-failed', attempt: at } });
    const size = await queue.redis.hstrlen(`{sealpost}:m:${id}`, 'e');
    assert.ok(size > 20_000 && size < 32_000);
  });
});
