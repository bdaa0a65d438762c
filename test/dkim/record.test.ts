import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { recordFault, recordLine, recordText } from '../../src/dkim/index.ts';
import { dkimKey, ed25519Key, rsaKey } from '../support/dkim.ts';

describe('the record of a key', () => {
  const rsa = dkimKey('own.example', 'r1', rsaKey());
  const ed25519 = dkimKey('own.example', 'e1', ed25519Key());
  const text = recordText(rsa);

  it('is right as it is printed, and in the other forms that verifiers take', () => {
    assert.equal(recordFault(rsa, [text]), undefined);
    assert.equal(recordFault(ed25519, [recordText(ed25519)]), undefined);
    for (const form of [
      text.replace('v=DKIM1; k=rsa; h=sha256; ', ''),
      text.replace('h=sha256', 'h = sha1 : sha256 ; s=email; n=a note; t=s'),
      text.replace('h=sha256', 's=*'),
      text.replace('p=MII', 'p= M II\t'),
      `${text};`,
    ])
      assert.equal(recordFault(rsa, [form]), undefined, form);
    // beside other records of that name
    assert.equal(recordFault(rsa, ['v=spf1 -all', text]), undefined);
  });

  it('is wrong in one of these ways', () => {
    const other = recordText(dkimKey('own.example', 'r1', rsaKey()));
    for (const [fault, ...texts] of [
      ['missing'],
      ['missing', 'v=spf1 -all'],
      ['missing', text.replace('DKIM1', 'DKIM2')],
      ['several', text, text],
      ['revoked', 'v=DKIM1; p='],
      ['other-key', other],
      ['not-allowed', text.replace('k=rsa', 'k=ed25519')],
      ['not-allowed', text.replace('h=sha256', 'h=sha1')],
      ['not-allowed', text.replace('h=sha256', 's=tlsrpt')],
      ['testing', text.replace('h=sha256', 't=s:y')],
    ] as const)
      assert.equal(recordFault(rsa, texts), fault, texts.join());
    assert.equal(recordFault(ed25519, [recordText(ed25519).replace('k=ed25519; ', '')]), 'not-allowed');
  });

  it('is a line of a zone file, in strings of at most 255 octets', () => {
    const strings = [...recordLine(rsa).matchAll(/"([^"]*)"/g)].map(([, each = '']) => each);
    assert.ok(strings.length > 1 && strings.every(({ length }) => length <= 255));
    assert.equal(strings.join(''), text);
  });
});
