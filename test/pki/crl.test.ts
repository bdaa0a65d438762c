import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Certificate, type PathOptions, parseCrl, validatePath } from '../../src/pki/index.ts';
import { createTestCa } from '../support/ca.ts';

const at = new Date('2026-06-01T00:00:00Z');
const root = createTestCa('Root');
const sub = root.issueCa('Sub');

function validate(leaf: Certificate, options: Partial<PathOptions> = {}) {
  return validatePath(leaf, {
    anchors: [root.certificate],
    intermediates: [sub.certificate],
    at,
    purpose: 'sign',
    ...options,
  });
}

describe('revocation by CRLs', () => {
  const leaf = sub.issue({ commonName: 'Leaf' }).certificate;
  const other = sub.issue({ commonName: 'Other' }).certificate;
  const rootCrl = parseCrl(root.crl());
  const list = (options: Parameters<typeof sub.crl>[0]) => [rootCrl, parseCrl(sub.crl(options))];

  it('refuses what is revoked and trusts what is not', () => {
    const crls = list({ revoked: [other] });
    assert.equal(validate(leaf, { revocation: 'hard', crls }).reason, null);
    const result = validate(other, { revocation: 'soft', crls });
    assert.equal(result.reason, 'revoked');
    assert.equal(result.chain[0], other);
  });

  it('marks or refuses what is unknown, as told', () => {
    const soft = validate(leaf, { revocation: 'soft' });
    assert.ok(soft.trusted);
    assert.deepEqual(soft.weak, ['revocation-unknown']);
    assert.equal(validate(leaf, { revocation: 'hard' }).reason, 'revocation-unknown');
    assert.deepEqual(validate(leaf).weak, []);
  });

  it('takes no list that is out of date, of the future, or not signed by the issuer', () => {
    const lists = [
      list({ nextUpdate: new Date('2026-05-01T00:00:00Z') }),
      list({ thisUpdate: new Date('2026-07-01T00:00:00Z') }),
      [rootCrl, parseCrl(root.issueCa('Sub').crl())],
    ];
    for (const crls of lists) {
      assert.equal(validate(leaf, { revocation: 'hard', crls }).reason, 'revocation-unknown');
    }
  });

  it('looks at lists of the present for a signature of the past', () => {
    const crls = list({ revoked: [other], thisUpdate: new Date('2026-06-10T00:00:00Z') });
    const revocationAt = new Date('2026-06-11T00:00:00Z');
    assert.equal(validate(leaf, { revocation: 'hard', crls, revocationAt }).reason, null);
    assert.equal(validate(other, { revocation: 'hard', crls, revocationAt }).reason, 'revoked');
  });
});
