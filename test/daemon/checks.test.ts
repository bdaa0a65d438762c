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

const at = (time: number) => async () => time;

describe('a check on demand', () => {
  let queue: QueueRoom;
  useTestQueue((opened) => {
    queue = opened.queue;
  });

  it('is asked for once in ten seconds, and each process sees it once while it is fresh', async () => {
    const first = await askCheck(queue, 'ada', at(1_000_000));
    assert.deepEqual(await askCheck(queue, 'bob', at(1_009_999)), first);
    const second = await askCheck(queue, 'bob', at(1_010_000));
    assert.notEqual(second.id, first.id);
    assert.deepEqual(await lastAsked(queue), second);
    const told: string[] = [];
    const watch = checkWatch(queue, (id) => told.push(id), at(1_010_001));
    await watch();
    await watch();
    assert.deepEqual(told, [second.id]);
    for (const [off, sees] of [
      [60_001, false],
      [60_000, true],
      [-60_001, false],
    ] as const) {
      const late: string[] = [];
      await checkWatch(queue, (id) => late.push(id), at(1_010_000 + off))();
      assert.deepEqual(late, sees ? [second.id] : [], String(off));
    }
  });

  it('is asked for again by everybody, although a clock was ahead when it was asked for last', async () => {
    const first = await askCheck(queue, 'ada', at(9_000_000));
    assert.deepEqual(await askCheck(queue, 'bob', at(8_990_001)), first);
    assert.notEqual((await askCheck(queue, 'bob', at(8_990_000))).id, first.id);
  });

  it("goes by Redis's clock, which all machines have", async () => {
    const { at: asked } = await askCheck(queue, 'ada');
    const [seconds] = await queue.redis.time();
    assert.ok(Math.abs(asked / 1000 - Number(seconds)) <= 60);
  });

  it('is wanted by nobody who writes into Redis, and answered by nobody else', async () => {
    const asked = await askCheck(queue, 'ada', at(2_000_000));
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
    const [second, third] = [checking.answer('b'), checking.answer('c')];
    assert.equal(await checking.answer('c'), undefined, 'another process tells the same');
    assert.equal(runs, 1, 'one at a time');
    release();
    const answer = await first;
    assert.equal(await second, undefined, 'nobody wants that one any more');
    assert.ok(await third, 'what was wanted meanwhile is answered');
    assert.equal(runs, 2);
    assert.deepEqual(answer?.roles, ['decrypt', 'outbound']);
    assert.deepEqual([answer?.problems.length, answer?.more], [200, 1]);
    assert.equal(answer?.problems[0]?.message.length, 1000);
    assert.equal(await checking.answer('c'), undefined);
    assert.ok(await checking.answer('d'));
  });

  it('says why nothing could be checked', async () => {
    const checking = new Checking(async () => {
      throw new SealpostError('file-access', 'the file is away');
    }, ['api']);
    const answer = await checking.answer('a');
    assert.deepEqual([answer?.error, answer?.problems], ['the file is away', []]);
  });
});
