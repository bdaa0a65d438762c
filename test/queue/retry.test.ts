import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { retryDelay } from '../../src/queue/retry.ts';

const schedule = { firstDelay: 5000, maxDelay: 3_600_000 };

describe('retry schedule', () => {
  it('doubles up to the longest wait', () => {
    const longest = [1, 2, 3, 10, 11, 12, 5000].map((failures) => retryDelay(failures, schedule, () => 1));
    assert.deepEqual(longest, [5000, 10_000, 20_000, 2_560_000, 3_600_000, 3_600_000, 3_600_000]);
  });

  it('takes a random share of it, but never nearly nothing', () => {
    assert.equal(
      retryDelay(1, schedule, () => 0),
      500,
    );
    assert.equal(
      retryDelay(3, schedule, () => 0.5),
      11_000,
    );
  });
});
