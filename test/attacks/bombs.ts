import { deflateSync } from 'node:zlib';
import { oids } from '../../src/asn1/index.ts';
import * as der from '../../src/asn1/writer.ts';
import { encodeEnvelopedData, encodeSignedData } from '../../src/cms/index.ts';
import { allNodes, readNodes, writeNode } from '../fuzz/ber.ts';
import { aesCbc, alice, enveloped, keyTransInfo, multipartSigned } from './support.ts';

/**
 * The bombs of threats S10 and S12: ASN.1, nesting, compression. Those that cost by their product are in
 * `cost-bombs.ts`.
 */
const hex = (digits: string) => Buffer.from(digits, 'hex');
const repeat = (octets: Buffer, times: number): Buffer =>
  Buffer.alloc(octets.length * times, octets.toString('hex'), 'hex');
const type = (dotted: string) => der.oid(dotted);

/** ContentInfo with an open end. */
const open = (dotted: string, ...parts: Buffer[]) =>
  Buffer.concat([hex('3080'), type(dotted), hex('a080'), ...parts]);

const levels = 100_000;
const key = Buffer.alloc(16, 1);
const recipient = keyTransInfo(alice.certificate, Buffer.alloc(256, 1));
const signed = encodeSignedData(Buffer.from('Content-Type: text/plain\r\n\r\nx'), { signers: [alice] });

function definiteLevels(count: number): Buffer {
  // from the inside out; the lengths are those of DER
  const headers: Buffer[] = [];
  for (let depth = 0, length = 0; depth < count; depth++) {
    const header = der.header(0x20, 16, length);
    headers.push(header);
    length += header.length;
  }
  return Buffer.concat(headers.reverse());
}

const segmented = (segment: Buffer, times: number) =>
  Buffer.concat([hex('3080'), type(oids.data), hex('a0802480'), repeat(segment, times), hex('0000')]);

export function compressed(content: Buffer): Buffer {
  const info = der.sequence(
    type(oids.data),
    der.explicit(0, der.octetString(deflateSync(content, { level: 9 }))),
  );
  const body = der.sequence(der.integer(0), der.sequence(type('1.2.840.113549.1.9.16.3.8')), info);
  return der.sequence(type(oids.compressedData), der.explicit(0, body));
}

export function nestedCompression(times: number): Buffer {
  let inner: Buffer = Buffer.from('Content-Type: text/plain\r\n\r\nx');
  for (let layer = 0; layer < times; layer++) inner = compressed(inner);
  return inner;
}

function nestedMultipart(times: number): Buffer {
  let text = '';
  for (let layer = 0; layer < times; layer++)
    text += `Content-Type: multipart/signed; protocol="application/pkcs7-signature"; boundary=b${layer}\r\n\r\n--b${layer}\r\n`;
  return Buffer.from(text);
}

const withPassword = encodeEnvelopedData(Buffer.from('x'), {
  recipients: [{ password: Buffer.from('p'), iterations: 1000 }],
});

/** The message with another number of iterations. */
function withIterations(count: Buffer): Buffer {
  const [nodes] = readNodes(withPassword);
  const found = allNodes(nodes)
    .map(({ list, index }) => list[index])
    .find((node) => node?.tag[0] === 2 && node.value.equals(hex('03e8')));
  if (found === undefined) throw new Error('the message names no iterations');
  found.value = count;
  return Buffer.concat(nodes.map(writeNode));
}

export const bombs: Record<string, Buffer> = {
  '100,000 levels, indefinite': repeat(hex('3080'), levels),
  '100,000 levels, definite': definiteLevels(levels),
  '100,000 levels inside of SignedData, indefinite': open(
    oids.signedData,
    hex('3080020101'),
    repeat(hex('3180'), levels),
  ),
  '100,000 levels inside of the certificates': der.sequence(
    type(oids.signedData),
    der.explicit(
      0,
      der.sequence(
        der.integer(1),
        der.set(),
        der.sequence(type(oids.data)),
        der.implicit(0, true, definiteLevels(levels)),
        der.set(),
      ),
    ),
  ),
  '100,000 levels of constructed OCTET STRING': open(oids.data, repeat(hex('2480'), levels)),
  'a length of 2^32': Buffer.concat([hex('3084ffffffff'), type(oids.signedData)]),
  'a length of 2^53': Buffer.concat([hex('308720000000000000'), type(oids.signedData)]),
  'a length of 2^63': Buffer.concat([hex('30888000000000000000'), type(oids.signedData)]),
  'a length of 2^64 - 1': Buffer.concat([hex('3088ffffffffffffffff'), type(oids.signedData)]),
  'a length of 127 octets': Buffer.concat([hex('30ff'), Buffer.alloc(127, 0xff)]),
  'lengths of 2^32 all the way down': open(oids.signedData, repeat(hex('3084ffffffff'), 1000)),
  'an OCTET STRING of 2^40 octets': open(
    oids.data,
    hex('04860100000000000'.padEnd(16, '0')),
    Buffer.alloc(1000),
  ),
  'no end-of-contents': open(oids.data, hex('2480'), repeat(hex('040161'), 1000)),
  'only end-of-contents': Buffer.concat([hex('3080'), type(oids.signedData), Buffer.alloc(100_000)]),
  'a million chunks in an OCTET STRING, without an end': segmented(hex('040161'), 1_000_000),
  'a million empty chunks': segmented(hex('0400'), 1_000_000),
  'a million elements in digestAlgorithms': open(
    oids.signedData,
    hex('3080020101'),
    hex('3180'),
    repeat(hex('3000'), 1_000_000),
  ),
  'a million elements in definite digestAlgorithms': der.sequence(
    type(oids.signedData),
    der.explicit(0, der.sequence(der.integer(1), der.set(repeat(hex('3000'), 1_000_000)))),
  ),
  'a million recipients of nothing': open(
    oids.envelopedData,
    hex('3080020100'),
    hex('3180'),
    repeat(hex('3000'), 1_000_000),
  ),
  'arcs above 2^32': der.sequence(
    der.primitive(6, Buffer.concat([repeat(hex('ff'), 40), hex('7f')])),
    der.explicit(0, der.sequence()),
  ),
  'an OBJECT IDENTIFIER of a megabyte': der.sequence(
    der.primitive(6, Buffer.concat([repeat(hex('ff'), 1 << 20), hex('7f')])),
  ),
  'an INTEGER of a megabyte as version': open(
    oids.signedData,
    hex('3080'),
    der.primitive(2, Buffer.alloc(1 << 20, 0x7f)),
  ),
  'trailing octets': Buffer.concat([signed, hex('00')]),
  'trailing object': Buffer.concat([signed, signed]),
  '10,000 recipients': enveloped({
    recipients: Array(10_000).fill(recipient),
    algorithm: aesCbc(key),
    encrypted: key,
  }),
  'PBKDF2 with 2^31 - 1 iterations': withIterations(hex('7fffffff')),
  'PBKDF2 with 2^63 iterations': withIterations(hex('7fffffffffffffff')),
  'compressed 1,000 to one': compressed(Buffer.alloc(100 << 20)),
  '200 layers of compression': nestedCompression(200),
  '1,000 layers of multipart/signed': nestedMultipart(1000),
  '10,000 parts': multipartSigned('x', signed, '--b\r\n\r\nx\r\n'.repeat(10_000)),
};
