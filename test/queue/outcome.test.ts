import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { consequenceOf, type ErrorCode, errorCodes, SealpostError } from '../../src/errors.ts';
import { outcomeOf } from '../../src/queue/outcome.ts';

/** What each of these comes to, one by one: what destinations, partners and the spool meet most. */
const expected = {
  'mime-malformed': 'suspend',
  'mime-limit': 'suspend',
  'work-limit': 'suspend',
  'output-limit': 'suspend',
  'transfer-encoding': 'suspend',
  'spool-missing': 'suspend',
  'spool-corrupt': 'suspend',
  'config-invalid': 'suspend',
  'encode-recipient': 'suspend',
  'encode-signer': 'suspend',
  'encode-policy': 'suspend',
  'address-invalid': 'suspend',
  'send-refused': 'suspend',
  'spool-unreachable': 'wait',
  'spool-refused': 'wait',
  'redis-unreachable': 'wait',
  'handoff-failed': 'retry',
  'send-failed': 'retry',
  'file-access': 'retry',
  'spool-full': 'retry',
  internal: 'retry',
} as const satisfies Partial<Record<ErrorCode, string>>;

function kindOf(code: ErrorCode): string {
  const outcome = outcomeOf(new SealpostError(code, 'it fails'));
  assert.ok(outcome);
  const { facts, ...rest } = outcome;
  assert.deepEqual(facts, { message: 'it fails' });
  if ('suspend' in rest) {
    assert.deepEqual(rest, { suspend: code });
    return 'suspend';
  }
  const untried = rest.untried === true;
  assert.deepEqual(rest, untried ? { retry: code, untried } : { retry: code });
  return untried ? 'wait' : 'retry';
}

describe('the outcome of an error', () => {
  it('is the one of its code', () => {
    for (const code of errorCodes) {
      const known: Partial<Record<ErrorCode, string>> = expected;
      assert.equal(kindOf(code), known[code] ?? consequenceOf(code), code);
    }
  });

  it('has the hint', () => {
    const outcome = outcomeOf(new SealpostError('spool-full', 'it fails', { hint: 'make room' }));
    assert.equal(outcome?.facts.message, 'it fails; make room');
  });

  it('of another program is undefined', () => {
    assert.equal(outcomeOf(Object.assign(new Error('secret words'), { code: 'EIO' })), undefined);
    assert.equal(outcomeOf(undefined), undefined);
  });
});
