import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import type { QueueRoom } from '../../src/queue/index.ts';
import { records } from '../../src/queue/lua.ts';
import { primaryWrites } from '../../src/redis/durable-writes.ts';
import { script } from '../../src/redis/scripts.ts';
import { accept } from '../support/messages.ts';
import { openTestQueue } from '../support/queue.ts';
import { startTestRedis, type TestRedis } from '../support/redis.ts';

/** Octets reach Redis with the script that names them, in one transaction, and never outlive it unreferenced. */
describe('octets that come beside their script', () => {
  let server: TestRedis;
  let queue: QueueRoom;
  before(async () => {
    server = await startTestRedis();
    queue = await openTestQueue(server, {
      spool: { inlineLimit: '64KiB' },
      limits: { queue: { inbound: { depth: 12 } } },
    });
  });
  after(async () => {
    await queue.close();
    await server.stop();
  });
  afterEach(async () => {
    for (const { id } of (await queue.ledger.list({})).messages) await queue.flow.terminate(id, 'test');
  });

  const octetKeys = async () => (await queue.redis.keys('{sealpost}:o:*')).sort();
  const lives = async () => Promise.all((await octetKeys()).map((key) => queue.redis.pttl(key)));

  it('stay for good when their message was accepted', async () => {
    await Promise.all(['a', 'b', 'c'].map((text) => accept(queue, text)));
    assert.deepEqual(await lives(), [-1, -1, -1]);
  });

  it('go at once when their message is a duplicate', async () => {
    const [first, second] = [await accept(queue, 'twice'), await accept(queue, 'twice')];
    assert.deepEqual(second, { id: first.id, duplicate: true });
    assert.equal((await octetKeys()).length, 1);
  });

  it('are there when the server has forgotten its scripts', async () => {
    await queue.redis.script('FLUSH');
    const { id } = await accept(queue, 'forgotten');
    assert.deepEqual(await lives(), [-1]);
    const [data] = await queue.redis.hmget(`{sealpost}:inbound:${id}`, 'data');
    assert.equal((await queue.spool.read(JSON.parse(data ?? '').octets)).toString(), 'forgotten');
    // None of the answers says that the transaction with NOSCRIPT in it kept them.
    await queue.redis.script('FLUSH');
    await Promise.all(['d', 'e'].map((text) => accept(queue, text)));
    assert.deepEqual(await lives(), [-1, -1, -1]);
  });

  it('count inside of a batch: the limit is met by the messages before, and what is refused leaves nothing', async () => {
    const texts = Array.from({ length: 20 }, (_, at) => `flood ${at}`);
    const results = await Promise.allSettled(texts.map((text) => accept(queue, text)));
    const refused = results.filter((each) => each.status === 'rejected');
    assert.equal(results.length - refused.length, 12);
    for (const { reason } of refused) assert.equal(reason.code, 'queue-full');
    assert.equal((await octetKeys()).length, 12);
    assert.equal((await queue.ledger.count()).received, 12);
  });

  it('end by themselves when their script fails', async () => {
    const kept = primaryWrites(queue.redis, '{sealpost}');
    const octets = [['b'.repeat(32), Buffer.from('stray')]] as const;
    await assert.rejects(kept.run(script("error('broken')"), [], 'test', octets), { code: 'internal' });
    const [life] = await lives();
    assert.ok(life !== undefined && life > 0 && life <= 3_600_000, `${life} ms`);
  });

  it('must come with their script', async () => {
    const kept = primaryWrites(queue.redis, '{sealpost}');
    const broken = script(records, "keep_octets('i1', 'i:' .. string.rep('c', 32))");
    await assert.rejects(kept.run(broken, [], 'test'), { code: 'internal' });
    assert.equal(await kept.run(broken, [], 'test', [['c'.repeat(32), Buffer.from('here')]]), null);
  });
});
