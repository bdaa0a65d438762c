import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { checkClientName } from '../../src/client/desk.ts';
import { allGranted, Client } from '../../src/client/index.ts';

describe('whose limits and places count', () => {
  it('are those of a client with all its tokens, and of a person whatever a client is called', () => {
    const id = 'c0ffee0123456789';
    const person = new Client('person:ada', allGranted, id);
    assert.equal(new Client('erp', allGranted, 'a').holder, new Client('erp', allGranted, 'b').holder);
    assert.equal(new Client('person:ada', allGranted, id).holder, person.holder);
    assert.notEqual(new Client('person:ada', allGranted, 'another').holder, person.holder);
    for (const name of [id, 'person', 'ada', 'person-id']) {
      checkClientName(name);
      assert.notEqual(new Client(name, allGranted, id).holder, person.holder);
    }
    assert.throws(() => checkClientName(person.holder), { code: 'usage' });
  });
});

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
