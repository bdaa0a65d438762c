import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { parse, stringify } from 'yaml';
import { CertStore, type NewCertificate } from '../../src/certstore/index.ts';
import { createLog } from '../../src/log.ts';
import type { QueueRoom } from '../../src/queue/index.ts';
import { command } from '../support/command.ts';
import { openTestQueue } from '../support/queue.ts';
import { startTestRedis, type TestRedis } from '../support/redis.ts';
import { makeTlsFiles } from '../support/tls.ts';
import { makeWorld, openssl, skipWithout, type World } from '../support/world.ts';

describe('certs', { skip: skipWithout('openssl') }, () => {
  let world: World;
  let server: TestRedis;
  let queue: QueueRoom;
  let store: CertStore;
  let configFile: string;
  before(async () => {
    world = makeWorld();
    server = await startTestRedis();
    const old = world.party('old@partner.example', {
      notAfter: new Date(Date.now() + 20 * 86_400_000),
      key: 'p256',
    });
    configFile = world.file(
      'sealpost.yaml',
      stringify({
        dataDir: server.dataDir,
        redis: { url: server.url },
        identities: [{ name: 'own', certificate: world.own.certFile, key: world.own.keyFile }],
        partners: [
          {
            name: 'acme',
            addresses: ['@partner.example'],
            identity: 'own',
            certificates: [world.partner.certFile, old.certFile],
          },
        ],
      }),
    );
    queue = await openTestQueue(server);
    const log = createLog('silent', 'test');
    store = await CertStore.open({ ...queue, folder: server.dataDir, log, now: Date.now });
  });
  after(async () => {
    await queue?.close();
    await server?.stop();
    world?.remove();
  });

  const run = async (...args: string[]) => {
    const ran = await command(['certs', ...args, '--config', configFile], { env: { SUDO_USER: 'alice' } });
    return { ...ran, stdout: ran.stdout.toString() };
  };
  const json = async (...args: string[]) => JSON.parse((await run(...args, '--json')).stdout);
  const facts: NewCertificate = {
    ...{ partner: 'acme', uses: ['encrypt', 'verify'], from: null, until: null },
    ...{ source: 'traffic', findings: ['new'], rule: null, announcedBy: null, message: null },
  };
  const waiting = async (email: string) => {
    const party = world.party(email, { key: 'p256' });
    assert.equal(await store.offer(party.certificate, facts), 'waiting');
    return party;
  };

  it('lists those of a partner by any name that it has or had, and of no other', async () => {
    const idsOf = (found: { id: string }[]) => found.map(({ id }) => id);
    const byName = idsOf(await json('list', '--partner', 'ACME'));
    assert.equal(byName.length, 2);
    const text = readFileSync(configFile, 'utf8').replace(
      'name: acme\n',
      'name: acme\n    formerNames: [acme-inc]\n',
    );
    const renamed = world.file('renamed.yaml', text);
    const once = await command(['certs', 'list', '--partner', 'acme-inc', '--json', '--config', renamed]);
    assert.deepEqual(idsOf(JSON.parse(once.stdout.toString())), byName);
    const unknown = await run('list', '--partner', 'acne');
    assert.equal(unknown.code, 1);
    assert.match(unknown.stderr, /there is no partner "acne" \[partner-unknown\]/);
  });

  it('lists every certificate, with numbers as OpenSSL and Windows print them', async () => {
    const all = await json('list');
    assert.deepEqual(
      all.map((each: { state: string; identity: string; partner: string }) => [
        each.state,
        each.identity ?? each.partner,
      ]),
      [
        ['in-force', 'own'],
        ['in-force', 'acme'],
        ['in-force', 'acme'],
      ],
    );
    const [own] = all;
    const said = (...args: string[]) =>
      openssl(['x509', '-in', world.own.certFile, '-noout', ...args])
        .toString()
        .trim()
        .replace(/^.*=/, '');
    assert.equal(own.serialNumber, said('-serial'));
    assert.equal(own.sha1.toUpperCase(), said('-fingerprint', '-sha1').replaceAll(':', ''));
    assert.equal(own.sha256.toUpperCase(), said('-fingerprint', '-sha256').replaceAll(':', ''));
    assert.deepEqual([own.key, own.uses], ['rsa 2048', ['sign', 'decrypt']]);
    assert.deepEqual(
      (await json('list', '--expiring', '30')).map((each: { key: string }) => each.key),
      ['ec 256'],
    );
    assert.deepEqual(await json('list', '--expiring', '10'), []);
    assert.equal((await json('list', '--partner', 'ACME')).length, 2);
    assert.equal((await json('list', '--use', 'decrypt')).length, 1);
    assert.deepEqual(await json('list', '--state', 'waiting'), []);
  });

  it('answers which key a serial number is, however it is written', async () => {
    const { certificate } = world.own;
    const serial = certificate.serialHex;
    const pairs = serial.match(/../g) ?? [];
    for (const text of [
      serial,
      serial.toUpperCase(),
      pairs.join(':').toUpperCase(),
      pairs.join(' '),
      `0x${serial}`,
      `00${serial}`,
      BigInt(`0x${serial}`).toString(),
      certificate.thumbprint,
      certificate.thumbprint.slice(0, 16),
      certificate.thumbprintSha1.toUpperCase(),
    ]) {
      const shown = await run('show', text);
      assert.equal(shown.code, 0, `${text}: ${shown.stderr}`);
      assert.match(shown.stdout, /^of +own own$/m, text);
      assert.ok(shown.stdout.includes(certificate.thumbprint));
    }
    const none = await run('show', '4f4f4f4f');
    assert.deepEqual([none.code, /certificate-unknown/.test(none.stderr)], [1, true]);
    const pem = await run('export', serial);
    assert.equal(pem.stdout, certificate.toPem());
  });

  it('approves what was compared, and nothing else', async () => {
    const { certificate } = await waiting('new@partner.example');
    const { thumbprint } = certificate;
    const id = thumbprint.slice(0, 16);
    const shown = await run('approve', id);
    assert.notEqual(shown.code, 0);
    assert.match(shown.stdout, new RegExp(`SHA-256 +${thumbprint}`));
    assert.match(shown.stderr, new RegExp(`--sha256 ${thumbprint} --compared 1`));
    const other = 'f'.repeat(64);
    for (const wrong of [
      ['--sha256', other, '--compared', '1'],
      ['--sha256', thumbprint, '--compared', '2'],
    ]) {
      const refused = await run('approve', id, ...wrong);
      assert.match(refused.stderr, /certificate-conflict/);
    }
    await store.refresh();
    assert.deepEqual(store.approvedOf('acme'), []);
    const colons = thumbprint.toUpperCase().replace(/..(?=.)/g, '$&:');
    const done = await run(
      'approve',
      id,
      '--sha256',
      colons,
      '--compared',
      '1',
      '--why',
      'by telephone',
      '--use',
      'verify',
    );
    assert.equal(done.code, 0, done.stderr);
    await store.refresh();
    const [entry] = store.approvedOf('acme');
    assert.deepEqual(
      [entry?.thumbprint, entry?.uses, entry?.decided?.why],
      [thumbprint, ['verify'], 'by telephone'],
    );
    assert.match(entry?.decided?.by ?? '', /^\S+@\S+ \(SUDO_USER says alice\)$/);
    const [audited] = await queue.audit.list({ limit: 1 });
    assert.deepEqual(
      [audited?.what, audited?.subject, audited?.why],
      ['certificate-approve', thumbprint, 'by telephone'],
    );
  });

  it('lists those for TLS, and what follows them, and revokes none of them', async () => {
    const tls = await makeTlsFiles('DNS:own.example');
    try {
      const config = parse(readFileSync(configFile, 'utf8'));
      const { certFile: cert, keyFile: key } = world.own;
      config.smtp = { tls: { cert: tls.cert, key: tls.key, next: [{ cert, key, from: '2035-01-01' }] } };
      const file = world.file('tls.yaml', stringify(config));
      const certs = (...args: string[]) => command(['certs', ...args, '--config', file]);
      const listed: { identity: string; state: string; sha256: string; from: string | null }[] = JSON.parse(
        (await certs('list', '--use', 'tls', '--json')).stdout.toString(),
      );
      assert.deepEqual(
        listed.map(({ identity, state, from }) => [identity, state, from]),
        [
          ['smtp.tls', 'in-force', null],
          ['smtp.tls', 'next', '2035-01-01T00:00:00.000Z'],
        ],
      );
      const text = (await certs('list', '--use', 'tls')).stdout.toString();
      assert.match(text, /^[0-9a-f]{16} {2}in-force {2}own smtp\.tls {2}tls {2}/m);
      const refused = await certs('revoke', listed[0]?.sha256 ?? '', '--why', 'stolen');
      assert.match(
        refused.stderr.toString(),
        /is of TLS, where nothing would refuse it.*certificate-conflict/s,
      );
    } finally {
      tls.remove();
    }
  });

  it('same-name: what was approved for a partner of that name with other addresses waits, and may be approved again', async () => {
    const { thumbprint } = (await waiting('moved@partner.example')).certificate;
    const approve = (compared: string) => [
      'approve',
      thumbprint,
      '--sha256',
      thumbprint,
      '--compared',
      compared,
    ];
    assert.equal((await run(...approve('1'))).code, 0);
    const text = readFileSync(configFile, 'utf8').replace('@partner.example', '@elsewhere.example');
    assert.match(text, /- "@elsewhere\.example"/);
    const other = world.file('other.yaml', text);
    const later = async (...args: string[]) => await command(['certs', ...args, '--config', other]);
    const stateOf = async () => {
      const [shown] = JSON.parse((await later('show', thumbprint, '--json')).stdout.toString());
      return [shown.state, shown.reason];
    };
    const [state, reason] = await stateOf();
    assert.equal(state, 'waiting');
    assert.match(reason, /approved when partner acme had the addresses @partner\.example/);
    assert.deepEqual((await json('show', thumbprint))[0].state, 'in-force');
    const again = await later(...approve('2'));
    assert.equal(again.code, 0, again.stderr);
    assert.deepEqual(await stateOf(), ['in-force', null]);
  });

  it('rejects, revokes and pins', async () => {
    const [rejected, pinned] = [
      await waiting('bad@partner.example'),
      world.party('pin@partner.example', { key: 'p256' }),
    ];
    assert.equal((await run('reject', rejected.certificate.thumbprint, '--why', 'not theirs')).code, 0);
    assert.equal((await run('pin', pinned.certFile, '--partner', 'acme')).code, 0);
    assert.match((await run('pin', pinned.certFile, '--partner', 'nobody')).stderr, /partner-unknown/);
    assert.match((await run('revoke', world.partner.certificate.thumbprint)).stderr, /--why/);
    assert.equal((await run('revoke', world.partner.certificate.thumbprint, '--why', 'stolen')).code, 0);
    await store.refresh();
    assert.match(store.whyRefused(rejected.certificate) ?? '', /rejected/);
    assert.match(store.whyRefused(world.partner.certificate) ?? '', /revoked/);
    assert.ok(
      store.approvedOf('acme').some(({ thumbprint }) => thumbprint === pinned.certificate.thumbprint),
    );
    const states = new Map(
      (await json('list')).map((each: { sha256: string; state: string }) => [each.sha256, each.state]),
    );
    assert.equal(states.get(rejected.certificate.thumbprint), 'rejected');
    assert.equal(states.get(world.partner.certificate.thumbprint), 'revoked');
    assert.match((await run('approve', world.partner.certificate.thumbprint)).stderr, /not approved again/);
  });

  it('shows look-alike letters and bidirectional text escaped', async () => {
    // Cyrillic letters a and e, and an override.
    const { certificate } = await waiting('p\u0430rtner@partner.example');
    const odd = world.party('x@partner.example', { commonName: '\u202eelpmaxe', key: 'p256' });
    await store.offer(odd.certificate, facts);
    const one = await run('show', certificate.thumbprint);
    const two = await run('show', odd.certificate.thumbprint);
    for (const { stdout } of [one, two]) assert.match(stdout, /^[\x20-\x7e\n]+$/);
    assert.match(two.stdout, /\\u\{202e\}/);
    assert.match(one.stdout, /\\u\{430\}/);
  });
});
