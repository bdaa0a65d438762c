/**
 * The sender is read once: what the policy judges is what is handed off. Each mail here is signed by partner A (or by
 * a trusted stranger), and wants to be shown as from partner P.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { encodeSignedData } from '../../src/cms/index.ts';
import { composeMessage } from '../../src/handoff/message.ts';
import {
  comparableAddress,
  defaultMessageLimits,
  isKnown,
  parseHeaders,
  readMailHeader,
} from '../../src/message/index.ts';
import { PartnerDirectory } from '../../src/partner/directory.ts';
import { judge } from '../../src/partner/policy.ts';
import { readSender } from '../../src/pipeline/read-sender.ts';
import { decodeSync } from '../../src/smime/index.ts';
import { partnersOf } from '../partner/support.ts';
import { ca, options } from './support.ts';

const partners = partnersOf(`
  - { name: a, addresses: ["@a.example"] }
  - { name: p, addresses: ["@p.example"] }
`);
const pinned = ca.issue({ commonName: 'A' });
const nameless = ca.issue({ commonName: 'nobody' });
const directory = new PartnerDirectory(
  partners,
  new Map([['a', [{ thumbprint: pinned.certificate.thumbprint }]]]),
);

const text = 'Content-Type: text/plain\r\n\r\nan order\r\n';

function signedMail(header: string, entity = text, signer = pinned): Buffer {
  const signed = encodeSignedData(Buffer.from(entity), { signers: [signer] });
  return Buffer.from(
    `${header}\r\nMIME-Version: 1.0\r\nContent-Type: application/pkcs7-mime\r\nContent-Transfer-Encoding: base64\r\n\r\n${signed
      .toString('base64')
      .replace(/.{76}/g, '$&\r\n')}`,
  );
}

/** What becomes of a mail, and what its hand-off says, as the worker does it. */
function handOff(mail: Buffer, require: ('signed' | 'partner')[] = ['signed', 'partner']) {
  const { verdict: decoded, content = Buffer.alloc(0) } = decodeSync(mail, options);
  const end = mail.indexOf('\r\n\r\n') + 4;
  const header = mail.subarray(0, end);
  const { verdict, headers, sender } = readSender(
    { verdict: decoded, head: content, header },
    defaultMessageLimits,
    directory,
  );
  const judgement = judge(
    verdict,
    { require, notSmime: 'suspend', strong: { minimumRsaBits: 2048, minimumCurveBits: 224 } },
    sender,
    directory,
  );
  const result = 'accept' in judgement ? 'accept' : judgement.suspend;
  const whole = verdict.layers.length === 0;
  const eml =
    verdict.status === 'failed'
      ? ''
      : composeMessage({ header, whole, verdict, contentOctets: content.length }, content).prefix.toString();
  return { result, headers, sender, verdict, eml, partner: sender.partner?.name };
}

describe('a From that passes for another partner', () => {
  const attacks: Record<string, string> = {
    'two addresses without a comma': 'From: ceo@p.example a@a.example',
    'an angle within an angle': 'From: x <a@a.example <ceo@p.example>>',
    'an angle without its end': 'From: A <a@a.example',
    'two dots in the local part': 'From: a..b@a.example',
    'two dots in the local part, between words': 'From: a.b . . c@a.example',
    'a domain in quotation marks': 'From: a@"a.example"',
    'two angles': 'From: <a@a.example> <ceo@p.example>',
    'an address before the angle': 'From: ceo@p.example <a@a.example>',
    'an address behind the angle': 'From: <a@a.example> ceo@p.example',
    'a second field with a space before its colon': 'From : a@a.example\r\nFrom: ceo@p.example',
    'the same, the other way round': 'From: a@a.example\r\nFrom : ceo@p.example',
    'the same, with a tab': 'From\t: a@a.example\r\nFrom: ceo@p.example',
    'two fields': 'From: a@a.example\r\nfrom: ceo@p.example',
    'a domain that only some decode': 'From: a@a.example, ceo@xn--p-.example',
    'a domain in escapes': 'From: a@a.example, ceo@ｐ.ex%61mple',
    'a comma that is an encoded word': 'From: a@a.example=?utf-8?Q?=2C?=ceo@p.example',
    'an encoded word for an address': 'From: =?utf-8?Q?ceo?=@a.example',
    'a group without its end': 'From: x: a@a.example, ceo@p.example',
    'a group within a group': 'From: x: y: ceo@p.example;, a@a.example;',
    'something behind a group': 'From: x: a@a.example; ceo@p.example',
    'a quoted string without its end': 'From: a@a.example, "ceo@p.example',
    'a comment without its end': 'From: a@a.example (ceo@p.example',
    'two at signs': 'From: ceo@p.example@a.example',
    'a semicolon for a comma': 'From: a@a.example; ceo@p.example',
    'a route that is none': 'From: <ceo@p.example:a@a.example>',
    'no address': 'From: A',
    'an empty one': 'From:',
    'an empty angle': 'From: A <>',
    'an empty group': 'From: A:;',
    'no From': 'To: a@a.example',
  };
  for (const [name, header] of Object.entries(attacks))
    it(`is refused with a code of its own: ${name}`, () => {
      for (const require of [['signed', 'partner'], ['signed'], ['partner']] as const) {
        const { result } = handOff(signedMail(header), [...require]);
        assert.equal(result, 'sender-invalid', require.join());
      }
      const stranger = handOff(signedMail(header, text, nameless), ['signed']);
      assert.equal(stranger.result, 'sender-invalid', 'a trusted certificate without addresses');
    });

  it('is not an address in octets that are not UTF-8, even beside a good one', () => {
    for (const [from, fault] of [
      ['a@a.example, b\xe9@a.example', true],
      ['b\xe9@a.example', true],
      ['caf\xe9 <a@a.example>, b@a.example', false],
    ] as const) {
      const { authors } = readMailHeader(parseHeaders(Buffer.from(`From: ${from}\r\n`, 'latin1')));
      assert.equal(authors.fault !== undefined, fault, from);
    }
  });

  it('does not pass beside a trusted certificate without addresses', () => {
    for (const from of ['ceo@p.example x', 'ceo@p.example', 'x ceo@p.example', 'ceo@P.Example'])
      assert.notEqual(
        handOff(signedMail(`From: ${from}`, text, nameless), ['signed']).result,
        'accept',
        from,
      );
  });

  for (const from of [
    'a@a.example, ceo@p.example',
    'ceo@p.example, a@a.example',
    'a@a.example, x@nobody.example',
    'x@nobody.example',
    'g: a@a.example, x@nobody.example;',
  ])
    it(`every address belongs to the one partner that signed: ${from}`, () => {
      for (const require of [['signed', 'partner'], ['signed'], ['partner']] as const)
        assert.equal(handOff(signedMail(`From: ${from}`), [...require]).result, 'policy-refused');
    });

  for (const from of [
    'a@a.example',
    'A. B. <a@a.example>',
    '"ceo@p.example" <a@a.example>',
    '<@p.example:a@a.example>',
    'a . b @ a . example (ceo@p.example)',
    'x: a@a.example, <b@a.example>;',
    ', a@a.example,,',
    '"a"@A.example',
    'Müller <a@a.example>',
  ])
    it(`is the partner itself, obsolete forms included: ${from}`, () => {
      const { result, partner } = handOff(signedMail(`From: ${from}`));
      assert.deepEqual([result, partner], ['accept', 'a']);
    });

  it('a single From with a space before its colon is the field that it is', () => {
    const { result, headers, eml } = handOff(signedMail('From : a@a.example'));
    assert.equal(result, 'accept');
    assert.deepEqual(headers.from, [{ name: '', address: 'a@a.example' }]);
    assert.match(eml, /^From : a@a\.example\r\n/);
  });

  it('names nobody in the record, where nothing is required, unless the signature says so', () => {
    const unsigned = handOff(Buffer.from('From: a@a.example, ceo@p.example\r\n\r\nx'), []);
    assert.equal(unsigned.partner, undefined);
    assert.equal(handOff(Buffer.from('From: ceo@p.example\r\n\r\nx'), []).partner, 'p');
    assert.equal(handOff(signedMail('From: a@a.example, ceo@p.example'), []).partner, 'a');
  });

  it('never shows an address that was not judged', () => {
    for (const [name, header] of Object.entries(attacks)) {
      const { headers, sender } = handOff(signedMail(header), []);
      const judged = new Set(sender.authors.from.filter(isKnown).map(({ key }) => key));
      for (const { address } of headers.from)
        assert.ok(address === '' || judged.has(comparableAddress(address) ?? ''), `${name}: ${address}`);
    }
  });
});

describe('a Sender field', () => {
  it('with another partner is refused; any other stands in verdict and JSON, and decides nothing', () => {
    assert.equal(handOff(signedMail('From: a@a.example\r\nSender: ceo@p.example')).result, 'policy-refused');
    const { result, verdict, headers } = handOff(
      signedMail('From: a@a.example\r\nSender: Bulk <out@provider.example>'),
    );
    assert.equal(result, 'accept');
    assert.deepEqual(headers.sender, { name: 'Bulk', address: 'out@provider.example' });
    assert.deepEqual(verdict.sender, {
      partner: 'a',
      by: 'signature',
      from: [{ name: '', address: 'a@a.example' }],
      sender: { name: 'Bulk', address: 'out@provider.example' },
    });
    assert.equal(
      handOff(signedMail('From: a@a.example\r\nSender: A@A.example')).verdict.sender?.sender?.address,
      'A@a.example',
    );
    assert.equal(
      handOff(signedMail('From: a@a.example\r\nSender: x <a@A.example>')).verdict.sender?.sender,
      null,
    );
  });
});

describe('more than one Sender field', () => {
  for (const [name, fields] of Object.entries({
    'the second is a partner': ['out@provider.example', 'ceo@p.example'],
    'both are harmless': ['out@provider.example', 'out@provider.example'],
    'both are the partner itself': ['a@a.example', 'a@a.example'],
  }))
    it(`is refused: ${name}`, () => {
      const header = ['From: a@a.example', ...fields.map((field) => `Sender: ${field}`)].join('\r\n');
      assert.equal(handOff(signedMail(header)).result, 'sender-invalid');
    });
});

describe('a Sender field with a partner, below a From that nobody knows', () => {
  it('is refused', () => {
    const header = 'From: x@nobody.example\r\nSender: ceo@p.example';
    assert.equal(handOff(signedMail(header, text, nameless), ['signed']).result, 'policy-refused');
    const other = 'From: x@nobody.example\r\nSender: y@nobody.example';
    assert.equal(handOff(signedMail(other, text, nameless), ['signed']).result, 'accept');
  });
});

describe('the header that is judged is the one that is handed off', () => {
  const inner = (header: string) => `${header}\r\n${text}`;
  it('the protected From counts, not the outer one', () => {
    const spoof = handOff(signedMail('From: a@a.example', inner('From: ceo@p.example')));
    assert.deepEqual([spoof.result, spoof.headers.from[0]?.address], ['policy-refused', 'ceo@p.example']);
    const own = handOff(signedMail('From: ceo@p.example', inner('From: a@a.example')));
    assert.deepEqual([own.result, own.headers.from], ['accept', [{ name: '', address: 'a@a.example' }]]);
    assert.doesNotMatch(own.eml, /ceo@p/);
  });

  it('a protected header that is complete and has no From names nobody', () => {
    const entity = 'Subject: x\r\nContent-Type: text/plain; hp="clear"\r\n\r\nx\r\n';
    const { result, headers, eml } = handOff(signedMail('From: a@a.example', entity));
    assert.deepEqual([result, headers.from], ['sender-invalid', []]);
    assert.doesNotMatch(eml, /^From/m);
  });

  it('two protected From fields are two', () => {
    const { result } = handOff(
      signedMail('From: a@a.example', inner('From: a@a.example\r\nFrom : ceo@p.example')),
    );
    assert.equal(result, 'sender-invalid');
  });

  it('a wrapped mail is the message if it says so, or is from the same author; otherwise it is an attachment', () => {
    const wrapped = (from: string, mark = '') =>
      `Content-Type: message/rfc822${mark}\r\n\r\nFrom: ${from}\r\nContent-Type: text/plain\r\n\r\nx\r\n`;
    const marked = handOff(signedMail('From: a@a.example', wrapped('ceo@p.example', '; forwarded=no')));
    assert.deepEqual([marked.result, marked.headers.from[0]?.address], ['policy-refused', 'ceo@p.example']);
    const forwarded = handOff(signedMail('From: a@a.example', wrapped('ceo@p.example')));
    assert.deepEqual([forwarded.result, forwarded.headers.from[0]?.address], ['accept', 'a@a.example']);
    const same = handOff(signedMail('From: A <a@a.example>', wrapped('"B" <a@A.example>')));
    assert.deepEqual([same.result, same.headers.from[0]?.name], ['accept', 'B']);
    const unclear = handOff(
      signedMail('From: a@a.example ceo@p.example', wrapped('a@a.example ceo@p.example')),
    );
    assert.equal(unclear.result, 'sender-invalid');
  });
});

describe('a bare CR or a NUL in a header', () => {
  const hidden = ['Subject: x\rFrom: ceo@p.example', 'Subject: x\0', 'X: \r', 'X: y\r\r'];
  for (const line of hidden)
    it(`${JSON.stringify(line)} is refused, by whichever way it comes`, () => {
      const from = 'From: a@a.example';
      for (const mail of [
        signedMail(`${from}\r\n${line}`),
        signedMail(`${line}\r\n${from}`),
        signedMail(from, `${line}\r\n${text}`),
        signedMail(from, `Content-Type: message/rfc822; forwarded=no\r\n\r\n${from}\r\n${line}\r\n\r\nx\r\n`),
        Buffer.from(`${from}\r\n${line}\r\n\r\nno S/MIME`),
      ]) {
        const { verdict, result } = handOff(mail, []);
        assert.deepEqual(
          [verdict.status, verdict.error?.code, result],
          ['failed', 'mime-malformed', 'mime-malformed'],
        );
      }
    });

  it('content that only looks like a header is handed off as octets below one', () => {
    const { result, eml, headers } = handOff(
      signedMail('From: a@a.example', `From\0: ceo@p.example\r\n${text}`),
    );
    assert.deepEqual([result, headers.from[0]?.address], ['accept', 'a@a.example']);
    assert.match(eml, /Content-Type: application\/octet-stream\r\n.*\r\n\r\n$/);
  });

  it('in the body is none of its business, nor is a header of LF alone', () => {
    for (const mail of [
      signedMail('From: a@a.example', 'Content-Type: text/plain\r\n\r\na\rb\0c\r\n'),
      signedMail('From: a@a.example\nSubject: y'),
    ])
      assert.equal(handOff(mail).result, 'accept');
  });

  it('the field that a bare CR would make is never one of ours', () => {
    assert.equal(parseHeaders(Buffer.from('Subject: x\rFrom: b@c.d\r\n\r\n')).fields.length, 1);
  });
});
