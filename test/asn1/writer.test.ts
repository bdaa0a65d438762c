import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { oidName, oids } from '../../src/asn1/oids.ts';
import { children, parse } from '../../src/asn1/reader.ts';
import { integer, octetString, oid, smallInteger, time } from '../../src/asn1/values.ts';
import * as der from '../../src/asn1/writer.ts';

test('integers come back', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: -(2n ** 200n), max: 2n ** 200n }), (value) => {
      assert.equal(integer(parse(der.integer(value))), value);
    }),
  );
  assert.equal(der.integer(Buffer.from('00ff', 'hex')).toString('hex'), '020200ff');
  assert.equal(der.integer(-128).toString('hex'), '020180');
});

test('octet strings of any length and object identifiers come back', () => {
  for (const length of [0, 1, 127, 128, 255, 256, 65_535, 65_536, 1 << 24]) {
    assert.equal(octetString(parse(der.octetString(Buffer.alloc(length)))).length, length);
  }
  for (const [name, dotted] of Object.entries(oids)) {
    assert.equal(oid(parse(der.oid(dotted))), dotted);
    assert.equal(oidName(dotted), name);
  }
});

test('the set of a SET OF is sorted', () => {
  const sorted = der.setOf(der.integer(300), der.integer(2), der.nullValue(), der.integer(1));
  assert.equal(sorted.toString('hex'), '310c020101020102020201 2c0500'.replaceAll(' ', ''));
});

test('times choose the form that RFC 5652 wants', () => {
  for (const [value, tag] of [
    ['2049-12-31T23:59:59.000Z', 0x17],
    ['2050-01-01T00:00:00.000Z', 0x18],
  ] as const) {
    const octets = der.time(new Date(value));
    assert.equal(octets[0], tag);
    assert.equal(time(parse(octets)).toISOString(), value);
  }
});

test('explicit and implicit tags, high tag numbers, indefinite lengths', () => {
  assert.equal(der.explicit(0, der.nullValue()).toString('hex'), 'a0020500');
  assert.equal(der.implicit(300, false, Buffer.from('a')).toString('hex'), '9f822c0161');
  const streamed = Buffer.concat([
    der.openIndefinite(),
    der.integer(7),
    der.openOctetString(),
    der.octetString(Buffer.from('ab')),
    der.octetString(Buffer.from('c')),
    der.endOfContents,
    der.endOfContents,
  ]);
  const [number, string] = children(parse(streamed));
  assert.ok(number && string);
  assert.equal(smallInteger(number), 7);
  assert.equal(octetString(string).toString(), 'abc');
});
