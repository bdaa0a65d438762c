import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { allGranted, Client } from '../../src/client/index.ts';

describe('what a client may see', () => {
  const erp = new Client('erp', { ...allGranted, partners: ['acme'], mailboxes: ['orders'] });

  it('is mail to its partners, and mail in its mailboxes, whoever that is from', () => {
    for (const [seen, may] of [
      [{ direction: 'outbound', mailbox: null, partner: 'acme' }, true],
      [{ direction: 'outbound', mailbox: null, partner: 'other' }, false],
      [{ direction: 'inbound', mailbox: 'orders', partner: 'other' }, true],
      [{ direction: 'inbound', mailbox: 'Orders', partner: null }, true],
      // Who it says it is from opens nothing.
      [{ direction: 'inbound', mailbox: 'invoices', partner: 'acme' }, false],
      [{ direction: 'inbound', mailbox: null, partner: 'acme' }, false],
    ] as const)
      assert.equal(erp.maySee(seen), may, JSON.stringify(seen));
  });
});
