import assert from 'node:assert/strict';
import { test } from 'node:test';
import { guardedLookup, privateAddressCode } from '../../src/net/guarded-lookup.ts';
import { isPublicAddress } from '../../src/net/ip-address.ts';

function look(addresses: readonly string[]): Promise<string> {
  const found = addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));
  const lookup = guardedLookup((_name, _options, callback) => callback(null, found));
  return new Promise((resolve) => {
    lookup('name.example', {}, (error, address) => resolve(error?.code ?? String(address)));
  });
}

test('one address that is not public among several refuses the name, wherever it stands', async () => {
  assert.equal(await look(['8.8.8.8', '2606:4700::1111']), '8.8.8.8');
  for (const mixed of [['8.8.8.8', '127.0.0.1'], ['10.0.0.1', '8.8.8.8'], ['8.8.8.8', '::1', '1.1.1.1'], []])
    assert.equal(await look(mixed), privateAddressCode, mixed.join(' '));
});

test('an address with a zone is of this machine, whatever it begins with', () => {
  assert.equal(isPublicAddress('2606:4700::1111'), true);
  assert.equal(isPublicAddress('2606:4700::1111%eth0'), false);
});
