import assert from 'node:assert/strict';
import { it } from 'node:test';
import { Breaker } from '../../src/queue/breaker.ts';

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
