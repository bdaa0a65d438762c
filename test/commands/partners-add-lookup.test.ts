/**
 * `partners add --ldap` and `--dns`: with slapd and unbound; what is found waits for approval and counts from then on.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { parse, stringify } from 'yaml';
import { smimeaName } from '../../src/lookup/dns.ts';
import { parseMailbox } from '../../src/message/index.ts';
import { command } from '../support/command.ts';
import { startTestRedis, type TestRedis } from '../support/redis.ts';
import { type Slapd, skipWithoutSlapd, startSlapd } from '../support/slapd.ts';
import { skipWithoutUnbound, startUnbound, type Unbound } from '../support/unbound.ts';
import { makeWorld, skipWithout, type World } from '../support/world.ts';

const skip = skipWithout('openssl') || skipWithoutSlapd() || skipWithoutUnbound();

describe('partners add with directories', { skip }, () => {
  let world: World;
  let redis: TestRedis;
  let slapd: Slapd;
  let unbound: Unbound;
  let folder: string;
  let configFile: string;
  const issued: Record<string, string> = {};
  before(async () => {
    world = makeWorld();
    redis = await startTestRedis();
    const der = (email: string) => {
      const { certificate } = world.party(email, { key: 'p256' });
      issued[email] = certificate.thumbprint;
      return certificate.der;
    };
    const acme = der('edi@acme.test');
    slapd = await startSlapd([
      { name: 'acme', mail: 'edi@acme.test', certificates: [acme, der('edi@elsewhere.test')] },
    ]);
    const bolt = der('edi@bolt.test');
    const name = smimeaName(parseMailbox('edi@bolt.test')).replace('.bolt.test', '');
    unbound = await startUnbound([
      {
        ...{ name: 'bolt.test', signed: true },
        records: [`${name} IN TYPE53 \\# ${bolt.length + 3} 030000${bolt.toString('hex')}`],
      },
    ]);
    folder = join(world.folder, 'configuration');
    mkdirSync(folder);
    configFile = join(folder, 'sealpost.yaml');
    configure([
      { name: 'trust-center', kind: 'ldap', url: slapd.url, base: slapd.base, ca: slapd.tls.cert },
      { name: 'dns', kind: 'smimea' },
    ]);
  });
  after(async () => {
    await slapd?.stop();
    unbound?.stop();
    await redis?.stop();
    world?.remove();
  });

  function configure(directories: object[]): void {
    const config = {
      dataDir: redis.dataDir,
      redis: { url: redis.url },
      dns: { resolver: '127.0.0.1', port: unbound.port },
      identities: [{ name: 'own', certificate: world.own.certFile, key: world.own.keyFile }],
      lookup: { directories },
    };
    writeFileSync(configFile, stringify(config));
  }
  const run = async (...args: string[]) => {
    const ran = await command([...args, '--config', configFile]);
    return { ...ran, stdout: ran.stdout.toString() };
  };
  const partnerFile = (name: string) => join(folder, 'partners', `${name}.yaml`);

  for (const [name, option, directory] of [
    ['acme', '--ldap', 'trust-center'],
    ['bolt', '--dns', 'dns'],
  ] as const)
    it(`${option}: shows what it found, writes no certificate, and has it wait for approval`, async () => {
      const email = `edi@${name}.test`;
      const thumbprint = issued[email] ?? '';
      const added = await run(
        'partners',
        'add',
        name,
        '--address',
        email,
        '--from',
        'orders@own.example',
        option,
      );
      assert.equal(added.code, 0, added.stderr);
      assert.match(added.stdout, new RegExp(`CN=${email}`));
      assert.match(added.stdout, new RegExp(`^${thumbprint.slice(0, 16)} waits for approval`, 'm'));
      if (name === 'acme') assert.match(added.stderr, /does not name the address/);
      const text = readFileSync(partnerFile(name), 'utf8');
      const { certificates, lookup, identity, addresses } = parse(text);
      assert.deepEqual([certificates, lookup, identity, addresses], [undefined, [directory], 'own', [email]]);
      assert.match(text, new RegExp(`^# Certificates from ${directory}:\\n# CN=${email}, serial`, 'm'));
      assert.ok(!existsSync(join(folder, 'partners', `${name}.pem`)));

      // until then, nothing is encrypted for it
      const before = await run('partners', 'test', name);
      assert.match(before.stdout + before.stderr, /has no certificate to encrypt for/);
      const waiting = JSON.parse((await run('certs', 'list', '--state', 'waiting', '--json')).stdout);
      assert.deepEqual(
        waiting.map((each: Record<string, unknown>) => [each.partner, each.sha256, each.source]),
        [[name, thumbprint, option.slice(2)]],
      );
      const approve = ['certs', 'approve', thumbprint, '--sha256', thumbprint];
      const approved = await run(
        ...approve,
        '--compared',
        String(waiting[0].version),
        '--why',
        'by telephone',
      );
      assert.equal(approved.code, 0, approved.stderr);
      const list = JSON.parse((await run('certs', 'list', '--partner', name, '--json')).stdout);
      assert.deepEqual(
        list.map((each: Record<string, unknown>) => each.state),
        ['in-force'],
      );
      // a trial is protected as mail is: what was approved counts, what was revoked does not
      const after = await run('partners', 'test', name);
      assert.doesNotMatch(after.stderr, /certificate/);
      assert.match(after.stderr, /not sent to .*\[dns-[a-z-]+\]|\[route-[a-z-]+\]|\[send-[a-z-]+\]/);
      assert.equal((await run('certs', 'revoke', thumbprint, '--why', 'stolen')).code, 0);
      const revoked = await run('partners', 'test', name);
      assert.match(revoked.stderr, /has no certificate to encrypt for.*\[encode-recipient\]/);
    });

  it('adds nothing if nothing is found, if there is no such directory, or if there is no full address', async () => {
    for (const [args, said] of [
      [['--address', 'nobody@acme.test', '--ldap'], /trust-center: nothing was found for nobody@acme.test/],
      [['--address', '@acme.test', '--ldap'], /asked about full addresses/],
      [
        ['--address', 'a@x.test', '--ldap', '--cert', world.partner.certFile],
        /--cert and --ldap are two sources/,
      ],
      [['--address', 'a@x.test', '--dns', '--from-mail', 'x'], /--from-mail and --dns are two sources/],
    ] as const) {
      const { code, stderr } = await run('partners', 'add', 'none', ...args);
      assert.notEqual(code, 0);
      assert.match(stderr, said);
      assert.ok(!existsSync(partnerFile('none')));
    }
    rmSync(join(folder, 'partners'), { recursive: true });
    configure([]);
    const { code, stderr } = await run('partners', 'add', 'none', '--address', 'a@x.test', '--dns');
    assert.notEqual(code, 0);
    assert.match(stderr, /no directory of kind smimea or cert/);
  });
});
