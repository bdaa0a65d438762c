import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { Suspects } from '../../src/queue/suspects.ts';

/** Work that says when it begins, and ends when it is told to. */
function works(lane: Suspects) {
  const begun: string[] = [];
  const run = (name: string, suspect: boolean) => {
    const end = Promise.withResolvers<void>();
    const over = lane.run(suspect, async () => {
      begun.push(name);
      await end.promise;
    });
    return {
      async end() {
        end.resolve();
        await over;
        await turn();
      },
    };
  };
  return { begun, run };
}

describe('suspects', () => {
  it('run alone, in the order in which they came', async () => {
    const { begun, run } = works(new Suspects(true));
    const first = run('first', false);
    const beside = run('beside', false);
    const one = run('suspect 1', true);
    const two = run('suspect 2', true);
    const last = run('last', false);
    await turn();
    assert.deepEqual(begun, ['first', 'beside']);
    await first.end();
    assert.equal(begun.length, 2);
    await beside.end();
    assert.deepEqual(begun.slice(2), ['suspect 1']);
    await one.end();
    assert.deepEqual(begun.slice(3), ['suspect 2']);
    await two.end();
    assert.deepEqual(begun.slice(4), ['last']);
    await last.end();
  });

  it('keep only each other waiting where jobs wait for the network', async () => {
    const { begun, run } = works(new Suspects(false));
    const one = run('suspect 1', true);
    const two = run('suspect 2', true);
    const other = run('other', false);
    await turn();
    assert.deepEqual(begun.toSorted(), ['other', 'suspect 1']);
    await one.end();
    assert.deepEqual(begun.slice(2), ['suspect 2']);
    await Promise.all([two.end(), other.end()]);
  });

  it('and others wait no longer than the patience says', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const { begun, run } = works(new Suspects(true, { fresh: 100, suspect: 50 }));
    const slow = run('slow', false);
    const suspect = run('suspect', true);
    const other = run('other', false);
    await turn();
    t.mock.timers.tick(100);
    await turn();
    assert.deepEqual(begun, ['slow', 'suspect']);
    t.mock.timers.tick(50);
    await turn();
    assert.deepEqual(begun, ['slow', 'suspect', 'other']);
    await Promise.all([slow.end(), suspect.end(), other.end()]);
  });

  it('that fail let the next one go', async () => {
    const lane = new Suspects(true);
    await assert.rejects(
      lane.run(true, () => Promise.reject(new Error('failed'))),
      /failed/,
    );
    assert.equal(await lane.run(true, async () => 'next'), 'next');
  });
});
