/** Jobs of 0.1.0 in the form of today, as they stand in the data folder that it wrote. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { InboundJob, MessageRecord, OutboundJob } from '../../src/queue/index.ts';
import { isCurrent, upgraded } from '../../src/queue/jobs.ts';

const envelope = { from: 'edi@partner.example', to: ['orders@own.example'] };
const octets = { kind: 'inline', id: 'a1', octets: 3, sha256: '00' } as const;
const record: MessageRecord = {
  ...{ id: 'x1', direction: 'inbound', state: 'received', mailbox: 'orders', envelope },
  ...{ partner: null, partnerBy: null },
  ...{ origin: { kind: 'smtp', detail: { address: '192.0.2.1' } }, messageId: '<1@partner.example>' },
  ...{ octets: 3, sha256: '00', receivedAt: 17, updatedAt: 18, reason: null, events: [] },
};

/** As JSON in Redis: what it says of its type is what 0.1.0 did not write. */
const stored = <T>(job: object): T => JSON.parse(JSON.stringify(job));

describe('jobs that 0.1.0 stored', () => {
  it('get the message from the record, and keep what is of the job', () => {
    const old = stored<OutboundJob>({
      id: 'x1',
      partner: 'acme',
      envelope,
      octets,
      queuedAt: 17,
      untried: 2,
    });
    assert.equal(isCurrent('outbound', old), false);
    const { direction, origin, messageId, receivedAt, partner, untried } = upgraded('outbound', old, {
      ...record,
      direction: 'outbound',
    });
    assert.deepEqual(
      { direction, origin, messageId, receivedAt, partner, untried },
      {
        direction: 'outbound',
        origin: record.origin,
        messageId: record.messageId,
        receivedAt: 17,
        partner: 'acme',
        untried: 2,
      },
    );
  });

  it('are whole without a record too, which has nothing left to do', () => {
    const old = stored<InboundJob>({ id: 'x1', mailbox: 'orders', origin: record.origin, envelope, octets });
    const job = upgraded('inbound', old, null);
    assert.deepEqual([job.direction, job.messageId, job.mailbox], ['inbound', null, 'orders']);
  });

  it('are left alone where they are of today', () => {
    const job: InboundJob = {
      ...{ id: 'x1', direction: 'inbound', mailbox: 'orders', origin: record.origin, envelope },
      ...{ messageId: '<2@partner.example>', receivedAt: 4, octets },
    };
    assert.equal(isCurrent('inbound', job), true);
    assert.equal(upgraded('inbound', job, record), job);
    assert.equal(isCurrent('failures', {}), true);
  });
});
