import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Destination } from '../../src/handoff/index.ts';
import { reportStep } from '../../src/pipeline/index.ts';
import type { FailureJob, LedgerEvent, MessageRecord, Outcome } from '../../src/queue/index.ts';
import { envelope, kindOf, MemorySpool, never, origin } from './support.ts';

const job: FailureJob = {
  ...{ id: 'i1', direction: 'inbound', owner: 'edi', work: 'handoff.orders', reason: 'attempts-exhausted' },
  ...{ facts: { last: 'handoff-failed' }, starts: 3, suspendedAt: 2, turn: 0 },
};
const record: MessageRecord = {
  ...{ id: 'i1', direction: 'inbound', state: 'suspended', mailbox: 'edi', origin, envelope },
  ...{ partner: null, partnerBy: null },
  ...{ messageId: null, octets: 8, sha256: '', receivedAt: 1, updatedAt: 2, reason: job.reason, events: [] },
};

type Report = Parameters<Destination['report']>[0];

/** A report to somebody who answers as told, one answer after the other. */
async function report(
  answers: Outcome[],
  { include = 'original' as 'original' | 'none', known = true, wanted = true, kept = true } = {},
) {
  const spool = new MemorySpool();
  const ref = spool.put(Buffer.from('original'));
  const reports: Report[] = [];
  const noted: LedgerEvent[] = [];
  const destination: Destination = {
    name: 'alarms',
    deliver: async () => ({ done: true }),
    async report(each) {
      reports.push(each);
      return answers[reports.length - 1] ?? { done: true };
    },
    close: async () => {},
  };
  const step = reportStep({
    route: () => (wanted ? { destination, include } : undefined),
    ledger: {
      get: async () => (known ? record : null),
      async note(_id, event) {
        noted.push(event);
      },
    },
    flow: { originalOf: async () => (kept ? ref : null) },
    spool,
    now: () => 77,
  });
  return { outcome: await step(job, { signal: never }), reports, noted };
}

describe('report', () => {
  it('tells of the message with its octets, and notes that it did', async () => {
    const { outcome, reports, noted } = await report([{ done: true, facts: { status: 204 } }]);
    assert.deepEqual(outcome, { done: true });
    assert.deepEqual(noted, [
      { type: 'reported', at: 77, facts: { destination: 'alarms', work: 'handoff.orders', status: 204 } },
    ]);
    const [told] = reports;
    assert.ok(told?.original);
    assert.deepEqual(told.document.failed, { step: 'handoff', to: 'orders' });
    assert.equal(told.document.reason.code, 'attempts-exhausted');
    assert.equal(Buffer.concat(await Array.fromAsync(told.original.open())).toString(), 'original');
  });

  it('leaves the octets out where they are not wanted, and says where they are kept no longer', async () => {
    assert.equal((await report([], { include: 'none' })).reports[0]?.original, undefined);
    assert.equal((await report([], { kept: false })).reports[0]?.original, null);
  });

  it('goes without the octets when these are the trouble, and only then', async () => {
    for (const code of ['spool-missing', 'spool-corrupt'] as const) {
      const { outcome, reports } = await report([{ suspend: code, facts: { message: 'gone' } }]);
      assert.deepEqual([kindOf(outcome), reports.length, reports[1]?.original], ['done', 2, null], code);
    }
    const refused = await report([{ suspend: 'config-invalid', facts: { message: 'no' } }]);
    assert.deepEqual([kindOf(refused.outcome), refused.reports.length], ['suspend config-invalid', 1]);
    const without = await report([{ suspend: 'spool-missing' }], { include: 'none' });
    assert.deepEqual([kindOf(without.outcome), without.reports.length], ['suspend spool-missing', 1]);
  });

  it('is tried again as the destination says, and notes nothing', async () => {
    const { outcome, noted } = await report([
      { retry: 'handoff-failed', facts: { message: 'no' }, peer: 'down' },
    ]);
    assert.deepEqual(outcome, {
      ...{ retry: 'handoff-failed', peer: 'down' },
      facts: { destination: 'alarms', message: 'no' },
    });
    assert.deepEqual(noted, []);
  });

  it('ends when nobody knows the message any more, and when nobody wants to be told', async () => {
    const forgotten = await report([], { known: false });
    assert.deepEqual([kindOf(forgotten.outcome), forgotten.reports], ['done', []]);
    const unwanted = await report([], { wanted: false });
    assert.deepEqual([kindOf(unwanted.outcome), unwanted.reports], ['suspend destination-unknown', []]);
  });
});
