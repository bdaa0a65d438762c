/** The budget of a message: at its limits and one beyond, and for good once it is used up. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Budget, isExhaustion, OCTETS_PER_WORK, OUTPUT_PER_OCTET } from '../src/budget.ts';
import { SealpostError } from '../src/errors.ts';

describe('a budget', () => {
  it('has its work to the last unit', () => {
    const budget = new Budget({ work: 100 });
    budget.spend(60);
    budget.spend(40);
    assert.equal(budget.exceeded, undefined);
    assert.throws(() => budget.spend(1), { code: 'work-limit' });
  });

  it('has its output to the last octet', () => {
    const budget = new Budget({ output: 100 });
    budget.produce(100);
    assert.equal(budget.exceeded, undefined);
    assert.throws(() => budget.produce(1), { code: 'output-limit' });
  });

  it('gives nothing more once either is used up, even if the error was swallowed', () => {
    for (const [limits, use, code] of [
      [{ work: 1 }, (budget: Budget) => budget.spend(2), 'work-limit'],
      [{ output: 1 }, (budget: Budget) => budget.produce(2), 'output-limit'],
    ] as const) {
      const budget = new Budget(limits);
      assert.throws(() => use(budget), { code });
      assert.throws(() => budget.spend(0), { code });
      assert.throws(() => budget.produce(0), { code });
      budget.received(1 << 30);
      assert.throws(() => budget.spend(0), { code });
      assert.equal(budget.exceeded?.code, code);
      assert.ok(isExhaustion(budget.exceeded));
    }
    assert.equal(isExhaustion(new SealpostError('cms-limit', 'another limit')), false);
  });

  it('grows with the message, and is not made smaller by a second reading of it', () => {
    const budget = new Budget({ work: 100, output: 100 });
    budget.received(OCTETS_PER_WORK);
    budget.received(1);
    budget.received(0);
    budget.spend(200);
    budget.produce(100 + OCTETS_PER_WORK * OUTPUT_PER_OCTET);
    assert.equal(budget.exceeded, undefined);
    assert.throws(() => budget.spend(1), { code: 'work-limit' });
  });

  it('does not grow by the same octets twice', () => {
    const budget = new Budget({ work: 100 });
    budget.received(OCTETS_PER_WORK);
    budget.received(OCTETS_PER_WORK);
    assert.throws(() => budget.spend(201), { code: 'work-limit' });
  });
});
