import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { CertStore } from '../../src/certstore/index.ts';
import { createLog } from '../../src/log.ts';
import type { QueueRoom } from '../../src/queue/index.ts';
import { startApi, type TestApi } from '../support/api.ts';
import { makeWorld, skipWithout, type World } from '../support/world.ts';

describe('certificates in the API', { skip: skipWithout('openssl') }, () => {
  let world: World;
  let api: TestApi;
  let queue: QueueRoom;
  let store: CertStore;
  let tokens: Record<'acme' | 'other' | 'looks' | 'none', string>;
  before(async () => {
    world = makeWorld();
    api = await startApi(world);
    const { dataDir } = api.daemon;
    queue = api.daemon.queue;
    const parts = {
      ...queue,
      folder: dataDir,
      log: createLog('silent', 'test'),
      now: Date.now,
    };
    store = await CertStore.open(parts);
    const verbs = ['--scope', 'certificates,approve'];
    tokens = {
      acme: await api.token('acme', ...verbs, '--partner', 'acme'),
      other: await api.token('other', ...verbs, '--partner', 'other'),
      looks: await api.token('looks', '--scope', 'certificates', '--partner', 'acme'),
      none: await api.token('none', '--scope', 'send,read', '--partner', '*'),
    };
  });
  after(async () => {
    await api?.daemon.stop();
    world?.remove();
  });

  const waiting = async (email: string) => {
    const party = world.party(email, { key: 'p256' });
    const facts = { partner: 'acme', uses: ['encrypt' as const], from: null, until: null, rule: null };
    const found = { source: 'traffic' as const, findings: ['another key'], announcedBy: null, message: null };
    assert.equal(await store.offer(party.certificate, { ...facts, ...found }), 'waiting');
    return party.certificate;
  };
  const post = (token: string, path: string, body: unknown) =>
    api.call(token, path, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });

  it('shows a client those of its partners, and what waits', async () => {
    const certificate = await waiting('new@acme.example');
    const list = await api.call(tokens.acme, '/v1/certificates?state=waiting');
    assert.equal(list.status, 200);
    assert.deepEqual(
      list.json.certificates.map((each: { sha256: string; findings: string[] }) => [
        each.sha256,
        each.findings,
      ]),
      [[certificate.thumbprint, ['another key']]],
    );
    assert.deepEqual((await api.call(tokens.other, '/v1/certificates')).json.certificates, []);
    assert.equal((await api.call(tokens.none, '/v1/certificates')).status, 403);
    const others = [await waiting('second@acme.example'), await waiting('third@acme.example')];
    const pages: string[] = [];
    let cursor = '';
    do {
      const { status, json } = await api.call(tokens.acme, `/v1/certificates?attention=1&limit=1${cursor}`);
      assert.deepEqual([status, json.certificates.length], [200, 1]);
      pages.push(json.certificates[0].sha256);
      cursor = json.cursor === null ? '' : `&cursor=${json.cursor}`;
    } while (cursor !== '');
    assert.deepEqual(
      pages.toSorted(),
      [certificate, ...others].map(({ thumbprint }) => thumbprint).toSorted(),
      'each once',
    );
    for (const query of ['limit=0', 'limit=201', 'cursor=x', 'cursor=1.'])
      assert.equal((await api.call(tokens.acme, `/v1/certificates?${query}`)).status, 400, query);
    const path = `/v1/certificates/${certificate.thumbprint}`;
    assert.equal((await api.call(tokens.acme, path)).json.pem, certificate.toPem());
    const [hidden, unknown] = [
      await api.call(tokens.other, path),
      await api.call(tokens.acme, `/v1/certificates/${'0'.repeat(64)}`),
    ];
    assert.deepEqual([hidden.status, unknown.status], [404, 404]);
    assert.equal(hidden.json.code, unknown.json.code);
    const bySerial = await api.call(tokens.acme, `/v1/certificates?serial=${certificate.serialHex}`);
    assert.equal(bySerial.json.certificates.length, 1);
  });

  it('approves what was compared, for whom that is granted', async () => {
    const certificate = await waiting('next@acme.example');
    const path = `/v1/certificates/${certificate.thumbprint}/approve`;
    const said = { sha256: certificate.thumbprint, version: 1, why: 'by telephone' };
    assert.equal((await post(tokens.looks, path, said)).status, 403);
    assert.equal((await post(tokens.other, path, said)).status, 404);
    for (const wrong of [{ sha256: 'f'.repeat(64) }, { version: 2 }])
      assert.equal((await post(tokens.acme, path, { ...said, ...wrong })).status, 409);
    assert.equal((await post(tokens.acme, path, { version: 1 })).status, 400);
    const done = await post(tokens.acme, path, { ...said, until: '2039-01-01T00:00:00Z' });
    assert.deepEqual(
      [done.status, done.json.state, done.json.until, done.json.version],
      [200, 'in-force', '2039-01-01T00:00:00.000Z', 2],
    );
    assert.match(done.json.decided.by, /^client acme, token /);
    assert.equal((await post(tokens.acme, path, said)).status, 409);
    const [audited] = await queue.audit.list({ limit: 1 });
    assert.deepEqual([audited?.what, audited?.subject], ['certificate-approve', certificate.thumbprint]);
  });

  it('rejects, revokes and adds', async () => {
    const certificate = await waiting('bad@acme.example');
    const path = `/v1/certificates/${certificate.thumbprint}`;
    assert.equal((await post(tokens.acme, `${path}/reject`, {})).json.state, 'rejected');
    assert.equal((await post(tokens.acme, `${path}/revoke`, {})).status, 400);
    assert.equal((await post(tokens.acme, `${path}/revoke`, { why: 'stolen' })).json.state, 'revoked');
    const pem = world.party('pin@acme.example', { key: 'p256' }).certificate.toPem();
    assert.equal((await post(tokens.other, '/v1/certificates', { partner: 'acme', pem })).status, 404);
    const added = await post(tokens.acme, '/v1/certificates', { partner: 'acme', pem });
    assert.deepEqual([added.status, added.json.state, added.json.source], [200, 'in-force', 'operator']);
    assert.equal((await post(tokens.acme, '/v1/certificates', { partner: 'acme', pem })).status, 409);
    assert.equal((await post(tokens.acme, '/v1/certificates', { partner: 'acme', pem: 'x' })).status, 400);
  });
});
