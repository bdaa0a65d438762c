import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import { decode, decodeSync, type Verdict } from '../../src/smime/index.ts';
import { verdictSchema } from '../../src/smime/verdict/verdict-schema.ts';
import { alice, encrypt, file, noOpenssl, openssl, options, party, sign } from './openssl.ts';

const edi = Buffer.from("UNB+UNOA:1+4012345000023:14+4012345000047:14'\n".repeat(2000));
const entity = Buffer.from('Content-Type: text/plain\r\nSubject: inside\r\n\r\nthe order\r\n');

/** What `openssl cms -sign -binary` gives without the content. */
const signature = (content: Buffer, args: string[] = [], by = alice) =>
  sign(content, ['-binary', '-outform', 'DER', ...args], by);

describe('the content of a detached signature that comes alone', { skip: noOpenssl }, () => {
  const facts = (verdict: Verdict) => {
    verdictSchema.parse(verdict);
    const { status, encrypted, signature, integrity, error } = verdict;
    return [status, encrypted, signature, integrity, error?.code];
  };
  const good = ['ok', false, 'valid', 'signed', undefined];

  for (const [name, args] of [
    ['signed attributes', []],
    ['the digest alone', ['-noattr']],
    ['SHA-512', ['-md', 'sha512']],
  ] as const)
    it(`is checked and given out: ${name}`, async () => {
      const der = signature(edi, [...args]);
      const sha256 = createHash('sha256').update(edi).digest('hex');
      const once = decodeSync(der, { ...options, detached: edi });
      assert.deepEqual(facts(once.verdict), good);
      assert.deepEqual(once.content, edi);
      assert.equal(once.verdict.content?.sha256, sha256);
      assert.deepEqual(
        once.verdict.layers.map(({ type }) => type),
        ['signed-data'],
      );
      // as a stream, in pieces of any size
      async function* chunks() {
        for (let at = 0; at < edi.length; at += 777) yield edi.subarray(at, at + 777);
      }
      const taken: Buffer[] = [];
      const output = { write: (chunk: Buffer) => void taken.push(chunk), restart: () => {} };
      const streamed = await decode(der, { ...options, detached: chunks, output });
      assert.deepEqual(facts(streamed.verdict), good);
      assert.deepEqual(Buffer.concat(taken), edi);
    });

  it('may be small and signed without a digest of its own', () => {
    const signer = party('ed@example.com', { key: 'p256' });
    const der = signature(entity, ['-noattr'], signer);
    assert.deepEqual(facts(decodeSync(der, { ...options, detached: entity }).verdict), good);
  });

  it('is a MIME entity as it would be inside', () => {
    const { verdict, content } = decodeSync(signature(entity), { ...options, detached: entity });
    assert.deepEqual(facts(verdict), good);
    assert.equal(verdict.content?.contentType, 'text/plain');
    assert.deepEqual(content, entity);
  });

  it('belongs to a signature in any form: PEM, and a mail of its own', () => {
    const der = signature(edi);
    const mail = Buffer.from(
      `Content-Type: application/pkcs7-signature; name=smime.p7s\r\nContent-Transfer-Encoding: base64\r\n\r\n${der.toString('base64').replace(/.{64}/g, '$&\r\n')}\r\n`,
    );
    for (const octets of [sign(edi, ['-binary', '-outform', 'PEM']), mail])
      assert.deepEqual(facts(decodeSync(octets, { ...options, detached: edi }).verdict), good);
  });

  it('with bare LF may have been signed with CRLF; what is given out is what was signed', () => {
    const crlf = Buffer.from(edi.toString().replaceAll('\n', '\r\n'));
    for (const [signed, lineEnds] of [
      [edi, 'as-received'],
      [crlf, 'crlf'],
    ] as const) {
      const { verdict, content } = decodeSync(signature(signed), { ...options, detached: edi });
      assert.deepEqual(facts(verdict), good, lineEnds);
      assert.deepEqual(content, signed, lineEnds);
      assert.deepEqual(
        verdict.layers.map((layer) => 'lineEnds' in layer && layer.lineEnds),
        [lineEnds],
      );
    }
    // the other way round nothing is guessed: CRLF was not made by a mail system out of LF that was signed
    assert.equal(decodeSync(signature(edi), { ...options, detached: crlf }).verdict.signature, 'invalid');
  });

  it('with another octet is a signature that is not valid, as openssl says', () => {
    const other = Buffer.from(edi);
    other[5000] = 0x2b;
    const { verdict } = decodeSync(signature(edi), { ...options, detached: other });
    assert.deepEqual(facts(verdict).slice(0, 4), ['ok', false, 'invalid', 'none']);
    assert.throws(() =>
      openssl(
        ['cms', '-verify', '-binary', '-inform', 'DER', '-content', file(other), '-noverify'],
        signature(edi),
      ),
    );
  });

  it('is a fault with a message that has content or is not a detached signature', () => {
    const listed = Buffer.from(
      `Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: application/pkcs7-signature\r\nContent-Transfer-Encoding: base64\r\n\r\n${signature(edi).toString('base64')}\r\n--b--\r\n`,
    );
    for (const message of [
      signature(edi, ['-nodetach']),
      sign(entity, []),
      encrypt(entity, []),
      listed,
      Buffer.from('Subject: x\r\n\r\nnothing\r\n'),
    ]) {
      const { verdict, content } = decodeSync(message, { ...options, detached: edi });
      assert.deepEqual(
        [verdict.status, verdict.error?.code, content],
        ['failed', 'cms-malformed', undefined],
      );
    }
    // what is inside of an encryption is not encrypted when it comes from outside
    const inside = encrypt(signature(edi), ['-aes-256-cbc', '-outform', 'DER']);
    const { verdict } = decodeSync(inside, { ...options, detached: edi });
    assert.deepEqual([verdict.status, verdict.error?.code], ['failed', 'decrypt-failed']);
    // and the signature without the content stays what it was
    assert.equal(decodeSync(signature(edi), options).verdict.error?.code, 'cms-malformed');
  });
});
