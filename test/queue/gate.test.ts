import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Entry, Gate, type GateSettings, slowAfter } from '../../src/queue/gate.ts';
import type { PeerState } from '../../src/queue/types.ts';

const pauses = { failures: 1, firstPause: 2000, longestPause: 8000 };

/** A gate with a clock, and jobs that begin and end when they are told. */
function setting(settings: Partial<GateSettings> = {}) {
  let now = 0;
  const gate = new Gate({
    total: 8,
    most: () => 4,
    local: false,
    breaker: pauses,
    now: () => now,
    ...settings,
  });
  const hold: Record<string, Entry[]> = {};
  const begin = async (route: string, jobs = 1) => {
    let begun = 0;
    for (let job = 0; job < jobs; job++) {
      const vacant = gate.vacant(route);
      if (vacant === 0) break;
      const entry = await gate.turn(route);
      assert.ok(entry);
      hold[route] = [...(hold[route] ?? []), entry];
      begun += 1;
    }
    return begun;
  };
  const end = (route: string, peer?: PeerState) => {
    const entry = hold[route]?.shift();
    assert.ok(entry);
    gate.leave(entry, peer);
  };
  const pass = (ms: number) => {
    now += ms;
  };
  /** Makes a route one that has worked. */
  const trust = async (...routes: string[]) => {
    for (const route of routes) {
      assert.equal(await begin(route), 1);
      end(route, 'works');
    }
  };
  return { gate, begin, end, pass, trust };
}

describe('places of a route', () => {
  it('one until it has worked, then as many as it may have and none more', async () => {
    const { begin, end } = setting();
    assert.equal(await begin('a', 9), 1);
    end('a', 'works');
    assert.equal(await begin('a', 9), 4);
    end('a');
    assert.equal(await begin('a', 9), 1);
  });

  it('all from the start if there is no other side', async () => {
    const { begin } = setting({ local: true, most: () => 100 });
    assert.equal(await begin('a', 99), 8);
    // Its own place, and one of eight common places: seven are the first one's.
    assert.equal(await begin('b', 99), 2);
    assert.equal(await begin('c', 99), 1);
    assert.equal(await begin('d', 99), 1);
  });

  it('as many as its rate has room for, and none waits here while it rests', async () => {
    const paces = { a: { left: 2, rest: 0 } };
    const pace = (route: string) =>
      route === 'a' ? { room: () => paces.a.left, rests: () => paces.a.rest } : undefined;
    const { gate, begin, end, trust } = setting({ pace });
    await trust('a', 'b');
    assert.equal(gate.vacant('a'), 2);
    assert.equal(await begin('a'), 1);
    Object.assign(paces.a, { left: 0, rest: 1000 });
    end('a', 'works');
    assert.deepEqual([gate.vacant('a'), gate.isHungry('a'), gate.rests('a')], [0, false, 1000]);
    // at once, not when its patience ends
    const soon = new Promise((resolve) => setImmediate(() => resolve('waits')));
    assert.equal(await Promise.race([gate.turn('a'), soon]), null);
    assert.deepEqual(gate.full(), ['a']);
    assert.equal(await begin('b', 9), 4);
    Object.assign(paces.a, { left: 1, rest: 0 });
    // One is worth a call: there is never room for more.
    assert.deepEqual([gate.vacant('a'), gate.isHungry('a'), gate.rests('a')], [1, true, 0]);
  });

  it('one is left for each, however many hang', async () => {
    const { begin, trust } = setting();
    const many = Array.from({ length: 200 }, (_, index) => `sick ${index}`);
    await trust('a', 'b', 'c', 'd');
    for (const route of ['a', 'b', 'c', 'd']) await begin(route, 9);
    for (const route of many) assert.equal(await begin(route, 9), 1);
    assert.equal(await begin('healthy'), 1);
  });

  it('slow routes have half of the common places together, the others keep the other half', async () => {
    const { begin, pass, trust, end } = setting();
    await trust('a', 'b', 'c', 'd');
    assert.equal(await begin('a', 2), 2);
    pass(slowAfter + 1);
    // Slow, with one of the four common places that slow ones have.
    assert.equal(await begin('a', 9), 2);
    await begin('b');
    pass(slowAfter + 1);
    assert.equal(await begin('b', 9), 1);
    assert.equal(await begin('c', 9), 4);
    assert.equal(await begin('d', 9), 2);
    end('d', 'works');
    assert.equal(await begin('d', 9), 1);
  });

  it('it is slow one millisecond after the limit', async () => {
    for (const [ms, more] of [
      [slowAfter, 3],
      [slowAfter + 1, 0],
    ] as const) {
      const { begin, trust, pass } = setting({ total: 4 });
      await trust('a', 'b');
      await begin('b', 3);
      await begin('a');
      pass(ms);
      // b holds two of four common places, which are all that slow ones may have.
      assert.equal(await begin('a', 9), more === 3 ? 2 : 0);
    }
  });
});

describe('a route that is down', () => {
  it('is asked once, and again after each pause, which doubles', async () => {
    const { begin, end, pass } = setting();
    const asked: number[] = [];
    for (let ms = 0; ms < 40_000; ms += 500, pass(500)) {
      if ((await begin('down', 80)) === 0) continue;
      asked.push(ms);
      end('down', 'down');
    }
    assert.deepEqual(asked, [0, 2000, 6000, 14_000, 22_000, 30_000, 38_000]);
  });

  it('has all its places again when it works again', async () => {
    const { begin, end, pass, trust } = setting();
    await trust('a');
    await begin('a', 4);
    end('a', 'down');
    assert.equal(await begin('a'), 0);
    // What was on its way is answered: it is not down.
    end('a', 'works');
    assert.equal(await begin('a', 9), 2);
    end('a', 'down');
    pass(2000);
    // Three are still in progress, so no probe starts.
    assert.equal(await begin('a', 9), 0);
  });

  it('is not judged by what says nothing about it', async () => {
    const { begin, end } = setting();
    await begin('a');
    end('a', undefined);
    assert.equal(await begin('a', 9), 1);
  });
});

describe('jobs in hand', () => {
  it('wait for a place that is free in a moment, in order, and are sent back when the route fails', async () => {
    const { gate, begin, end, trust } = setting();
    await trust('a');
    await begin('a', 4);
    const [next, beyond] = [gate.turn('a'), gate.turn('a')];
    assert.equal(await beyond, null);
    end('a', 'works');
    assert.ok(await next);
    const last = gate.turn('a');
    end('a', 'down');
    assert.equal(await last, null);
  });

  it('do not wait for ever, nor when the worker closes', async () => {
    const { gate, begin, trust } = setting();
    await trust('a', 'b');
    await begin('a', 4);
    await begin('b', 4);
    assert.equal(await gate.turn('a'), null);
    const waiting = gate.turn('b');
    gate.close();
    assert.equal(await waiting, null);
    assert.equal(gate.vacant('c'), 0);
  });

  it('that were called back are not called twice', async () => {
    const { gate, trust } = setting();
    await trust('a');
    assert.equal(gate.vacant('a'), 4);
    gate.expect('a', 3);
    assert.equal(gate.vacant('a'), 1);
    gate.expectNothing();
    assert.equal(gate.vacant('a'), 4);
  });
});
