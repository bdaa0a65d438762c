/**
 * What a detached signature does to large parts, and that a message of tens of megabytes needs no memory for itself.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, it } from 'node:test';
import {
  decodeSync,
  type EncodeInput,
  type EncodeOptions,
  encode,
  encodeSync,
} from '../../src/smime/index.ts';
import { alice, noOpenssl, options, verify } from './openssl.ts';

const sign: EncodeOptions = {
  identity: alice.identity,
  sign: 'detached',
  signatureScheme: 'pkcs1',
  at: new Date(),
};
const line = 'a line of a large document that is plain enough for any mail server\r\n';
const large = line.repeat(20_000);
const outer = 'From: a@example.com\r\nSubject: large\r\n';
const encodedBy = async (message: EncodeInput) => Buffer.concat(await Array.fromAsync(encode(message, sign)));
const partOf = (label: string, body: string) => `Content-Type: application/xml\r\n${label}\r\n${body}`;
const sevenBit = 'Content-Transfer-Encoding: 7bit\r\n';

function* cut(octets: Buffer): Generator<Buffer> {
  for (let at = 0; at < octets.length; at += 50_000) yield octets.subarray(at, at + 50_000);
}

describe('a large part under a detached signature', { skip: noOpenssl }, () => {
  for (const label of ['', sevenBit]) {
    const name = label === '' ? 'no label' : 'the label 7bit';

    it(`stays as it is with ${name}, where the message can be read twice`, async () => {
      const entity = Buffer.from(partOf(label, large));
      const message = Buffer.concat([Buffer.from(outer), entity]);
      for (const encoded of [
        encodeSync(message, sign),
        await encodedBy(message),
        await encodedBy(() => cut(message)),
      ]) {
        assert.ok(decodeSync(encoded, options).content?.equals(entity));
        assert.ok(verify(encoded).equals(entity));
      }
    });

    it(`with ${name} is encoded in a stream, and where it is not 7bit to its end`, async () => {
      for (const [text, again] of [
        [large, false],
        [`${large}ä\r\n`, true],
        [`${large}${'x'.repeat(999)}\r\n`, true],
        [`${large}\0\r\n`, true],
      ] as const) {
        const message = Buffer.from(outer + partOf(label, text));
        for (const input of again ? [message, () => cut(message), cut(message)] : [cut(message)]) {
          const encoded = await encodedBy(input);
          assert.match(encoded.toString('latin1', 0, 2000), /Content-Transfer-Encoding: base64/);
          assert.match(encoded.toString('latin1'), /^[\x20-\x7e\r\n\t]*$/);
          assert.equal(decodeSync(encoded, options).verdict.signature, 'valid');
        }
      }
    });
  }

  it('is judged separately, in any part', async () => {
    const multipart = (...parts: string[]) =>
      `Content-Type: multipart/mixed; boundary=b\r\n\r\n${parts.map((each) => `--b\r\n${each}\r\n`).join('')}--b--\r\n`;
    const inner = multipart(partOf('', large), partOf('', 'ä'), partOf(sevenBit, large));
    const message = Buffer.from(
      outer +
        multipart(partOf('', `${large}ä`), `Content-Type: message/rfc822\r\n\r\nSubject: in\r\n${inner}`),
    );
    const encoded = await encodedBy(() => cut(message));
    const labels = encoded.toString('latin1').match(/^Content-Transfer-Encoding: .*$/gm) ?? [];
    // the two that are not 7bit, the one with a label, the signature
    assert.deepEqual(
      labels.map((each) => each.slice('Content-Transfer-Encoding: '.length).trimEnd()),
      ['base64', 'base64', '7bit', 'base64'],
    );
    assert.ok(verify(encoded).length > 3 * large.length);
    assert.equal(decodeSync(encoded, options).verdict.signature, 'valid');
  });
});

/** Encodes a message of this size in a process of its own; returns its peak memory in MB. */
function peakMemory(size: number, form: string): number {
  const ran = spawnSync(
    process.execPath,
    [
      '--openssl-legacy-provider',
      '--max-semi-space-size=4',
      `${import.meta.dirname}/encode-large-worker.ts`,
      String(size),
      form,
    ],
    { encoding: 'utf8', maxBuffer: 1 << 20 },
  );
  assert.equal(ran.status, 0, ran.stderr);
  const { written, peak } = JSON.parse(ran.stdout);
  assert.ok(written > size, `${written} octets came out`);
  return peak;
}

describe('a message of tens of megabytes', () => {
  for (const [form, megabytes] of [
    ['opaque', 60],
    ['detached', 60],
    // compresses and signs twice
    ['everything', 30],
  ] as const) {
    it(`needs no more memory than one of 1 MB, nearly: ${form}`, (t) => {
      const [small, huge] = [peakMemory(1e6, form), peakMemory(megabytes * 1e6, form)];
      t.diagnostic(`${form}: ${small} MB of memory at 1 MB, ${huge} MB at ${megabytes} MB`);
      // garbage collection varies by about 25 MB; keeping the message would keep it more than once
      assert.ok(huge < small + megabytes, `${huge} MB beside ${small} MB`);
    });
  }
});
