import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readConfig } from '../../src/config/load.ts';

describe('smtp.maxConnectionsPerClient', () => {
  const warned = (all: number, each: number, listen = '[{ port: 2525 }]') =>
    readConfig(
      `smtp: { listen: ${listen}, maxConnections: ${all}, maxConnectionsPerClient: ${each} }
mailboxes:
  - { name: orders, addresses: [orders@example.com], destinations: [{ type: directory, path: /tmp }] }
`,
      'x.yaml',
    ).problems.some(({ message }) => message.includes('one client can take every connection'));

  it('is warned of where one client could take all connections', () => {
    assert.deepEqual([warned(50, 49), warned(50, 50), warned(50, 51)], [false, true, true]);
    assert.equal(warned(50, 51, '[]'), false, 'nothing listens');
  });
});
