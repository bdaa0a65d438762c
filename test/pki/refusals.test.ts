/** What path validation refuses, each with a similar case that it accepts. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import { oids } from '../../src/asn1/index.ts';
import * as der from '../../src/asn1/writer.ts';
import {
  type Certificate,
  hasSigned,
  isSelfSigned,
  type PathOptions,
  parseCrl,
  validatePath,
} from '../../src/pki/index.ts';
import { isAbout } from '../../src/pki/ocsp.ts';
import { checkPath } from '../../src/pki/path-check.ts';
import { SignatureChecker } from '../../src/pki/signature-check.ts';
import { createTestCa } from '../support/ca.ts';

const at = new Date('2026-01-01T00:00:00Z');
const ca = createTestCa('Refusing Root');
const validate = (certificate: Certificate, options: Partial<PathOptions> = {}) =>
  validatePath(certificate, { anchors: [ca.certificate], at, purpose: 'sign', ...options });

describe('a list of revoked certificates', () => {
  const leaf = ca.issue({ commonName: 'leaf' }).certificate;
  const statusBy = (crl: Buffer, revocation: 'soft' | 'hard', when = at) => {
    const result = validate(leaf, { revocation, crls: [parseCrl(crl)], at: when });
    return [result.trusted, result.reason, result.revocation[0]?.status];
  };

  it('counts as long as it says', () => {
    const nextUpdate = new Date('2026-06-01T00:00:00Z');
    assert.deepEqual(statusBy(ca.crl({ nextUpdate }), 'hard'), [true, null, 'good']);
    assert.deepEqual(statusBy(ca.crl({ nextUpdate }), 'hard', nextUpdate), [true, null, 'good']);
    const after = new Date(nextUpdate.getTime() + 1);
    assert.deepEqual(statusBy(ca.crl({ nextUpdate }), 'hard', after), [
      false,
      'revocation-unknown',
      'unknown',
    ]);
  });

  it('shows nothing good without nextUpdate: nobody can say how old it may be', () => {
    const endless = ca.crl({ nextUpdate: null });
    assert.equal(parseCrl(endless).nextUpdate, undefined);
    assert.deepEqual(statusBy(endless, 'hard'), [false, 'revocation-unknown', 'unknown']);
    assert.deepEqual(statusBy(endless, 'soft'), [true, null, 'unknown']);
  });

  it('without nextUpdate still tells what was revoked for good', () => {
    const endless = ca.crl({ nextUpdate: null, revoked: [leaf] });
    assert.deepEqual(statusBy(endless, 'soft'), [false, 'revoked', 'revoked']);
  });
});

describe('the scope of a list (RFC 5280 section 5.2.5)', () => {
  const leaf = ca.issue({ commonName: 'scoped leaf' }).certificate;
  const sub = ca.issueCa('Scoped Sub').certificate;
  const idp = (...fields: Buffer[]) => [{ oid: '2.5.29.28', critical: true, value: der.sequence(...fields) }];
  const flag = (tag: number) => der.implicit(tag, false, Buffer.from([0xff]));
  const named = (uri: string) =>
    der.explicit(0, der.implicit(0, true, der.implicit(6, false, Buffer.from(uri))));
  const unknown = (critical: boolean) => [{ oid: '1.3.6.1.4.1.99999.1', critical, value: der.nullValue() }];

  for (const [what, extensions, ofLeaf, ofSub] of [
    ['everything', [], 'good', 'good'],
    ['everything, in so many words', idp(), 'good', 'good'],
    ['user certificates', idp(flag(1)), 'good', 'unknown'],
    ['authorities', idp(flag(2)), 'unknown', 'good'],
    ['attribute certificates', idp(flag(5)), 'unknown', 'unknown'],
    ['a distribution point that no certificate names', idp(named('http://a/b')), 'unknown', 'unknown'],
    ['an unknown extension', unknown(false), 'good', 'good'],
    ['an unknown critical extension', unknown(true), 'unknown', 'unknown'],
  ] as const)
    it(`${what}: ${ofLeaf} for a user, ${ofSub} for an authority`, () => {
      const crls = [parseCrl(ca.crl({ extensions: [...extensions] }))];
      for (const [certificate, status] of [
        [leaf, ofLeaf],
        [sub, ofSub],
      ] as const) {
        const result = validate(certificate, { revocation: 'hard', purpose: 'any', crls });
        assert.deepEqual(
          [result.reason, result.revocation[0]?.status],
          [status === 'good' ? null : 'revocation-unknown', status],
        );
      }
    });

  it('an entry with an unknown critical extension makes the whole list one that is not understood', () => {
    const other = ca.issue({ commonName: 'other' }).certificate;
    for (const critical of [false, true]) {
      const crls = [parseCrl(ca.crl({ revoked: [other], entryExtensions: unknown(critical) }))];
      const result = validate(leaf, { revocation: 'hard', crls });
      assert.equal(result.revocation[0]?.status, critical ? 'unknown' : 'good');
    }
  });
});

describe('a path', () => {
  it('is as long as its limit, and not one longer', () => {
    let issuer = ca;
    for (let count = 0; count < 3; count++) issuer = issuer.issueCa(`Long ${count}`);
    const { certificate, identity } = issuer.issue({ commonName: 'long leaf' });
    const intermediates = identity.chain;
    const reasonFor = (maxLength: number) =>
      validate(certificate, { intermediates, limits: { maxLength } }).reason;
    assert.deepEqual([reasonFor(6), reasonFor(5), reasonFor(4)], [null, null, 'no-path']);
  });

  // Building a path takes no such step; this is the check that the verdict relies on, called directly.
  it('is refused by the check itself where a certificate is not signed by the one above it', () => {
    const options: PathOptions = { anchors: [ca.certificate], at, purpose: 'sign' };
    const sub = ca.issueCa('Checked Sub');
    const leaf = sub.issue({ commonName: 'checked leaf' }).certificate;
    const check = (...path: Certificate[]) => checkPath(path, options, new SignatureChecker(options, 100));
    assert.equal(check(leaf, sub.certificate, ca.certificate).issuerKeys.length, 2);
    const namesake = createTestCa('Refusing Root');
    const forged = namesake.issueCa('Checked Sub');
    for (const path of [
      [leaf, forged.certificate, namesake.certificate],
      [leaf, forged.certificate, ca.certificate],
      [leaf, sub.certificate, namesake.certificate],
      [forged.issue().certificate, sub.certificate, ca.certificate],
      [namesake.issueCa('Refusing Root').certificate, ca.certificate],
    ])
      assert.throws(() => check(...path), { reason: 'signature-invalid' });
    assert.throws(() => check(leaf, ca.certificate), { reason: 'no-path' });
  });
});

describe('whom an OCSP answer is about', () => {
  const issued = ca.issue({ commonName: 'leaf' }).certificate;
  const hash = (octets: Buffer, digest = 'sha1') => createHash(digest).update(octets).digest();
  const id = {
    digest: 'sha1',
    issuerNameHash: hash(issued.issuerDer),
    issuerKeyHash: hash(ca.certificate.publicKeyInfo.key),
    serialNumber: issued.serialNumber,
  };
  /** The same name, another key. */
  const namesake = createTestCa('Refusing Root').certificate;

  it('the certificate of that issuer', () => {
    assert.equal(isAbout(id, issued, ca.certificate), true);
    const sha256 = {
      ...id,
      digest: 'sha256',
      issuerNameHash: hash(issued.issuerDer, 'sha256'),
      issuerKeyHash: hash(ca.certificate.publicKeyInfo.key, 'sha256'),
    };
    assert.equal(isAbout(sha256, issued, ca.certificate), true);
  });
  it('not one of an issuer of the same name with another key', () => {
    assert.equal(isAbout(id, issued, namesake), false);
    const other = { ...id, issuerKeyHash: hash(namesake.publicKeyInfo.key) };
    assert.equal(isAbout(other, issued, ca.certificate), false);
  });
  for (const part of ['issuerNameHash', 'issuerKeyHash', 'serialNumber'] as const)
    it(`not one with another ${part}`, () => {
      const changed = Buffer.from(id[part]);
      changed.writeUInt8((changed[3] ?? 0) ^ 1, 3);
      assert.equal(isAbout({ ...id, [part]: changed }, issued, ca.certificate), false);
    });
  it('nobody, where the digest is not known', () => {
    assert.equal(isAbout({ ...id, digest: undefined }, issued, ca.certificate), false);
  });
});

describe('requireExplicitPolicy in the leaf itself (RFC 5280 section 6.1.5 (b))', () => {
  const policy = { oid: oids.certificatePolicies, value: der.sequence(der.sequence(der.oid('1.2.3.4'))) };
  const constraints = (skip: number) => ({
    oid: oids.policyConstraints,
    critical: true,
    value: der.sequence(der.implicit(0, false, Buffer.from([skip]))),
  });
  for (const [what, extensions, reason] of [
    ['0, without a policy', [constraints(0)], 'policy'],
    ['0, with one', [constraints(0), policy], null],
    ['1, without a policy', [constraints(1)], null],
    ['absent, without a policy', [], null],
  ] as const)
    it(`${what}: ${reason ?? 'trusted'}`, () => {
      const { certificate } = ca.issue({ extensions: [...extensions] });
      const { reason: found, message } = validate(certificate);
      assert.equal(found, reason, message);
    });
});

describe('validity to the second', () => {
  const notBefore = new Date('2025-03-01T12:00:00Z');
  const notAfter = new Date('2025-03-01T12:00:10Z');
  const leaf = ca.issue({ commonName: 'short', notBefore, notAfter }).certificate;
  const short = createTestCa('Short Root', { notBefore, notAfter });
  const below = short.issue({ commonName: 'below' }).certificate;
  for (const [what, when, reason] of [
    ['a second before', -1000, 'not-yet-valid'],
    ['its first moment', 0, null],
    ['its last second', 10_000, null],
    ['a second after', 11_000, 'expired'],
  ] as const)
    it(`${what}: ${reason ?? 'trusted'}, of the leaf, of a pinned one and of an anchor`, () => {
      const moment = new Date(notBefore.getTime() + when);
      assert.equal(validate(leaf, { at: moment }).reason, reason);
      assert.equal(validate(leaf, { at: moment, anchors: [], pinned: [leaf] }).reason, reason);
      assert.equal(validate(below, { at: moment, anchors: [short.certificate] }).reason, reason);
    });
});

describe('who signed what', () => {
  const sub = ca.issueCa('Refusing Sub');
  const leaf = sub.issue({ commonName: 'leaf' }).certificate;
  const namesake = createTestCa('Refusing Sub').certificate;
  it('by key and name, not by name alone', () => {
    assert.equal(hasSigned(sub.certificate, leaf), true);
    assert.equal(hasSigned(namesake, leaf), false);
    assert.equal(hasSigned(ca.certificate, leaf), false);
    assert.equal(isSelfSigned(ca.certificate), true);
    assert.equal(isSelfSigned(namesake), true);
    assert.equal(isSelfSigned(sub.certificate), false);
    const rolled = ca.issueCa('Refusing Root').certificate;
    assert.deepEqual([rolled.isSelfIssued, isSelfSigned(rolled)], [true, false]);
  });
});
