/**
 * The message to hand off is the outer fields followed by the signed entity. One that starts with white space continued
 * the last outer field: a From that the policy had judged named a second address in `message.eml`.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import { simpleParser } from 'mailparser';
import { encodeDetachedSignature, encodeSignedData } from '../../src/cms/index.ts';
import { composeMessage } from '../../src/handoff/message.ts';
import { decodeSync } from '../../src/smime/index.ts';
import { alice, cmsMail, multipartSigned, options } from './support.ts';

/** What is handed off of a mail, as another parser reads it. */
async function handedOff(mail: Buffer) {
  const { verdict, content = Buffer.alloc(0) } = decodeSync(mail, options);
  assert.equal(verdict.signature, 'valid');
  const header = mail.subarray(0, mail.indexOf('\r\n\r\n') + 4);
  const composed = composeMessage({ header, whole: false, verdict, contentOctets: content.length }, content);
  const parsed = await simpleParser(Buffer.concat([composed.prefix, content]));
  return { ...composed, from: parsed.from?.value.map(({ address }) => address), content };
}

/** The outer header ends with From, so that it is the last field of the prefix. */
function withFromLast(mail: Buffer, value: string): Buffer {
  const text = mail.toString('latin1').replace('From: alice@example.com\r\n', '');
  return Buffer.from(text.replace('\r\n\r\n', `\r\nFrom: ${value}\r\n\r\n`), 'latin1');
}

const rest = '\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\nx\r\n';
const detached = (entity: string) => {
  const digests = new Map([['sha256', createHash('sha256').update(entity).digest()]]);
  return multipartSigned(entity, encodeDetachedSignature(digests, { signers: [alice] }));
};
const opaque = (entity: string) => cmsMail(encodeSignedData(Buffer.from(entity), { signers: [alice] }));

describe('an entity that continues the outer header', () => {
  for (const [form, make] of Object.entries({ detached, opaque })) {
    for (const blank of [' ', '\t'])
      it(`is content, ${form}, beginning with ${JSON.stringify(blank)}`, async () => {
        const mail = withFromLast(make(`${blank}, ceo@p.example${rest}`), 'a@a.example');
        const { kind, from, headers } = await handedOff(mail);
        assert.equal(kind, 'octets');
        assert.deepEqual(from, ['a@a.example']);
        assert.deepEqual(headers.all('from'), ['a@a.example']);
        assert.equal(headers.get('content-type'), 'application/octet-stream');
      });

    it(`is an entity, ${form}, when it begins with a field`, async () => {
      const { kind, from } = await handedOff(withFromLast(make(`X-Note: x${rest}`), 'a@a.example'));
      assert.equal(kind, 'entity');
      assert.deepEqual(from, ['a@a.example']);
    });
  }
});
