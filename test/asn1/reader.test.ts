import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Cursor, children, content, parse, raw, readElement, tags } from '../../src/asn1/reader.ts';
import { bitString, boolean, integer, octetString, oid, text, time } from '../../src/asn1/values.ts';

function hex(digits: string): Buffer {
  return Buffer.from(digits.replaceAll(' ', ''), 'hex');
}

function failsWith(code: string, octets: Buffer): void {
  assert.throws(() => parse(octets), { code });
}

test('a definite and an indefinite sequence give the same children', () => {
  for (const octets of [hex('3006 020105 040161'), hex('3080 020105 24800401610000 0000')]) {
    const [number, string] = children(parse(octets));
    assert.ok(number && string);
    assert.equal(integer(number), 5n);
    assert.equal(octetString(string).toString(), 'a');
  }
});

test('raw and content are views of the octets that were read', () => {
  const octets = hex('3080 020105 0000');
  const element = parse(octets);
  assert.deepEqual(raw(element), octets);
  assert.deepEqual(content(element), hex('020105'));
  assert.equal(content(element).buffer, octets.buffer);
});

test('a high tag number is read', () => {
  const element = parse(hex('bf8201 00'));
  assert.deepEqual([element.cls, element.constructed, element.tag], [2, true, 257]);
});

test('readElement leaves what follows alone', () => {
  assert.equal(readElement(hex('0500 ffff'), 0).end, 2);
});

test('a cursor takes optional and expected elements', () => {
  const cursor = new Cursor(parse(hex('3006 020105 800161')));
  assert.equal(cursor.optional(2, 0), undefined);
  assert.equal(integer(cursor.expect(tags.integer)), 5n);
  assert.ok(cursor.optional(2, 0));
  cursor.done();
  assert.throws(() => cursor.next(), { code: 'asn1-malformed' });
});

test('what is not BER is malformed', () => {
  for (const bad of [
    '0280 05 0000', // indefinite primitive
    '04ff 00', // reserved length
    '0000', // end-of-contents alone
    '3004 0000 0500', // end-of-contents inside a definite length
    '3080 2000 0000', // end-of-contents with the constructed bit
    '3080 0001 00 0000', // end-of-contents with a length
    '0500 00', // trailing octet
    '1f80 01 00', // tag with leading zeros
    '1f0500', // low tag in the long form
  ]) {
    failsWith('asn1-malformed', hex(bad));
  }
});

test('each prefix of an element is truncated', () => {
  const octets = hex('3080 02020102 24800401610000 30020500 0000');
  for (let length = 0; length < octets.length; length++) {
    failsWith('asn1-truncated', octets.subarray(0, length));
  }
});

test('S10: 100,000 levels, definite and indefinite, are refused', () => {
  const indefinite = Buffer.alloc(200_000, hex('3080'));
  failsWith('asn1-limit', indefinite);
  assert.throws(() => readElement(indefinite, 0), { code: 'asn1-limit' });
  failsWith('asn1-limit', Buffer.concat([indefinite, Buffer.alloc(200_000)]));

  const parts: Buffer[] = [];
  let length = 0;
  for (let level = 0; level < 100_000; level++) {
    const head = Buffer.from([0x30, 0x84, 0, 0, 0, 0]);
    head.writeUInt32BE(length, 2);
    parts.push(head);
    length += head.length;
  }
  failsWith('asn1-limit', Buffer.concat(parts.reverse()));
});

test('S10: lengths of 2^32 to 2^64 are refused', () => {
  failsWith('asn1-truncated', hex('0484 ffffffff 00'));
  failsWith('asn1-truncated', hex('0485 0100000000 00'));
  failsWith('asn1-limit', hex('0488 ffffffffffffffff 00'));
  failsWith('asn1-limit', hex('0489 010000000000000000 00'));
  assert.equal(integer(parse(hex('0289 000000000000000001 05'))), 5n);
});

test('S10: missing end-of-contents is truncated', () => {
  failsWith('asn1-truncated', hex('3080 020105'));
  failsWith('asn1-truncated', hex('3080 020105 00'));
});

test('S10: a million segments in an OCTET STRING are refused', () => {
  const segments = Buffer.alloc(3_000_000, hex('040161'));
  const bomb = Buffer.concat([hex('2480'), segments, hex('0000')]);
  failsWith('asn1-limit', bomb);
  assert.throws(() => octetString(readElement(bomb, 0, { maxElements: 2_000_000 })), { code: 'asn1-limit' });
});

test('S10: arcs above 2^32 are read, an OID that is too long is refused', () => {
  assert.equal(oid(parse(hex('0606 2a 90 80 80 80 01'))), '1.2.4294967297');
  const long = Buffer.concat([hex('060d 69'), Buffer.alloc(11, 0xff), hex('7f')]);
  assert.equal(oid(parse(long)), `2.25.${2n ** 84n - 1n}`);
  assert.throws(() => oid(parse(Buffer.concat([hex('06820200'), Buffer.alloc(512, 1)]))), {
    code: 'asn1-limit',
  });
  assert.throws(() => oid(parse(hex('06022a80'))), { code: 'asn1-malformed' });
});

test('OBJECT IDENTIFIERs of all roots', () => {
  assert.equal(oid(parse(hex('0603 550403'))), '2.5.4.3');
  assert.equal(oid(parse(hex('0601 27'))), '0.39');
  assert.equal(oid(parse(hex('0602 8837'))), '2.999');
});

test('integers, bit strings and booleans', () => {
  assert.equal(integer(parse(hex('0201ff'))), -1n);
  assert.equal(integer(parse(hex('02020080'))), 128n);
  assert.throws(() => integer(parse(hex('0200'))), { code: 'asn1-malformed' });
  assert.deepEqual(bitString(parse(hex('03020780'))), { octets: hex('80'), unusedBits: 7 });
  assert.deepEqual(bitString(parse(hex('2380 030200aa 030204f0 0000'))), {
    octets: hex('aaf0'),
    unusedBits: 4,
  });
  assert.throws(() => bitString(parse(hex('03020880'))), { code: 'asn1-malformed' });
  assert.equal(boolean(parse(hex('0101ff'))), true);
});

test('times with zones and fractions', () => {
  const at = (tag: string, value: string) =>
    time(parse(Buffer.concat([hex(tag), Buffer.from([value.length]), Buffer.from(value)]))).toISOString();
  assert.equal(at('17', '491231235959Z'), '2049-12-31T23:59:59.000Z');
  assert.equal(at('17', '5001010000Z'), '1950-01-01T00:00:00.000Z');
  assert.equal(at('17', '260102030405+0130'), '2026-01-02T01:34:05.000Z');
  assert.equal(at('18', '20260102030405.25Z'), '2026-01-02T03:04:05.250Z');
  assert.throws(() => at('17', '260230000000Z'), { code: 'asn1-malformed' });
  assert.throws(() => at('18', 'yesterday'), { code: 'asn1-malformed' });
});

test('strings of all types', () => {
  assert.equal(text(parse(hex('0c02c3a9'))), 'é');
  assert.equal(text(parse(hex('0c01e9'))), '\ufffd');
  assert.equal(text(parse(hex('1401e9'))), 'é');
  assert.equal(text(parse(hex('1e0400e92020'))), 'é\u2020');
  assert.equal(text(parse(hex('1c040001f600'))), '\u{1f600}');
});
