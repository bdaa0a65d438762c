import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import { oids } from '../../src/asn1/index.ts';
import { Budget } from '../../src/budget.ts';
import { decodeSync, type Verdict } from '../../src/smime/index.ts';
import { contentFailures, garbage, keyFailures, type Make, message } from './decryption-failures.ts';
import { alice, entity, options, padded, rsaEncrypt } from './support.ts';

/** Runs of each class. */
const runs = Number(process.env.SEALPOST_RUNS ?? 60);

const answer = ({ status, error, encrypted, integrity, signature, layers, content }: Verdict): string =>
  JSON.stringify([status, error, encrypted, integrity, signature, layers.map(({ type }) => type), content]);

/**
 * All answers to a class, and how much work each took; one time in 256 a random key leaves what looks like a padding.
 * How long it takes is measured by `bench/failure-times.ts`.
 */
function answers(make: Make, type: string, rounds: number) {
  const seen = new Set<string>();
  const work = new Set<number>();
  let byChance = 0;
  for (let round = 0; round < rounds; round++) {
    const budget = new Budget();
    const { verdict, detail } = decodeSync(make(type), { ...options, budget });
    if (verdict.error?.code === 'decrypt-failed' && /last block/.test(detail ?? '')) {
      seen.add(answer(verdict));
      work.add(budget.spent);
    } else byChance++;
  }
  return { seen, work, byChance };
}

describe('S3: one answer to every failure of decryption', () => {
  const classes = Object.entries({ ...keyFailures, ...contentFailures });

  for (const [title, type] of [
    ['id-data', oids.data],
    ['a nested SignedData', oids.signedData],
    ['a nested EnvelopedData', oids.envelopedData],
    ['an unknown type', '1.2.3.4'],
  ] as const) {
    it(`four classes look alike: the content claims to be ${title}`, (context) => {
      const all = new Set<string>();
      const spent = new Set<number>();
      for (const [name, make] of classes) {
        const { seen, work, byChance } = answers(make, type, runs);
        for (const each of seen) all.add(each);
        for (const each of work) spent.add(each);
        context.diagnostic(`${name}: ${byChance} of ${runs} passed the padding by chance`);
        assert.ok(byChance <= Math.max(6, runs / 20), `${name}: ${byChance} of ${runs}`);
      }
      assert.equal(all.size, 1, [...all].join('\n'));
      // but for the few elements or encoded words that noise may look like: a private key operation counts a thousand
      const [least, most] = [Math.min(...spent), Math.max(...spent)];
      assert.ok(least > 1000 && most - least < 100, `work: ${least} to ${most}`);
    });
  }

  it('content that is garbage behind a good padding is decoded as what it is, when it claims nothing', () => {
    const { verdict } = decodeSync(garbage(oids.data), options);
    assert.equal(verdict.status, 'ok');
    assert.equal(verdict.integrity, 'none');
    assert.equal(verdict.signature, 'none');
  });

  for (const [title, type] of [
    ['SignedData', oids.signedData],
    ['EnvelopedData', oids.envelopedData],
    ['CompressedData', oids.compressedData],
  ] as const) {
    it(`the fifth class, content that is garbage behind a good padding, looks like the others: ${title}`, () => {
      const [other] = answers(classes[3]?.[1] ?? garbage, type, 4).seen;
      for (let round = 0; round < 20; round++) {
        assert.equal(answer(decodeSync(garbage(type), options).verdict), other);
      }
    });
  }

  it('what is known beyond the answer is beside the verdict, for the operator', () => {
    const detailsOf = (make: Make) => {
      const found = Array.from({ length: 12 }, () => decodeSync(make(oids.signedData), options));
      const answered = new Set(found.map(({ verdict }) => answer(verdict)));
      return { answered, details: found.map(({ detail }) => detail ?? '') };
    };
    const [padding, inside] = [detailsOf(classes[3]?.[1] ?? garbage), detailsOf(garbage)];
    assert.deepEqual([...inside.answered], [...padding.answered]);
    // one in 256 passes by chance
    assert.ok(padding.details.some((detail) => /^the padding of the last block is wrong/.test(detail)));
    for (const detail of inside.details) assert.match(detail, /^the padding is right, .*\((asn1|cms)-/);
    for (const [, make] of Object.entries(keyFailures))
      for (const detail of detailsOf(make).details)
        assert.match(detail, /padding/, 'the key transport is never told of');
  });

  it('the right message still opens', () => {
    const key = randomBytes(16);
    const made = message(rsaEncrypt(alice.certificate, key), key, padded(entity), oids.data);
    assert.ok(decodeSync(made, options).content?.equals(entity));
  });
});
