import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { consequenceOf, type ErrorCode, errorCodes, SealpostError } from '../../src/errors.ts';
import { foreignCode, jobOutcome, outcomeOf, stopped } from '../../src/handoff/outcome.ts';

/** What each of these comes to, one by one: what a destination meets most. */
const expected = {
  'mime-malformed': 'refused',
  'mime-limit': 'refused',
  'work-limit': 'refused',
  'output-limit': 'refused',
  'transfer-encoding': 'refused',
  'spool-missing': 'refused',
  'spool-corrupt': 'refused',
  'config-invalid': 'refused',
  'spool-unreachable': 'untried',
  'spool-refused': 'untried',
  'redis-unreachable': 'untried',
  'handoff-failed': 'retry',
  'file-access': 'retry',
  'spool-full': 'retry',
  internal: 'retry',
} as const;

function kindOf(code: ErrorCode): string {
  const outcome = outcomeOf(new SealpostError(code, 'it fails'));
  assert.ok(outcome !== undefined && !('done' in outcome));
  assert.deepEqual([outcome.code, outcome.message], [code, 'it fails']);
  if ('refused' in outcome) return 'refused';
  return outcome.untried === true ? 'untried' : 'retry';
}

describe('the outcome of an error', () => {
  it('is the one of its code', () => {
    for (const code of errorCodes) {
      const known: Partial<Record<ErrorCode, string>> = expected;
      const byTable = { suspend: 'refused', retry: 'retry', wait: 'untried' }[consequenceOf(code)];
      assert.equal(kindOf(code), known[code] ?? byTable, code);
    }
  });

  it('has the hint', () => {
    const outcome = outcomeOf(new SealpostError('spool-full', 'it fails', { hint: 'make room' }));
    assert.ok(outcome && !('done' in outcome));
    assert.equal(outcome.message, 'it fails; make room');
  });

  it('of somebody else is none, and its text is not told', () => {
    const error = Object.assign(new Error('secret words'), { code: 'EIO' });
    assert.equal(outcomeOf(error), undefined);
    assert.equal(foreignCode(error), 'EIO');
    assert.equal(foreignCode(new TypeError('secret words')), 'TypeError');
    assert.equal(foreignCode('secret words'), 'unknown');
  });

  it('is what becomes of the job', () => {
    const facts = { destination: 'orders' };
    const message = 'it fails';
    assert.deepEqual(jobOutcome({ refused: true, code: 'mime-limit', message }, facts), {
      suspend: 'mime-limit',
      facts,
    });
    assert.deepEqual(jobOutcome({ retry: true, code: 'handoff-failed', message }, facts), {
      retry: 'handoff-failed',
      facts,
      untried: false,
    });
    assert.deepEqual(
      jobOutcome({ retry: true, code: 'handoff-failed', message, after: 5000, peer: 'down' }, facts),
      { retry: 'handoff-failed', facts, untried: false, peer: 'down', after: 5000 },
    );
    assert.ok('retry' in stopped && stopped.untried === true);
  });
});
