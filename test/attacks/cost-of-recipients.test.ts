import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Budget, costs } from '../../src/budget.ts';
import { encodeEnvelopedData } from '../../src/cms/index.ts';
import { type DecodeOptions, decodeSync } from '../../src/smime/index.ts';
import { longGcmAttributes, manyPasswords } from './cost-bombs.ts';
import { options } from './support.ts';

const passwords = [{ name: 'mine', password: Buffer.from('mine') }];

function decodeFor(octets: Buffer, more: Partial<DecodeOptions> = {}, work?: number) {
  const budget = new Budget(work === undefined ? {} : { work });
  return { ...decodeSync(octets, { ...options, ...more, budget }), budget };
}

describe('recipients that are dear to try', () => {
  it('the iterations of all password recipients count together', () => {
    const iterations = 100;
    const some = decodeFor(manyPasswords(20, iterations), { passwords });
    const more = decodeFor(manyPasswords(120, iterations), { passwords });
    assert.equal(more.verdict.error?.code, 'decrypt-no-key');
    const least = 100 * iterations * costs.derivation('sha256');
    assert.ok(more.budget.spent - some.budget.spent > least, `${more.budget.spent} units`);
    const limited = decodeFor(manyPasswords(120, iterations), { passwords }, 2000);
    assert.equal(limited.verdict.error?.code, 'work-limit');
    assert.ok(limited.budget.spent < 2100 + iterations, `${limited.budget.spent} units`);
  });

  it('and none is derived once the message can be opened', () => {
    const content = Buffer.from('Content-Type: text/plain\r\n\r\nx');
    const mine = { password: Buffer.from('mine'), iterations: 20_000 };
    const other = { password: Buffer.from('other'), iterations: 20_000 };
    const spent = (recipient: typeof mine, status: string) => {
      const recipients = Array<typeof mine>(4).fill(recipient);
      const { verdict, budget } = decodeFor(encodeEnvelopedData(content, { recipients }), { passwords });
      assert.equal(verdict.status, status);
      return budget.spent;
    };
    const derivation = 20_000 * costs.derivation('sha256');
    assert.ok(spent(mine, 'ok') < 2 * derivation);
    assert.ok(spent(other, 'failed') > 4 * derivation);
  });
});

describe('authenticated attributes of GCM', () => {
  it('are hashed by OpenSSL: long ones are read like short ones, and wrong ones are noticed', () => {
    for (const octets of [1, 13, 16, 17, 300_000]) {
      const message = longGcmAttributes(octets);
      const { verdict, content } = decodeFor(message);
      assert.equal(verdict.integrity, 'aead');
      assert.equal(content?.toString(), 'Content-Type: text/plain\r\n\r\nx\r\n');
      const forged = Buffer.from(message);
      const at = forged.lastIndexOf(Buffer.from([7]));
      forged[at] = 8;
      assert.equal(decodeFor(forged).verdict.error?.code, 'decrypt-failed');
    }
  });
});
