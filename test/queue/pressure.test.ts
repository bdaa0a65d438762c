import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { QueueRoom } from '../../src/queue/index.ts';
import { accept, until } from '../support/messages.ts';
import { commitOne, openTestQueue } from '../support/queue.ts';
import { startTestRedis } from '../support/redis.ts';

const full = { code: 'queue-full' };

async function send(queue: QueueRoom): Promise<string> {
  const writer = queue.intake.begin();
  await writer.write(Buffer.from('out'));
  const entry = { partner: 'acme', origin: { kind: 'command', detail: {} } as const, messageId: null };
  return (await commitOne(queue, writer, { ...entry, envelope: { from: 'a@b.example', to: [] } })).id;
}

describe('backpressure', () => {
  it('refuses beyond the depth of a queue, each queue by itself, and accepts again by itself', async (t) => {
    const server = await startTestRedis();
    t.after(() => server.stop());
    const limits = { queue: { inbound: { depth: 3 }, outbound: { depth: 2 } } };
    const queue = await openTestQueue(server, { limits });
    t.after(() => queue.close());
    const ids = [];
    for (const text of ['a', 'b', 'c']) ids.push((await accept(queue, text)).id);
    await assert.rejects(accept(queue, 'd'), full);
    const sent = [await send(queue), await send(queue)];
    await assert.rejects(send(queue), full);
    assert.equal((await queue.ledger.count()).received, 3);
    await queue.flow.terminate(ids[0] ?? '', 'test');
    assert.equal((await accept(queue, 'd')).duplicate, false);
    await assert.rejects(send(queue), full);
    await queue.flow.terminate(sent[0] ?? '', 'test');
    await send(queue);
  });

  it('never passes the limit however many come at once, and removes the file of a refused one', async (t) => {
    const server = await startTestRedis();
    t.after(() => server.stop());
    const queue = await openTestQueue(server, {
      limits: { queue: { inbound: { depth: 10 } } },
      spool: { inlineLimit: '1KiB', sweepAfter: '0s' },
    });
    t.after(() => queue.close());
    const results = await Promise.allSettled(
      Array.from({ length: 40 }, () => accept(queue, randomBytes(5000))),
    );
    assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 10);
    assert.equal((await queue.ledger.count()).received, 10);
    assert.equal((await queue.sweep()).files, 0);
  });

  it('refuses beyond the octets, and counts what is decoded for the intake as well', async (t) => {
    const server = await startTestRedis();
    t.after(() => server.stop());
    const limits = { queue: { inbound: { octets: '10KiB' }, handoff: { depth: 1 } } };
    const queue = await openTestQueue(server, { limits });
    t.after(() => queue.close());
    const { id } = await accept(queue, randomBytes(9000));
    await accept(queue, randomBytes(2000));
    await assert.rejects(accept(queue, 'small'), full);
    const job = JSON.parse((await queue.redis.hget(`{sealpost}:inbound:${id}`, 'data')) ?? '');
    const content = queue.spool.create();
    const outcome = {
      content,
      result: Buffer.from('{}'),
      destinations: ['x'],
      partner: null,
      partnerBy: null,
      facts: {},
    };
    await queue.flow.decoded(job, outcome);
    await assert.rejects(accept(queue, 'small'), { ...full, message: /handoff/ });
    await queue.flow.terminate(id, 'test');
    await accept(queue, 'small');
  });

  it('refuses when the memory of Redis is nearly full, and what was accepted still ends', async (t) => {
    const server = await startTestRedis({ maxmemory: '40mb' });
    t.after(() => server.stop());
    const queue = await openTestQueue(server, { limits: { redisMemory: 60 } });
    t.after(() => queue.close());
    assert.equal(queue.intake.refusal(), null);
    const ids: string[] = [];
    const refusal = await until(async () => {
      for (let at = 0; at < 5; at++) {
        const result = await accept(queue, randomBytes(200_000)).catch(() => undefined);
        if (result) ids.push(result.id);
      }
      return queue.intake.refusal() ?? undefined;
    });
    assert.equal(refusal.code, 'queue-full');
    await assert.rejects(accept(queue, 'one more'), full);
    // No memory is left: steps that free some must run anyway.
    await queue.redis.config('SET', 'maxmemory', '1mb');
    for (const id of ids) assert.equal(await queue.flow.terminate(id, 'test'), true);
    await queue.redis.config('SET', 'maxmemory', '40mb');
    await until(async () => queue.intake.refusal() === null);
    await accept(queue, 'one more');
  });

  it('refuses when the disk has less than the mark, and accepts when there is clearly more', async (t) => {
    const server = await startTestRedis();
    const disk = mountSmall();
    if (!disk) {
      await server.stop();
      return t.skip('no tmpfs can be mounted here');
    }
    t.after(() => server.stop());
    t.after(() => spawnSync('umount', [disk]));
    const queue = await openTestQueue(server, { spool: { directory: disk } });
    t.after(() => queue.close());
    assert.equal(queue.intake.refusal(), null);
    writeFileSync(join(disk, 'filler'), Buffer.alloc(15.5 * 1024 * 1024));
    await until(async () => queue.intake.refusal() !== null);
    await assert.rejects(accept(queue, 'no'), full);
    truncateSync(join(disk, 'filler'), 1024);
    await until(async () => queue.intake.refusal() === null);
    await accept(queue, 'yes');
  });
});

/** A disk of 16 MiB. */
function mountSmall(): string | undefined {
  const folder = mkdtempSync(join(tmpdir(), 'sealpost-disk-'));
  const { status } = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=16m', 'tmpfs', folder]);
  return status === 0 ? folder : undefined;
}
