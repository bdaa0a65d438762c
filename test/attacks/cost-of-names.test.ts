import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { oids } from '../../src/asn1/index.ts';
import { Budget } from '../../src/budget.ts';
import { readName } from '../../src/pki/name.ts';
import { decodeSync } from '../../src/smime/index.ts';
import { distinguishedName } from '../support/ca.ts';
import { longNames, marks } from './cost-bombs.ts';
import { options } from './support.ts';

const canonical = (value: string) => readName(distinguishedName([[oids.commonName, value]])).canonical;

describe('names that are dear to compare', () => {
  it('are held against each certificate of that serial number without being read again for each', (context) => {
    const spent = (certificates: number, signers: number) => {
      const budget = new Budget();
      const { verdict } = decodeSync(longNames(certificates, signers, 4000), { ...options, budget });
      assert.equal(verdict.signature, 'invalid');
      return budget.spent;
    };
    const [one, many] = [spent(1, 1), spent(20, 20)];
    context.diagnostic(`${one} and ${many} units`);
    // by octets, which are twenty times as many: not by their product, which is four hundred times as many
    assert.ok(many < 40 * one, `${one} and ${many} units`);
  });

  it('are brought into a form for comparison only where text can look so: 30 marks in a row, and not 31', () => {
    const accents = (count: number) => `A${'\u0327\u0301'.repeat(20).slice(0, count)}`;
    assert.equal(canonical(accents(30)), canonical(accents(30).toLowerCase()));
    assert.notEqual(canonical(accents(31)), canonical(accents(31).toLowerCase()));
    assert.equal(canonical(accents(31)), canonical(accents(31)));
  });

  it('are brought into it up to 4,096 characters', () => {
    assert.equal(canonical('A'.repeat(4096)), canonical('a'.repeat(4096)));
    assert.notEqual(canonical('A'.repeat(4097)), canonical('a'.repeat(4097)));
  });

  it('do not put their marks into another order', () => {
    assert.match(canonical(marks(4000)), /#[0-9a-f]+/);
  });

  it('are refused as a whole above 64 KiB', () => {
    const name = (octets: number) => distinguishedName([[oids.commonName, 'a'.repeat(octets)]]);
    const around = name(65_000).length - 65_000;
    assert.ok(readName(name(65_536 - around)).rdns.length === 1);
    assert.throws(() => readName(name(65_537 - around)), { code: 'certificate-malformed' });
  });
});
