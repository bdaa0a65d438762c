import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, it } from 'node:test';
import { type PathOptions, parseCertificate, parseCrl, validatePath } from '../../src/pki/index.ts';

const corpora = process.env.SEALPOST_CORPORA ?? resolve(import.meta.dirname, '../../../shared/corpora');
const folder = join(corpora, 'pkits-nist-2004');
const missing = existsSync(folder) ? false : `no corpora at ${corpora}`;

/** The time at which this edition of the suite is valid. */
const at = new Date('2004-11-09T00:00:00Z');

/** NIST-test-policy-n (PKITS section 3). */
function policyOid(name: string): string {
  if (name === 'anyPolicy' || name === 'any-policy') return '2.5.29.32.0';
  return `2.16.840.1.101.3.2.1.48.${name.replace('NIST-test-policy-', '')}`;
}

interface Row {
  test: string;
  title: string;
  valid: boolean;
  options: Pick<
    PathOptions,
    'policies' | 'requireExplicitPolicy' | 'inhibitPolicyMapping' | 'inhibitAnyPolicy'
  >;
  constrained: string;
  certificates: string[];
  crls: string[];
}

function readRows(): Row[] {
  const [, ...lines] = readFileSync(join(folder, 'PKITS-TESTS.tsv'), 'utf8').trim().split('\n');
  return lines.map((line) => {
    const [
      test = '',
      title = '',
      ,
      verdict,
      policies = '',
      explicit,
      mapping,
      any,
      constrained = '',
      certs = '',
      crls = '',
    ] = line.split('\t');
    return {
      test,
      title,
      valid: verdict === 'valid',
      options: {
        policies: policies.split(',').map(policyOid),
        requireExplicitPolicy: explicit === 'true',
        inhibitPolicyMapping: mapping === 'true',
        inhibitAnyPolicy: any === 'true',
      },
      constrained,
      certificates: certs.split(','),
      crls: crls.split(',').filter((name) => name !== ''),
    };
  });
}

const certificate = (name: string) => parseCertificate(readFileSync(join(folder, 'certs', `${name}.crt`)));
const crl = (name: string) => parseCrl(readFileSync(join(folder, 'crls', `${name}.crl`)));

function validate(row: Row) {
  const [anchor, ...below] = row.certificates.map(certificate);
  const leaf = below.pop();
  assert.ok(anchor !== undefined && leaf !== undefined);
  return validatePath(leaf, {
    ...row.options,
    anchors: [anchor],
    intermediates: below,
    at,
    purpose: 'any',
    revocation: 'hard',
    crls: row.crls.map(crl),
  });
}

describe('PKITS (NIST, edition of 2004)', { skip: missing }, () => {
  const rows = missing === false ? readRows() : [];

  it('has all rows', () => {
    assert.equal(rows.length, 249);
  });

  const passed = { valid: 0, invalid: 0 };
  for (const row of rows) {
    it(`${row.test} ${row.title}`, () => {
      const result = validate(row);
      assert.equal(result.trusted, row.valid, `${result.reason}: ${result.message}`);
      if (row.constrained !== '' && row.constrained !== '(all)') {
        assert.deepEqual(result.policies.sort(), row.constrained.split(',').map(policyOid).sort());
      }
      passed[row.valid ? 'valid' : 'invalid']++;
    });
  }

  it('passes every row', (context) => {
    context.diagnostic(
      `PKITS: ${passed.valid} valid and ${passed.invalid} invalid paths as expected of ${rows.length}`,
    );
    assert.equal(passed.valid + passed.invalid, rows.length);
  });
});
