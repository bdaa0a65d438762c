import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { oids } from '../../src/asn1/index.ts';
import * as der from '../../src/asn1/writer.ts';
import { encodeSignedData } from '../../src/cms/index.ts';
import { parseHeaders, readMailHeader } from '../../src/message/index.ts';
import { PartnerDirectory } from '../../src/partner/directory.ts';
import { judge } from '../../src/partner/policy.ts';
import { senderOf } from '../../src/partner/sender.ts';
import { decodeSync, isSignatureLayer } from '../../src/smime/index.ts';
import { partnersOf } from '../partner/support.ts';
import { ca, entity, options } from './support.ts';

const partners = partnersOf(`
  - { name: acme, addresses: [orders@acme.example, kim@acme.example, "@edi.acme.example"] }
  - { name: big, addresses: ["@big.example"] }
`);

const signerWith = (...emails: string[]) => ca.issue({ commonName: 'signer', emails });
const mallory = signerWith('mallory@evil.example');
const acme = signerWith('orders@acme.example');
const nameless = signerWith();
const pinned = signerWith();

const directory = new PartnerDirectory(
  partners,
  new Map([['big', [{ thumbprint: pinned.certificate.thumbprint }]]]),
);

/**
 * What becomes of a mail with these From lines that this signer signed, where a signature and a partner are required.
 */
function outcome(
  from: string,
  signer: ReturnType<typeof signerWith>,
  require: ('signed' | 'partner')[] = ['signed', 'partner'],
) {
  const mail = Buffer.concat([
    Buffer.from(
      `${from}\r\nMIME-Version: 1.0\r\nContent-Type: application/pkcs7-mime\r\nContent-Transfer-Encoding: base64\r\n\r\n`,
    ),
    Buffer.from(
      encodeSignedData(entity, { signers: [signer] })
        .toString('base64')
        .replace(/.{76}/g, '$&\r\n'),
    ),
  ]);
  const { verdict } = decodeSync(mail, options);
  assert.equal(verdict.signature, 'valid');
  const signers = verdict.layers.filter(isSignatureLayer).flatMap((layer) => layer.signers);
  const sender = senderOf(directory, readMailHeader(parseHeaders(mail)).authors, signers);
  const judgement = judge(
    verdict,
    { require, notSmime: 'suspend', strong: { minimumRsaBits: 2048, minimumCurveBits: 224 } },
    sender,
    directory,
  );
  return 'accept' in judgement ? `accept ${sender.partner?.name}` : judgement.suspend;
}

const refusal = /^(?:policy-refused|sender-invalid|mime-malformed)$/;

describe('S7: who is the sender (RFC 8550 section 3)', () => {
  it('the partner itself, in each way that its address may be written', () => {
    for (const from of [
      'From: orders@acme.example',
      'From: <orders@acme.example>',
      'From: "Orders, ACME" <orders@acme.example>',
      'From: =?utf-8?Q?Auftr=C3=A4ge?= <orders@acme.example>',
      'From: orders@ACME.Example',
      'From: Orders (our desk) <orders@acme.example>',
      'From: desk: orders@acme.example;',
    ]) {
      assert.equal(outcome(from, acme), 'accept acme', from);
    }
  });

  const spoofs: Record<string, string> = {
    'the plain address': 'From: orders@acme.example',
    'two From fields': 'From: mallory@evil.example\r\nFrom: orders@acme.example',
    'two From fields, the other way round': 'From: orders@acme.example\r\nFrom: mallory@evil.example',
    'two addresses in From': 'From: mallory@evil.example, orders@acme.example',
    'a group': 'From: mallory@evil.example: orders@acme.example;',
    'a group of both': 'From: us: mallory@evil.example, orders@acme.example;',
    'upper case': 'From: ORDERS@ACME.EXAMPLE',
    'a comment inside': 'From: orders(mallory@evil.example)@acme.example',
    'the own address as display name': 'From: "mallory@evil.example" <orders@acme.example>',
  };
  for (const [name, from] of Object.entries(spoofs)) {
    it(`a stranger with a trusted certificate does not pass for the partner: ${name}`, () => {
      assert.match(outcome(from, mallory), refusal);
      assert.match(outcome(from, mallory, ['signed']), refusal);
    });
    it(`nor does a certificate without addresses: ${name}`, () => {
      assert.match(outcome(from, nameless, ['signed']), refusal);
    });
  }

  const lookalikes: Record<string, string> = {
    'an address in the display name': 'From: "orders@acme.example" <mallory@evil.example>',
    'an address in an encoded word': 'From: =?utf-8?Q?orders=40acme=2Eexample?= <mallory@evil.example>',
    'an encoded word with the whole mailbox':
      'From: =?utf-8?B?PG9yZGVyc0BhY21lLmV4YW1wbGU+?= <mallory@evil.example>',
    'a comment': 'From: mallory@evil.example (orders@acme.example)',
    'the name of a group': 'From: "orders@acme.example": mallory@evil.example;',
    'a quoted local part': 'From: "orders@acme.example"@evil.example',
    'a domain literal': 'From: mallory@[orders@acme.example]',
    'the Kelvin sign for a K': 'From: \u212aim@acme.example',
    'a long s': 'From: order\u017f@acme.example',
  };
  for (const [name, from] of Object.entries(lookalikes)) {
    it(`what only looks like the partner's address is not it: ${name}`, () => {
      assert.match(outcome(from, mallory, ['partner']), /^(?:partner-unknown|sender-invalid)$/);
    });
  }

  it('folded-letters: a certificate of another mailbox, whose letters fold to those of this one', () => {
    const mailbox = (address: string) =>
      der.implicit(0, true, der.oid(oids.smtpUtf8Mailbox), der.explicit(0, der.utf8(address)));
    const of = (address: string) =>
      ca.issue({
        commonName: 'signer',
        extensions: [{ oid: oids.subjectAltName, value: der.sequence(mailbox(address)) }],
      });
    assert.equal(outcome('From: kim@acme.example', signerWith('KIM@acme.example')), 'accept acme');
    assert.match(outcome('From: kim@acme.example', of('\u212aim@acme.example')), refusal);
    assert.match(outcome('From: \u212aim@acme.example', signerWith('kim@acme.example'), ['signed']), refusal);
    // Of nobody who is configured.
    assert.equal(
      outcome('From: Kim@evil.example', signerWith('kim@evil.example'), ['signed']),
      'accept undefined',
    );
    assert.match(outcome('From: kim@evil.example', of('\u212aim@evil.example'), ['signed']), refusal);
    assert.match(outcome('From: \u212aim@evil.example', signerWith('kim@evil.example'), ['signed']), refusal);
    assert.equal(
      outcome('From: \u212aim@evil.example', of('\u212aim@evil.example'), ['signed']),
      'accept undefined',
    );
  });

  const otherDomains: Record<string, string> = {
    'a domain below': 'From: orders@x.acme.example',
    'a domain that ends alike': 'From: orders@notacme.example',
    'Cyrillic letters': 'From: orders@\u0430cme.example',
    'the same as an A-label': 'From: orders@xn--cme-7cd.example',
    'full-width letters': 'From: orders@\uff41cme.evil.example',
    'a trailing domain': 'From: orders@acme.example.evil.example',
    'a NUL': 'From: orders@acme.example\0.evil.example',
    'another local part': 'From: order@acme.example',
  };
  for (const [name, from] of Object.entries(otherDomains)) {
    it(`another domain is another: ${name}`, () => {
      assert.notEqual(outcome(from, mallory, ['partner']), 'accept acme');
      assert.match(outcome(from, mallory), refusal);
    });
  }

  it('an address in the certificate with a NUL or other letters is not the one that it looks like', () => {
    for (const email of [
      'orders@acme.example\0.evil.example',
      'orders@acme.example.',
      ' orders@acme.example',
      'orders@acme.example,x@y.example',
    ]) {
      const signer = signerWith(email);
      assert.notEqual(
        outcome('From: orders@acme.example', signer, ['signed']),
        'accept acme',
        JSON.stringify(email),
      );
    }
  });

  it('a pinned certificate is the word of the operator, and speaks for its own partner only', () => {
    assert.equal(outcome('From: someone@big.example', pinned), 'accept big');
    assert.equal(outcome('From: orders@acme.example', pinned), 'policy-refused');
  });

  it('without From there is no partner', () => {
    assert.equal(outcome('X-From: orders@acme.example', mallory), 'sender-invalid');
    assert.equal(outcome('Sender: orders@acme.example', mallory, ['partner']), 'sender-invalid');
  });
});
