/** A check on demand: who answers, once, and what of an answer counts. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Problem } from '../../src/config/index.ts';
import { Checking } from '../../src/daemon/checking.ts';
import { askCheck, checkWatch, lastAsked, putAnswer, readAnswers } from '../../src/daemon/checks.ts';
import { SealpostError } from '../../src/errors.ts';
import type { QueueRoom } from '../../src/queue/index.ts';
import { useTestQueue } from '../support/queue.ts';

const problem = (message: string): Problem => ({
  ...{ severity: 'error', file: 'sealpost.yaml', line: 1, column: 1, setting: 'smtp', message },
});

describe('a check on demand', () => {
  let queue: QueueRoom;
  useTestQueue((opened) => {
    queue = opened.queue;
  });

  it('is asked for once in ten seconds, and each process sees it once while it is fresh', async () => {
    const first = await askCheck(queue, 'ada', 1_000_000);
    assert.deepEqual(await askCheck(queue, 'bob', 1_009_999), first);
    const second = await askCheck(queue, 'bob', 1_010_000);
    assert.notEqual(second.id, first.id);
    assert.deepEqual(await lastAsked(queue), second);
    const told: string[] = [];
    const watch = checkWatch(queue, (id) => told.push(id));
    await watch(1_010_001);
    await watch(1_015_000);
    assert.deepEqual(told, [second.id]);
    const late: string[] = [];
    const lateWatch = checkWatch(queue, (id) => late.push(id));
    await lateWatch(1_010_000 + 60_001);
    assert.deepEqual(late, []);
    await lateWatch(1_010_000 + 60_000);
    assert.deepEqual(late, [second.id]);
  });

  it('is wanted by nobody who writes into Redis, and answered by nobody else', async () => {
    const asked = await askCheck(queue, 'ada', 2_000_000);
    const mine = { host: 'one', roles: ['api'], at: 1, problems: [], more: 0, error: null };
    await putAnswer(queue, asked.id, mine);
    const key = `{sealpost}:check:answers:${asked.id}`;
    await queue.redis.rpush(key, JSON.stringify({ ...mine, host: 'forged' }));
    // of another check
    await queue.redis.rpush(key, queue.seal('check-answer:other', { ...mine, host: 'moved' }));
    assert.deepEqual(await readAnswers(queue, asked.id), [mine]);
    assert.ok((await queue.redis.pttl(key)) > 0);
    await queue.redis.set('{sealpost}:check:asked', JSON.stringify({ id: 'x', at: 2_000_000, by: 'x' }));
    assert.equal(await lastAsked(queue), undefined);
  });

  it('runs once for each wish, one at a time, and has bounds', async () => {
    let runs = 0;
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const checking = new Checking(async () => {
      runs += 1;
      await held;
      return Array.from({ length: 201 }, (_, at) => problem(`${at} ${'x'.repeat(2000)}`));
    }, ['decrypt', 'outbound']);
    const first = checking.answer('a');
    assert.equal(await checking.answer('a'), undefined, 'another process tells the same');
    assert.equal(await checking.answer('b'), undefined, 'one is running');
    release();
    const answer = await first;
    assert.equal(runs, 1);
    assert.deepEqual(answer?.roles, ['decrypt', 'outbound']);
    assert.deepEqual([answer?.problems.length, answer?.more], [200, 1]);
    assert.equal(answer?.problems[0]?.message.length, 1000);
    assert.equal(await checking.answer('a'), undefined);
    assert.ok(await checking.answer('c'));
  });

  it('says why nothing could be checked', async () => {
    const checking = new Checking(async () => {
      throw new SealpostError('file-access', 'the file is away');
    }, ['api']);
    const answer = await checking.answer('a');
    assert.deepEqual([answer?.error, answer?.problems], ['the file is away', []]);
  });
});
