import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import { oids } from '../../src/asn1/index.ts';
import { decodeSync, type Verdict } from '../../src/smime/index.ts';
import {
  aesCbc,
  alice,
  cbc,
  entity,
  enveloped,
  keyTransInfo,
  noise,
  options,
  padded,
  rsaEncrypt,
} from './support.ts';

/** Runs of each class. `SEALPOST_RUNS=10000` is the measure of the threats list. */
const runs = Number(process.env.SEALPOST_RUNS ?? 60);

const contentLength = 16 * 40;

/** One fresh message of a class of failure; the attacker's content type is his choice. */
type Make = (contentType: string) => Buffer;

const message = (encryptedKey: Buffer, key: Buffer, plain: Buffer, contentType: string): Buffer => {
  const iv = randomBytes(16);
  return enveloped({
    recipients: [keyTransInfo(alice.certificate, encryptedKey)],
    algorithm: aesCbc(iv),
    encrypted: cbc(key, iv, plain),
    contentType,
  });
};

const bad = () => noise(contentLength, false);

/** Below the modulus, so that it is a number that RSA takes. */
const randomNumber = () => {
  const made = randomBytes(256);
  made[0] = 0;
  return made;
};

const keyFailures: Record<string, Make> = {
  'bad padding of the key': (type) => message(randomNumber(), randomBytes(16), bad(), type),
  'a key of the wrong length': (type) =>
    message(rsaEncrypt(alice.certificate, randomBytes(5)), randomBytes(16), bad(), type),
  'the wrong key': (type) =>
    message(rsaEncrypt(alice.certificate, randomBytes(16)), randomBytes(16), bad(), type),
};
const contentFailures: Record<string, Make> = {
  'bad padding of the content': (type) => {
    const key = randomBytes(16);
    return message(rsaEncrypt(alice.certificate, key), key, bad(), type);
  },
};
const garbage: Make = (type) => {
  const key = randomBytes(16);
  return message(rsaEncrypt(alice.certificate, key), key, noise(contentLength, true), type);
};

const answer = ({ status, error, encrypted, integrity, signature, layers, content }: Verdict): string =>
  JSON.stringify([status, error, encrypted, integrity, signature, layers.map(({ type }) => type), content]);

/** All answers to a class; one time in 256 a random key leaves what looks like a padding. */
function answers(make: Make, type: string, rounds: number): { seen: Set<string>; byChance: number } {
  const seen = new Set<string>();
  let byChance = 0;
  for (let round = 0; round < rounds; round++) {
    const { verdict } = decodeSync(make(type), options);
    if (verdict.error?.code === 'decrypt-failed') seen.add(answer(verdict));
    else byChance++;
  }
  return { seen, byChance };
}

function shuffled<T>(all: readonly T[]): T[] {
  return all
    .map((each) => ({ each, place: Math.random() }))
    .toSorted((a, b) => a.place - b.place)
    .map(({ each }) => each);
}

/** Milliseconds at some shares of the sorted times, and how much two distributions lie over each other. */
export function distribution(times: readonly number[]): { p5: number; median: number; p95: number } {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.floor(share * (sorted.length - 1))] ?? 0;
  return { p5: at(0.05), median: at(0.5), p95: at(0.95) };
}

/**
 * Overlapping coefficient of two samples: 1 alike, 0 apart. The bins hold equal shares of both together, so that a few
 * slow runs do not stretch them until all others are in one.
 */
export function overlap(a: readonly number[], b: readonly number[], bins = 20): number {
  const all = [...a, ...b].toSorted((x, y) => x - y);
  const edges = Array.from(
    { length: bins - 1 },
    (_, bin) => all[Math.floor(((bin + 1) * all.length) / bins)] ?? 0,
  );
  const histogram = (times: readonly number[]) => {
    const counts = Array<number>(bins).fill(0);
    for (const time of times) {
      const bin = edges.findIndex((edge) => time < edge);
      const at = bin < 0 ? bins - 1 : bin;
      counts[at] = (counts[at] ?? 0) + 1 / times.length;
    }
    return counts;
  };
  const other = histogram(b);
  return histogram(a).reduce((sum, share, bin) => sum + Math.min(share, other[bin] ?? 0), 0);
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
      for (const [name, make] of classes) {
        const { seen, byChance } = answers(make, type, runs);
        for (const each of seen) all.add(each);
        context.diagnostic(`${name}: ${byChance} of ${runs} passed the padding by chance`);
        assert.ok(byChance <= Math.max(6, runs / 20), `${name}: ${byChance} of ${runs}`);
      }
      assert.equal(all.size, 1, [...all].join('\n'));
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
    assert.ok(padding.details.some((detail) => /^the last block has no right padding/.test(detail)));
    for (const detail of inside.details) assert.match(detail, /^the padding is right, .*\((asn1|cms)-/);
    for (const [, make] of Object.entries(keyFailures))
      for (const detail of detailsOf(make).details)
        assert.match(detail, /padding/, 'the key transport is never told of');
  });

  // What a wrong key makes of id-data is content like any other: the fifth class fails only below it.
  for (const [title, type, fifth] of [
    ['id-data', oids.data, {}],
    ['a nested SignedData', oids.signedData, { 'bad content': garbage }],
    ['a nested EnvelopedData', oids.envelopedData, { 'bad content': garbage }],
  ] as const) {
    it(`the times of the classes lie over each other: the content claims to be ${title}`, (context) => {
      const timed: [string, Make][] = [...classes, ...Object.entries(fifth)];
      const times = new Map<string, number[]>(timed.map(([name]) => [name, []]));
      for (let round = -5; round < runs; round++) {
        // all classes in each round, so that a slow moment hits all; in any order, so that none always follows another
        for (const [name, make] of shuffled(timed)) {
          const octets = make(type);
          const start = performance.now();
          decodeSync(octets, options);
          if (round >= 0) times.get(name)?.push(performance.now() - start);
        }
      }
      const [reference = []] = times.values();
      const ms = (value: number) => value.toFixed(3);
      for (const [name, taken] of times) {
        const { p5, median, p95 } = distribution(taken);
        const alike = overlap(reference, taken).toFixed(3);
        context.diagnostic(
          `${name}: 5 % ${ms(p5)}, median ${ms(median)}, 95 % ${ms(p95)} ms; overlap ${alike} (${taken.length} runs)`,
        );
      }
      // what two samples of one class have, which no two classes can exceed but by chance
      const mixed = shuffled(reference);
      const halves = [mixed.slice(0, runs / 2), mixed.slice(runs / 2)];
      context.diagnostic(
        `one half of the first class with the other: overlap ${overlap(halves[0] ?? [], halves[1] ?? []).toFixed(3)}`,
      );
      assert.deepEqual(
        [...times.values()].map(({ length }) => length),
        timed.map(() => runs),
      );
    });
  }

  it('knows distributions that are apart from those that are not', () => {
    const near = Array.from({ length: 400 }, (_, index) => index % 20);
    assert.ok(overlap(near, near.toReversed()) > 0.99);
    assert.ok(
      overlap(
        near,
        near.map((time) => time + 30),
      ) < 0.01,
    );
    assert.deepEqual(distribution([1, 2, 3, 4, 5]), { p5: 1, median: 3, p95: 4 });
  });

  it('the right message still opens', () => {
    const key = randomBytes(16);
    const made = message(rsaEncrypt(alice.certificate, key), key, padded(entity), oids.data);
    assert.ok(decodeSync(made, options).content?.equals(entity));
  });
});
