import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Outcome, QueueRoom } from '../../src/queue/index.ts';
import { keysOf } from '../../src/queue/keys.ts';
import { bringLateForward } from '../../src/queue/worker-parts.ts';
import { accept, until } from '../support/messages.ts';
import { useTestQueue } from '../support/queue.ts';

const day = 86_400_000;
const hour = 3_600_000;
let queue: QueueRoom;
useTestQueue(
  (opened) => {
    queue = opened.queue;
  },
  { retry: { attempts: 3, firstDelay: '1h', maxDelay: '1h' } },
);

describe('a retry that was planned by a clock that was ahead', () => {
  const keys = keysOf('{sealpost}');
  const delayed = `{sealpost}:inbound:delayed`;
  const later = (by: number) => queue.redis.zincrby(delayed, by * 4096, id);
  let id = '';
  let starts = 0;
  const work = async (): Promise<Outcome> => {
    starts += 1;
    return starts === 1 ? { retry: 'decrypt-failed' } : { suspend: 'decrypt-failed' };
  };

  it('is brought forward and runs; one that is planned as it should be is not touched', async () => {
    ({ id } = await accept(queue, 'planned a day ahead'));
    const worker = await queue.queues.createWorker('inbound', work, { concurrency: 1 });
    await until(async () => (await queue.queues.depth()).inbound.delayed === 1);
    assert.equal(await bringLateForward(queue.redis, keys, 'inbound', hour, Date.now()), 0);

    await later(day);
    // A worker whose own clock is a week behind Redis's sees all of them far ahead, and does not touch them.
    await later(-day);
    assert.equal(await bringLateForward(queue.redis, keys, 'inbound', hour, Date.now() - 7 * day), 0);
    assert.equal(starts, 1);

    await later(day);
    assert.equal(await bringLateForward(queue.redis, keys, 'inbound', hour, Date.now()), 1);
    await until(async () => (await queue.ledger.get(id))?.state === 'suspended');
    assert.equal(starts, 2);
    await worker.close(5000);
  });
});
