import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isPublicAddress } from '../../src/net/ip-address.ts';

describe('handoff addresses', () => {
  const open = [
    '8.8.8.8',
    '1.1.1.1',
    '172.32.0.1',
    '192.0.66.1',
    '2606:4700::1111',
    '2a00:1450::1',
    '::ffff:8.8.8.8',
    '64:ff9b::808:808',
  ];
  const closed = [
    ...['0.0.0.0', '10.1.2.3', '100.64.0.1', '127.0.0.1', '127.255.255.254', '169.254.169.254', '172.16.0.1'],
    ...[
      '172.31.255.255',
      '192.168.0.1',
      '198.18.0.1',
      '224.0.0.1',
      '255.255.255.255',
      '192.0.2.1',
      '203.0.113.5',
    ],
    ...[
      '::',
      '::1',
      '::127.0.0.1',
      '::ffff:127.0.0.1',
      '::ffff:a00:1',
      '::ffff:0:127.0.0.1',
      '0:0:0:0:0:ffff:c0a8:1',
    ],
    ...[
      '64:ff9b::7f00:1',
      '64:ff9b:1::1',
      'fc00::1',
      'fd12::1',
      'fe80::1',
      'fe80::1%eth0',
      'ff02::1',
      '2001:db8::1',
    ],
    ...[
      '2002:7f00:1::',
      '2001::1',
      '100::1',
      '127.1',
      '2130706433',
      '0x7f000001',
      'localhost',
      '',
      '8.8.8.8 ',
    ],
  ];
  for (const address of open)
    it(`are public: ${address}`, () => assert.equal(isPublicAddress(address), true));
  for (const address of closed)
    it(`are not public: ${address}`, () => assert.equal(isPublicAddress(address), false));
});
