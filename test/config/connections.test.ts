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

describe('TLS of routes', () => {
  const about = (route: string, dns = '') =>
    readConfig(
      `${dns}
partners:
  - { name: p, addresses: ['@p.example'], encrypt: false, sign: none, route: ${route} }
`,
      'x.yaml',
    )
      .problems.filter(({ setting }) => /route|dns/.test(setting))
      .map(({ setting, severity }) => `${severity} ${setting.replace('partners[0].', '')}`);
  const pin = 'ab'.repeat(32);

  it('has pins in hex or as curl writes them, of the right length', () => {
    const read = (text: string) => about(`{ host: mx.p.example, pins: ['${text}'] }`);
    for (const text of [
      pin,
      pin.toUpperCase(),
      pin.replaceAll(/(..)(?!$)/g, '$1:'),
      `sha256//${Buffer.alloc(32).toString('base64')}`,
    ])
      assert.deepEqual(read(text), [], text);
    for (const text of [pin.slice(2), `${pin}ab`, `sha256//${Buffer.alloc(31).toString('base64')}`, 'x'])
      assert.deepEqual(read(text), ['error route.pins[0]'], text);
  });

  it('refuses what would not protect, and what contradicts itself', () => {
    const dns = 'dns: { resolver: 127.0.0.1 }';
    for (const [route, found, before] of [
      [`{ host: a.example, pins: [${pin}], tls: opportunistic }`, ['error route.pins'], ''],
      [`{ pins: [${pin}] }`, ['warning route.pins'], ''],
      [`{ dane: required }`, ['error route.dane'], ''],
      [`{ dane: required }`, [], dns],
      [`{ dane: required, host: a.example, pins: [${pin}] }`, ['error route.dane'], dns],
      [`{ dane: required, tls: none }`, ['error route.dane'], dns],
      [`{ mtaSts: true }`, [], ''],
      [`{ mtaSts: true, host: a.example }`, ['error route.mtaSts'], ''],
      [`{ mtaSts: true, tls: none }`, ['error route.mtaSts'], ''],
    ] as const)
      assert.deepEqual(about(route, before), found, `${route} ${before}`);
  });

  it('takes the word of a resolver on this machine, or over TLS', () => {
    for (const [resolver, found] of [
      ['{ resolver: 127.0.0.1 }', []],
      ['{ resolver: "::1", port: 5353 }', []],
      ['{ resolver: 192.0.2.1 }', ['error dns.resolver']],
      ['{ resolver: 192.0.2.1, tls: true, name: dns.example }', []],
      ['{ resolver: dns.example }', ['error dns.resolver']],
      ['{ resolver: 127.0.0.1, name: dns.example }', ['error dns.name']],
    ] as const)
      assert.deepEqual(about('{ host: a.example }', `dns: ${resolver}`), found, resolver);
  });
});
