import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { toMailHost } from '../../src/domain.ts';
import { readAddressList } from '../../src/message/address.ts';
import { caselessKey, mailboxKey, parseMailbox, sameAddress } from '../../src/message/mailbox.ts';

/** The addresses of a list as displayed, even if it is wrong. */
const shown = (value: string) =>
  readAddressList(value).addresses.map(({ name, address, group }) =>
    group === undefined ? { name, address } : { name, address, group },
  );

describe('address lists', () => {
  const cases: [string, unknown][] = [
    ['a@example.com', [{ name: '', address: 'a@example.com' }]],
    [
      'A B <a@example.com>, c@d',
      [
        { name: 'A B', address: 'a@example.com' },
        { name: '', address: 'c@d' },
      ],
    ],
    ['"B, A" <a@example.com>', [{ name: 'B, A', address: 'a@example.com' }]],
    ['a@example.com (Comment (x))', [{ name: 'Comment (x)', address: 'a@example.com' }]],
    // what looks like an address in the display name is not one (threats S7)
    ['"boss@bank.example" <evil@example.com>', [{ name: 'boss@bank.example', address: 'evil@example.com' }]],
    [
      '=?utf-8?Q?boss=40bank=2Eexample?= <evil@example.com>',
      [{ name: 'boss@bank.example', address: 'evil@example.com' }],
    ],
    [
      '=?utf-8?q?boss=40bank.example=2C?= <evil@example.com>',
      [{ name: 'boss@bank.example,', address: 'evil@example.com' }],
    ],
    [
      '=?iso-8859-1?q?J=FCrgen?= =?utf-8?B?w5w=?= <j@example.com>',
      [{ name: 'J\u00fcrgen\u00dc', address: 'j@example.com' }],
    ],
    [
      '"=?utf-8?q?not=20decoded?=" <j@example.com>',
      [{ name: '=?utf-8?q?not=20decoded?=', address: 'j@example.com' }],
    ],
    [
      'Team: a@x.example, "B" <b@x.example>;, c@x.example',
      [
        { name: '', address: 'a@x.example', group: 'Team' },
        { name: 'B', address: 'b@x.example', group: 'Team' },
        { name: '', address: 'c@x.example' },
      ],
    ],
    ['Undisclosed recipients:;', []],
    ['<@relay.example:a@example.com>', [{ name: '', address: 'a@example.com' }]],
    [
      '<a@x.example> <b@x.example>',
      [
        { name: '', address: 'a@x.example' },
        { name: '', address: 'b@x.example' },
      ],
    ],
    ['"quoted local"@example.com', [{ name: '', address: '"quoted local"@example.com' }]],
    ['no address', [{ name: '', address: 'noaddress' }]],
    ['', []],
    [',,', []],
  ];
  for (const [text, expected] of cases) {
    it(`are read: ${text}`, () => assert.deepEqual(shown(text), expected));
  }

  it('survive anything', () => {
    for (const text of [
      '<',
      '"',
      '(',
      '<a',
      'a:',
      ';',
      ':',
      '\\',
      '"\\',
      '(\\',
      '[',
      '<<<>>>',
      '@',
      '=?x?b?',
    ]) {
      assert.ok(Array.isArray(shown(text)));
    }
  });
});

describe('envelope addresses', () => {
  for (const text of [
    'a@example.com',
    "o'hara+x=1@mail.example.com",
    'a.b@[192.0.2.1]',
    'a@[IPv6:2001:db8::1]',
    '"a;b"@example.com',
    'a@b',
  ]) {
    it(`accepts ${text}`, () => assert.equal(parseMailbox(text).address, text));
  }
  const refused = [
    '',
    'a',
    '@example.com',
    'a@',
    'a b@example.com',
    'a@exam ple.com',
    'a@x\r\nRCPT TO:<z@z>',
    'a\n@x',
    'a@x\u0000',
    '<a@x>',
    'a@x>',
    'a..b@x',
    '.a@x',
    'a.@x',
    'a@-x',
    'a@x-',
    'a@x..y',
    'a@x.',
    `${'a'.repeat(65)}@x`,
    `a@${'a'.repeat(64)}.x`,
    `a@${'abc.'.repeat(80)}x`,
    'a@1.2.3.4',
    '"a\r\n"@x',
    '"a b"@x',
    '"a"b"@x',
    'a,b@x',
    'gr\u00fcn@example.com',
    'a@gr\u00fcn.example',
    'a@\u00a0x',
    'a@x\u2028',
    'a@x\u200b',
    'a\t@x',
    'a@b@c',
    'a:b@x',
    '(c)a@x',
    'a@[1.2.3.4',
    'a@[x]',
  ];
  for (const text of refused) {
    it(`refuses ${JSON.stringify(text)}`, () => {
      assert.throws(() => parseMailbox(text), { code: 'address-invalid' });
      if (!/^[^@]*[\u00fc]|@gr/.test(text))
        assert.throws(() => parseMailbox(text, { utf8: true }), { code: 'address-invalid' });
    });
  }

  it('accepts internationalised addresses only with SMTPUTF8', () => {
    assert.equal(parseMailbox('gr\u00fcn@gr\u00fcn.example', { utf8: true }).domain, 'gr\u00fcn.example');
  });

  it('never repeats the address in the error', () => {
    assert.throws(
      () => parseMailbox('secret person@x'),
      (error: Error) => !error.message.includes('secret'),
    );
  });

  it('compares domains as A-labels, and both parts without regard to the case of ASCII letters', () => {
    assert.ok(sameAddress('a@Example.COM', 'a@example.com'));
    assert.ok(sameAddress('A@example.com', 'a@example.com'));
    assert.ok(!sameAddress('\u00c4@example.com', '\u00e4@example.com'));
    assert.ok(sameAddress('u\u0308@example.com', '\u00fc@example.com'));
    assert.ok(sameAddress('a@B\u00fccher.example', 'a@xn--bcher-kva.example'));
    assert.ok(sameAddress('"a"@x.example', 'a@x.example'));
    assert.ok(!sameAddress('a@x.example', 'a@x.example.org'));
    assert.ok(!sameAddress('not an address', 'not an address'));
  });

  it('takes no character for one of ASCII', () => {
    const ascii = /^\p{ASCII}*$/u;
    const host = toMailHost('x.example');
    assert.ok(host);
    const wrong: string[] = [];
    for (let code = 0x80; code < 0x30000; code++) {
      const char = String.fromCodePoint(code);
      if (/\p{Cs}/u.test(char)) continue;
      const key = mailboxKey(char, host);
      if (ascii.test(key) || ascii.test(caselessKey({ key }))) wrong.push(code.toString(16));
    }
    assert.deepEqual(wrong, []);
  });
});
