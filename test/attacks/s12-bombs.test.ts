import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { deflateSync } from 'node:zlib';
import { oids } from '../../src/asn1/index.ts';
import * as der from '../../src/asn1/writer.ts';
import { CmsReader, encodeEnvelopedData, encodeSignedData } from '../../src/cms/index.ts';
import { NullSink } from '../../src/message/index.ts';
import { type DecodeLimits, decode, decodeSync } from '../../src/smime/index.ts';
import { allNodes, readNodes, writeNode } from '../fuzz/ber.ts';
import { aesCbc, alice, cbc, enveloped, keyTransInfo, options, padded, rsaEncrypt } from './support.ts';

/** The times and the memory of these bombs are measured in `s10-asn1-bombs.test.ts`; here are the limits themselves. */
function compressed(content: Buffer): Buffer {
  const stream = deflateSync(content, { level: 9 });
  const info = der.sequence(der.oid(oids.data), der.explicit(0, der.octetString(stream)));
  const body = der.sequence(der.integer(0), der.sequence(der.oid('1.2.840.113549.1.9.16.3.8')), info);
  return der.sequence(der.oid(oids.compressedData), der.explicit(0, body));
}

const text = (octets: number) =>
  Buffer.from(`Content-Type: text/plain\r\n\r\n${'some words '.repeat(octets / 11)}`);
const code = (octets: Buffer, limits: DecodeLimits = {}) =>
  decodeSync(octets, { ...options, limits }).verdict.error?.code ?? null;

describe('S12: bombs by compression and nesting', () => {
  it('compression is capped by what the message may become; ordinary text is far from it', () => {
    assert.equal(code(compressed(Buffer.alloc(50 << 20))), 'output-limit');
    assert.equal(code(compressed(text(20_000))), null);
    const random = Buffer.from(Array.from({ length: 300_000 }, (_, index) => (index * 7919) % 251));
    assert.equal(code(compressed(random)), null);
  });

  it('and by octets, also within other layers', () => {
    const limits = { cms: { contentOctets: 100_000 } };
    const bomb = compressed(text(200_000));
    assert.equal(code(bomb, limits), 'cms-limit');
    assert.notEqual(code(encodeSignedData(bomb, { signers: [alice] }), limits), null);
    assert.notEqual(
      code(encodeEnvelopedData(bomb, { recipients: [{ certificate: alice.certificate }] }), limits),
      null,
    );
  });

  it('nothing of a bomb is kept: the output stops at the limit', async () => {
    let octets = 0;
    const { verdict, content } = await decode(compressed(Buffer.alloc(50 << 20)), {
      ...options,
      output: {
        write: (chunk) => {
          octets += chunk.length;
        },
      },
    });
    assert.equal(verdict.status, 'failed');
    assert.equal(content, undefined);
    assert.ok(octets < 20 << 20, `${octets} octets`);
  });

  it('layers are capped, whatever they are', () => {
    const nest = (around: (inner: Buffer) => Buffer) => {
      let inner: Buffer = text(100);
      for (let layer = 0; layer < 12; layer++) inner = around(inner);
      return inner;
    };
    const recipients = [{ certificate: alice.certificate }];
    assert.equal(code(nest(compressed)), 'layer-limit');
    assert.equal(code(nest((inner) => encodeSignedData(inner, { signers: [alice] }))), 'layer-limit');
    assert.equal(code(nest((inner) => encodeEnvelopedData(inner, { recipients }))), 'layer-limit');
    assert.equal(code(nest(compressed), { layers: 12 }), null);
  });

  it('10,000 recipients are refused, 500 are not', () => {
    const key = Buffer.alloc(16, 5);
    const mine = keyTransInfo(alice.certificate, rsaEncrypt(alice.certificate, key));
    const foreign = keyTransInfo(alice.certificate, Buffer.alloc(256, 1));
    const to = (count: number) =>
      enveloped({
        recipients: [mine, ...Array<Buffer>(count - 1).fill(foreign)],
        algorithm: aesCbc(key),
        encrypted: cbc(key, key, padded(text(100))),
      });
    assert.match(code(to(10_000)) ?? '', /^(?:cms|asn1)-limit$/);
    assert.equal(code(to(500)), null);
  });

  it('PBKDF2 with 2^31 iterations is refused before it is begun, also with a password at hand', () => {
    const password = Buffer.from('p');
    const made = encodeEnvelopedData(text(100), { recipients: [{ password, iterations: 1000 }] });
    const [nodes] = readNodes(made);
    const count = allNodes(nodes)
      .map(({ list, index }) => list[index])
      .find((node) => node?.tag[0] === 2 && node.value.equals(Buffer.from('03e8', 'hex')));
    assert.ok(count);
    count.value = Buffer.from('0080000000', 'hex');
    const bomb = Buffer.concat(nodes.map(writeNode));
    const reader = new CmsReader(
      { onHead: () => new NullSink(), onTail: () => {} },
      { identities: [], passwords: [{ name: 'p', password }] },
    );
    assert.throws(
      () => {
        reader.write(bomb);
        reader.end();
      },
      { code: 'work-limit' },
    );
    // no key is derived without a password
    assert.equal(code(bomb), 'decrypt-no-key');
  });
});
