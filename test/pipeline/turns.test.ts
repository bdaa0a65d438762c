/** Large messages take turns: a limited number at a time, plus one for each route. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Turns } from '../../src/pipeline/turns.ts';

/** Work that runs until it is told to end; `running` names what runs now. */
function workshop(atATime: number) {
  const turns = new Turns(atATime);
  const running: string[] = [];
  const ends = new Map<string, { resolve(): void; reject(error: Error): void }>();
  const run = (route: string, name: string) =>
    turns.run(route, async () => {
      running.push(name);
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      ends.set(name, { resolve, reject });
      await promise.finally(() => running.splice(running.indexOf(name), 1));
      return name;
    });
  const settle = () => new Promise(setImmediate);
  const end = async (name: string, error?: Error) => {
    if (error) ends.get(name)?.reject(error);
    else ends.get(name)?.resolve();
    await settle();
  };
  return { running, run, end, settle };
}

describe('turns', () => {
  it('let one of each route and the common number run; the others follow in order as these end', async () => {
    const { running, run, end, settle } = workshop(2);
    const all = [1, 2, 3, 4, 5].map((number) => run('a', `a${number}`));
    await settle();
    assert.deepEqual(running, ['a1', 'a2', 'a3']);
    const other = run('b', 'b1');
    await settle();
    assert.deepEqual(running, ['a1', 'a2', 'a3', 'b1'], 'another route has a turn of its own');
    await end('a2');
    assert.deepEqual(running, ['a1', 'a3', 'b1', 'a4']);
    await end('a1');
    assert.deepEqual(running, ['a3', 'b1', 'a4', 'a5']);
    for (const name of ['a3', 'a4', 'a5', 'b1']) await end(name);
    assert.deepEqual(await Promise.all([...all, other]), ['a1', 'a2', 'a3', 'a4', 'a5', 'b1']);
  });

  it('are given back, also by what fails: as many run afterwards as before', async () => {
    const { running, run, end, settle } = workshop(1);
    for (let round = 0; round < 3; round++) {
      const [own, common] = [run('a', 'own'), run('a', 'common')];
      const failed = assert.rejects(common, { message: 'broken' });
      await settle();
      assert.deepEqual(running, ['own', 'common'], `round ${round}`);
      await end('common', new Error('broken'));
      await failed;
      const next = run('a', 'next');
      await settle();
      assert.deepEqual(running, ['own', 'next']);
      await end('own');
      await end('next');
      await Promise.all([own, next]);
    }
  });

  it('of a route are not given to another: only common ones are', async () => {
    const { running, run, end, settle } = workshop(1);
    for (const [route, name] of [
      ['a', 'a1'],
      ['a', 'a2'],
      ['b', 'b1'],
      ['b', 'b2'],
    ] as const)
      void run(route, name);
    await settle();
    assert.deepEqual(running, ['a1', 'a2', 'b1']);
    await end('a1');
    assert.deepEqual(running, ['a2', 'b1'], 'it is the turn of route a');
    await end('a2');
    assert.deepEqual(running, ['b1', 'b2']);
    void run('a', 'a3');
    await settle();
    assert.deepEqual(running, ['b1', 'b2', 'a3']);
    for (const name of ['b1', 'b2', 'a3']) await end(name);
    assert.deepEqual(running, []);
  });
});
