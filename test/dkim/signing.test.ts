import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import { RelaxedBodyHash } from '../../src/dkim/body-hash.ts';
import { type DkimKey, recordName, recordText, Signing } from '../../src/dkim/index.ts';
import { dkimKey, dkimpy, ed25519Key, rsaKey, skipWithoutDkimpy } from '../support/dkim.ts';

const [rsa, ed25519] = [rsaKey(), ed25519Key()];
const now = Date.now();

/** A mail with its signatures, pushed in pieces of a length. */
function signed(keys: readonly DkimKey[], mail: string, step = 7, at = now): Buffer {
  const octets = Buffer.from(mail, 'latin1');
  const signing = new Signing(keys);
  for (let from = 0; from < octets.length; from += step) signing.write(octets.subarray(from, from + step));
  signing.end();
  return Buffer.concat([signing.fields(at), octets]);
}

const records = (...keys: DkimKey[]) =>
  Object.fromEntries(keys.map((key) => [recordName(key), recordText(key)]));
const lineEnd = Buffer.from('\r\n');
const unfolded = (mail: Buffer) => mail.toString('latin1').replaceAll('\r\n ', ' ');
const fieldsOf = (mail: Buffer) =>
  mail
    .toString('latin1')
    .split('\r\n\r\n')[0]
    ?.split(/\r\n(?![ \t])/) ?? [];

const header = [
  'Received: by own.example',
  'From:  Orders \t <orders@own.example>',
  'to: a@partner.example,',
  '\t b@partner.example ',
  'Subject:',
  ' =?utf-8?q?Gr=C3=BC=C3=9Fe?=   an\r\n alle',
  'Date: Mon, 30 Nov 2026 10:00:00 +0000',
];
const mail = (body: string, ...more: string[]) => [...header, ...more, '', body].join('\r\n');

/** How bodies end, and white space wherever it may be. */
const bodies = {
  usual: 'line one\r\nline two\r\n',
  empty: '',
  'empty lines alone': '\r\n\r\n\r\n',
  'empty lines at the end': 'text\r\n\r\n \t\r\n\r\n',
  'empty lines at the start': '\r\n\r\ntext\r\n',
  'no line end': 'text',
  'white space at line ends': 'one  \r\n\ttwo \t \r\nthree\t\r\n',
  'white space inside': 'a   b\t\tc \t d\r\n  e\r\n',
  'white space before the end': 'text \t',
  base64: `${'QUJD'.repeat(19)}\r\n`.repeat(30),
  dots: '.\r\n..\r\n.text\r\n',
  octets: 'gr\xfc\xdfe \xa0 \xc3\xa4\r\n',
};

describe('DKIM signatures', { skip: skipWithoutDkimpy() }, () => {
  const keys = [dkimKey('own.example', 'r1', rsa), dkimKey('own.example', 'e1', ed25519)];

  it('of RSA and Ed25519 are right for dkimpy, whatever a body is like and however it is cut', () => {
    const all = Object.values(bodies).map((body) => signed(keys, mail(body), 1 << 20));
    // SMTP ends the last line (RFC 5321 section 4.1.1.4)
    const received = all.map((each) =>
      each.subarray(-2).equals(lineEnd) ? each : Buffer.concat([each, lineEnd]),
    );
    assert.deepEqual(
      dkimpy(received, records(...keys)),
      all.map(() => [true, true]),
    );
    for (const [at, [name, body]] of Object.entries(bodies).entries()) {
      const bodyHash = /bh=([^;]+);/.exec(all[at]?.toString('latin1') ?? '')?.[1];
      for (const step of [1, 2, 3, 5, 64])
        assert.ok(signed(keys, mail(body), step).includes(`bh=${bodyHash};`), `${name} in pieces of ${step}`);
    }
  });

  it('break with each signed field and each character of the body, and not by what servers may do', () => {
    const text = signed(keys, mail(bodies.usual)).toString('latin1');
    const broken = [
      ['Orders', 'Others'],
      ['b@partner', 'c@partner'],
      ['alle', 'jene'],
      ['10:00:00', '10:00:01'],
      ['line two', 'line  tvo'],
    ].map(([from = '', to = '']) => Buffer.from(text.replace(from, to), 'latin1'));
    // folded in another place, a name in another case, white space at a line end
    const same = text.replace('Date: Mon,', 'DATE:  Mon,\r\n').replace('line one', 'line one  ');
    const verdicts = dkimpy([...broken, Buffer.from(same, 'latin1')], records(...keys));
    assert.deepEqual(verdicts.pop(), [true, true]);
    for (const verdict of verdicts.flat()) assert.notEqual(verdict, true);
  });

  it('oversign: a second From or Subject breaks them, unless that is turned off', () => {
    const [key] = keys;
    assert.ok(key);
    const loose = dkimKey('own.example', 'r1', rsa, { oversign: false });
    const below = (field: string, by: DkimKey) =>
      Buffer.concat([Buffer.from(`${field}\r\n`), signed([by], mail(bodies.usual))]);
    const verdicts = dkimpy(
      [
        ...['From: <ceo@own.example>', 'Subject: other', 'Content-Type: text/html', 'X-Other: 1'].map(
          (each) => below(each, key),
        ),
        below('Subject: other', loose),
      ],
      records(key),
    );
    assert.deepEqual(
      verdicts.map(([verdict]) => verdict === true),
      [false, false, false, true, true],
    );
  });

  it('sign repeated fields from the last one up', () => {
    const key = dkimKey('own.example', 'r1', rsa, { headers: ['from', 'x-part', 'x-none'] });
    const octets = signed([key], mail(bodies.usual, 'X-Part: 1', 'X-Part: 2'));
    assert.match(octets.toString('latin1'), /h=from:from:x-part:x-part:x-part:x-none;/);
    const swapped = octets.toString('latin1').replace('X-Part: 1\r\nX-Part: 2', 'X-Part: 2\r\nX-Part: 1');
    const [right, wrong] = dkimpy([octets, Buffer.from(swapped, 'latin1')], records(key));
    assert.deepEqual(right, [true]);
    assert.notDeepEqual(wrong, [true]);
  });

  it('say when they were made and end: dkimpy refuses them afterwards', () => {
    const key = dkimKey('own.example', 'r1', rsa, { expires: 86_400_000 });
    const fresh = signed([key], mail(bodies.usual));
    const seconds = Math.floor(now / 1000);
    assert.match(unfolded(fresh), new RegExp(`t=${seconds}; x=${seconds + 86_400};`));
    assert.doesNotMatch(unfolded(signed(keys, mail(''))), / x=/);
    const old = signed([key], mail(bodies.usual), 7, now - 2 * 86_400_000);
    const [right, late] = dkimpy([fresh, old], records(key));
    assert.deepEqual(right, [true]);
    assert.match(String(late?.[0]), /expired|x= value/i);
  });

  it('are in lines of at most 76 characters, whatever is signed', () => {
    const headers = ['from', ...Array.from({ length: 40 }, (_, at) => `x-field-number-${at}`)];
    const key = dkimKey('own.example', 'r1', rsa, { headers });
    const octets = signed([key], mail(bodies.usual));
    for (const line of fieldsOf(octets)[0]?.split('\r\n') ?? []) assert.ok(line.length <= 76, line);
    assert.deepEqual(dkimpy([octets], records(key)), [[true]]);
  });
});

describe('who signs', () => {
  const names = (mail: string, ...domains: string[]) => {
    const keys = domains.map((each, at) => dkimKey(each, `s${at}`, rsa));
    const found = unfolded(signed(keys, mail)).matchAll(/ d=([^;]+); s=([^;]+);/g);
    return Array.from(found, ([, domain, selector]) => `${selector}.${domain}`);
  };
  const from = (value: string) => `From: ${value}\r\nSubject: x\r\n\r\nbody\r\n`;

  it('the nearest domain of the author, by all of its keys', () => {
    assert.deepEqual(names(from('a@own.example'), 'own.example', 'other.example'), ['s0.own.example']);
    assert.deepEqual(names(from('a@de.own.example'), 'own.example'), ['s0.own.example']);
    assert.deepEqual(names(from('a@de.own.example'), 'own.example', 'de.own.example', 'de.own.example'), [
      's1.de.own.example',
      's2.de.own.example',
    ]);
  });

  it('nobody, if the author is of another domain, or one of several is, or there is none', () => {
    for (const value of [
      'a@other.example',
      'a@notown.example',
      'a@example',
      'a@own.example, b@other.example',
      'a@[192.0.2.1]',
      'nobody',
      'undisclosed: ;',
    ])
      assert.deepEqual(names(from(value), 'own.example'), [], value);
    assert.deepEqual(names('Subject: x\r\n\r\nbody\r\n', 'own.example'), []);
    assert.deepEqual(names(`From: a@own.example\r\n${from('b@own.example')}`, 'own.example'), []);
  });
});

describe('the hash of a body', () => {
  const hash = (...chunks: string[]) => {
    const body = new RelaxedBodyHash();
    for (const chunk of chunks) body.write(Buffer.from(chunk, 'latin1'));
    body.end();
    return body.base64;
  };
  const of = (text: string) => createHash('sha256').update(text, 'latin1').digest('base64');

  it('is that of RFC 6376 section 3.4.5, and of no octets for an empty body', () => {
    assert.equal(hash(' C \r\nD \t E\r\n\r\n\r\n'), of(' C\r\nD E\r\n'));
    assert.equal(hash(), '47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=');
    assert.equal(hash('\r\n \t\r\n'), of(''));
  });

  it('does not depend on the chunks: line ends and white space cut in the middle', () => {
    const whole = of('a b\r\n\r\nc\r\n');
    for (const chunks of [
      ['a \t', ' b \r', '\n\r', '\n', ' \r\nc', '\t\r', '\n\r\n'],
      ['a', '\t', 'b', '\r', '\n', '\r', '\n', 'c', ' '],
    ])
      assert.equal(hash(...chunks), chunks.length > 8 ? whole : of('a b\r\n\r\n\r\nc\r\n'), chunks.join('|'));
  });

  it('takes as long for a million empty lines as for text', () => {
    const many = '\r\n'.repeat(20_000);
    assert.equal(hash('a', ...Array.from({ length: 50 }, () => many), 'b'), of(`a${many.repeat(50)}b\r\n`));
  });
});
