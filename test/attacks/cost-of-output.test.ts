import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Budget, OUTPUT_PER_OCTET } from '../../src/budget.ts';
import { decodeSync, isSignatureLayer } from '../../src/smime/index.ts';
import { VerdictRoom } from '../../src/smime/verdict/verdict-room.ts';
import { compressed } from './bombs.ts';
import { manyAddresses, nestedZeros } from './cost-bombs.ts';
import { options } from './support.ts';

function decodeFor(octets: Buffer, limits: { work?: number; output?: number } = {}) {
  const budget = new Budget(limits);
  return { ...decodeSync(octets, { ...options, budget }), budget };
}

describe('output without end', () => {
  it('CompressedData in itself becomes no more than the message may', () => {
    for (const layers of [2, 3]) {
      const bomb = nestedZeros(layers, 60 << 20);
      assert.ok(bomb.length < 2000, `${bomb.length} octets`);
      const { verdict, content, budget } = decodeFor(bomb);
      assert.equal(verdict.error?.code, 'output-limit');
      assert.equal(content, undefined);
      assert.ok(budget.produced < 18 << 20, `${budget.produced} octets`);
    }
  });

  it('the layers draw from one limit: at it, and one octet beyond', () => {
    const text = Buffer.from(`Content-Type: text/plain\r\n\r\n${'some words '.repeat(2000)}`);
    const nested = compressed(compressed(text));
    const { verdict, budget } = decodeFor(nested);
    assert.equal(verdict.status, 'ok');
    assert.ok(budget.produced > text.length, 'both layers count');
    const output = budget.produced - nested.length * OUTPUT_PER_OCTET;
    assert.equal(decodeFor(nested, { output }).verdict.status, 'ok');
    const beyond = decodeFor(nested, { output: output - 1 });
    assert.equal(beyond.verdict.error?.code, 'output-limit');
    assert.match(beyond.verdict.error?.message ?? '', /raise limits\.output/);
  });
});

describe('a verdict without end', () => {
  it('many signers of a certificate with many addresses: each is listed, the addresses are cut', () => {
    const { verdict } = decodeFor(manyAddresses(40, 2000), { work: 1e8 });
    assert.equal(verdict.truncated, true);
    const signers = verdict.layers.filter(isSignatureLayer).flatMap((layer) => layer.signers);
    assert.equal(signers.length, 40);
    assert.ok(signers.every(({ valid, trusted }) => valid && trusted));
    // 100 addresses and the mark that there were more, while there is room; then the mark alone
    for (const { emails } of signers) assert.ok(emails.length <= 101 && emails.at(-1) === '…', emails.at(-1));
    assert.equal(signers[0]?.emails.length, 101);
    assert.ok(JSON.stringify(verdict).length < 400_000);
  });

  it('lists of 100, texts of 1,000 characters and names of ordinary length stay whole', () => {
    assert.equal(decodeFor(manyAddresses(1, 100)).verdict.truncated, false);
    assert.equal(decodeFor(manyAddresses(1, 101)).verdict.truncated, true);
    const room = new VerdictRoom(new Budget());
    assert.equal(room.fit('a'.repeat(1000)), 'a'.repeat(1000));
    assert.equal(room.truncated, false);
    assert.equal(room.fit('a'.repeat(1001)), `${'a'.repeat(1000)}…`);
    assert.equal(room.truncated, true);
  });

  it('when its room is used up, texts are as long as a thumbprint and lists have the mark alone', () => {
    const room = new VerdictRoom(new Budget());
    while (room.hasRoom) room.fit('a'.repeat(1000));
    assert.deepEqual(room.fit({ thumbprint: 'f'.repeat(64), emails: ['a@a.example'], valid: true }), {
      thumbprint: 'f'.repeat(64),
      emails: ['…'],
      valid: true,
    });
  });

  it('2,000 signatures are listed, and one more ends the message', () => {
    const room = new VerdictRoom(new Budget());
    room.signatures(1000);
    room.signatures(1000);
    assert.throws(() => room.signatures(1), { code: 'output-limit' });
  });
});
