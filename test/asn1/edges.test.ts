/** Limits at the limit and one beyond, and conditions of which one alone must not be enough. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Cursor, parse, readElement, tags } from '../../src/asn1/reader.ts';
import { bitString, integer, octetString, oid } from '../../src/asn1/values.ts';

const hex = (digits: string) => Buffer.from(digits.replaceAll(' ', ''), 'hex');

/** An element around octets, in as many length octets as it needs. */
function wrap(tag: number, inside: Buffer): Buffer {
  const head = Buffer.alloc(6);
  head[0] = tag;
  head[1] = 0x84;
  head.writeUInt32BE(inside.length, 2);
  return Buffer.concat([head, inside]);
}

const nested = (tag: number, levels: number, inside: Buffer) => {
  let octets = inside;
  for (let level = 0; level < levels; level++) octets = wrap(tag, octets);
  return octets;
};

test('a tag number has one form: no leading zeros, the long form from 31 on', () => {
  assert.equal(parse(hex('1f2000')).tag, 32);
  assert.equal(parse(hex('1f1f00')).tag, 31);
  for (const bad of ['1f802000', '1f1e00']) assert.throws(() => parse(hex(bad)), { code: 'asn1-malformed' });
});

test('an expected element has both the class and the number', () => {
  for (const other of ['8500', '0400', '8400'])
    assert.throws(() => new Cursor(parse(wrap(0x30, hex(other)))).expect(tags.nullValue), {
      code: 'asn1-malformed',
    });
  const context = new Cursor(parse(hex('3002 8500')));
  assert.equal(context.expect(5, 2).tag, 5);
  assert.throws(() => new Cursor(parse(hex('3002 0500'))).expect(5, 2), { code: 'asn1-malformed' });
});

test('an end-of-contents has no content', () => {
  assert.equal(readElement(hex('3080 0000'), 0).end, 4);
  assert.throws(() => readElement(hex('3080 0001 00 0000'), 0), { code: 'asn1-malformed' });
});

test('a cursor that is done has nothing left', () => {
  const cursor = new Cursor(parse(hex('3004 0500 0500')));
  cursor.next();
  assert.throws(() => cursor.done(), { code: 'asn1-malformed' });
  cursor.next();
  cursor.done();
});

test('no element reaches beyond the one that holds it', () => {
  // the outer one has octets enough, the inner one says three of two
  for (const bad of ['3004 0403 6162', '3006 3004 0403 6162 ']) {
    const octets = Buffer.concat([hex(bad), hex('ffffff')]);
    assert.throws(
      () => {
        const outer = new Cursor(readElement(octets, 0));
        const inner = outer.next();
        if (inner.constructed) new Cursor(inner).next();
      },
      { code: 'asn1-truncated' },
    );
  }
  assert.throws(() => parse(hex('3004 0403 6162')), { code: 'asn1-truncated' });
  assert.throws(() => parse(hex('3080 3003 0402 61 0000 0000')), { code: 'asn1-truncated' });
});

test('elements and nesting at the limit, and one beyond', () => {
  const three = parse(hex('3006 0500 0500 0500'), { maxElements: 3 });
  assert.equal(three.end, 8);
  assert.throws(() => parse(hex('3006 0500 0500 0500'), { maxElements: 2 }), { code: 'asn1-limit' });
  const deep = nested(0x30, 5, hex('0500'));
  assert.equal(parse(deep, { maxDepth: 5 }).end, deep.length);
  assert.throws(() => parse(deep, { maxDepth: 4 }), { code: 'asn1-limit' });
});

test('an INTEGER of 4,096 octets, and one more', () => {
  const octets = (length: number) => wrap(2, Buffer.alloc(length, 1));
  assert.ok(integer(parse(octets(4096))) > 0n);
  assert.throws(() => integer(parse(octets(4097))), { code: 'asn1-limit' });
});

test('an OCTET STRING of sixteen levels, and one more', () => {
  const read = (levels: number) => octetString(parse(nested(0x24, levels, hex('0401 61')))).toString();
  assert.equal(read(16), 'a');
  assert.throws(() => read(17), { code: 'asn1-limit' });
});

test('an OBJECT IDENTIFIER has one form and is whole', () => {
  for (const bad of ['06032a8001', '06022a81', '0600'])
    assert.throws(() => oid(parse(hex(bad))), { code: 'asn1-malformed' });
  assert.equal(oid(parse(hex('06032a8101'))), '1.2.129');
});

test('unused bits are seven at most, and none where there are no octets', () => {
  assert.equal(bitString(parse(hex('03020780'))).unusedBits, 7);
  assert.equal(bitString(parse(hex('030100'))).unusedBits, 0);
  for (const bad of ['03020800', '030101', '0300'])
    assert.throws(() => bitString(parse(hex(bad))), { code: 'asn1-malformed' });
});
