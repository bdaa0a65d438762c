import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, it } from 'node:test';
import { composeMessage } from '../../src/handoff/message.ts';
import { readCertificates } from '../../src/pki/index.ts';
import { decodeSync, type Verdict } from '../../src/smime/index.ts';
import { verdictSchema } from '../../src/smime/verdict/verdict-schema.ts';
import { encrypt, noOpenssl, options, sign } from './openssl.ts';

const corpora = process.env.SEALPOST_CORPORA ?? resolve(import.meta.dirname, '../../../shared/corpora');
const noCorpora = existsSync(corpora) ? false : 'the corpora are not here (SEALPOST_CORPORA)';

const crlf = (text: string) => Buffer.from(text.replace(/\r?\n/g, '\r\n'));

const outerFields =
  'Received: from a.example\nFrom: alice@example.com\nTo: bob@example.com\nSubject: [...]\nDate: Mon, 23 Nov 2026 01:00:00 +0100\nReply-To: mallory@example.net\n';

/** The mail with a header outside of what openssl wrote, which begins with its own MIME fields. */
const mail = (fields: string, entity: Buffer) => Buffer.concat([crlf(fields), entity]);

function decoded(octets: Buffer): { verdict: Verdict; content: Buffer } {
  const { verdict, content } = decodeSync(octets, options);
  assert.equal(verdict.error, null);
  verdictSchema.parse(verdict);
  return { verdict, content: content ?? Buffer.alloc(0) };
}

/** The header of the message that is handed off. */
function handedOff(octets: Buffer, { verdict, content }: { verdict: Verdict; content: Buffer }) {
  const end = octets.indexOf('\n\n') < 0 ? octets.indexOf('\r\n\r\n') + 4 : octets.indexOf('\n\n') + 2;
  const { headers, prefix } = composeMessage(
    { header: octets.subarray(0, end), whole: false, verdict, contentOctets: content.length },
    content,
  );
  return { headers, eml: Buffer.concat([prefix, content]).toString() };
}

const cipherEntity = crlf(
  'From: alice@example.com\nTo: bob@example.com\nSubject: the secret plan\nDate: Mon, 23 Nov 2026 01:00:00 +0100\nHP-Outer: From: alice@example.com\nHP-Outer: To: bob@example.com\nHP-Outer: Subject: [...]\nHP-Outer: Date: Mon, 23 Nov 2026 01:00:00 +0100\nContent-Type: text/plain; charset="utf-8"; hp="cipher"\n\nhello\n',
);

describe('header protection of RFC 9788', { skip: noOpenssl }, () => {
  it('is seen in signed and encrypted mail, and tells what was hidden from what was changed', () => {
    const message = mail(outerFields, encrypt(sign(cipherEntity, ['-binary', '-nodetach']), []));
    const found = decoded(message);
    const { headers } = found.verdict;
    assert.equal(headers.protection, 'rfc9788-cipher');
    assert.deepEqual([headers.signed, headers.encrypted], [true, true]);
    assert.deepEqual(headers.fields[2], { name: 'Subject', value: 'the secret plan' });
    assert.ok(!headers.fields.some(({ name }) => /^(hp-outer|content-type)$/i.test(name)));
    assert.deepEqual(headers.differences, [
      { name: 'Reply-To', outer: 'mallory@example.net', inner: null, intended: false },
      { name: 'Subject', outer: '[...]', inner: 'the secret plan', intended: true },
    ]);
    const handed = handedOff(message, found);
    assert.deepEqual(handed.headers.all('subject'), ['the secret plan']);
    assert.equal(handed.headers.get('reply-to'), undefined, 'nobody vouches for it');
    assert.equal(handed.headers.get('received'), 'from a.example');
  });

  it('does not count a Subject as hidden if HP-Outer says otherwise', () => {
    const changed = outerFields.replace('[...]', 'please pay');
    const { verdict } = decoded(mail(changed, encrypt(cipherEntity, [])));
    assert.equal(verdict.headers.signed, false);
    assert.deepEqual(verdict.headers.differences[1], {
      name: 'Subject',
      outer: 'please pay',
      inner: 'the secret plan',
      intended: false,
    });
  });

  it('is not signed when the signature is not valid', () => {
    const entity = Buffer.from(cipherEntity.toString().replace('cipher', 'clear'));
    const signed = sign(entity, ['-binary']).toString('latin1');
    const good = decoded(mail(outerFields, Buffer.from(signed, 'latin1'))).verdict;
    assert.deepEqual([good.headers.protection, good.headers.signed], ['rfc9788-clear', true]);
    const broken = signed.replace('the secret plan', 'another plan');
    const { headers, signature } = decoded(mail(outerFields, Buffer.from(broken, 'latin1'))).verdict;
    assert.equal(signature, 'invalid');
    assert.equal(headers.signed, false);
  });

  it('says that fields without the parameter are unmarked, and still compares them', () => {
    const entity = crlf('From: mallory@example.net\nContent-Type: text/plain\n\nhello\n');
    const { headers } = decoded(mail(outerFields, sign(entity, ['-binary']))).verdict;
    assert.equal(headers.protection, 'unmarked');
    assert.deepEqual(headers.differences, [
      { name: 'From', outer: 'alice@example.com', inner: 'mallory@example.net', intended: false },
    ]);
  });

  it('is none for an entity with MIME fields only, and for mail without S/MIME', () => {
    const plain = crlf('Content-Type: text/plain\n\nhello\n');
    assert.equal(decoded(mail(outerFields, sign(plain, ['-binary']))).verdict.headers.protection, 'none');
    const { headers } = decoded(mail(outerFields, cipherEntity)).verdict;
    assert.deepEqual([headers.protection, headers.fields], ['none', []]);
  });
});

describe('a mail in a message/rfc822', { skip: noOpenssl }, () => {
  const inner =
    'From: alice@example.com\nSubject: the secret plan\nMIME-Version: 1.0\nContent-Type: text/plain\n\nhello\n';
  const wrap = (parameter: string, text = inner) =>
    crlf(`Content-Type: message/rfc822${parameter}\n\n${text}`);

  for (const [what, parameter, text, protection] of [
    ['with forwarded=no', '; forwarded=no', inner.replace('alice', 'other'), 'wrapped'],
    ['without a word, by the same author', '', inner, 'wrapped'],
    ['without a word, by another author', '', inner.replace('alice', 'other'), 'none'],
    ['that says it is forwarded', '; forwarded=yes', inner, 'none'],
  ] as const) {
    it(`is ${protection === 'none' ? 'an attachment' : 'the message itself'}: ${what}`, () => {
      const message = mail(outerFields, encrypt(sign(wrap(parameter, text), ['-binary']), []));
      const found = decoded(message);
      const { headers } = found.verdict;
      assert.equal(headers.protection, protection);
      const { eml, headers: handed } = handedOff(message, found);
      if (protection === 'none') {
        assert.equal(handed.get('subject'), '[...]');
        return;
      }
      assert.equal(headers.fields.find(({ name }) => name === 'Subject')?.value, 'the secret plan');
      assert.deepEqual(handed.all('subject'), ['the secret plan']);
      assert.match(eml, /^Received: from a\.example\r\nFrom: \w+@example\.com\r\nSubject: the secret plan/);
      assert.ok(eml.endsWith(found.content.toString()), 'the content is as it was protected');
    });
  }
});

describe("RFC 9788's own mails", { skip: noCorpora }, () => {
  const read = (name: string) => readFileSync(join(corpora, 'rfc9788', name));
  it('smime-multipart-hp', () => {
    const { verdict } = decodeSync(read('smime-multipart-hp.eml'), {
      identities: [],
      trust: { anchors: readCertificates(read('lamps-rsa-ca.pem')) },
      at: new Date('2021-02-20T15:07:02Z'),
    });
    assert.equal(verdict.signature, 'valid');
    assert.equal(verdict.headers.protection, 'rfc9788-clear');
    assert.deepEqual(
      verdict.headers.fields.map(({ name }) => name),
      ['Subject', 'Message-ID', 'From', 'To', 'Date', 'User-Agent'],
    );
    assert.deepEqual(verdict.headers.differences, []);
  });
});
