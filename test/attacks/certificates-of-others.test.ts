/** What a client that decides about certificates of one partner could do to all others. */
import assert from 'node:assert/strict';
import { createPublicKey } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { CertStore, publishOwn } from '../../src/certstore/index.ts';
import { createLog } from '../../src/log.ts';
import type { Certificate } from '../../src/pki/index.ts';
import { sealedValues } from '../../src/redis/index.ts';
import { startApi, type TestApi } from '../support/api.ts';
import { createTestCa, type Issued } from '../support/ca.ts';
import { makeWorld, skipWithout, type World } from '../support/world.ts';

describe('a client that decides about certificates of acme', { skip: skipWithout('openssl') }, () => {
  const other = createTestCa('Other EDI', { ca: false, keyUsage: null, email: 'edi@other.example' });
  const others = createTestCa('Others');
  let world: World;
  let api: TestApi;
  let store: CertStore;
  let tokens: Record<'acme' | 'all' | 'every', string>;
  before(async () => {
    world = makeWorld();
    const partners = ['acme', 'other'].map((name) => ({
      ...{ name, addresses: [`@${name}.example`], encrypt: false, sign: 'none' },
      route: { host: '127.0.0.1', port: 9, tls: 'none' },
      ...(name === 'other' && { certificates: [world.file('other.pem', other.certPem)] }),
    }));
    api = await startApi(world, { config: { partners } });
    const { queue, dataDir } = api.daemon;
    const log = createLog('silent', 'test');
    store = await CertStore.open({ ...queue, folder: dataDir, log, now: Date.now });
    const verbs = ['--scope', 'certificates,approve'];
    tokens = {
      acme: await api.token('acme', ...verbs, '--partner', 'acme'),
      all: await api.token('all', ...verbs, '--partner', 'acme,other'),
      every: await api.token('every', ...verbs, '--partner', '*'),
    };
  });
  after(async () => {
    await api?.daemon.stop();
    world?.remove();
  });

  const post = (token: string, path: string, body: unknown) =>
    api.call(token, path, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
  const pin = (token: string, certificate: Certificate, partner = 'acme') =>
    post(token, '/v1/certificates', { partner, pem: certificate.toPem() });
  const whyRefused = async (certificate: Certificate) => {
    await store.refresh();
    return store.whyRefused(certificate);
  };
  /** Anybody can have a certificate for a public key made. */
  const withKeyOf = ({ privateKey }: Issued, email: string) =>
    others.issue({ email, key: { privateKey, publicKey: createPublicKey(privateKey) } }).certificate;

  it("revoke-by-key: cannot have another partner's key revoked through a certificate of its own", async () => {
    const certificate = withKeyOf(other, 'edi@acme.example');
    const pinned = await pin(tokens.acme, certificate);
    await post(tokens.acme, `/v1/certificates/${certificate.thumbprint}/revoke`, { why: 'x' });
    assert.equal(await whyRefused(other.certificate), undefined);
    assert.deepEqual([pinned.status, pinned.json.code], [403, 'not-granted']);
  });

  it('pin-first: cannot add a certificate that names addresses of another partner, and have it refused', async () => {
    const { certificate } = others.issue({ email: 'next@other.example', freshKey: true });
    const pinned = await pin(tokens.acme, certificate);
    await post(tokens.acme, `/v1/certificates/${certificate.thumbprint}/reject`, {});
    assert.equal(await whyRefused(certificate), undefined);
    assert.deepEqual([pinned.status, pinned.json.code], [403, 'not-granted']);
  });

  it('shared-entry: what waits for acme and has the key or an address of another is decided by others', async () => {
    const facts = { partner: 'acme', uses: ['verify' as const], from: null, until: null, rule: null };
    const found = { source: 'traffic' as const, findings: [], announcedBy: null, message: null };
    const both = others.issue({ emails: ['edi@acme.example', 'edi@other.example'], freshKey: true });
    for (const certificate of [withKeyOf(other, 'two@acme.example'), both.certificate]) {
      assert.equal(await store.offer(certificate, { ...facts, ...found }), 'waiting');
      const path = `/v1/certificates/${certificate.thumbprint}`;
      const said = { sha256: certificate.thumbprint, version: 1 };
      for (const [act, body] of [
        ['approve', said],
        ['reject', {}],
        ['revoke', { why: 'x' }],
      ] as const)
        assert.equal((await post(tokens.acme, `${path}/${act}`, body)).status, 403, act);
      assert.equal((await post(tokens.all, `${path}/approve`, said)).status, 200);
    }
  });

  it('revoke-own-identity: cannot have our own key revoked, with which mail to everybody is signed', async () => {
    const own = world.own.certificate;
    // As decrypt says it, which does not run here.
    await publishOwn(sealedValues(api.daemon.queue, 'certs-own'), {
      identities: [{ ...world.own, name: 'edi', certificate: own, use: ['sign', 'decrypt'] }],
    } as unknown as Parameters<typeof publishOwn>[1]);
    const path = `/v1/certificates/${own.thumbprint}`;
    assert.equal((await api.call(tokens.acme, path)).status, 200);
    const revoked = await post(tokens.acme, `${path}/revoke`, { why: 'x' });
    assert.equal(await whyRefused(own), undefined);
    assert.deepEqual([revoked.status, revoked.json.code], [403, 'not-granted']);
    const pinned = await pin(tokens.acme, withKeyOf(world.own, 'mine@acme.example'));
    assert.deepEqual([pinned.status, pinned.json.code], [403, 'not-granted']);
    assert.equal(
      (await post(tokens.all, `${path}/revoke`, { why: 'stolen' })).status,
      403,
      'of some partners',
    );
    assert.equal((await post(tokens.every, `${path}/revoke`, { why: 'stolen' })).status, 200);
  });

  it('revoke-authority: cannot add an authority or its key, to refuse all that it issued', async () => {
    const pinned = await pin(tokens.acme, others.certificate);
    assert.deepEqual([pinned.status, pinned.json.code], [403, 'not-granted']);
    const { certificate } = createTestCa('Made Up').issue({
      ...{ email: 'edi@acme.example', key: { ...others, publicKey: createPublicKey(others.privateKey) } },
    });
    assert.equal((await pin(tokens.acme, certificate)).status, 200);
    const path = `/v1/certificates/${certificate.thumbprint}`;
    const revoked = await post(tokens.acme, `${path}/revoke`, { why: 'x' });
    assert.deepEqual([revoked.status, revoked.json.code], [403, 'not-granted']);
    assert.equal(await whyRefused(others.certificate), undefined);
    assert.equal((await post(tokens.acme, `${path}/reject`, {})).json.state, 'rejected');
    assert.equal(await whyRefused(others.certificate), undefined);
  });

  it('still decides about its own', async () => {
    const options = { ca: false, keyUsage: null, email: 'own@acme.example' };
    const { certificate } = createTestCa('Acme Own', options);
    assert.equal((await pin(tokens.acme, certificate)).status, 200);
    const path = `/v1/certificates/${certificate.thumbprint}/revoke`;
    assert.equal((await post(tokens.acme, path, { why: 'stolen' })).status, 200);
    assert.match((await whyRefused(certificate)) ?? '', /revoked/);
  });
});
