import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { foreignCode } from '../../src/handoff/attempt.ts';

describe('an error of somebody else', () => {
  it('is told by its code or name, and never by its text', () => {
    const error = Object.assign(new Error('secret words'), { code: 'EIO' });
    assert.equal(foreignCode(error), 'EIO');
    assert.equal(foreignCode(new TypeError('secret words')), 'TypeError');
    assert.equal(foreignCode('secret words'), 'unknown');
  });
});
