import assert from 'node:assert/strict';
import { createPublicKey, generateKeyPairSync, randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import { oids } from '../../src/asn1/index.ts';
import * as der from '../../src/asn1/writer.ts';
import { encodeSignedData } from '../../src/cms/index.ts';
import { type Certificate, parseCrl } from '../../src/pki/index.ts';
import {
  type DecodeOptions,
  decodeSync,
  isSignatureLayer,
  type Signer,
  type Verdict,
} from '../../src/smime/index.ts';
import {
  createTestCa,
  type Issued,
  type IssueOptions,
  type TestCa,
  type TestExtension,
  testKey,
} from '../support/ca.ts';
import { ca, entity, options } from './support.ts';

type Trust = DecodeOptions['trust'];

interface Case {
  issuer?: IssueOptions;
  leaf?: IssueOptions;
  /** null: trusted. */
  reason: string | null;
}

/** The mail of a signer, decoded; the certificates are in the message. */
function judged(
  signer: Issued,
  bag: readonly Certificate[],
  trust: Trust = { anchors: [ca.certificate] },
  at = options.at,
): Verdict {
  const octets = encodeSignedData(entity, { signers: [signer], certificates: bag });
  const { verdict } = decodeSync(octets, { ...options, trust, at });
  assert.equal(verdict.status, 'ok', verdict.error?.message);
  return verdict;
}

function signerOf(verdict: Verdict): Signer {
  const [signer] = verdict.layers.filter(isSignatureLayer).flatMap(({ signers }) => signers);
  assert.ok(signer);
  assert.ok(signer.valid, `${signer.reason}`);
  return signer;
}

/** A verdict that does not trust its signer never calls it signed. */
function isRefused(verdict: Verdict, reason: string): void {
  assert.equal(signerOf(verdict).reason, reason);
  assert.equal(verdict.signature, 'untrusted');
  assert.equal(verdict.integrity, 'none');
}

const mail = (value: string) => der.implicit(1, false, Buffer.from(value));
const subtrees = (tag: number, names: Buffer[]) =>
  names.length === 0 ? [] : [der.implicit(tag, true, ...names.map((name) => der.sequence(name)))];
const constraints = (permitted: string[], excluded: string[] = []): IssueOptions => ({
  extensions: [
    {
      oid: oids.nameConstraints,
      critical: true,
      value: der.sequence(...subtrees(0, permitted.map(mail)), ...subtrees(1, excluded.map(mail))),
    },
  ],
});
const unknown = (critical: boolean): TestExtension => ({
  oid: '1.3.6.1.4.1.99999.1',
  critical,
  value: der.nullValue(),
});
const address = 'orders@acme.example';

const cases: Record<string, Case> = {
  'a chain of two': { reason: null },
  'an issuer without basicConstraints': {
    issuer: { ca: false, keyUsage: ['keyCertSign'] },
    reason: 'not-a-ca',
  },
  'an issuer without keyCertSign': { issuer: { keyUsage: ['digitalSignature'] }, reason: 'not-a-ca' },
  'a leaf for encryption only': { leaf: { keyUsage: ['keyAgreement'] }, reason: 'key-usage' },
  'a leaf for nonRepudiation': { leaf: { keyUsage: ['nonRepudiation'] }, reason: null },
  'a leaf without keyUsage': { leaf: { keyUsage: null }, reason: null },
  'a leaf for web servers': { leaf: { eku: ['1.3.6.1.5.5.7.3.1'] }, reason: 'extended-key-usage' },
  'a leaf for any purpose': { leaf: { eku: ['2.5.29.37.0'] }, reason: null },
  'a leaf without extKeyUsage': { leaf: { eku: null }, reason: null },
  'an unknown critical extension': { leaf: { extensions: [unknown(true)] }, reason: 'critical-extension' },
  'an unknown critical extension of the issuer': {
    issuer: { extensions: [unknown(true)] },
    reason: 'critical-extension',
  },
  'an unknown extension': { leaf: { extensions: [unknown(false)] }, reason: null },
  'an expired leaf': { leaf: { notAfter: new Date('2025-12-31T23:59:59Z') }, reason: 'expired' },
  'an expired issuer': { issuer: { notAfter: new Date('2025-12-31T23:59:59Z') }, reason: 'expired' },
  'a leaf of tomorrow': { leaf: { notBefore: new Date('2026-01-02T00:00:00Z') }, reason: 'not-yet-valid' },
  'a permitted domain': { issuer: constraints(['acme.example']), leaf: { email: address }, reason: null },
  'a permitted domain in upper case': {
    issuer: constraints(['ACME.example']),
    leaf: { email: address },
    reason: null,
  },
  'another domain': {
    issuer: constraints(['other.example']),
    leaf: { email: address },
    reason: 'name-constraints',
  },
  'a permitted mailbox': { issuer: constraints([address]), leaf: { email: address }, reason: null },
  'another mailbox of the domain': {
    issuer: constraints([`x${address}`]),
    leaf: { email: address },
    reason: 'name-constraints',
  },
  'domains below, not the domain': {
    issuer: constraints(['.acme.example']),
    leaf: { email: address },
    reason: 'name-constraints',
  },
  'a domain below': {
    issuer: constraints(['.acme.example']),
    leaf: { email: 'a@b.acme.example' },
    reason: null,
  },
  'two addresses, one of them elsewhere': {
    issuer: constraints(['acme.example']),
    leaf: { emails: [address, 'x@evil.example'] },
    reason: 'name-constraints',
  },
  'several permitted subtrees': {
    issuer: constraints(['other.example', 'acme.example']),
    leaf: { email: address },
    reason: null,
  },
  'an excluded domain': {
    issuer: constraints([], ['acme.example']),
    leaf: { email: address },
    reason: 'name-constraints',
  },
  'excluded within permitted': {
    issuer: constraints(['acme.example'], [address]),
    leaf: { email: address },
    reason: 'name-constraints',
  },
  'a trailing dot to get around what is excluded': {
    issuer: constraints([], ['acme.example']),
    leaf: { email: `${address}.` },
    reason: 'name-constraints',
  },
  'the mail address in the subject only': {
    issuer: constraints(['other.example']),
    leaf: { subject: [['1.2.840.113549.1.9.1', address]] },
    reason: 'name-constraints',
  },
};

describe('S8: path validation (RFC 5280, RFC 8550)', () => {
  for (const [title, { issuer = {}, leaf = {}, reason }] of Object.entries(cases)) {
    it(`${title}: ${reason ?? 'trusted'}`, () => {
      const between = ca.issueCa(`Between ${title}`, issuer);
      const verdict = judged(between.issue({ commonName: 'leaf', ...leaf }), [between.certificate]);
      if (reason !== null) isRefused(verdict, reason);
      else {
        assert.equal(signerOf(verdict).reason, null);
        assert.equal(verdict.integrity, 'signed');
        assert.equal(signerOf(verdict).chain.length, 3);
      }
    });
  }

  it('pathLenConstraint counts the issuers below', () => {
    const first = ca.issueCa('First', { pathLength: 0 });
    const second = first.issueCa('Second');
    assert.equal(judged(first.issue(), [first.certificate]).signature, 'valid');
    isRefused(judged(second.issue(), [first.certificate, second.certificate]), 'path-length');
  });

  it('MD5 is refused, SHA-1 is marked, unless the caller says otherwise', () => {
    const rsa = createTestCa('RSA Root', { key: 'rsa2048' });
    const trust = { anchors: [rsa.certificate] };
    const [md5, sha1] = [rsa.issue({ digest: 'md5' }), rsa.issue({ digest: 'sha1' })];
    isRefused(judged(md5, [], trust), 'algorithm-refused');
    const marked = judged(sha1, [], trust);
    assert.equal(marked.signature, 'valid');
    assert.ok(marked.layers.some(({ weak }) => weak.some((why) => why.includes('SHA-1'))));
    isRefused(judged(sha1, [], { ...trust, sha1: 'refuse' }), 'algorithm-refused');
    assert.equal(judged(md5, [], { ...trust, md5: 'weak' }).signature, 'valid');
  });

  it('RSA below 2,048 bits is marked, below 1,024 refused, above 16,384 never used', () => {
    const rsa = (modulusLength: number) => ca.issue({ key: generateKeyPairSync('rsa', { modulusLength }) });
    const small = judged(rsa(1024), []);
    assert.equal(small.signature, 'valid');
    assert.ok(small.layers.some(({ weak }) => weak.length > 0));
    isRefused(judged(rsa(768), []), 'key-too-small');
    const modulus = randomBytes(2100);
    modulus[0] = 0x80;
    const jwk = { kty: 'RSA', n: modulus.toString('base64url'), e: 'AQAB' };
    const monster = ca.issueUncheckedKey(createPublicKey({ key: jwk, format: 'jwk' }));
    const { privateKey } = testKey('rsa2048', 'signer');
    const octets = encodeSignedData(entity, { signers: [{ certificate: monster, privateKey }] });
    const { verdict } = decodeSync(octets, options);
    assert.equal(verdict.signature, 'invalid');
  });

  it('validity is judged at the time that the caller names, not at that the signer claims', () => {
    const signer = ca.issue({ notAfter: new Date('2024-01-01T00:00:00Z') });
    const octets = encodeSignedData(entity, {
      signers: [signer],
      signingTime: new Date('2023-06-01T00:00:00Z'),
    });
    isRefused(decodeSync(octets, options).verdict, 'expired');
    const then = decodeSync(octets, { ...options, at: new Date('2023-06-01T00:00:00Z') });
    assert.equal(then.verdict.signature, 'valid');
  });

  it('a self-signed certificate is trusted only when it is pinned', () => {
    const self = createTestCa('self', { ca: false, keyUsage: ['digitalSignature'] });
    isRefused(judged(self, []), 'self-signed');
    assert.equal(judged(self, [], { anchors: [], pinned: [self.certificate] }).signature, 'valid');
  });

  it('what a message brings is no anchor', () => {
    const evil = createTestCa('Attack Root');
    const signer = evil.issue({ email: address });
    assert.equal(judged(signer, [evil.certificate]).signature, 'untrusted');
  });

  it('a ring of issuers ends', () => {
    const [keyA, keyB] = [testKey('p256'), testKey('p256')];
    const a = createTestCa('Ring A', { key: keyA });
    const b = createTestCa('Ring B', { key: keyB });
    const ring = [a.issueCa('Ring B', { key: keyB }), b.issueCa('Ring A', { key: keyA })];
    const signer = b.issue();
    isRefused(
      judged(
        signer,
        ring.map(({ certificate }) => certificate),
      ),
      'no-path',
    );
  });

  it('a bag of 1,000 certificates costs little, and one more than the limit is refused', () => {
    const key = testKey('p256');
    const namesakes = Array.from({ length: 990 }, () => createTestCa('Namesake', { key: testKey('p256') }));
    const bag = namesakes.map(({ certificate }) => certificate);
    const signer = createTestCa('Namesake', { key }).issue();
    const verdict = judged(signer, bag);
    assert.equal(verdict.signature, 'untrusted');
    const [first] = bag;
    assert.ok(first);
    const many = encodeSignedData(entity, { signers: [signer], certificates: Array(1001).fill(first) });
    // the writer may send a certificate once only
    const code = decodeSync(many, options).verdict.error?.code ?? null;
    assert.ok([null, 'cms-limit', 'asn1-limit'].includes(code));
  });

  it('a revoked signer or issuer is refused where revocation is looked at', () => {
    const between: TestCa = ca.issueCa('Between');
    const signer = between.issue();
    const lists = (revoked: Certificate[], of: TestCa) => parseCrl(of.crl({ revoked }));
    const bag = [between.certificate];
    for (const crls of [
      [lists([signer.certificate], between), lists([], ca)],
      [lists([], between), lists([between.certificate], ca)],
    ]) {
      isRefused(judged(signer, bag, { anchors: [ca.certificate], revocation: 'soft', crls }), 'revoked');
    }
    const good = [lists([], between), lists([], ca)];
    assert.equal(
      judged(signer, bag, { anchors: [ca.certificate], revocation: 'hard', crls: good }).signature,
      'valid',
    );
    isRefused(judged(signer, bag, { anchors: [ca.certificate], revocation: 'hard' }), 'revocation-unknown');
  });

  it('an outdated list still proves a revocation, and nothing else', () => {
    const signer = ca.issue();
    const old = {
      thisUpdate: new Date('2024-01-01T00:00:00Z'),
      nextUpdate: new Date('2024-02-01T00:00:00Z'),
    };
    const trust = (revoked: Certificate[]): Trust => ({
      anchors: [ca.certificate],
      revocation: 'hard',
      crls: [parseCrl(ca.crl({ revoked, ...old }))],
    });
    isRefused(judged(signer, [], trust([signer.certificate])), 'revoked');
    isRefused(judged(signer, [], trust([])), 'revocation-unknown');
  });
});
