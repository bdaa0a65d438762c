import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import type {
  InboundJob,
  IntakeResult,
  JobHandler,
  MessageState,
  Outcome,
  QueueName,
  QueueRoom,
} from '../../src/queue/index.ts';
import type { FinishedOctets, SpoolRef } from '../../src/spool/index.ts';
import { accept, until } from '../support/messages.ts';
import { commitOne, openTestQueue } from '../support/queue.ts';
import { startTestRedis, type TestRedis } from '../support/redis.ts';

let server: TestRedis;
let queue: QueueRoom;
before(async () => {
  server = await startTestRedis();
  queue = await openTestQueue(server, {
    spool: { inlineLimit: '1KiB' },
    retry: { attempts: 3, firstDelay: '100ms', maxDelay: '100ms' },
  });
});
after(async () => {
  await queue.close();
  await server.stop();
});

/** Runs a handler until the message has the state and no job is in progress. */
async function work<N extends QueueName>(
  name: N,
  id: string,
  state: MessageState,
  handler: JobHandler<N>,
): Promise<void> {
  const worker = await queue.queues.createWorker(name, handler, { concurrency: 4 });
  await until(async () => (await queue.ledger.get(id))?.state === state);
  await worker.close(5000);
}

async function decode(job: InboundJob, destinations: string[], content = 'decoded'): Promise<Outcome> {
  const writer = queue.spool.create();
  await writer.write(Buffer.from(content));
  const rest = { result: Buffer.from('{}'), destinations, partner: 'acme', partnerBy: null, facts: {} };
  await queue.flow.decoded(job, { content: writer, ...rest });
  return { done: true };
}

async function send(from: QueueRoom, text: string): Promise<IntakeResult> {
  const writer = from.intake.begin();
  await writer.write(Buffer.from(text));
  const envelope = { from: 'edi@example.net', to: ['partner@example.com'] };
  const origin = { kind: 'command', detail: {} } as const;
  return await commitOne(from, writer, { partner: 'acme', origin, envelope, messageId: null });
}

async function events(id: string, from = queue): Promise<string[]> {
  return (await from.ledger.get(id))?.events.map(({ type }) => type) ?? [];
}

/** Ended messages leave no octets and no jobs behind. */
async function nothingLeft(): Promise<void> {
  assert.deepEqual(await queue.redis.keys('{sealpost}:[of]:*'), []);
  const spool = join(server.dataDir, 'spool');
  const files = await readdir(spool, { recursive: true, withFileTypes: true }).catch(() => []);
  assert.deepEqual(
    files.filter((entry) => entry.isFile()),
    [],
  );
  for (const name of ['inbound', 'handoff', 'outbound', 'failures'])
    assert.deepEqual(await queue.redis.keys(`{sealpost}:${name}:[io][0-9a-f]*[0-9a-f]`), []);
}

describe('a message on its way', () => {
  for (const size of [100, 5000]) {
    it(`goes through both queues to two destinations, ${size} octets`, async () => {
      const octets = randomBytes(size);
      const { id } = await accept(queue, octets);
      await work('inbound', id, 'decoded', async (job, context) => {
        assert.deepEqual([context.attempt, context.last], [1, false]);
        const fetched = await queue.flow.fetch(job.id, [job.octets]);
        assert.equal(fetched.state, 'received');
        assert.deepEqual(fetched.octets[0] ?? (await queue.spool.read(job.octets)), octets);
        return await decode(job, ['one', 'two'], octets.toString('hex'));
      });
      const delivered: boolean[] = [];
      await work('handoff', id, 'delivered', async (job) => {
        assert.equal((await queue.spool.read(job.content)).toString(), octets.toString('hex'));
        assert.deepEqual(await queue.spool.read(job.original), octets);
        delivered.push((await queue.flow.handedOff(job, { status: 200 })).delivered);
        return { done: true };
      });
      assert.deepEqual(delivered, [false, true]);
      const all = ['received', 'decoded', 'handed-off', 'handed-off', 'delivered'];
      assert.deepEqual(await events(id), all);
      await nothingLeft();
    });
  }

  it('is not decoded or handed off twice when a job runs again', async () => {
    const { id } = await accept(queue, 'runs again');
    await work('inbound', id, 'decoded', async (job) => {
      await decode(job, ['one'], 'x'.repeat(3000));
      return await decode(job, ['one'], 'x'.repeat(3000));
    });
    await work('handoff', id, 'delivered', async (job) => {
      assert.deepEqual(await queue.flow.handedOff(job, {}), { delivered: true });
      assert.deepEqual(await queue.flow.handedOff(job, {}), { delivered: false });
      return { done: true };
    });
    assert.deepEqual(await events(id), ['received', 'decoded', 'handed-off', 'delivered']);
    await nothingLeft();
  });

  it('keeps the original as long as retention says', async () => {
    const room = await openTestQueue(server, {
      spool: { inlineLimit: '1KiB' },
      retention: { original: '1h' },
    });
    const { id } = await accept(room, 'kept');
    await work('inbound', id, 'decoded', (job) => decode(job, ['one']));
    await work('handoff', id, 'delivered', async (job) => {
      await room.flow.handedOff(job, {});
      return { done: true };
    });
    const kept = await room.redis.keys('{sealpost}:o:*');
    assert.equal(kept.length, 1);
    assert.ok((await room.redis.pttl(kept[0] ?? '')) > 3_000_000);
    await room.redis.del(...kept);
    await room.close();
  });
});

describe('content that a destination reads later', () => {
  for (const size of [100, 5000]) {
    it(`is held as long as the destination was told, ${size} octets`, async () => {
      const { id } = await accept(queue, randomBytes(size));
      await work('inbound', id, 'decoded', (job) => decode(job, ['url', 'other'], 'x'.repeat(size)));
      const until = Date.now() + 1500;
      await work('handoff', id, 'delivered', async (job) => {
        await queue.flow.handedOff(job, {}, job.destination === 'url' ? until : undefined);
        return { done: true };
      });
      const refs = await queue.flow.contentOf(id);
      assert.ok(refs);
      assert.equal((await queue.spool.read(refs.content)).toString(), 'x'.repeat(size));
      const room = await openTestQueue(server, { spool: { sweepAfter: '0s' } });
      assert.equal((await room.sweep()).files, 0);
      await new Promise((resolve) => setTimeout(resolve, until - Date.now() + 20));
      await room.sweep();
      await room.close();
      await assert.rejects(queue.spool.read(refs.content), { code: 'spool-missing' });
      await nothingLeft();
    });
  }

  it('is held and let go with its pieces, which count among its octets', async () => {
    const { id } = await accept(queue, 'with pieces');
    const before = Number(await queue.redis.hget(`{sealpost}:m:${id}`, 'o'));
    const refs: SpoolRef[] = [];
    await work('inbound', id, 'decoded', async (job) => {
      const content = queue.spool.create();
      await content.write(Buffer.from('whole'));
      const pieces: FinishedOctets[] = [];
      for (const size of [10, 5000]) {
        const piece = queue.spool.create();
        await piece.write(Buffer.alloc(size, 'p'));
        pieces.push(...(await piece.finish()));
      }
      refs.push(...pieces.map(({ ref }) => ref));
      const rest = {
        result: Buffer.from('{}'),
        destinations: ['one', 'two'],
        partner: null,
        partnerBy: null,
        facts: {},
      };
      await queue.flow.decoded(job, { content, pieces, ...rest });
      return { done: true };
    });
    assert.deepEqual(
      refs.map(({ kind }) => kind),
      ['inline', 'file'],
    );
    const octets = Number(await queue.redis.hget(`{sealpost}:m:${id}`, 'o'));
    assert.equal(octets - before, 5 + 2 + 10 + 5000);
    const room = await openTestQueue(server, { spool: { sweepAfter: '0s' } });
    assert.equal((await room.sweep()).files, 0);
    await work('handoff', id, 'delivered', async (job) => {
      for (const ref of refs) {
        const read = await queue.spool.read(ref);
        assert.deepEqual(read, Buffer.alloc(ref.octets, 'p'));
      }
      await queue.flow.handedOff(job, {});
      return { done: true };
    });
    await room.sweep();
    await room.close();
    for (const ref of refs) await assert.rejects(queue.spool.read(ref), { code: 'spool-missing' });
    await nothingLeft();
  });

  it('is not there for one who was told nothing', async () => {
    const { id } = await accept(queue, 'no url');
    assert.equal(await queue.flow.contentOf(id), null);
    await work('inbound', id, 'decoded', (job) => decode(job, ['one']));
    await work('handoff', id, 'delivered', async (job) => {
      await queue.flow.handedOff(job, {});
      return { done: true };
    });
    assert.equal(await queue.flow.contentOf(id), null);
  });
});

describe('retry, suspend, resume, terminate', () => {
  it('does not count attempts that asked nobody', async () => {
    const { id } = await accept(queue, 'untried');
    const attempts: number[] = [];
    await work('inbound', id, 'decoded', (job) => decode(job, ['one']));
    await work('handoff', id, 'suspended', async (_job, { attempt }) => {
      attempts.push(attempt);
      if (attempts.length < 5) return { retry: 'handoff-failed', untried: true, after: 100 };
      return { retry: 'handoff-failed' };
    });
    assert.deepEqual(attempts, [1, 1, 1, 1, 1, 2, 3]);
    await queue.flow.terminate(id, 'test');
  });

  it('keeps who has it by now, through retries, suspension and resume', async () => {
    const { id } = await send(queue, 'for three');
    const seen: (readonly string[])[] = [];
    await work('outbound', id, 'suspended', async ({ reached = [] }) => {
      seen.push(reached);
      if (seen.length === 1) return { retry: 'send-failed', reached: ['a@x'] };
      if (seen.length === 2) return { retry: 'send-failed', untried: true, after: 50, reached: ['b@x'] };
      return { suspend: 'send-refused' };
    });
    assert.equal(await queue.flow.resume(id), true);
    await work('outbound', id, 'sent', async (job) => {
      seen.push(job.reached ?? []);
      await queue.flow.sent(job, {});
      return { done: true };
    });
    assert.deepEqual(seen, [[], ['a@x'], ['a@x', 'b@x'], ['a@x', 'b@x']]);
  });

  it('tries as often as the schedule says, then suspends at no cost', async () => {
    const { id } = await accept(queue, 'tries');
    const attempts: string[] = [];
    await work('inbound', id, 'suspended', async (_job, { attempt, last }) => {
      attempts.push(`${attempt} ${last}`);
      if (attempt === 2) throw new TypeError('text of a message');
      return { retry: 'decrypt-failed' };
    });
    assert.deepEqual(attempts, ['1 false', '2 false', '3 true']);
    const record = await queue.ledger.get(id);
    assert.equal(record?.reason, 'attempts-exhausted');
    assert.deepEqual(
      record?.events.map(({ type, facts }) => [type, facts.reason ?? null]),
      [
        ['received', null],
        ['retried', 'decrypt-failed'],
        ['retried', 'internal'],
        ['suspended', 'attempts-exhausted'],
      ],
    );
    assert.doesNotMatch(JSON.stringify(record), /text of a message/);
    assert.deepEqual(await queue.queues.depth().then(({ inbound }) => inbound), {
      waiting: 0,
      active: 0,
      delayed: 0,
    });
    assert.deepEqual(await queue.redis.keys(`{sealpost}:inbound:${id}*`), []);

    assert.equal(await queue.flow.resume(id, { by: 'operator' }), true);
    assert.equal(await queue.flow.resume(id), false);
    assert.equal((await queue.ledger.get(id))?.reason, null);
    await work('inbound', id, 'decoded', (job) => decode(job, ['one']));
    await work('handoff', id, 'delivered', async (job) => {
      await queue.flow.handedOff(job, {});
      return { done: true };
    });
    await nothingLeft();
  });

  it('suspends one destination while the other continues', async () => {
    const { id } = await accept(queue, 'two destinations');
    await work('inbound', id, 'decoded', (job) => decode(job, ['good', 'bad']));
    await work('handoff', id, 'suspended', async (job) => {
      if (job.destination === 'bad') return { suspend: 'handoff-failed', facts: { status: 410 } };
      await until(async () => (await queue.ledger.get(id))?.state === 'suspended');
      assert.deepEqual(await queue.flow.handedOff(job, {}), { delivered: false });
      return { done: true };
    });
    const record = await queue.ledger.get(id);
    assert.deepEqual([record?.state, record?.reason], ['suspended', 'handoff-failed']);
    await queue.flow.resume(id);
    assert.equal((await queue.ledger.get(id))?.state, 'decoded');
    await work('handoff', id, 'delivered', async (job) => {
      assert.equal(job.destination, 'bad');
      assert.deepEqual(await queue.flow.handedOff(job, {}), { delivered: true });
      return { done: true };
    });
    await nothingLeft();
  });

  it('loses nothing when it is resumed before the suspended job is gone', async () => {
    const { id } = await accept(queue, 'resumed early');
    await work('inbound', id, 'decoded', async (job, { attempt }) => {
      const resumed = (await events(id)).includes('resumed');
      if (resumed) return await decode(job, ['one']);
      assert.equal(attempt, 1);
      await queue.flow.suspend('inbound', job, 'decrypt-no-key');
      await queue.flow.resume(id);
      return { done: true };
    });
    await queue.flow.terminate(id, 'test');
    await drain('handoff');
    await nothingLeft();
  });

  it('terminates what is suspended, and says so to what still runs', async () => {
    const { id } = await accept(queue, randomBytes(5000));
    await work('inbound', id, 'decoded', (job) => decode(job, ['one'], 'x'.repeat(5000)));
    assert.equal(await queue.flow.terminate(id, 'asked by the partner'), true);
    assert.equal(await queue.flow.terminate(id, 'again'), false);
    assert.equal(await queue.flow.resume(id), false);
    assert.equal((await accept(queue, 'other')).duplicate, false);
    await drain('handoff', async (job) => {
      const { state } = await queue.flow.fetch(job.id, [job.content]);
      assert.equal(state, 'terminated');
      assert.deepEqual(await queue.flow.handedOff(job, {}), { delivered: false });
    });
    const record = await queue.ledger.get(id);
    assert.equal(record?.state, 'terminated');
    const [ended, late] = record?.events.slice(-2) ?? [];
    assert.equal(ended?.facts.why, 'asked by the partner');
    assert.deepEqual([late?.type, late?.facts.late], ['handed-off', true]);
    await drain('inbound', async (job) => void (await queue.flow.terminate(job.id, 'test')));
    await nothingLeft();
  });

  it('does not know what was never accepted', async () => {
    await assert.rejects(queue.flow.resume('i0'), { code: 'message-unknown' });
    await assert.rejects(queue.flow.terminate('i0', 'x'), { code: 'message-unknown' });
    assert.equal(await queue.ledger.get('i0'), null);
  });
});

/** Runs what waits in a queue to its end. */
async function drain<N extends QueueName>(
  name: N,
  each: (job: Parameters<JobHandler<N>>[0]) => Promise<void> = async () => undefined,
): Promise<void> {
  let failure: unknown;
  const worker = await queue.queues.createWorker(
    name,
    async (job) => {
      await each(job).catch((error: unknown) => {
        failure = error;
      });
      return { done: true };
    },
    { concurrency: 1 },
  );
  await until(async () => {
    const { waiting, active, delayed } = (await queue.queues.depth())[name];
    return waiting + active + delayed === 0;
  });
  await worker.close(5000);
  if (failure) throw failure;
}

describe('worker processes', () => {
  // The record says sent a moment before BullMQ has removed the job.
  const idle = () =>
    until(async () => {
      const { waiting, active, delayed } = (await queue.queues.depth()).outbound;
      return waiting + active + delayed === 0;
    });
  const start = (url: string, dataDir: string, behaviour: 'hang' | 'done' | 'poison'): ChildProcess => {
    const file = fileURLToPath(new URL('worker-process.ts', import.meta.url));
    return fork(file, [url, dataDir, behaviour], { stdio: 'inherit' });
  };

  it('a job of a killed one is done by another', async () => {
    const { id } = await send(queue, 'killed once');
    const first = start(server.url, server.dataDir, 'hang');
    await once(first, 'message');
    first.kill('SIGKILL');
    const second = start(server.url, server.dataDir, 'done');
    await until(async () => (await queue.ledger.get(id))?.state === 'sent');
    assert.deepEqual(await events(id), ['queued', 'sent']);
    await idle();
    second.kill('SIGKILL');
    await once(second, 'exit');
    await nothingLeft();
  });

  it('a message that ends each of them is suspended, and the others go on', async () => {
    const poison = await send(queue, 'poison');
    for (let kill = 0; kill < 5; kill++) {
      const process = start(server.url, server.dataDir, 'hang');
      const [message] = await once(process, 'message');
      assert.deepEqual(message, { started: poison.id });
      process.kill('SIGKILL');
      await once(process, 'exit');
    }
    const other = await send(queue, 'other');
    const last = start(server.url, server.dataDir, 'done');
    await until(async () => (await queue.ledger.get(poison.id))?.state === 'suspended');
    await until(async () => (await queue.ledger.get(other.id))?.state === 'sent');
    assert.equal((await queue.ledger.get(poison.id))?.reason, 'worker-crashed');
    await queue.flow.resume(poison.id);
    await until(async () => (await queue.ledger.get(poison.id))?.state === 'sent');
    await idle();
    last.kill('SIGKILL');
    await once(last, 'exit');
    await nothingLeft();
  });

  it('its neighbours in the same process are not suspended with it', async () => {
    const poison = await send(queue, 'poison');
    const neighbours = [];
    for (let count = 0; count < 12; count++) neighbours.push(await send(queue, `neighbour ${count}`));
    await queue.redis.set('test:poison', poison.id);
    let deaths = 0;
    const suspended = async () => (await queue.ledger.get(poison.id))?.state === 'suspended';
    while (!(await suspended())) {
      const process = start(server.url, server.dataDir, 'poison');
      const exit = once(process, 'exit').then(() => true);
      const died = await Promise.race([exit, until(suspended).then(() => false)]);
      if (died) deaths += 1;
      else process.kill('SIGKILL');
      await exit;
      assert.ok(deaths < 7, 'it ends');
    }
    const last = start(server.url, server.dataDir, 'done');
    for (const { id } of neighbours) await until(async () => (await queue.ledger.get(id))?.state === 'sent');
    const record = await queue.ledger.get(poison.id);
    assert.deepEqual([record?.reason, record?.events.at(-1)?.facts.starts, deaths], ['worker-crashed', 5, 5]);
    await queue.flow.terminate(poison.id, 'test');
    await idle();
    last.kill('SIGKILL');
    await once(last, 'exit');
    await queue.redis.del('test:poison');
    await nothingLeft();
  });

  it('close waits for jobs in progress, but not longer than it is told', async () => {
    const { id } = await send(queue, 'slow');
    const started = Promise.withResolvers<void>();
    const stuck = await queue.queues.createWorker(
      'outbound',
      async (_job, { signal }) => {
        started.resolve();
        await once(signal, 'abort');
        return { done: true };
      },
      { concurrency: 1, lockDuration: 400 },
    );
    await started.promise;
    await stuck.close(50);
    await stuck.close(50);
    // Its lock runs out, and another one gets the job.
    const worker = await queue.queues.createWorker(
      'outbound',
      async (job) => {
        await queue.flow.sent(job, {});
        return { done: true };
      },
      { concurrency: 1, lockDuration: 400 },
    );
    await until(async () => (await queue.ledger.get(id))?.state === 'sent');
    await worker.close(5000);
    await nothingLeft();
  });

  it('works on when redis was killed and is back', async () => {
    const worker = await queue.queues.createWorker(
      'outbound',
      async (job) => {
        await queue.flow.sent(job, {});
        return { done: true };
      },
      { concurrency: 4, lockDuration: 1000 },
    );
    await server.kill();
    await server.start();
    await until(async () => queue.redis.status === 'ready');
    const { id } = await send(queue, 'after the crash');
    await until(async () => (await queue.ledger.get(id))?.state === 'sent');
    await worker.close(5000);
  });
});
