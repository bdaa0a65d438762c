/** How often a message was tried, what failed last and when it is tried next: one fact for commands, API and console. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { attemptsOf, hostSaid } from '../../src/queue/index.ts';
import type { LedgerEvent, MessageState } from '../../src/queue/types.ts';

const event = (type: LedgerEvent['type'], facts: LedgerEvent['facts'] = {}, at = 1): LedgerEvent => ({
  ...{ type, at, facts },
});
const failed = (attempt: number, facts: LedgerEvent['facts'] = {}) =>
  event('retried', { reason: 'handoff-failed', attempt, ...facts }, attempt);
const of = (state: MessageState, events: LedgerEvent[], due: number | null = null) =>
  attemptsOf({ state, events }, due);

describe('the attempts at a message', () => {
  it('are those of the step that is under way', () => {
    const decoding = [event('received'), failed(1), failed(2)];
    assert.equal(of('received', decoding).attempts, 2);
    assert.equal(of('decoded', [...decoding, event('decoded')]).attempts, 0);
    assert.equal(of('decoded', [...decoding, event('decoded'), failed(1)]).attempts, 1);
    assert.equal(
      of('queued', [event('queued'), failed(3), event('suspended'), event('resumed')]).attempts,
      0,
    );
    assert.equal(of('queued', [event('queued'), failed(3), event('retry-now')]).attempts, 3);
  });

  it('do not count where a destination has the message, and another one has not', () => {
    const both = [failed(4, { destination: 'quick' }), failed(2, { destination: 'slow' })];
    const [quick, slow] = [
      event('handed-off', { destination: 'quick' }),
      event('handed-off', { destination: 'slow' }),
    ];
    assert.equal(of('decoded', [event('decoded'), ...both, quick]).attempts, 2);
    assert.equal(of('decoded', [event('decoded'), ...both, slow]).attempts, 4);
    assert.equal(of('decoded', [event('decoded'), ...both, quick, slow]).attempts, 0);
  });

  it('are followed by another one, unless the message waits for a person', () => {
    assert.equal(of('queued', [event('queued'), failed(1)], 5000).next, 5000);
    assert.equal(of('queued', [event('queued')], 0).next, 0);
    assert.equal(of('suspended', [event('queued'), failed(1), event('suspended')], 0).next, null);
  });

  it('keep what failed last, also in an earlier step', () => {
    assert.equal(of('queued', [event('queued')]).lastError, null);
    const { lastError } = of('decoded', [
      event('received'),
      failed(1, { message: 'busy' }),
      event('decoded'),
    ]);
    assert.deepEqual([lastError?.code, lastError?.facts.message], ['handoff-failed', 'busy']);
    assert.equal(of('decoded', [event('report-failed')]).lastError?.code, 'internal');
  });

  it('say whose words they have', () => {
    assert.equal(hostSaid({ host: 'mx.example', reply: '450 later', message: 'x' }), 'mx.example: 450 later');
    assert.equal(hostSaid({ reply: '', message: 'refused' }), 'refused');
    assert.equal(hostSaid({ host: 'mx.example' }), 'mx.example: it does not answer');
  });
});
