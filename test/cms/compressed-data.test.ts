import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deflateSync } from 'node:zlib';
import fc from 'fast-check';
import { oids } from '../../src/asn1/index.ts';
import * as der from '../../src/asn1/writer.ts';
import { CompressedDataWriter } from '../../src/cms/index.ts';
import { BufferSink } from '../../src/message/sink.ts';
import { corpus, feeds, noCorpora, readCms } from './support.ts';

function compressed(zlib: Buffer): Buffer {
  const info = der.sequence(der.oid(oids.data), der.explicit(0, der.octetString(zlib)));
  const body = der.sequence(der.integer(0), der.sequence(der.oid(oids.zlib)), info);
  return der.sequence(der.oid(oids.compressedData), der.explicit(0, body));
}

test('what zlib compressed, in any pieces', () => {
  const content = Buffer.from('the same line again\r\n'.repeat(500));
  for (const level of [0, 1, 9]) {
    for (const [feed, pieces] of feeds(compressed(deflateSync(content, { level })))) {
      const { tail, content: plain } = readCms(pieces);
      assert.deepEqual(plain, content, feed);
      assert.equal(tail.type === 'compressed-data' && tail.contentOctets, content.length);
    }
  }
});

test('what we compress comes back', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 5000 })), (parts) => {
      const sink = new BufferSink();
      const writer = new CompressedDataWriter(sink);
      for (const part of parts) writer.write(Buffer.from(part));
      writer.end();
      assert.deepEqual(readCms([sink.toBuffer()]).content, Buffer.concat(parts));
    }),
    { numRuns: 50 },
  );
});

test('S12: bombs are refused by what they would become and by octets', () => {
  const bomb = compressed(deflateSync(Buffer.alloc(50_000_000)));
  assert.throws(() => readCms([bomb]), { code: 'output-limit' });
  const limits = { contentOctets: 1000 };
  assert.throws(() => readCms([bomb], { limits }), { code: 'cms-limit', message: /1000 octets/ });
});

test('a wrong checksum, a cut stream and garbage are malformed', () => {
  const zlib = deflateSync(Buffer.from('content'.repeat(100)));
  const wrong = Buffer.from(zlib);
  wrong[wrong.length - 1] = (wrong.at(-1) ?? 0) ^ 1;
  for (const bad of [wrong, zlib.subarray(0, -8), Buffer.from('no zlib at all'), Buffer.alloc(0)]) {
    assert.throws(() => readCms([compressed(bad)]), { code: 'cms-malformed' });
  }
});

test('without any content it is not whole', () => {
  const body = (...info: Buffer[]) =>
    der.sequence(
      der.oid(oids.compressedData),
      der.explicit(0, der.sequence(der.integer(0), der.sequence(der.oid(oids.zlib)), ...info)),
    );
  const missing = { code: 'cms-malformed', message: /CompressedData: a part is missing/ };
  for (const cut of [
    body(),
    body(der.sequence()),
    body(der.sequence(der.oid(oids.data))),
    body(der.sequence(der.oid(oids.data), der.explicit(0))),
    body(der.sequence(der.explicit(0, der.octetString(deflateSync('x'))))),
  ])
    assert.throws(() => readCms([cut]), missing);
});

test('the corpora: CompressedData and DigestedData of others', { skip: noCorpora }, () => {
  assert.equal(readCms([corpus('asn1crypto/cms-compressed.der')]).content.length > 0, true);
  assert.equal(readCms([corpus('asn1crypto/meca2_compressed.der')]).content.length > 0, true);
  assert.equal(readCms([corpus('made/bc72-compressed.der')]).content.length > 0, true);
  for (const file of ['rfc4134/6.0.bin', 'asn1crypto/cms-digested.der']) {
    const { tail } = readCms([corpus(file)]);
    assert.deepEqual(tail, { type: 'digested-data', valid: true }, file);
  }
});
