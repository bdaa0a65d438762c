import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createPublicKey, generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import fc from 'fast-check';
import { oids } from '../../src/asn1/index.ts';
import * as der from '../../src/asn1/writer.ts';
import {
  type Certificate,
  type PathOptions,
  type PathReason,
  parseCertificate,
  validatePath,
} from '../../src/pki/index.ts';
import { createTestCa, type IssueOptions, type KeyPair, type TestExtension, testKey } from '../support/ca.ts';

const at = new Date('2026-06-01T00:00:00Z');
const root = createTestCa('Root');
const sub = root.issueCa('Sub');
const folder = mkdtempSync(join(tmpdir(), 'sealpost-path-'));
after(() => rmSync(folder, { recursive: true }));

function validate(leaf: Certificate, options: Partial<PathOptions> = {}) {
  return validatePath(leaf, {
    anchors: [root.certificate],
    intermediates: [sub.certificate],
    at,
    purpose: 'sign',
    ...options,
  });
}

/** What `openssl verify` says of the same chain. */
function opensslTrusts(
  leaf: Certificate,
  anchors: Certificate[],
  intermediates: Certificate[],
  purpose: string,
): boolean {
  const write = (name: string, certificates: Certificate[]) =>
    writeFileSync(join(folder, name), certificates.map((certificate) => certificate.toPem()).join(''));
  write('roots.pem', anchors);
  write('others.pem', intermediates);
  write('leaf.pem', [leaf]);
  const args = [
    'verify',
    '-no-CApath',
    '-CAfile',
    'roots.pem',
    '-attime',
    `${at.getTime() / 1000}`,
    '-purpose',
    purpose,
  ];
  if (intermediates.length > 0) args.push('-untrusted', 'others.pem');
  try {
    execFileSync('openssl', [...args, 'leaf.pem'], { cwd: folder, stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

const expired = { notBefore: new Date('2020-01-01T00:00:00Z'), notAfter: new Date('2025-01-01T00:00:00Z') };
const future = { notBefore: new Date('2030-01-01T00:00:00Z') };

const email = (value: string) => der.implicit(1, false, Buffer.from(value));
const dns = (value: string) => der.implicit(2, false, Buffer.from(value));

function nameConstraints(permitted: Buffer[], excluded: Buffer[] = []): TestExtension {
  const subtrees = (tag: number, bases: Buffer[]) =>
    bases.length === 0 ? [] : [der.implicit(tag, true, ...bases.map((base) => der.sequence(base)))];
  const value = der.sequence(...subtrees(0, permitted), ...subtrees(1, excluded));
  return { oid: oids.nameConstraints, critical: true, value };
}

interface Case {
  title: string;
  expected: PathReason | null;
  ca?: IssueOptions;
  leaf?: IssueOptions;
  purpose?: 'sign' | 'encrypt';
  /** Why `openssl verify` is not used, if it judges something else. */
  notOpenssl?: string;
}

const constrained = (permitted: Buffer[], excluded?: Buffer[]): IssueOptions => ({
  extensions: [nameConstraints(permitted, excluded)],
});
const unknownCritical = { oid: '1.3.6.1.4.1.99999.1', critical: true, value: der.nullValue() };

const cases: Case[] = [
  { title: 'a plain chain', expected: null },
  { title: 'a leaf that has expired', expected: 'expired', leaf: expired },
  { title: 'an issuer that has expired', expected: 'expired', ca: expired },
  { title: 'a leaf that is not valid yet', expected: 'not-yet-valid', leaf: future },
  {
    title: 'an issuer without basicConstraints',
    expected: 'not-a-ca',
    ca: { ca: false, keyUsage: ['keyCertSign'] },
  },
  { title: 'an issuer without keyCertSign', expected: 'not-a-ca', ca: { keyUsage: ['cRLSign'] } },
  {
    title: 'an unknown critical extension',
    expected: 'critical-extension',
    leaf: { extensions: [unknownCritical] },
  },
  {
    title: 'an unknown extension that is not critical',
    expected: null,
    leaf: { extensions: [{ ...unknownCritical, critical: false }] },
  },
  {
    title: 'a signature by a key for encryption',
    expected: 'key-usage',
    leaf: { keyUsage: ['keyAgreement'] },
  },
  {
    title: 'a signature by a key for nonRepudiation',
    expected: null,
    leaf: { keyUsage: ['nonRepudiation'] },
  },
  { title: 'a signature by a key without keyUsage', expected: null, leaf: { keyUsage: null } },
  {
    title: 'encryption for a key for signatures',
    expected: 'key-usage',
    purpose: 'encrypt',
    leaf: { keyUsage: ['digitalSignature'] },
  },
  {
    title: 'encryption for a key for key agreement',
    expected: null,
    purpose: 'encrypt',
    leaf: { keyUsage: ['keyAgreement'] },
    notOpenssl: 'its smimeencrypt wants keyEncipherment',
  },
  {
    title: 'a certificate for web servers',
    expected: 'extended-key-usage',
    leaf: { eku: [oids.serverAuth] },
  },
  { title: 'a certificate without extKeyUsage', expected: null, leaf: { eku: null } },
  {
    title: 'a certificate for any use',
    expected: null,
    leaf: { eku: [oids.anyExtendedKeyUsage] },
    notOpenssl: 'it wants emailProtection itself, RFC 8550 section 4.4.4 allows any',
  },
  {
    title: 'an issuer for web servers alone',
    expected: 'extended-key-usage',
    ca: { eku: [oids.serverAuth] },
  },
  {
    title: 'mail in a permitted host',
    expected: null,
    ca: constrained([email('example.com')]),
    leaf: { email: 'a@EXAMPLE.com' },
  },
  {
    title: 'mail outside of a permitted host',
    expected: 'name-constraints',
    ca: constrained([email('example.com')]),
    leaf: { email: 'a@example.org' },
  },
  {
    title: 'mail below a permitted host',
    expected: 'name-constraints',
    ca: constrained([email('example.com')]),
    leaf: { email: 'a@sub.example.com' },
  },
  {
    title: 'mail below a permitted domain',
    expected: null,
    ca: constrained([email('.example.com')]),
    leaf: { email: 'a@sub.example.com' },
  },
  {
    title: 'mail at a permitted domain itself',
    expected: 'name-constraints',
    ca: constrained([email('.example.com')]),
    leaf: { email: 'a@example.com' },
  },
  {
    title: 'a permitted address',
    expected: null,
    ca: constrained([email('a@example.com')]),
    leaf: { email: 'a@example.com' },
  },
  {
    title: 'another address than the permitted one',
    expected: 'name-constraints',
    ca: constrained([email('a@example.com')]),
    leaf: { email: 'b@example.com' },
  },
  {
    title: 'one of several addresses outside',
    expected: 'name-constraints',
    ca: constrained([email('example.com')]),
    leaf: { emails: ['a@example.com', 'a@evil.example'] },
  },
  {
    title: 'several permitted hosts',
    expected: null,
    ca: constrained([email('example.com'), email('example.org')]),
    leaf: { emails: ['a@example.org', 'a@example.com'] },
  },
  {
    title: 'an excluded host',
    expected: 'name-constraints',
    ca: constrained([], [email('example.com')]),
    leaf: { email: 'a@example.com' },
  },
  {
    title: 'an excluded host with a dot at its end',
    expected: 'name-constraints',
    ca: constrained([], [email('example.com')]),
    leaf: { email: 'a@example.com.' },
    notOpenssl: 'it compares the dot',
  },
  {
    title: 'a host in escapes of URLs',
    expected: 'name-constraints',
    ca: constrained([email('example.com')]),
    leaf: { email: 'a@ex%61mple.com' },
  },
  {
    title: 'an address in the subject outside',
    expected: 'name-constraints',
    ca: constrained([email('example.com')]),
    leaf: { subject: [[oids.emailAddress, 'a@evil.example']], email: 'a@example.com' },
    notOpenssl: 'it looks at the subject in other cases',
  },
  {
    title: 'constraints on names of another kind',
    expected: null,
    ca: constrained([dns('example.com')]),
    leaf: { email: 'a@example.org' },
  },
];

describe('path validation', () => {
  for (const { title, expected, ca, leaf, purpose = 'sign', notOpenssl } of cases) {
    it(`judges ${title}`, (context) => {
      const issuer = root.issueCa('Issuer', ca);
      const { certificate } = issuer.issue({ commonName: 'Leaf', ...leaf });
      const result = validate(certificate, { intermediates: [issuer.certificate], purpose });
      assert.equal(result.reason, expected, result.message);
      assert.equal(result.trusted, expected === null);
      if (notOpenssl !== undefined) return context.diagnostic(`openssl is not asked: ${notOpenssl}`);
      const theirs = opensslTrusts(certificate, [root.certificate], [issuer.certificate], `smime${purpose}`);
      assert.equal(theirs, expected === null, 'openssl says otherwise');
    });
  }

  it('gives the chain, the key and the marks', () => {
    const leaf = sub.issue({ commonName: 'Leaf' });
    const result = validate(leaf.certificate);
    assert.deepEqual(result.chain, [leaf.certificate, sub.certificate, root.certificate]);
    assert.ok(result.publicKey?.equals(createPublicKey(leaf.privateKey)));
    assert.deepEqual(result.weak, []);
  });

  it('respects pathLenConstraint', () => {
    const first = root.issueCa('First', { pathLength: 0 });
    const second = first.issueCa('Second');
    const { certificate } = second.issue();
    const intermediates = [second.certificate, first.certificate];
    assert.equal(validate(certificate, { intermediates }).reason, 'path-length');
    assert.equal(validate(first.issue().certificate, { intermediates }).reason, null);
  });

  it('needs the issuers and the very root', () => {
    const { certificate } = sub.issue();
    assert.equal(validate(certificate, { intermediates: [] }).reason, 'no-path');
    assert.equal(validate(certificate, { anchors: [] }).reason, 'no-path');
    const namesake = createTestCa('Root');
    assert.equal(validate(certificate, { anchors: [namesake.certificate] }).reason, 'signature-invalid');
  });

  it('trusts a self-signed certificate only as root or pinned', () => {
    const own = createTestCa('Own', {
      ca: false,
      keyUsage: ['digitalSignature'],
      notAfter: new Date('2027-01-01T00:00:00Z'),
    });
    const pinned = [own.certificate];
    assert.equal(validate(own.certificate).reason, 'self-signed');
    assert.equal(validate(own.certificate, { intermediates: pinned }).reason, 'self-signed');
    assert.equal(validate(own.certificate, { anchors: pinned }).reason, null);
    const result = validate(own.certificate, { pinned });
    assert.ok(result.trusted && result.pinned);
    const later = new Date('2028-01-01T00:00:00Z');
    assert.equal(validate(own.certificate, { pinned, at: later }).reason, 'expired');
    assert.equal(validate(own.certificate, { pinned, purpose: 'encrypt' }).reason, 'key-usage');
  });

  it('lets a pinned end entity or root without the right to do so issue nothing', () => {
    const own = createTestCa('Own', { ca: false });
    const { certificate } = own.issue();
    assert.equal(
      validate(certificate, { pinned: [own.certificate], intermediates: [own.certificate] }).reason,
      'no-path',
    );
    assert.equal(validate(certificate, { anchors: [own.certificate] }).reason, 'not-a-ca');
  });

  it('finds the way that holds among cross-certificates', () => {
    const other = createTestCa('Other root');
    const key = testKey('p256');
    const dead = root.issueCa('Crossed', { key, ...expired });
    const alive = other.issueCa('Crossed', { key });
    const { certificate } = alive.issue();
    for (const intermediates of [
      [dead.certificate, alive.certificate],
      [alive.certificate, dead.certificate],
    ]) {
      const result = validate(certificate, { anchors: [root.certificate, other.certificate], intermediates });
      assert.equal(result.reason, null, result.message);
      assert.equal(result.chain.at(-1), other.certificate);
    }
  });

  it('ends in a ring of issuers', () => {
    const keys = [testKey('p256'), testKey('p256')];
    const [one, two] = keys.map((key, index) => createTestCa(`Ring ${index}`, { key }));
    assert.ok(one && two && keys[0] && keys[1]);
    const oneByTwo = two.issueCa('Ring 0', { key: keys[0] });
    const twoByOne = one.issueCa('Ring 1', { key: keys[1] });
    const { certificate } = one.issue();
    const intermediates = [oneByTwo.certificate, twoByOne.certificate];
    assert.equal(validate(certificate, { intermediates }).reason, 'no-path');
  });

  it('bounds the work for a bag of 1,000 namesakes', () => {
    const { certificate } = sub.issue();
    const namesakes = Array.from({ length: 1000 }, () => root.issueCa('Sub').certificate);
    const found = validate(certificate, { intermediates: [...namesakes.slice(0, 999), sub.certificate] });
    assert.equal(found.reason, null, 'the key identifier leads to the right one');
    // All with the right key identifier and a wrong key.
    const hostile = namesakes.map((_, index) => {
      const keyIdentifier = certificate.authorityKeyIdentifier?.keyIdentifier ?? Buffer.alloc(0);
      return root.issue({ commonName: 'Sub', serial: index + 1, subjectKeyIdentifier: keyIdentifier })
        .certificate;
    });
    assert.equal(validate(certificate, { intermediates: hostile }).reason, 'limit');
  });

  it('bounds policies that multiply by mappings (CVE-2023-0464)', () => {
    const policy = (n: number) => `1.3.6.1.4.1.99999.2.${n}`;
    const numbers = Array.from({ length: 20 }, (_, n) => n);
    const policies = der.sequence(...numbers.map((n) => der.sequence(der.oid(policy(n)))));
    const pairs = numbers.flatMap((a) =>
      numbers.map((b) => der.sequence(der.oid(policy(a)), der.oid(policy(b)))),
    );
    const extensions = [
      { oid: oids.certificatePolicies, value: policies },
      { oid: oids.policyMappings, value: der.sequence(...pairs) },
    ];
    let ca = root.issueCa('Level 1', { extensions });
    const intermediates = [ca.certificate];
    for (let level = 2; level <= 8; level++) {
      ca = ca.issueCa(`Level ${level}`, { extensions });
      intermediates.push(ca.certificate);
    }
    const leaf = ca.issue({ extensions: extensions.slice(0, 1) });
    const result = validate(leaf.certificate, { intermediates, requireExplicitPolicy: true });
    assert.equal(result.reason, null, result.message);
    assert.equal(result.policies.length, 20);
  });
});

describe('signature schemes', () => {
  const pss = {
    modulusLength: 2048,
    hashAlgorithm: 'sha256',
    mgf1HashAlgorithm: 'sha256',
  };
  const kinds: [string, KeyPair, string?][] = [
    ['RSA', testKey('rsa2048')],
    ['RSASSA-PSS', generateKeyPairSync('rsa-pss', pss)],
    ['ECDSA with P-521', testKey('p521')],
    ['Ed25519', testKey('ed25519')],
    ['Ed448', generateKeyPairSync('ed448')],
    ['ML-DSA', generateKeyPairSync('ml-dsa-65'), 'openssl 3.0 does not know it'],
  ];
  for (const [name, key, notOpenssl] of kinds) {
    it(`trusts what ${name} has signed, and nothing that was changed`, (context) => {
      const signer = createTestCa(`Root ${name}`, { key });
      const { certificate } = signer.issue({ commonName: 'Leaf' });
      const anchors = [signer.certificate];
      const result = validate(certificate, { anchors });
      assert.equal(result.reason, null, result.message);
      const octets = Buffer.from(certificate.der);
      const at = octets.indexOf('Leaf');
      octets[at] = 'l'.charCodeAt(0);
      assert.equal(validate(parseCertificate(octets), { anchors }).reason, 'signature-invalid');
      if (notOpenssl !== undefined) return context.diagnostic(notOpenssl);
      assert.ok(opensslTrusts(certificate, anchors, [], 'smimesign'));
    });
  }
});

describe('path validation of damaged certificates', () => {
  it('never throws, and trusts no leaf but the one that was signed', () => {
    const leaf = sub.issue({ email: 'a@example.com' }).certificate;
    const damaged = (original: Buffer) =>
      fc.tuple(fc.nat(original.length - 1), fc.integer({ min: 1, max: 255 })).map(([at, change]) => {
        const octets = Buffer.from(original);
        octets[at] = (octets[at] ?? 0) ^ change;
        return octets;
      });
    const parsed = (octets: Buffer): Certificate | undefined => {
      try {
        return parseCertificate(octets);
      } catch {
        return undefined;
      }
    };
    fc.assert(
      fc.property(damaged(leaf.der), damaged(sub.certificate.der), (leafOctets, issuerOctets) => {
        const wrongLeaf = parsed(leafOctets);
        if (wrongLeaf !== undefined) assert.equal(validate(wrongLeaf).trusted, false);
        const wrongIssuer = parsed(issuerOctets);
        if (wrongIssuer === undefined) return;
        // A key that still fits would mean that a certificate with a broken signature was taken.
        assert.equal(validate(leaf, { intermediates: [wrongIssuer] }).trusted, false);
        assert.equal(validate(leaf, { intermediates: [wrongIssuer, sub.certificate] }).trusted, true);
      }),
      { numRuns: Number(process.env.FUZZ_RUNS ?? 300) },
    );
  });
});

describe('weak algorithms', () => {
  const rsaRoot = createTestCa('Rsa root', { key: 'rsa2048' });
  const anchors = [rsaRoot.certificate];

  it('refuses MD5 and marks SHA-1, and the other way round if told', () => {
    const md5 = rsaRoot.issue({ digest: 'md5' }).certificate;
    const sha1 = rsaRoot.issue({ digest: 'sha1' }).certificate;
    assert.equal(validate(md5, { anchors }).reason, 'algorithm-refused');
    assert.deepEqual(validate(md5, { anchors, md5: 'weak' }).weak, ['md5-signature']);
    assert.deepEqual(validate(sha1, { anchors }).weak, ['sha1-signature']);
    assert.equal(validate(sha1, { anchors, sha1: 'refuse' }).reason, 'algorithm-refused');
  });

  it('marks RSA below 2,048 bits and refuses it below 1,024', () => {
    const rsa = (modulusLength: number) => generateKeyPairSync('rsa', { modulusLength });
    const weak = validate(rsaRoot.issue({ key: rsa(1024) }).certificate, { anchors });
    assert.ok(weak.trusted);
    assert.deepEqual(weak.weak, ['small-key']);
    assert.equal(validate(rsaRoot.issue({ key: rsa(768) }).certificate, { anchors }).reason, 'key-too-small');
  });

  it('refuses an RSA key above 16,384 bits before any use', () => {
    const n = randomBytes(2100);
    n[0] = 0x80;
    const jwk = { kty: 'RSA', n: n.toString('base64url'), e: 'AQAB' };
    const issued = rsaRoot.issueUncheckedKey(createPublicKey({ key: jwk, format: 'jwk' }));
    assert.equal(validate(issued, { anchors }).reason, 'key-too-large');
    assert.throws(() => issued.publicKey, { code: 'certificate-malformed' });
  });
});

describe('where a path breaks off', () => {
  it('names the certificates whose issuer is missing, nearest first', () => {
    const low = sub.issueCa('Low');
    const leaf = low.issue().certificate;
    const alone = validate(leaf, { intermediates: [] });
    assert.deepEqual([alone.reason, alone.missing], ['no-path', [leaf]]);
    const higher = validate(leaf, { intermediates: [low.certificate] });
    assert.deepEqual(higher.missing, [low.certificate]);
    assert.match(higher.message, /its issuer is "CN=Low"; "CN=Sub", who issued "CN=Low", is missing$/);
    assert.equal(validate(leaf, { intermediates: [low.certificate, sub.certificate] }).missing, undefined);
  });

  it('knows a namesake with another key for another', () => {
    const leaf = sub.issue().certificate;
    const { reason, missing } = validate(leaf, { intermediates: [root.issueCa('Sub').certificate] });
    assert.deepEqual([reason, missing], ['signature-invalid', [leaf]]);
  });

  it('misses nothing above a root that is not trusted, nor for one that signed itself', () => {
    const stranger = createTestCa('Stranger');
    assert.deepEqual(
      validate(stranger.issue().certificate, { intermediates: [stranger.certificate] }).missing,
      [],
    );
    assert.deepEqual(validate(stranger.certificate).missing, []);
  });

  it('names few of the many ends of a bag of namesakes', () => {
    const key = testKey('p256');
    const subjectKeyIdentifier = Buffer.from('the same');
    const named = (parent: string) =>
      createTestCa(parent).issueCa('Many', { key, subjectKeyIdentifier }).certificate;
    const intermediates = Array.from({ length: 40 }, (_, index) => named(`Parent ${index}`));
    const leaf = createTestCa('Many', { key, subjectKeyIdentifier }).issue().certificate;
    const { reason, missing } = validate(leaf, { intermediates });
    assert.deepEqual([reason, missing], ['no-path', intermediates.slice(0, 5)]);
  });
});
