/** A From field that names a partner, or a conflict, gives nobody with grants for that partner sight of the message. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Client } from '../../src/client/index.ts';
import type { Attribution, QueueRoom } from '../../src/queue/index.ts';
import { useTestQueue } from '../support/queue.ts';

const client = new Client('erp', {
  verbs: ['read'],
  partners: ['acme'],
  mailboxes: ['invoices'],
  senders: '*',
  identities: '*',
  limits: { messages: 0, octets: 0, size: 0 },
});

describe('an inbound message in the name of a partner', () => {
  let queue: QueueRoom;
  useTestQueue((opened) => ({ queue } = opened));

  for (const partnerBy of ['address', 'conflict', 'signature'] satisfies Attribution['partnerBy'][])
    it(`resolved by ${partnerBy}, is not seen by who may see mail to that partner alone`, async () => {
      const writer = queue.intake.begin();
      await writer.write(Buffer.from(`From: edi@acme.example, ${partnerBy}`));
      const origin = { kind: 'smtp', detail: {} } as const;
      const envelope = { from: '', to: ['orders@own.example'] };
      const entry = { mailbox: 'orders', origin, envelope, messageId: null };
      const [result] = await queue.intake.commit(writer, [entry]);
      const id = result?.id ?? '';
      const octets = await queue.flow.originalOf(id);
      assert.ok(octets);
      const job = { ...entry, id, direction: 'inbound', receivedAt: Date.now(), octets } as const;
      await queue.flow.suspend('inbound', job, 'policy-refused', {}, 1, undefined, {
        partner: 'acme',
        partnerBy,
      });
      const record = await queue.ledger.get(id);
      assert.ok(record && record.partner === 'acme' && record.partnerBy === partnerBy);
      assert.equal(client.maySee(record), false);
      const { mailboxes, partners } = client.grants;
      for (const query of [
        {},
        { partner: 'acme' },
        { state: 'suspended' as const },
        { sha256: record.sha256 },
      ])
        assert.deepEqual((await queue.ledger.listAmong(query, { mailboxes, partners })).messages, []);
      assert.equal((await queue.ledger.backlog('outbound', 'acme')).suspended, 0);
    });
});
