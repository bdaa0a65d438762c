import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Budget, costs, publicKeyCost } from '../../src/budget.ts';
import { largestDsa, largestRsa, oversized } from '../../src/pki/public-key.ts';
import { decodeSync } from '../../src/smime/index.ts';
import { dearIssuers, largeDsa, nestedTripleDes } from './cost-bombs.ts';
import { options } from './support.ts';

function decodeFor(octets: Buffer, work?: number) {
  const budget = new Budget(work === undefined ? {} : { work });
  return { ...decodeSync(octets, { ...options, budget }), budget };
}

describe('keys that are dear to check with', () => {
  it('an RSA exponent as long as its modulus is refused before it is used', () => {
    const few = decodeFor(dearIssuers(2));
    const { verdict, budget } = decodeFor(dearIssuers(42));
    assert.equal(verdict.signature, 'untrusted');
    // forty certificates read, and no operation with any of their keys
    assert.ok(budget.spent - few.budget.spent < 40 * 1000, `${budget.spent} units`);
  });

  it('exponents are bounded by 256 bits, and 64 above a modulus of 3,072', () => {
    const rsa = (bits: number, exponentBits: number) => oversized({ family: 'rsa', bits, exponentBits });
    assert.equal(rsa(3072, 256), undefined);
    assert.match(rsa(3072, 257) ?? '', /exponent of 257 bits/);
    assert.equal(rsa(3073, 64), undefined);
    assert.match(rsa(3073, 65) ?? '', /exponent of 65 bits/);
    assert.equal(rsa(largestRsa, 17), undefined);
    assert.match(rsa(largestRsa + 1, 17) ?? '', /RSA key of 16385 bits/);
    assert.equal(oversized({ family: 'dsa', bits: largestDsa }), undefined);
    assert.match(oversized({ family: 'dsa', bits: largestDsa + 1 }) ?? '', /DSA key of 4097 bits/);
  });

  it('allowed exponents of 256 bits among hundreds of namesakes use up the work of the message', () => {
    const { verdict, content, budget } = decodeFor(dearIssuers(60, 3072, 256), 100_000);
    assert.equal(verdict.error?.code, 'work-limit');
    assert.equal(content, undefined);
    const one = publicKeyCost({ family: 'rsa', bits: 3072, exponentBits: 256 });
    assert.ok(one > 500 && budget.spent < 120_000 + 2 * one, `${budget.spent} units`);
  });

  it('a DSA key of 10,000 bits is not computed with, whoever many signers use it', () => {
    const { verdict, budget } = decodeFor(largeDsa(10_000, 50));
    assert.equal(verdict.signature, 'invalid');
    const [layer] = verdict.layers;
    assert.ok(layer?.type === 'signed-data');
    assert.deepEqual([...new Set(layer.signers.map(({ reason }) => reason))], ['certificate-unusable']);
    assert.ok(budget.spent < 50 * 1000, `${budget.spent} units`);
  });

  it('each layer draws its private key, its cipher and its octets from the same budget', () => {
    const bomb = nestedTripleDes(5, 100_000);
    const whole = decodeFor(bomb);
    assert.equal(whole.verdict.status, 'ok');
    const least = 5 * (costs.rsaPrivate(2048) + 100_000 * costs.cipherOctet('des3'));
    assert.ok(whole.budget.spent > least, `${whole.budget.spent} of ${least} units`);
    // a message may cost more by its size, which is the same for both
    const { work } = allowance(whole.budget.spent, bomb.length);
    assert.equal(decodeFor(bomb, work + 1).verdict.status, 'ok');
    assert.equal(decodeFor(bomb, work - 1).verdict.error?.code, 'work-limit');
  });
});

/** The setting with which a message of this size may cost exactly this much. */
function allowance(spent: number, octets: number): { work: number } {
  return { work: spent / (1 + octets / (5 << 20)) };
}
