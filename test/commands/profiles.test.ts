/**
 * `profiles` and `partners matrix`, and the section of docs/partners.md about them: its commands are run as they stand.
 */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Redis } from 'ioredis';
import { stringify } from 'yaml';
import { createTestCa } from '../support/ca.ts';
import { command } from '../support/command.ts';
import { startTestRedis, type TestRedis } from '../support/redis.ts';
import { makeWorld, skipWithout, type World } from '../support/world.ts';

const guide = resolve(import.meta.dirname, '../../docs/partners.md');
const heading = '## A new demand from a regulator';

/** Commands of a section with what they print; `profiles/ours.yaml` is the file that it shows. */
function sectionOf(text: string) {
  const start = text.indexOf(`${heading}\n`);
  assert.ok(start >= 0, heading);
  const [, body = ''] =
    text
      .slice(start)
      .split(/\n(?=## )/, 1)[0]
      ?.split(heading) ?? [];
  const runs = [...body.matchAll(/```console\n(.*?)```/gs)].flatMap(([, block = '']) =>
    block.split(/^\$ (?=sealpost )/m).slice(1),
  );
  return runs.map((run) => {
    const [line = '', ...lines] = run.split('\n');
    return { args: line.split(' ').slice(1), printed: lines.join('\n') };
  });
}

describe('profiles', { skip: skipWithout('openssl') }, () => {
  let world: World;
  let server: TestRedis;
  let redis: Redis;
  let configFile: string;
  const notAfter = new Date('2040-01-01');
  const today = Math.floor(Date.now() / 86_400_000);
  before(async () => {
    world = makeWorld();
    server = await startTestRedis();
    redis = new Redis(server.url.replace('unix://', ''), { lazyConnect: true });
    const pss = createTestCa('PSS Root', { key: generateKeyPairSync('rsa-pss', { modulusLength: 2048 }) });
    const signed = (email: string) => {
      const { certPem, keyPem } = pss.issue({ commonName: email, email, key: 'rsa2048', notAfter });
      return { certFile: world.file(`${email}.pem`, certPem), keyFile: world.file(`${email}.key`, keyPem) };
    };
    const own = signed('orders@own.example');
    const globex = signed('edi@globex.example');
    const acme = world.party('edi@acme.example', { notAfter });
    const old = world.party('edi@old.example', { notAfter: new Date(Date.now() + 86_400_000) });
    const partner = (name: string, certificate: string, more = {}) => ({
      name,
      addresses: [`edi@${name}.example`],
      identity: 'orders',
      certificates: [certificate],
      route: { host: `mx.${name}.example` },
      ...more,
    });
    configFile = world.file(
      'sealpost.yaml',
      stringify({
        dataDir: server.dataDir,
        redis: { url: server.url },
        identities: [{ name: 'orders', certificate: own.certFile, key: own.keyFile }],
        partners: [
          partner('acme', acme.certFile),
          partner('globex', globex.certFile, { profile: 'edi-energy', contentEncryption: 'aes-128-gcm' }),
        ],
      }),
    );
    world.file(
      'old.yaml',
      stringify({
        dataDir: server.dataDir,
        redis: { url: server.url },
        identities: [{ name: 'orders', certificate: own.certFile, key: own.keyFile }],
        partners: [partner('old', old.certFile)],
      }),
    );
    await redis.hset(
      `{sealpost}:used:acme:${today - 1}`,
      'iE256c:p1.r2048/O:256_r.r2048',
      40,
      'oE256c:p1.r2048/O:256_r.r2048',
      12,
    );
    await redis.hset(`{sealpost}:used:acme:${today}`, 'iE256c:p1.r2048/O:256_r.r2048', 2, '*', 1);
    await redis.hset(`{sealpost}:used:globex:${today}`, 'iA128g:o256.r2048/O:256_s.r2048', 7);
  });
  after(async () => {
    redis?.disconnect();
    await server?.stop();
    world?.remove();
  });

  const run = async (...args: string[]) => {
    const { code, stdout, stderr } = await command([...args, '--config', configFile]);
    return { code, text: stdout.toString(), stderr };
  };
  const day = (back: number) => new Date((today - back) * 86_400_000).toISOString().slice(0, 10);
  /** Days of traffic and serial numbers are those of the run. */
  const plain = (text: string) =>
    text
      .replaceAll(/last on \d{4}-\d{2}-\d{2}/g, 'last on DAY')
      .replaceAll(/serial [0-9a-f]+/g, 'serial HEX');

  it('do what docs/partners.md says', async () => {
    const runs = sectionOf(readFileSync(guide, 'utf8'));
    assert.ok(runs.length >= 4);
    for (const { args, printed } of runs) {
      const { text, stderr } = await run(...args);
      assert.equal(plain(text + stderr).trim(), plain(printed).trim(), args.join(' '));
    }
  });

  it('list ours without a configuration, and the operator’s with it', async () => {
    const listed = await command(['profiles', 'list', '--json']);
    const names = JSON.parse(listed.stdout.toString()).map(({ name }: { name: string }) => name);
    assert.equal(names.length, 11);
    assert.ok(names.includes('edi-energy'));
    assert.equal((await run('profiles', 'show', 'nobody')).code, 2);
    assert.equal((await run('profiles', 'show', 'kim', '--at', 'tomorrow')).code, 2);
    assert.equal((await run('profiles', 'check', 'kim', '--days', '93')).code, 2);
    assert.equal((await run('profiles', 'check', 'kim', '--days', '0')).code, 2);
  });

  it('count the days that are asked for, and say what they could not read', async () => {
    const found = async (days: string) => {
      const { text, code } = await run(
        'profiles',
        'check',
        'edi-energy',
        '--partner',
        'acme',
        '--days',
        days,
        '--json',
      );
      const [acme] = JSON.parse(text).partners;
      const traffic = acme.needs.filter(
        (need: { where: string; rule: string }) => need.where === 'traffic' && need.rule === 'signature',
      );
      return { code, unread: acme.unreadMessages, what: traffic.map((need: { what: string }) => need.what) };
    };
    assert.deepEqual(await found('2'), {
      code: 1,
      unread: 1,
      what: [`42 received, last on ${day(0)}`, `12 sent, last on ${day(1)}`],
    });
    assert.deepEqual((await found('1')).what, [`2 received, last on ${day(0)}`]);
  });

  it('say whose certificate is over on the day, and that nothing could be sent', async () => {
    const check = async (at: string) =>
      await command([
        'profiles',
        'check',
        'smime-3.2',
        '--offline',
        '--at',
        at,
        '--config',
        join(world.folder, 'old.yaml'),
      ]);
    const before = await check(day(0));
    assert.equal(before.code, 0, before.stdout.toString() + before.stderr);
    const late = await check('2030-01-01');
    assert.equal(late.code, 1);
    assert.match(
      late.stdout.toString(),
      /old: would fail\n {2}nothing could be sent: partner old has no certificate in force/,
    );
  });

  it('judge only the traffic that proves who sent it: an address alone refuses nothing', async () => {
    await redis.hset(`{sealpost}:used:globex:${today}`, 'cE3d:p1.r2048/O:1_r.r2048', 5);
    const { text } = await run('profiles', 'check', 'edi-energy', '--partner', 'globex', '--json');
    await redis.hdel(`{sealpost}:used:globex:${today}`, 'cE3d:p1.r2048/O:1_r.r2048');
    const [globex] = JSON.parse(text).partners;
    const claimed = globex.needs.filter(({ what }: { what: string }) =>
      what.includes('by its address alone'),
    );
    assert.ok(claimed.length >= 4);
    for (const { level } of claimed) assert.equal(level, 'should');
  });

  it('show a matrix as JSON: what was seen, met and needed', async () => {
    const { text, code } = await run('partners', 'matrix', '--json');
    assert.equal(code, 0);
    const [acme, globex] = JSON.parse(text).partners;
    assert.deepEqual(acme.received.ciphers, { 'aes-256-cbc': 42 });
    assert.deepEqual(acme.sent.keyManagement, { 'rsa-pkcs1': 12 });
    assert.deepEqual(globex.received.signatures, { 'rsa-pss sha256': 7 });
    assert.equal(globex.sent.messages, 0);
    const of = (row: typeof acme, name: string) =>
      row.profiles.find((each: { name: string }) => each.name === name);
    assert.equal(of(acme, 'smime-3.2').meets, true);
    assert.deepEqual(of(acme, 'edi-energy').needs, ['key-management', 'signature', 'certificate-signature']);
    assert.deepEqual(of(globex, 'edi-energy'), { name: 'edi-energy', meets: true, needs: [], blocked: null });
  });

  it('take the profiles of the operator, by dates of the settings', async () => {
    const folder = join(world.folder, 'profiles');
    mkdirSync(folder);
    writeFileSync(
      join(folder, 'ours.yaml'),
      'name: ours\nversion: "1"\ntitle: Ours\nabout: Ours.\nextends: edi-energy\nrules:\n  - { id: content-gcm, level: must, about: content, allow: [aes-128-gcm], from: "2027-04-01", says: GCM., source: { document: Letter, version: "1", section: "1" } }\n',
    );
    const text = readFileSync(configFile, 'utf8');
    const file = world.file('with.yaml', `${text}profiles: { folder: profiles }\n`);
    const at = async (date: string) =>
      (
        await command(['profiles', 'check', 'ours', '--offline', '--at', date, '--config', file])
      ).stdout.toString();
    assert.doesNotMatch(await at('2027-03-31'), /content-gcm/);
    assert.match(
      await at('2027-04-01'),
      /must content-gcm: GCM\. \(Letter, 1, 1\)\n {4}settings: aes-256-cbc/,
    );
  });
});
