/** Messages of some hundred KiB reuse the memory that they are buffered in, one after the other. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import { BufferSink } from '../../src/message/index.ts';
import { Encoder } from '../../src/smime/encode/encoder.ts';
import { decodeSync, type EncodeOptions, encodeSync } from '../../src/smime/index.ts';
import { alice, noOpenssl, options } from './openssl.ts';

const sign: EncodeOptions = {
  identity: alice.identity,
  sign: 'opaque',
  signatureScheme: 'pkcs1',
  at: new Date(),
};
const encrypt = {
  recipients: [alice.certificate],
  contentEncryption: 'aes-256-cbc',
  keyTransport: 'pkcs1',
} as const;
const ways: EncodeOptions[] = [
  { ...sign },
  { ...encrypt },
  { ...sign, ...encrypt },
  { ...sign, ...encrypt, innerTransferEncoding: 'binary' },
  { ...sign, ...encrypt, tripleWrap: true, compress: 'after-signing', innerTransferEncoding: 'binary' },
];
const header = 'Content-Type: text/plain\r\n\r\n';
/** About the limit between DER and BER, and about the one of the shared memory, in one layer or another. */
const lengths = [10_000, 65_400, 65_600, 400_000, 700_000, 1_040_000, 1_060_000];
/** Does not compress, so that its decompression is within the limits. */
const text = randomBytes(900_000)
  .toString('base64')
  .replace(/(.{70})/g, '$1\r\n');
const entityOf = (from: number, length: number) => Buffer.from(header + text.slice(from, from + length));

describe('messages that are held until their end', { skip: noOpenssl }, () => {
  it('do not disturb each other when they are written by turns', () => {
    for (const way of ways) {
      const running = lengths.map((length, index) => {
        const entity = entityOf(1000 * index, length);
        const output = new BufferSink();
        return { entity, output, encoder: new Encoder(output, way), at: 0 };
      });
      const piece = 30_011;
      for (let busy = true; busy; ) {
        busy = false;
        for (const each of running) {
          if (each.at >= each.entity.length) continue;
          busy = true;
          each.encoder.write(each.entity.subarray(each.at, each.at + piece));
          each.at += piece;
          if (each.at >= each.entity.length) each.encoder.end();
        }
      }
      for (const { entity, output } of running) {
        const { verdict, content } = decodeSync(output.toBuffer(), options);
        assert.equal(verdict.error, null);
        assert.ok(content?.equals(entity), `${entity.length} octets`);
      }
    }
  });

  it('keep what they gave out when others follow, and when one before was given up', () => {
    const entity = entityOf(0, 500_000);
    const given = ways.map((way) => encodeSync(entity, way));
    const abandoned = new Encoder(new BufferSink(), { ...sign, ...encrypt });
    abandoned.write(entityOf(1, 300_000));
    for (const way of ways) encodeSync(entityOf(2, 600_000), way);
    for (const octets of given) assert.ok(decodeSync(octets, options).content?.equals(entity));
  });
});
