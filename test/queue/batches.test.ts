import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Batches } from '../../src/queue/batches.ts';

/** Runs that wait for a word, and what they were given. */
function held(most: number, fails: (items: readonly number[]) => boolean = () => false) {
  const runs: number[][] = [];
  const releases: (() => void)[] = [];
  const batches = new Batches<number, string>(async (items) => {
    runs.push([...items]);
    await new Promise<void>((resolve) => releases.push(resolve));
    if (fails(items)) throw new Error(`refused ${items.join(' ')}`);
    return items.map((item) => `done ${item}`);
  }, most);
  const release = async () => {
    for (const each of releases.splice(0)) each();
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { batches, runs, release };
}

const settle = () => new Promise((resolve) => setImmediate(resolve));

describe('batches', () => {
  it('run what comes alone at once, and what comes meanwhile together', async () => {
    const { batches, runs, release } = held(10);
    const first = batches.add(1);
    await settle();
    const others = [2, 3, 4].map((item) => batches.add(item));
    await settle();
    assert.deepEqual(runs, [[1]]);
    await release();
    assert.deepEqual(runs, [[1], [2, 3, 4]]);
    await release();
    assert.deepEqual(await Promise.all([first, ...others]), ['done 1', 'done 2', 'done 3', 'done 4']);
  });

  it('take no more than they may at a time, in order', async () => {
    const { batches, runs, release } = held(2);
    const all = [1, 2, 3, 4, 5].map((item) => batches.add(item));
    for (let turn = 0; turn < 4; turn++) {
      await settle();
      await release();
    }
    await Promise.all(all);
    assert.deepEqual(runs, [[1, 2], [3, 4], [5]]);
  });

  it('run each alone when one of them fails, and only that one fails', async () => {
    const { batches, runs, release } = held(10, (items) => items.includes(2));
    const all = Promise.allSettled([1, 2, 3].map((item) => batches.add(item)));
    for (let turn = 0; turn < 4; turn++) {
      await settle();
      await release();
    }
    assert.deepEqual(
      (await all).map((each) => (each.status === 'fulfilled' ? each.value : String(each.reason))),
      ['done 1', 'Error: refused 2', 'done 3'],
    );
    assert.deepEqual(runs, [[1, 2, 3], [1], [2], [3]]);
  });

  it('go on after a failure', async () => {
    const { batches, release } = held(10, (items) => items.includes(1));
    const failing = assert.rejects(batches.add(1), /refused 1/);
    await settle();
    await release();
    await failing;
    const next = batches.add(2);
    await settle();
    await release();
    assert.equal(await next, 'done 2');
  });
});
