import assert from 'node:assert/strict';
import { createCipheriv } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { Rc2Cbc, rc2EffectiveBits, rc2Version } from '../../src/cms/rc2.ts';

/** RFC 2268 section 5: key, effective bits, plaintext, ciphertext. */
const vectors: [string, number, string, string][] = [
  ['0000000000000000', 63, '0000000000000000', 'ebb773f993278eff'],
  ['ffffffffffffffff', 64, 'ffffffffffffffff', '278b27e42e2f0d49'],
  ['3000000000000000', 64, '1000000000000001', '30649edf9be7d2c2'],
  ['88', 64, '0000000000000000', '61a8a244adacccf0'],
  ['88bca90e90875a', 64, '0000000000000000', '6ccf4308974c267f'],
  ['88bca90e90875a7f0f79c384627bafb2', 64, '0000000000000000', '1a807d272bbe5db1'],
  ['88bca90e90875a7f0f79c384627bafb2', 128, '0000000000000000', '2269552ab0f85ca6'],
  [
    '88bca90e90875a7f0f79c384627bafb216f80a6f85920584c42fceb0be255daf1e',
    129,
    '0000000000000000',
    '5b78d3a43dfff1f1',
  ],
];

test('the vectors of RFC 2268', () => {
  for (const [key, bits, plain, encrypted] of vectors) {
    const keyOctets = Buffer.from(key, 'hex');
    // One block of CBC with a zero IV is the bare block cipher.
    const encryptor = new Rc2Cbc('encrypt', keyOctets, bits, Buffer.alloc(8)).setAutoPadding(false);
    assert.equal(encryptor.update(Buffer.from(plain, 'hex')).toString('hex'), encrypted);
    const decryptor = new Rc2Cbc('decrypt', keyOctets, bits, Buffer.alloc(8)).setAutoPadding(false);
    assert.equal(decryptor.update(Buffer.from(encrypted, 'hex')).toString('hex'), plain);
  }
});

test('the same octets as OpenSSL at 128, 64 and 40 bits, in any pieces', () => {
  const iv = Buffer.from('0123456789abcdef', 'hex');
  for (const [name, size] of [
    ['rc2-cbc', 16],
    ['rc2-64-cbc', 8],
    ['rc2-40-cbc', 5],
  ] as const) {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: size, maxLength: size }),
        fc.array(fc.uint8Array()),
        (key, parts) => {
          const native = createCipheriv(name, key, iv);
          const own = new Rc2Cbc('encrypt', key, size * 8, iv);
          const expected = Buffer.concat([...parts.map((part) => native.update(part)), native.final()]);
          assert.deepEqual(Buffer.concat([...parts.map((part) => own.update(part)), own.final()]), expected);
          const back = new Rc2Cbc('decrypt', key, size * 8, iv);
          const plain = Buffer.concat([
            ...Array.from(expected, (octet) => back.update(Buffer.from([octet]))),
            back.final(),
          ]);
          assert.deepEqual(plain, Buffer.concat(parts));
        },
      ),
    );
  }
});

test('bad padding and unfinished blocks are errors', () => {
  const decryptor = () => new Rc2Cbc('decrypt', Buffer.alloc(5), 40, Buffer.alloc(8));
  assert.throws(() => decryptor().final());
  const short = decryptor();
  short.update(Buffer.alloc(9));
  assert.throws(() => short.final());
  const wrong = decryptor();
  wrong.update(
    new Rc2Cbc('encrypt', Buffer.alloc(5), 40, Buffer.alloc(8))
      .setAutoPadding(false)
      .update(Buffer.alloc(8, 9)),
  );
  assert.throws(() => wrong.final());
});

test('RC2ParameterVersion: the values that RFC 8551 and RFC 2268 print, and back for all', () => {
  assert.deepEqual([40, 64, 128].map(rc2Version), [160, 120, 58]);
  for (let bits = 1; bits <= 1024; bits++) assert.equal(rc2EffectiveBits(rc2Version(bits)), bits);
  assert.equal(rc2EffectiveBits(1025), undefined);
});
