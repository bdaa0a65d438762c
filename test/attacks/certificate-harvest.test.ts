/** Who gets a certificate of a partner approved, and who does not: what mail with a new certificate leads to. */
import assert from 'node:assert/strict';
import { createPublicKey } from 'node:crypto';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, it } from 'node:test';
import { oids } from '../../src/asn1/index.ts';
import * as der from '../../src/asn1/writer.ts';
import { CountingCertificates } from '../../src/certstore/counting.ts';
import { Harvest } from '../../src/certstore/harvest.ts';
import {
  CertStore,
  offerLookedUp,
  SeenCertificates,
  type StoredCertificate,
  seenTimes,
} from '../../src/certstore/index.ts';
import { encodeSignedData, type SignedDataOptions } from '../../src/cms/index.ts';
import type { OwnIdentity } from '../../src/config/keys.ts';
import type { ConfiguredCertificate } from '../../src/config/partner-certificates.ts';
import { createLog } from '../../src/log.ts';
import { outboundProtection, PartnerDirectory } from '../../src/partner/index.ts';
import { type Certificate, keyDigest, RevocationCache, wordsOf } from '../../src/pki/index.ts';
import { type DecodedSigner, type DecodeOptions, decodeSync } from '../../src/smime/index.ts';
import { ownOf } from '../partner/support.ts';
import { configOf } from '../pipeline/support.ts';
import { createTestCa, type Issued, type IssueOptions, type TestCa } from '../support/ca.ts';
import { useTestQueue } from '../support/queue.ts';

const hour = 3_600_000;
const lists = new Map<string, () => Buffer>();
const uri = (url: string) => der.implicit(6, false, Buffer.from(url));
const listAt = (url: string) => ({
  oid: oids.cRLDistributionPoints,
  value: der.sequence(der.sequence(der.explicit(0, der.implicit(0, true, uri(url))))),
});

/** An authority with a list of what it has revoked; its certificates name the list. */
function authority(name: string): {
  ca: TestCa;
  issue(options: IssueOptions): Issued;
  revoke(...c: Certificate[]): void;
} {
  const ca = createTestCa(name);
  const url = `http://crl.example/${name.replace(/\W/g, '')}`;
  const revoked: Certificate[] = [];
  lists.set(url, () => ca.crl({ revoked }));
  return {
    ca,
    issue: (options) => ca.issue({ extensions: [listAt(url)], ...options }),
    revoke: (...certificates) => void revoked.push(...certificates),
  };
}

const publicCa = authority('Public Root');
const privateCa = authority('Acme Own Root');
const stranger = createTestCa('Nobodys Root');

const old = publicCa.issue({ commonName: 'Acme EDI', email: 'edi@acme.example', freshKey: true });
const beta = publicCa.issue({ commonName: 'Beta', email: 'edi@beta.example' });
const sameKeyAs = ({ privateKey }: Issued) => ({ privateKey, publicKey: createPublicKey(privateKey) });

const config = configOf(`
trust: { revocation: { mode: hard, hosts: [crl.example] } }
mailboxes:
  - { name: edi, addresses: [edi@own.example], destinations: [{ type: directory, path: /tmp/certs-none }] }
partners:
  - { name: acme, addresses: ['@acme.example'], encrypt: false, sign: none, approval: { rules: [same-key, signed-by-old, private-anchor], delay: 2h, anchors: [acme.pem] } }
  - { name: beta, addresses: ['@beta.example'], encrypt: false, sign: none }
`);
const pinned = ({ certificate }: Pick<Issued, 'certificate'>): ConfiguredCertificate => ({
  ...{ certificate, use: ['encrypt', 'verify'] as const, source: 'configuration' as const },
  ...{ thumbprint: certificate.thumbprint, confirmed: false, file: 'x.pem', entry: 0 },
});
/** How often a certificate of beta was parsed, as one of the index is when it is used. */
let parsedOfBeta = 0;
const indexed = ({ certificate }: Issued) => ({
  ...pinned({ certificate }),
  keyDigest: keyDigest(certificate),
  words: wordsOf(certificate),
  validity: { notBefore: certificate.notBefore, notAfter: certificate.notAfter },
  get certificate() {
    parsedOfBeta += 1;
    return certificate;
  },
});
const keys = {
  identities: [] as OwnIdentity[],
  partners: new Map([
    ['acme', [pinned(old)]],
    ['beta', [indexed(beta)]],
  ]),
  anchors: [publicCa.ca.certificate],
  intermediates: [],
  mailboxes: new Map(),
  approvalAnchors: new Map([['acme', [privateCa.ca.certificate]]]),
};

describe('a new certificate that arrives in mail', () => {
  let test: Parameters<Parameters<typeof useTestQueue>[0]>[0];
  useTestQueue((opened) => {
    test = opened;
  });
  let clock = Date.now();
  /** By how much other clocks differ from that one, in milliseconds. */
  let offsets = { redis: 0, steady: 0 };
  let store: CertStore;
  let harvest: Harvest;
  let notes: Record<string, string>[];
  let warnings: string[];

  const openHarvest = async () => {
    const { redis, prefix, seal, unseal } = test.queue;
    const lines = { write: (line: string) => void warnings.push(line) };
    const log = createLog('warn', 'test', lines);
    const now = () => clock;
    store = await CertStore.open({ redis, prefix, seal, unseal, log, now, folder: test.server.dataDir });
    const directory = new PartnerDirectory(config.partners, keys.partners);
    const fetch = async ({ url }: { url: string }) => {
      const list = lists.get(url);
      if (list === undefined) throw new Error('no answer');
      return list();
    };
    harvest = new Harvest({
      ...{ store, keys, log, now },
      redisNow: async () => clock + offsets.redis,
      steady: () => clock + offsets.steady,
      seen: new SeenCertificates({ redis, prefix, now }),
      partners: config.partners,
      ownerOf: (address) => directory.byAddress(address)?.name,
      // Nothing is remembered, because the lists of this test change.
      authorities: (at) => ({
        revocationCheck: { mode: 'hard', fetch, cache: new RevocationCache(), now: at },
      }),
      note: async (_message, facts) => void notes.push(facts),
    });
  };
  beforeEach(async () => {
    const { redis, prefix } = test.queue;
    await redis.del(`${prefix}:certs`, `${prefix}:certs:parts`);
    for (const name of ['certs.version', 'certs.refused'])
      rmSync(join(test.server.dataDir, name), { force: true });
    [clock, notes, warnings, offsets] = [Date.now(), [], [], { redis: 0, steady: 0 }];
    await openHarvest();
  });

  const trust: DecodeOptions['trust'] = {
    anchors: keys.anchors,
    pinned: [old.certificate, beta.certificate],
  };
  /** A mail that was signed so, decoded and given to the harvest. */
  const receive = async (
    signers: Issued[],
    options: Partial<SignedDataOptions> = {},
    said: Partial<DecodedSigner['signer']> = {},
  ) => {
    const mail = encodeSignedData(Buffer.from('Content-Type: text/plain\r\n\r\norder'), {
      signers: signers.map(({ certificate, privateKey }) => ({ certificate, privateKey })),
      ...options,
    });
    const found = decodeSync(mail, { identities: [], at: new Date(clock), trust });
    assert.equal(found.signers.length, signers.length, 'the signatures are valid');
    const seen = found.signers.map((each) => ({ ...each, signer: { ...each.signer, ...said } }));
    harvest.take('m1', seen, []);
    await harvest.settled();
    return found;
  };
  const entryOf = ({ certificate }: Issued): StoredCertificate | undefined =>
    store.of(certificate.thumbprint);
  const approvedOnceDue = async (issued: Issued) => {
    clock += 3 * hour;
    await harvest.approveDue();
    return store.approvedOf('acme').some(({ thumbprint }) => thumbprint === issued.certificate.thumbprint);
  };

  it('hijacked-mailbox: a certificate of the same public authority for the same address waits, and no rule approves it', async () => {
    const hijacked = publicCa.issue({ commonName: 'Acme EDI', email: 'edi@acme.example', freshKey: true });
    await receive([hijacked]);
    const entry = entryOf(hijacked);
    assert.deepEqual([entry?.state, entry?.rule, entry?.partner], ['waiting', null, 'acme']);
    assert.match(entry?.findings.join('\n') ?? '', /another key/);
    assert.equal(await approvedOnceDue(hijacked), false);
  });

  it('look-alike: the same subject, serial number and address with another key, or of another authority, is approved by no rule', async () => {
    const { serialNumber } = old.certificate;
    const like = {
      ...{
        commonName: 'Acme EDI',
        email: 'edi@acme.example',
        serial: BigInt(`0x${serialNumber.toString('hex')}`),
      },
      freshKey: true,
    };
    const otherCa = authority('Other Public Root');
    // called as the authority of the partner alone, with its own list
    const namesakeCa = createTestCa('Acme Own Root');
    lists.set('http://crl.example/namesake', () => namesakeCa.crl());
    keys.anchors.push(otherCa.ca.certificate, namesakeCa.certificate);
    try {
      await openHarvest();
      const namesake = namesakeCa.issue({ ...like, extensions: [listAt('http://crl.example/namesake')] });
      for (const certificate of [publicCa.issue(like), otherCa.issue(like), namesake]) {
        assert.ok(certificate.certificate.subjectDer.equals(old.certificate.subjectDer));
        await receive([certificate]);
        const entry = entryOf(certificate);
        assert.deepEqual([entry?.state, entry?.rule, entry?.partner], ['waiting', null, 'acme']);
        assert.match(entry?.findings.join('\n') ?? '', /another key/);
        assert.equal(await approvedOnceDue(certificate), false);
      }
    } finally {
      keys.anchors.splice(-2);
    }
  });

  it('parses certificates of its partner and those with its key, and of nobody else', async () => {
    parsedOfBeta = 0;
    const offered = publicCa.issue({ commonName: 'Acme EDI 2', email: 'edi@acme.example', freshKey: true });
    await receive([offered]);
    assert.equal(entryOf(offered)?.state, 'waiting');
    const looked = publicCa.issue({ commonName: 'Acme EDI 3', email: 'edi@acme.example', freshKey: true });
    const counting = new CountingCertificates(store, keys);
    const directory = new PartnerDirectory(config.partners, keys.partners);
    const ownerOf = (address: string) => directory.byAddress(address)?.name;
    const lookUp = ({ certificate }: Issued) =>
      offerLookedUp(
        { partner: 'acme', certificate, source: 'ldap', directory: 'd' },
        { store, counting, ownerOf },
      );
    assert.equal(await lookUp(looked), 'waiting');
    assert.equal(parsedOfBeta, 0);
    const shared = publicCa.issue({ commonName: 'Both', email: 'edi@acme.example', key: sameKeyAs(beta) });
    assert.equal(await lookUp(shared), 'waiting');
    assert.ok(parsedOfBeta > 0);
    assert.match(entryOf(shared)?.findings.join('\n') ?? '', /the same key as \w+ of partner beta/);
  });

  it('crowded-directory: certificates of a directory leave places for those that come in mail', async () => {
    const counting = { partners: keys.partners, identities: [] };
    const became: string[] = [];
    for (let number = 0; number < 6; number++) {
      const { certificate } = publicCa.issue({ commonName: `Acme ${number}`, email: 'edi@acme.example' });
      const found = { partner: 'acme', certificate, source: 'ldap' as const, directory: 'd' };
      became.push(await offerLookedUp(found, { store, counting, ownerOf: () => 'acme' }));
    }
    assert.deepEqual(became, [...Array(5).fill('waiting'), 'full']);
    const renewed = publicCa.issue({ commonName: 'Acme EDI', email: 'edi@acme.example', freshKey: true });
    await receive([renewed]);
    assert.equal(entryOf(renewed)?.state, 'waiting');
  });

  it('encrypt-to-waiting: nothing is encrypted for it until it is approved', async () => {
    const renewed = publicCa.issue({
      commonName: 'Acme EDI',
      email: 'edi@acme.example',
      key: sameKeyAs(old),
    });
    await receive([renewed]);
    const counting = new CountingCertificates(store, keys);
    const partner = { ...config.partners[0], encrypt: true } as (typeof config.partners)[number];
    const recipients = () =>
      outboundProtection(partner, counting, new Date(clock)).recipients?.map(
        ({ thumbprint }) => thumbprint,
      ) ?? [];
    assert.deepEqual(recipients(), [old.certificate.thumbprint]);
    assert.ok(!counting.pins(new Date(clock)).has(renewed.certificate));
    const entry = entryOf(renewed);
    assert.ok(entry);
    await store.decide(entry.thumbprint, entry.version, 'approved', { by: 'alice', why: '' });
    assert.deepEqual(
      recipients().toSorted(),
      [old.certificate.thumbprint, renewed.certificate.thumbprint].toSorted(),
    );
    assert.ok(counting.pins(new Date(clock)).has(renewed.certificate));
    await store.decide(entry.thumbprint, entry.version + 1, 'revoked', { by: 'alice', why: 'stolen' });
    // The old one has the same key.
    assert.throws(recipients, { code: 'encode-recipient' });
    assert.deepEqual(
      [old, renewed, beta].map(({ certificate }) => counting.pins(new Date(clock)).has(certificate)),
      [false, false, true],
    );
  });

  it('comparison: says which algorithms it has, and which the one before', async () => {
    const [alike, other] = ['p256', 'rsa2048'].map((key) =>
      publicCa.issue({ commonName: 'Acme EDI', email: 'edi@acme.example', key: key as 'p256' | 'rsa2048' }),
    );
    assert.ok(alike && other);
    await receive([alike]);
    await receive([other]);
    const before = 'key ec 256, signed with ecdsa and sha256';
    assert.ok(entryOf(alike)?.findings.includes(`algorithms as before: ${before}`));
    const now = 'key rsa 2048, signed with ecdsa and sha256';
    assert.ok(entryOf(other)?.findings.includes(`other algorithms: ${now}; before: ${before}`));
  });

  it('comparison: says what else has the key: one that waits or was rejected, and our own', async () => {
    const issue = (name: string, issued: Issued) =>
      publicCa.issue({ commonName: name, email: 'edi@acme.example', key: sameKeyAs(issued) });
    const first = publicCa.issue({ commonName: 'First', email: 'edi@acme.example', key: 'p256' });
    const second = issue('Second', first);
    await receive([first]);
    await receive([second]);
    const of = (issued: Issued) =>
      entryOf(issued)?.findings.filter((each) => each.startsWith('the same key'));
    assert.deepEqual(of(first), []);
    assert.deepEqual(of(second), [`the same key as ${entryId(first)}, which waits, too`]);
    await store.decide(first.certificate.thumbprint, 1, 'rejected', { by: 'alice', why: '' });
    await store.decide(second.certificate.thumbprint, 1, 'rejected', { by: 'alice', why: '' });
    const third = issue('Third', first);
    await receive([third]);
    assert.deepEqual(of(third)?.toSorted(), [first, second].map(rejectedLine).toSorted());
    keys.identities.push(ownOf(beta.identity, { name: 'ours' }));
    try {
      await openHarvest();
      const ours = issue('Ours', beta);
      await receive([ours]);
      assert.ok(of(ours)?.includes('the same key as our own identity ours'), of(ours)?.join());
    } finally {
      keys.identities.pop();
    }
  });

  it('same key: is approved after its delay, with an alert before and after', async () => {
    const renewed = publicCa.issue({
      commonName: 'Acme EDI',
      email: 'edi@acme.example',
      key: sameKeyAs(old),
    });
    await receive([renewed]);
    assert.equal(entryOf(renewed)?.rule?.name, 'same-key');
    assert.match(warnings.join(''), /waits for its rule/);
    clock += 2 * hour - 1000;
    await harvest.approveDue();
    assert.equal(entryOf(renewed)?.state, 'waiting');
    assert.equal(await approvedOnceDue(renewed), true);
    assert.equal(entryOf(renewed)?.decided?.by, 'rule same-key');
    assert.deepEqual(
      notes.map(({ rule }) => rule),
      ['same-key', 'same-key'],
    );
  });

  it('clock-ahead: no clock that is set ahead alone ends the delay, and none that was behind shortens it', async () => {
    const renew = () =>
      publicCa.issue({ commonName: 'Acme EDI', email: 'edi@acme.example', key: sameKeyAs(old) });
    const renewed = renew();
    await receive([renewed]);
    clock += 3 * hour;
    for (const others of [
      { redis: -3 * hour, steady: 0 },
      { redis: 0, steady: -3 * hour },
      { redis: -hour - 1000, steady: 0 },
    ]) {
      offsets = others;
      await harvest.approveDue();
      assert.equal(entryOf(renewed)?.state, 'waiting', JSON.stringify(others));
    }
    offsets = { redis: -hour, steady: -hour };
    await harvest.approveDue();
    assert.equal(entryOf(renewed)?.state, 'approved', 'two hours have passed by all of them');
    const behind = renew();
    offsets = { redis: 3 * hour, steady: 0 };
    await receive([behind]);
    offsets = { redis: 0, steady: 0 };
    assert.equal(await approvedOnceDue(behind), false, 'the clock here was behind when it came');
    assert.equal(await approvedOnceDue(behind), true);
  });

  it('same key: a person who rejects it within the delay prevents that', async () => {
    const renewed = publicCa.issue({
      commonName: 'Acme EDI',
      email: 'edi@acme.example',
      key: sameKeyAs(old),
    });
    await receive([renewed]);
    const entry = entryOf(renewed);
    assert.ok(entry);
    await store.decide(entry.thumbprint, entry.version, 'rejected', { by: 'alice', why: '' });
    assert.equal(await approvedOnceDue(renewed), false);
    await receive([renewed]);
    assert.equal(entryOf(renewed)?.state, 'rejected');
  });

  for (const [name, options] of [
    ['address', { emails: ['edi@acme.example', 'ceo@acme.example'] }],
    ['address of nobody', { emails: ['edi@acme.example', 'x@elsewhere.example'] }],
    ['usage', { eku: ['1.3.6.1.5.5.7.3.4', '1.3.6.1.5.5.7.3.2'] }],
    ['usage without limit', { eku: null }],
  ] as const)
    it(`same-key-new-${name.replaceAll(' ', '-')}: is refused with any new ${name}`, async () => {
      const renewed = publicCa.issue({
        ...{ commonName: 'Acme EDI', email: 'edi@acme.example', key: sameKeyAs(old) },
        ...options,
        ...('emails' in options ? { emails: [...options.emails], email: undefined } : {}),
        ...('eku' in options && options.eku ? { eku: [...options.eku] } : {}),
      } as IssueOptions);
      await receive([renewed]);
      const entry = entryOf(renewed);
      assert.deepEqual([entry?.state, entry?.rule], ['waiting', null]);
      assert.match(entry?.findings.join('\n') ?? '', /rule same-key: it (?:has a new|names addresses that)/);
      assert.equal(await approvedOnceDue(renewed), false);
    });

  it('same-key-after-compromise: is refused once the key was revoked, by the operator or by its authority', async () => {
    const renewed = publicCa.issue({
      commonName: 'Acme EDI',
      email: 'edi@acme.example',
      key: sameKeyAs(old),
    });
    await receive([renewed]);
    assert.equal(entryOf(renewed)?.rule?.name, 'same-key');
    // While it waits, the operator learns that the key was stolen.
    await store.put(old.certificate, factsOf(), 'revoked', { by: 'alice', why: 'stolen' });
    assert.equal(await approvedOnceDue(renewed), false);
    assert.equal(entryOf(renewed)?.rule, null);
    const another = publicCa.issue({
      commonName: 'Acme EDI',
      email: 'edi@acme.example',
      key: sameKeyAs(old),
    });
    await receive([another]);
    assert.equal(entryOf(another), undefined);
  });

  it('same-key-after-compromise: the list of the authority names the old one', async () => {
    const other = authority('Listing Root');
    const first = other.issue({ commonName: 'Acme Two', email: 'two@acme.example', freshKey: true });
    const renewed = other.issue({ commonName: 'Acme Two', email: 'two@acme.example', key: sameKeyAs(first) });
    keys.partners.set('acme', [pinned(old), pinned(first)]);
    keys.anchors.push(other.ca.certificate);
    try {
      await openHarvest();
      other.revoke(first.certificate);
      await receive([renewed]);
      const entry = entryOf(renewed);
      assert.equal(entry?.rule, null);
      assert.match(entry?.findings.join('\n') ?? '', /rule same-key: a certificate of this key was revoked/);
    } finally {
      keys.anchors.pop();
      keys.partners.set('acme', [pinned(old)]);
    }
  });

  it('same-key-after-expiry: a key whose certificates have all expired continues nothing', async () => {
    const first = publicCa.issue({
      ...{ commonName: 'Acme Old', email: 'old@acme.example', freshKey: true },
      notAfter: new Date(clock + hour),
    });
    const renewed = publicCa.issue({
      commonName: 'Acme Old',
      email: 'old@acme.example',
      key: sameKeyAs(first),
    });
    keys.partners.set('acme', [pinned(old), pinned(first)]);
    try {
      await openHarvest();
      await receive([renewed]);
      assert.equal(entryOf(renewed)?.rule?.name, 'same-key');
      assert.equal(await approvedOnceDue(renewed), false, 'it has expired when the rule is due');
      assert.match(entryOf(renewed)?.findings.at(-1) ?? '', /no certificate of this key is in force/);
    } finally {
      keys.partners.set('acme', [pinned(old)]);
    }
  });

  it('two-partners: a certificate that names addresses of two partners stays manual', async () => {
    const both = publicCa.issue({
      ...{ commonName: 'Acme EDI', emails: ['edi@acme.example', 'edi@beta.example'], key: sameKeyAs(old) },
    });
    await receive([both]);
    const entry = entryOf(both);
    assert.deepEqual([entry?.state, entry?.rule], ['waiting', null]);
    const said = entry?.findings.join('\n') ?? '';
    assert.match(said, /partners acme and beta/);
    for (const rule of ['same-key', 'signed-by-old', 'private-anchor'])
      assert.ok(said.includes(`rule ${rule}: it names addresses of several partners`), rule);
    assert.equal(await approvedOnceDue(both), false);
  });

  it('leaf-as-issuer: what the old certificate issued leads nowhere', async () => {
    // An authority in all but the certificate: with the name of the old one, and its key.
    const child = createTestCa('Acme EDI', { key: sameKeyAs(old) }).issue({
      ...{ commonName: 'Acme Child', email: 'edi@acme.example', freshKey: true },
    });
    assert.ok(child.certificate.issuerDer.equals(old.certificate.subjectDer));
    await receive([child], { certificates: [old.certificate] });
    assert.equal(entryOf(child), undefined);
  });

  it('bag-of-strangers: a certificate that somebody adds beside a genuine signature is none that was announced', async () => {
    const self = createTestCa('edi@acme.example', { email: 'edi@acme.example', ca: false, keyUsage: null });
    const trusted = publicCa.issue({ commonName: 'Acme EDI', email: 'edi@acme.example', freshKey: true });
    await receive([old], { certificates: [self.certificate, trusted.certificate] });
    assert.deepEqual([entryOf(self), entryOf(trusted)], [undefined, undefined]);
  });

  it('second-signer: a signature that somebody adds beside the genuine one is no continuity', async () => {
    const hijacked = publicCa.issue({ commonName: 'Acme EDI', email: 'edi@acme.example', freshKey: true });
    await receive([old, hijacked]);
    assert.deepEqual([entryOf(hijacked)?.state, entryOf(hijacked)?.rule], ['waiting', null]);
    assert.equal(await approvedOnceDue(hijacked), false);
  });

  it('signed by old: what the signed attributes name is approved by its rule, and only that', async () => {
    const next = publicCa.issue({ commonName: 'Acme Next', email: 'edi@acme.example', freshKey: true });
    const beside = publicCa.issue({ commonName: 'Acme Beside', email: 'edi@acme.example', freshKey: true });
    await receive([old], {
      certificates: [next.certificate, beside.certificate],
      encryptionCertificate: next.certificate,
    });
    const entry = entryOf(next);
    assert.deepEqual([entry?.rule?.name, entry?.announcedBy], ['signed-by-old', old.certificate.thumbprint]);
    assert.equal(entryOf(beside), undefined);
    assert.equal(await approvedOnceDue(next), true);
  });

  it('signed-by-old-revoked: is refused when the old one is revoked meanwhile', async () => {
    const next = publicCa.issue({ commonName: 'Acme Next', email: 'edi@acme.example', freshKey: true });
    await receive([old], { certificates: [next.certificate], encryptionCertificate: next.certificate });
    await store.put(old.certificate, factsOf(), 'revoked', { by: 'alice', why: 'stolen' });
    assert.equal(await approvedOnceDue(next), false);
    assert.match(entryOf(next)?.findings.at(-1) ?? '', /no mail signed with one in force named it/);
  });

  for (const [name, settings] of [
    ['its term is over', { until: new Date(clock - hour) }],
    ['it is not to verify with', { use: ['encrypt'] as const }],
  ] as const)
    it(`ended-key-vouches: what the old key signs continues nothing when ${name}, as far as we say`, async () => {
      keys.partners.set('acme', [{ ...pinned(old), ...settings }]);
      try {
        await openHarvest();
        const next = publicCa.issue({ commonName: 'Acme Next', email: 'edi@acme.example', freshKey: true });
        await receive([old], { certificates: [next.certificate], encryptionCertificate: next.certificate });
        assert.deepEqual([entryOf(next)?.state, entryOf(next)?.rule], ['waiting', null]);
        assert.equal(await approvedOnceDue(next), false);
        if (!('until' in settings)) return;
        const renewed = publicCa.issue({
          ...{ commonName: 'Acme EDI', email: 'edi@acme.example', key: sameKeyAs(old) },
        });
        await receive([renewed]);
        assert.equal(entryOf(renewed)?.rule, null);
        assert.match(
          entryOf(renewed)?.findings.join() ?? '',
          /same-key: no certificate of this key is in force/,
        );
      } finally {
        keys.partners.set('acme', [pinned(old)]);
      }
    });

  it('silenced-authority: a stolen key vouches for nothing while its own authority cannot be heard', async () => {
    const other = authority('Silenced Root');
    const url = 'http://crl.example/SilencedRoot';
    const list = lists.get(url);
    assert.ok(list);
    const first = other.issue({ commonName: 'Acme Two', email: 'two@acme.example', freshKey: true });
    keys.partners.set('acme', [pinned(old), pinned(first)]);
    keys.anchors.push(other.ca.certificate);
    try {
      await openHarvest();
      other.revoke(first.certificate);
      lists.delete(url);
      const next = publicCa.issue({ commonName: 'Acme Next', email: 'two@acme.example', freshKey: true });
      const renewed = publicCa.issue({
        commonName: 'Acme',
        email: 'two@acme.example',
        key: sameKeyAs(first),
      });
      await receive([first], { certificates: [next.certificate], encryptionCertificate: next.certificate });
      await receive([renewed]);
      for (const each of [next, renewed]) {
        assert.deepEqual([entryOf(each)?.state, entryOf(each)?.rule], ['waiting', null]);
        assert.match(
          entryOf(each)?.findings.join() ?? '',
          /it is not known whether the certificates? .*revoked/,
        );
        assert.equal(await approvedOnceDue(each), false);
      }
    } finally {
      keys.anchors.pop();
      keys.partners.set('acme', [pinned(old)]);
      lists.set(url, list);
    }
  });

  it('silenced-authority: nor does a rule that was due when it could be heard', async () => {
    const url = 'http://crl.example/PublicRoot';
    const list = lists.get(url);
    assert.ok(list);
    const other = authority('Other Root');
    keys.anchors.push(other.ca.certificate);
    try {
      await openHarvest();
      const next = other.issue({ commonName: 'Acme Next', email: 'edi@acme.example', freshKey: true });
      await receive([old], { certificates: [next.certificate], encryptionCertificate: next.certificate });
      assert.equal(entryOf(next)?.rule?.name, 'signed-by-old');
      lists.delete(url);
      assert.equal(await approvedOnceDue(next), false);
      assert.match(
        entryOf(next)?.findings.at(-1) ?? '',
        /it is not known whether the certificate that named it/,
      );
    } finally {
      keys.anchors.pop();
      lists.set(url, list);
    }
  });

  it('rejected-key: no rule approves a key that a person has rejected, under whatever certificate it comes', async () => {
    const next = publicCa.issue({ commonName: 'Acme Next', email: 'edi@acme.example', freshKey: true });
    const announce = async (issued: Issued) =>
      await receive([old], { certificates: [issued.certificate], encryptionCertificate: issued.certificate });
    await announce(next);
    const entry = entryOf(next);
    assert.equal(entry?.rule?.name, 'signed-by-old');
    const again = () =>
      publicCa.issue({ commonName: 'Acme Again', email: 'edi@acme.example', key: sameKeyAs(next) });
    const beside = again();
    await announce(beside);
    assert.equal(entryOf(beside)?.rule?.name, 'signed-by-old');
    await store.decide(next.certificate.thumbprint, 1, 'rejected', { by: 'alice', why: 'not theirs' });
    const later = again();
    await announce(later);
    assert.deepEqual([entryOf(later)?.state, entryOf(later)?.rule], ['waiting', null]);
    assert.match(entryOf(later)?.findings.join() ?? '', /a certificate of its key was rejected/);
    assert.equal(await approvedOnceDue(beside), false, 'nor one that waited for its rule');
  });

  it('announced-by-name: a self-made certificate under the announced name and serial number is not kept', async () => {
    const next = publicCa.issue({ commonName: 'Acme Next', email: 'edi@acme.example', serial: 0x4711n });
    const fake = createTestCa('Public Root').issue({
      ...{ commonName: 'Acme Next', email: 'edi@acme.example', serial: 0x4711n, freshKey: true },
    });
    await receive([old], { certificates: [fake.certificate], encryptionCertificate: next.certificate });
    assert.equal(entryOf(fake), undefined);
  });

  it("private anchor: one of the partner's own authority is approved; its neighbour of another is not", async () => {
    const own = privateCa.issue({ commonName: 'Acme Own', email: 'edi@acme.example', freshKey: true });
    // A path to an anchor of signers is not needed for the signature to be valid.
    await receive([own]);
    assert.equal(entryOf(own), undefined, 'it leads to no anchor of the configuration');
    keys.anchors.push(privateCa.ca.certificate);
    try {
      await openHarvest();
      await receive([own]);
      assert.equal(entryOf(own)?.rule?.name, 'private-anchor');
      privateCa.revoke(own.certificate);
      assert.equal(await approvedOnceDue(own), false, 'revoked while it waited');
      const second = privateCa.issue({ commonName: 'Acme Own 2', email: 'edi@acme.example', freshKey: true });
      await receive([second]);
      assert.equal(await approvedOnceDue(second), true);
    } finally {
      keys.anchors.pop();
    }
  });

  it('no-answer: without an answer of the authority no rule approves', async () => {
    const mute = authority('Mute Root');
    lists.delete('http://crl.example/MuteRoot');
    keys.anchors.push(mute.ca.certificate);
    try {
      await openHarvest();
      const facts = { commonName: 'Acme EDI', email: 'edi@acme.example', key: sameKeyAs(old) };
      const renewed = mute.issue(facts);
      await receive([renewed]);
      assert.deepEqual([entryOf(renewed)?.state, entryOf(renewed)?.rule], ['waiting', null]);
      const answered = publicCa.issue(facts);
      await receive([answered]);
      assert.equal(entryOf(answered)?.rule?.name, 'same-key');
    } finally {
      keys.anchors.pop();
    }
  });

  it('rules-off: without rules nothing is approved, whatever continues it', async () => {
    const renewed = publicCa.issue({ commonName: 'Beta', email: 'edi@beta.example', key: sameKeyAs(beta) });
    await receive([renewed]);
    assert.deepEqual([entryOf(renewed)?.state, entryOf(renewed)?.rule], ['waiting', null]);
    clock += 1000 * hour;
    await harvest.approveDue();
    assert.deepEqual(store.approvedOf('beta'), []);
  });

  it('strangers: what nobody vouches for, or names no partner, is not kept', async () => {
    const unknown = publicCa.issue({ commonName: 'Elsewhere', email: 'x@elsewhere.example', freshKey: true });
    const untrusted = stranger.issue({ commonName: 'Acme EDI', email: 'edi@acme.example', freshKey: true });
    const nameless = publicCa.issue({ commonName: 'No Address', freshKey: true });
    for (const each of [unknown, untrusted, nameless]) {
      await receive([each]);
      assert.equal(entryOf(each), undefined);
    }
  });

  it('swapped-certificate: another certificate of the same key, made by a stranger, is no renewal', async () => {
    // On the way, somebody puts a certificate of his own beside a genuine signature of the key.
    const swapped = stranger.issue({
      commonName: 'Acme EDI',
      email: 'edi@acme.example',
      key: sameKeyAs(old),
    });
    await receive([swapped]);
    const entry = entryOf(swapped);
    assert.deepEqual([entry?.state, entry?.rule], ['waiting', null]);
    assert.match(entry?.findings.join('\n') ?? '', /not trusted/);
    assert.equal(await approvedOnceDue(swapped), false);
  });

  it('places-taken: who has one signed mail of a partner cannot fill its places, and keep its next certificate out', async () => {
    const swapped = (at: number) =>
      stranger.issue({ commonName: `Acme ${at}`, email: 'edi@acme.example', key: sameKeyAs(old) });
    for (let at = 0; at < 12; at++) await receive([swapped(at)]);
    assert.equal(store.waitingOf('acme').length, 3);
    const self = createTestCa('Acme Self', {
      ...{ email: 'edi@acme.example', ca: false, keyUsage: null, key: sameKeyAs(old) },
    });
    const next = publicCa.issue({ commonName: 'Acme Next', email: 'edi@acme.example', freshKey: true });
    for (const genuine of [self, next]) {
      await receive([genuine]);
      assert.equal(entryOf(genuine)?.state, 'waiting');
    }
    const named = swapped(12);
    const digest = named.certificate.thumbprint;
    await receive(
      [named],
      {},
      {
        signingCertificates: [{ version: 2, digestAlgorithm: 'sha256', digest }],
      },
    );
    assert.equal(entryOf(named)?.state, 'waiting', 'its signature says that it was made with it');
  });

  it('large-certificates: one with more octets than a certificate needs is not kept', async () => {
    const padded = (octets: number) =>
      publicCa.issue({
        ...{ commonName: 'Acme EDI', email: 'edi@acme.example', key: sameKeyAs(old) },
        extensions: [{ oid: '1.3.6.1.4.1.99999.1', value: Buffer.alloc(octets) }],
      });
    const [large, small] = [padded(16 * 1024), padded(14 * 1024)];
    await receive([large]);
    await receive([small]);
    assert.deepEqual([entryOf(large)?.state, entryOf(small)?.state], [undefined, 'waiting']);
  });

  it('notes when a known certificate was seen, once a minute and not for each mail', async () => {
    const { redis, prefix } = test.queue;
    await redis.del(`${prefix}:certs:first`, `${prefix}:certs:last`);
    let writes = 0;
    const counted = {
      pipeline: () => {
        writes += 1;
        return redis.pipeline();
      },
    };
    const seen = new SeenCertificates({ redis: counted, prefix, now: () => clock });
    const { thumbprint } = old.certificate;
    const first = clock;
    for (const step of [0, 0, 1000, 58_000]) {
      clock += step;
      seen.note(thumbprint);
      await seen.flush();
    }
    assert.equal(writes, 1);
    clock += 2000;
    seen.note(thumbprint);
    await seen.flush();
    assert.equal(writes, 2);
    const times = await seenTimes({ redis, prefix }, [thumbprint, beta.certificate.thumbprint]);
    assert.deepEqual(times.get(thumbprint), { first, last: clock });
    assert.deepEqual(times.get(beta.certificate.thumbprint), { first: null, last: null });
  });

  describe('what a partner announces', () => {
    const partner = {
      ...config.partners[0],
      negotiate: true,
      encrypt: true,
    } as (typeof config.partners)[number];
    const cipher = () =>
      outboundProtection(partner, new CountingCertificates(store, keys), new Date(clock)).contentEncryption;
    const announce = async (capabilities: string[], signingTime: Date, signer = old) => {
      await receive([signer], { capabilities, signingTime });
    };
    const at = (minutes: number) => new Date(Math.floor(clock / 1000) * 1000 + minutes * 60_000);
    beforeEach(async () => {
      config.partners[0] = partner;
      await openHarvest();
    });

    it('announcement-raises: steers the cipher, with its own preference, at and above the setting', async () => {
      assert.equal(cipher(), 'aes-256-cbc');
      await announce(['aes-128-gcm', 'aes-256-gcm', 'aes-256-cbc'], at(-10));
      assert.equal(cipher(), 'aes-256-gcm', 'the first that has as many bits');
    });

    it('announcement-floor: weak and small ciphers are never taken', async () => {
      const cipherFor = (contentEncryption: 'aes-128-cbc' | 'aes-128-gcm') =>
        outboundProtection(
          { ...partner, contentEncryption },
          new CountingCertificates(store, keys),
          new Date(clock),
        ).contentEncryption;
      await announce(['rc2-cbc', 'des-ede3-cbc', 'aes-128-gcm', 'aes-128-cbc'], at(-10));
      assert.equal(cipher(), 'aes-256-cbc');
      // Triple DES has more bits than that.
      assert.equal(cipherFor('aes-128-cbc'), 'aes-128-gcm');
      await announce(['aes-256-cbc', 'aes-128-cbc'], at(-5));
      assert.equal(cipherFor('aes-128-gcm'), 'aes-128-gcm', 'authenticated, where the setting is');
    });

    it('announcement-replay: an older statement that comes again lowers nothing', async () => {
      await announce(['aes-256-cbc'], at(-60));
      await announce(['aes-256-gcm'], at(-30));
      assert.equal(cipher(), 'aes-256-gcm');
      for (const time of [at(-60), at(-30), at(-31)]) await announce(['aes-256-cbc'], time);
      assert.equal(cipher(), 'aes-256-gcm');
      await openHarvest();
      await announce(['aes-256-cbc'], at(-30));
      assert.equal(cipher(), 'aes-256-gcm', 'nor after a restart');
      await announce(['aes-256-cbc'], at(-29));
      assert.equal(cipher(), 'aes-256-cbc', 'a newer one counts');
    });

    it('announcement-of-older-certificate: mail of another certificate that comes again takes no newer statement away', async () => {
      config.partners[0] = { ...partner, negotiate: false };
      const other = publicCa.issue({ commonName: 'Acme EDI', email: 'edi@acme.example', key: 'p256' });
      const configured = [pinned(old), pinned(other)];
      const { partners } = keys;
      keys.partners = new Map([['acme', configured]]);
      try {
        await openHarvest();
        await announce(['aes-256-gcm'], at(-30));
        await announce(['aes-256-cbc'], at(-60), other);
        assert.equal(cipher(), 'aes-256-gcm', 'also once the partner gets negotiate');
        await announce(['aes-256-cbc'], at(-29), other);
        assert.equal(cipher(), 'aes-256-cbc', 'a newer one counts');
      } finally {
        keys.partners = partners;
      }
    });

    it('announcement-of-shared-certificate: counts for each partner that has the certificate', async () => {
      const { partners } = keys;
      keys.partners = new Map([
        ['acme', [pinned(old)]],
        ['beta', [pinned(old)]],
      ]);
      try {
        await openHarvest();
        const next = publicCa.issue({ commonName: 'Next', email: 'edi@acme.example', freshKey: true });
        await receive([old], {
          ...{ capabilities: ['aes-256-gcm'], signingTime: at(-1) },
          ...{ certificates: [next.certificate], encryptionCertificate: next.certificate },
        });
        assert.equal(cipher(), 'aes-256-gcm');
        const counting = new CountingCertificates(store, keys);
        assert.deepEqual(counting.announced('beta'), ['aes-256-gcm']);
        assert.equal(entryOf(next)?.rule?.name, 'signed-by-old', 'and it names the next one of either');
      } finally {
        keys.partners = partners;
      }
    });

    it('announcement-future: a time in the future keeps no later statement out', async () => {
      await announce(['aes-256-gcm'], at(60));
      assert.equal(cipher(), 'aes-256-cbc');
      await announce(['aes-256-gcm'], at(-1));
      assert.equal(cipher(), 'aes-256-gcm');
    });

    it('announcement-of-others: only a certificate of the partner that counts speaks for it', async () => {
      const hijacked = publicCa.issue({ commonName: 'Acme EDI', email: 'edi@acme.example', freshKey: true });
      await announce(['aes-256-gcm'], at(-10), hijacked);
      await announce(['aes-256-gcm'], at(-10), beta);
      assert.equal(cipher(), 'aes-256-cbc');
      await announce(['aes-256-gcm'], at(-10));
      await store.put(old.certificate, factsOf(), 'revoked', { by: 'alice', why: 'stolen' });
      assert.equal(new CountingCertificates(store, keys).announced('acme'), undefined);
    });
  });
});

const entryId = ({ certificate }: Issued) => certificate.thumbprint.slice(0, 16);
const rejectedLine = (issued: Issued) => `the same key as ${entryId(issued)}, which was rejected`;

const factsOf = () => ({
  ...{ partner: 'acme', uses: [], from: null, until: null, source: 'operator' as const },
  ...{ findings: [], rule: null, announcedBy: null, message: null },
});
