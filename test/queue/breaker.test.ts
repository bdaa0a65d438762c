import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Breaker, type Pass } from '../../src/queue/breaker.ts';

it('a clock that was a day ahead and is set back does not lengthen the pause of a breaker', () => {
  const day = 86_400_000;
  let clock = day;
  const breaker = new Breaker(() => clock, { failures: 1, firstPause: 1000, longestPause: 4000 });
  const pass = breaker.enter();
  assert.ok(typeof pass === 'object');
  breaker.failed(pass);
  clock = 0;
  assert.equal(breaker.enter(), 1000);
  clock = 1000;
  assert.deepEqual(breaker.enter(), { probe: true });
});

describe('a breaker', () => {
  /** A breaker with a stopped clock, and as many passes as requested. */
  function made() {
    const clock = { now: 0 };
    const breaker = new Breaker(() => clock.now, { failures: 3, firstPause: 1000, longestPause: 4000 });
    const pass = (): Pass => {
      const entered = breaker.enter();
      assert.ok(typeof entered === 'object', `${entered} ms to wait`);
      return entered;
    };
    return { clock, breaker, pass };
  }

  it('opens at the last of its failures in a row, and not before', () => {
    const { breaker, pass } = made();
    for (let round = 0; round < 2; round++) {
      breaker.failed(pass());
      breaker.failed(pass());
      assert.equal(breaker.wait(), 0);
      breaker.succeeded();
    }
    for (let count = 0; count < 3; count++) breaker.failed(pass());
    assert.equal(breaker.enter(), 1000);
  });

  it('is open as long as its first pause, however many that were on their way fail meanwhile', () => {
    const { clock, breaker, pass } = made();
    const passes = Array.from({ length: 9 }, pass);
    for (const each of passes.slice(0, 3)) breaker.failed(each);
    clock.now = 600;
    for (const each of passes.slice(3)) breaker.failed(each);
    assert.equal(breaker.enter(), 400);
    clock.now = 999;
    assert.equal(breaker.enter(), 1);
    clock.now = 1000;
    assert.equal(pass().probe, true);
  });

  it('lets one probe in at a time; it doubles the pause up to the longest, or ends it', () => {
    const { clock, breaker, pass } = made();
    for (let count = 0; count < 3; count++) breaker.failed(pass());
    for (const pause of [2000, 4000, 4000]) {
      clock.now += breaker.wait();
      const probe = pass();
      assert.equal(probe.probe, true);
      assert.equal(breaker.enter(), 1000, 'nobody beside it');
      breaker.failed(probe);
      assert.equal(breaker.wait(), pause);
    }
    clock.now += 4000;
    const probe = pass();
    breaker.succeeded();
    assert.deepEqual([breaker.wait(), pass().probe], [0, false]);
    breaker.failed(probe);
    assert.equal(breaker.wait(), 0, 'it is one failure of three now');
  });

  it('asks again at once after a probe that says nothing, and a late finisher takes no place of a probe', () => {
    const { clock, breaker, pass } = made();
    const late = pass();
    for (let count = 0; count < 3; count++) breaker.failed(pass());
    clock.now = 1000;
    breaker.abandoned(pass());
    const probe = pass();
    breaker.abandoned(late);
    assert.equal(breaker.enter(), 1000);
    breaker.failed(probe);
    assert.equal(breaker.enter(), 2000);
  });
});
