import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type ErrorCode, errorCodes, SealpostError } from '../../src/errors.ts';
import { foreignCode, jobOutcome, outcomeOf, stopped } from '../../src/handoff/outcome.ts';

const codes = Object.keys(errorCodes).filter((code): code is ErrorCode => code in errorCodes);

/** What each code comes to; those that are not named here are tried again. */
const refused: string[] = [
  'mime-malformed',
  'mime-limit',
  'work-limit',
  'output-limit',
  'transfer-encoding',
  'spool-missing',
  'spool-corrupt',
  'config-invalid',
];
const untried: string[] = ['spool-unreachable', 'spool-refused'];

describe('the outcome of an error', () => {
  it('is one of its code, for every code that there is', () => {
    assert.deepEqual(
      [...refused, ...untried].filter((code) => !(code in errorCodes)),
      [],
    );
    for (const code of codes) {
      const outcome = outcomeOf(new SealpostError(code, 'it fails'));
      const expected = refused.includes(code)
        ? { refused: true, code, message: 'it fails' }
        : { retry: true, code, message: 'it fails', ...(untried.includes(code) ? { untried: true } : {}) };
      assert.deepEqual(outcome, expected, code);
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
