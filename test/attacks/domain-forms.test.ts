/** One form of a domain for addresses, name constraints, partners and sending; nothing else counts as one. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { oids } from '../../src/asn1/index.ts';
import * as der from '../../src/asn1/writer.ts';
import { parseAddressEntry } from '../../src/config/addresses.ts';
import { isLoopback } from '../../src/config/hosts.ts';
import { readConfig } from '../../src/config/load.ts';
import { formatProblem } from '../../src/config/problem.ts';
import { toDomain, toMailHost } from '../../src/domain.ts';
import { parseMailbox, sameAddress } from '../../src/message/mailbox.ts';
import { PartnerDirectory } from '../../src/partner/directory.ts';
import { validatePath } from '../../src/pki/index.ts';
import { partnersOf } from '../partner/support.ts';
import { createTestCa } from '../support/ca.ts';

describe('domains', () => {
  const same: Record<string, string> = {
    'P.Example': 'p.example',
    'ｐ.example': 'p.example',
    'bücher.example': 'xn--bcher-kva.example',
    'BÜCHER.example': 'xn--bcher-kva.example',
    'XN--BCHER-KVA.example': 'xn--bcher-kva.example',
    'faß.example': 'xn--fa-hia.example',
    'ab--cd.example': 'ab--cd.example',
    [`${'a'.repeat(63)}.example`]: `${'a'.repeat(63)}.example`,
  };
  for (const [text, domain] of Object.entries(same))
    it(`${text} is ${domain}`, () => {
      assert.equal(toDomain(text), domain);
      assert.ok(sameAddress(`ceo@${text}`, `ceo@${domain}`));
    });

  const none = [
    'ｐ.ex%61mple',
    'p.ex%61mple',
    'p.example/ｐ',
    'ｐ.example/x',
    'ｐ.example#x',
    'ｐ.example?x',
    'ｐ.example\\x',
    'ｐ.example:25',
    'a@ｐ.example',
    'p.exa\tmple',
    'ｐ.exa\nmple',
    'p.exam\u00adple',
    'p.exam\u200bple',
    'ｐ．example',
    'p。example',
    '℀.example',
    '⒈example',
    'p_x.example',
    'p.example.',
    '.p.example',
    'p..example',
    '-p.example',
    'p-.example',
    `${'a'.repeat(64)}.example`,
    `${'a.'.repeat(124)}example`,
    '127.0.0.1',
    '１２７.0.0.1',
    '0x7f.1',
    'x.0x7f',
    'x.1',
    // A-labels of nothing, of ASCII, of what does not decode, of another form
    'xn--',
    'xn--p-',
    'xn--p-.example',
    'p.xn--example-',
    'xn--a.example',
    'xn--bcher-kva8445foa.example',
    '',
    ' p.example',
    '*.p.example',
    '[127.0.0.1]',
  ];
  for (const text of none)
    it(`${JSON.stringify(text)} is none, in no room`, () => {
      assert.equal(toDomain(text), undefined);
      if (!text.startsWith('['))
        assert.throws(() => parseMailbox(`ceo@${text}`, { utf8: true }), { code: 'address-invalid' });
      if (!text.startsWith('*')) assert.equal(parseAddressEntry(`@${text}`), undefined);
      assert.equal(parseAddressEntry(`@*.${text}`), undefined);
    });

  it('literals have one form, and are addresses', () => {
    assert.equal(toMailHost('[192.0.2.1]'), '[192.0.2.1]');
    assert.equal(toMailHost('[IPv6:2001:DB8:0::1]'), '[ipv6:2001:db8::1]');
    for (const text of ['[999.1.1.1]', '[IPv6::::1]', '[x]', '[ipv6:127.0.0.1]', '[::1]', '[127.0.0.1'])
      assert.equal(toMailHost(text), undefined, text);
  });

  it('quoted local parts are compared by their value', () => {
    assert.ok(sameAddress('"a"@x.example', 'a@x.example'));
    assert.ok(sameAddress('"\\a"@x.example', 'a@x.example'));
    assert.ok(!sameAddress('"a;b"@x.example', '"a;c"@x.example'));
  });
});

const root = createTestCa('Domain Root');
const rfc822 = (value: string) => der.implicit(1, false, Buffer.from(value));
const dns = (value: string) => der.implicit(2, false, Buffer.from(value));
const uri = (value: string) => der.implicit(6, false, Buffer.from(value));
const utf8Email = (value: string) =>
  der.implicit(0, true, der.oid(oids.smtpUtf8Mailbox), der.explicit(0, der.utf8(value)));

/** Whether a certificate with that name passes below an authority with these constraints. */
function passes(name: Buffer, permitted: Buffer[], excluded: Buffer[] = []): boolean {
  const subtrees = (tag: number, bases: Buffer[]) =>
    bases.length === 0 ? [] : [der.implicit(tag, true, ...bases.map((base) => der.sequence(base)))];
  const value = der.sequence(...subtrees(0, permitted), ...subtrees(1, excluded));
  const issuer = root.issueCa('Constrained', {
    extensions: [{ oid: oids.nameConstraints, critical: true, value }],
  });
  const names = { oid: oids.subjectAltName, critical: false, value: der.sequence(name) };
  const { certificate } = issuer.issue({ commonName: 'Leaf', extensions: [names] });
  const result = validatePath(certificate, {
    anchors: [root.certificate],
    intermediates: [issuer.certificate],
    at: new Date('2026-01-01T00:00:00Z'),
    purpose: 'sign',
  });
  assert.ok(result.trusted || result.reason === 'name-constraints', result.message ?? '');
  return result.trusted;
}

describe('name constraints', () => {
  it('are not passed by a domain that only a URL parser reads', () => {
    assert.ok(passes(rfc822('ceo@p.example'), [rfc822('p.example')]));
    assert.ok(passes(utf8Email('ceo@ｐ.example'), [rfc822('p.example')]));
    for (const host of ['ｐ.ex%61mple', 'ｐ.example/x', 'ｐ.example#x', 'ｐ.example?', 'p.example\\'])
      assert.ok(!passes(utf8Email(`ceo@${host}`), [rfc822('p.example')]), host);
  });

  it('refuse what cannot be understood where anything of the kind is excluded', () => {
    assert.ok(passes(rfc822('ceo@p.example'), [], [rfc822('q.example')]));
    for (const name of ['ceo@p_x.example', 'ceo@p.example/x', 'ceo', 'ceo@'])
      assert.ok(!passes(rfc822(name), [], [rfc822('q.example')]), name);
    assert.ok(!passes(rfc822('ceo@p.example'), [], [rfc822('q_x.example')]));
  });

  it('have no case in domains; in local parts only where they permit', () => {
    assert.ok(passes(rfc822('ceo@P.EXAMPLE'), [rfc822('ceo@p.example')]));
    assert.ok(!passes(rfc822('CEO@p.example'), [rfc822('ceo@p.example')]));
    assert.ok(!passes(rfc822('CEO@p.example'), [], [rfc822('ceo@p.example')]));
    assert.ok(!passes(rfc822('ceo@p.example'), [], [rfc822('CEO@P.example')]));
    assert.ok(passes(rfc822('cto@p.example'), [], [rfc822('ceo@p.example')]));
  });

  it('compare quoted local parts by their value', () => {
    assert.ok(!passes(rfc822('"ceo"@p.example'), [], [rfc822('ceo@p.example')]));
    assert.ok(!passes(rfc822('"c\\eo"@p.example'), [], [rfc822('"ceo"@p.example')]));
    assert.ok(passes(rfc822('"ceo"@p.example'), [rfc822('ceo@p.example')]));
  });

  it('take the host of a URI from behind its user info, and refuse two of that', () => {
    assert.ok(passes(uri('https://p.example@q.example/'), [uri('q.example')]));
    assert.ok(!passes(uri('https://p.example@q.example/'), [uri('p.example')]));
    assert.ok(!passes(uri('https://user:p.example@q.example:443/'), [uri('p.example')]));
    assert.ok(passes(uri('HTTPS://Q.Example:443/p@p.example'), [uri('q.example')]));
    for (const text of [
      'https://a@p.example@q.example/',
      'https://q.example\\@p.example/',
      'https://p.example%2f@/',
      'https:p.example',
      'https://127.0.0.1/',
      'https://[::1]/',
    ]) {
      assert.ok(!passes(uri(text), [uri('p.example'), uri('q.example')]), text);
      assert.ok(!passes(uri(text), [], [uri('r.example')]), text);
    }
  });

  it('on a host of a mailbox or URI are that host alone, and with a dot in front all below it alone', () => {
    const inMail = (host: string) => rfc822(`ceo@${host}`);
    const inUri = (host: string) => uri(`https://${host}/`);
    for (const [host, base, inside] of [
      ['p.example', 'p.example', true],
      ['x.p.example', 'p.example', false],
      ['xp.example', 'p.example', false],
      ['p.example', '.p.example', false],
      ['x.p.example', '.p.example', true],
      ['y.x.p.example', '.p.example', true],
      ['xp.example', '.p.example', false],
    ] as const)
      for (const [name, constraint] of [
        [inMail(host), rfc822(base)],
        [inUri(host), uri(base)],
      ] as const) {
        assert.equal(passes(name, [constraint]), inside, `${host} in ${base}`);
        assert.equal(passes(name, [], [constraint]), !inside, `${host} not ${base}`);
      }
    assert.ok(!passes(rfc822('ceo@q.example'), [rfc822('ceo@p.example')]));
    assert.ok(passes(rfc822('ceo@q.example'), [], [rfc822('ceo@p.example')]));
  });

  it('on domains cover all below, and with a dot in front not the domain itself', () => {
    for (const [name, base, inside] of [
      ['p.example', 'p.example', true],
      ['x.p.example', 'P.example', true],
      ['xp.example', 'p.example', false],
      ['p.example', '.p.example', false],
      ['x.p.example', '.p.example', true],
      ['*.p.example', 'p.example', true],
      ['*.example', 'p.example', false],
      ['p.example', '', true],
    ] as const) {
      assert.equal(passes(dns(name), [dns(base)]), inside, `${name} in ${base}`);
      if (name !== '*.example')
        assert.equal(passes(dns(name), [], [dns(base)]), !inside, `${name} not ${base}`);
    }
    assert.ok(!passes(dns('*.example'), [], [dns('p.example')]), 'a wildcard has names that are excluded');
  });
});

describe('loopback', () => {
  for (const host of [
    'localhost',
    'LOCALHOST',
    '127.0.0.1',
    '127.255.0.9',
    '::1',
    '[::1]',
    '::ffff:127.0.0.1',
  ])
    it(`${host} is`, () => assert.ok(isLoopback(host)));
  for (const host of [
    '127.evil.example',
    '127.0.0.1.evil.example',
    '127.1',
    '127.0.0.256',
    'x.localhost',
    '128.0.0.1',
    '::2',
    '',
  ])
    it(`${JSON.stringify(host)} is not`, () => assert.ok(!isLoopback(host)));

  it('has one meaning: a password in clear to 127.evil.example is refused wherever it is written', () => {
    const read = readConfig(
      `identities: [{ name: own, key: own.pem }]
mailboxes:
  - name: a
    imap: { host: 127.evil.example, tls: none, user: u, password: { env: P } }
    destinations: [{ type: directory, path: in }]
partners:
  - { name: p, addresses: [a@p.example], encrypt: false, identity: own, route: { host: 127.evil.example, tls: none, user: u, password: { env: P } } }
`,
      'sealpost.yaml',
    );
    const errors = read.problems.filter(({ severity }) => severity === 'error').map(formatProblem);
    assert.equal(errors.length, 2, errors.join('\n'));
    assert.match(errors[0] ?? '', /mailboxes\[0\]\.imap\.tls/);
    assert.match(errors[1] ?? '', /partners\[0\]\.route\.tls/);
  });
});

describe('address patterns', () => {
  const directory = new PartnerDirectory(
    partnersOf(`
  - { name: all, addresses: ["@*.p.example"] }
  - { name: own, addresses: ["@p.example"] }
  - { name: near, addresses: ["@*.x.p.example"] }
  - { name: one, addresses: [ceo@x.p.example] }
`),
  );
  for (const [address, name] of [
    ['a@p.example', 'own'],
    ['a@y.p.example', 'all'],
    ['a@x.p.example', 'all'],
    ['ceo@x.p.example', 'one'],
    ['a@y.x.p.example', 'near'],
    ['a@z.y.x.p.example', 'near'],
    ['a@xp.example', undefined],
    ['a@example', undefined],
  ] as const)
    it(`${address} belongs to ${name}`, () => assert.equal(directory.byAddress(address)?.name, name));

  for (const [entry, fix] of [
    ['*@x.example', '"@x.example"'],
    ['orders-*@x.example', '"@x.example"'],
    ['*@*.x.example', '"@*.x.example"'],
    ['*.x.example', '"@*.x.example"'],
  ] as const)
    it(`${entry} matches nothing, which is an error with the fix in its hint`, () => {
      const read = readConfig(
        `partners: [{ name: p, addresses: [${JSON.stringify(entry)}], encrypt: false, sign: none }]`,
        'sealpost.yaml',
      );
      const errors = read.problems.filter(({ severity }) => severity === 'error');
      assert.equal(errors.length, 1);
      assert.match(errors[0]?.message ?? '', /is not an address/);
      assert.ok(errors[0]?.hint?.includes(`write ${fix}`), errors[0]?.hint);
    });
});
