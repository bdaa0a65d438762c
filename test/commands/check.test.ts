import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { chmodSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { stringify } from 'yaml';
import { command } from '../support/command.ts';
import { type Dovecot, skipWithoutDovecot, startDovecot } from '../support/dovecot.ts';
import { startTestRedis, type TestRedis } from '../support/redis.ts';
import { makeWorld } from '../support/world.ts';

describe('sealpost check', () => {
  const world = makeWorld();
  after(() => world.remove());
  const { own, partner, anchorFile, file, folder } = world;
  mkdirSync(join(folder, 'data'));
  mkdirSync(join(folder, 'inbox'));

  const good = {
    dataDir: 'data',
    smtp: { listen: [{ port: 2525 }] },
    identities: [{ name: 'own', certificate: own.certFile, key: own.keyFile }],
    trust: { anchors: [anchorFile] },
    mailboxes: [
      {
        name: 'orders',
        addresses: ['orders@own.example'],
        destinations: [{ type: 'directory', path: 'inbox' }],
      },
    ],
    partners: [
      {
        name: 'partner',
        addresses: [partner.email],
        certificates: [partner.certFile],
        identity: 'own',
        from: own.email,
      },
    ],
  };
  const check = (config: unknown, args: string[] = []) =>
    command(['check', '--config', file('check.yaml', stringify(config)), ...args]);

  it('finds nothing wrong with a good configuration', async () => {
    const { code, stdout, stderr } = await check(good);
    assert.deepEqual([code, stderr], [0, '']);
    assert.match(stdout.toString(), /check\.yaml: no problems\n$/);
    const json = await check(good, ['--json']);
    assert.deepEqual([json.code, JSON.parse(json.stdout.toString())], [0, []]);
  });

  it('lists everything that is wrong with files, each with place, setting and what to do', async () => {
    const open = file('open.key', own.keyPem);
    chmodSync(open, 0o644);
    const { code, stdout } = await check({
      ...good,
      identities: [
        { name: 'own', certificate: own.certFile, key: open },
        { name: 'mixed', certificate: partner.certFile, key: own.keyFile },
        { name: 'gone', certificate: 'gone.pem', key: own.keyFile },
      ],
      trust: { anchors: ['inbox'] },
    });
    const lines = stdout.toString().trimEnd().split('\n');
    assert.equal(code, 1);
    assert.match(lines.at(-1) ?? '', /^4 errors, \d+ warnings$/);
    for (const wanted of [
      /check\.yaml:\d+:\d+: error: identities\[0\]\.key: .*open\.key: mode 0644 .*chmod 600/,
      /error: identities\[1]\.certificate: .*belongs to none/,
      /error: identities\[2\]\.certificate: .*gone\.pem.*there is no such file/,
      /error: trust\.anchors\[0\]: .*is a folder/,
    ])
      assert.ok(
        lines.some((line) => wanted.test(line)),
        `${wanted} is not in\n${stdout}`,
      );
  });

  it('lists everything that is wrong with settings', async () => {
    const { code, stdout } = await check({ ...good, smpt: {}, retry: { attempts: 0, firstDelay: 'soon' } });
    assert.equal(code, 1);
    for (const wanted of [/: smpt: /, /: retry\.attempts: /, /: retry\.firstDelay: /])
      assert.match(stdout.toString(), wanted);
    const json = await check({ ...good, smpt: {} }, ['--json']);
    const problems: { setting: string; line: number }[] = JSON.parse(json.stdout.toString());
    assert.deepEqual([json.code, problems.map(({ setting }) => setting)], [1, ['smpt']]);
  });

  it('tries the protection of mail to each partner', async () => {
    const short = generateKeyPairSync('rsa', { modulusLength: 512 });
    const certificate = world.ca.issue({ commonName: 'short', key: short }).certPem;
    const { code, stdout } = await check({
      ...good,
      partners: [{ ...good.partners[0], certificates: [file('short.pem', certificate)] }],
    });
    assert.equal(code, 1);
    assert.match(
      stdout.toString(),
      /error: partners\[0\]: mail to partner partner would fail: the key of CN=short, serial \w+, has 512 bits; at least 1024/,
    );
  });

  it('says so when there is no configuration', async () => {
    const { code, stderr } = await command(['check', '--config', '/nonexistent.yaml']);
    assert.equal(code, 1);
    assert.match(
      stderr,
      /^sealpost: configuration \/nonexistent\.yaml: there is no such file \[file-access\]\n/,
    );
  });

  describe('Redis', () => {
    const servers: TestRedis[] = [];
    after(async () => {
      for (const server of servers) await server.stop();
    });
    const start = async (settings: Record<string, string>) => {
      const server = await startTestRedis(settings);
      servers.push(server);
      return server;
    };

    it('is fine when it is durable', async () => {
      const { url } = await start({});
      const { code, stdout } = await check({ ...good, redis: { url } });
      assert.equal(code, 0, stdout.toString());
    });

    it('is refused when it could lose something, with what to do', async () => {
      const { url } = await start({ appendfsync: 'everysec', 'maxmemory-policy': 'allkeys-lru' });
      const { code, stdout } = await check({ ...good, redis: { url } });
      assert.equal(code, 1);
      assert.match(stdout.toString(), /error: redis\.url: .*appendfsync/);
      assert.match(stdout.toString(), /allkeys-lru|maxmemory-policy/);
      assert.match(stdout.toString(), /appendfsync always/);
      const relaxed = await check({ ...good, redis: { url, durability: 'relaxed' } });
      assert.equal(relaxed.code, 0, relaxed.stdout.toString());
    });

    it('is missed when it is not there', async () => {
      const { code, stdout } = await check({
        ...good,
        redis: { url: 'redis://127.0.0.1:1', commandTimeout: '300ms' },
      });
      assert.equal(code, 1);
      assert.match(stdout.toString(), /error: redis\.url: .*127\.0\.0\.1:1/);
    });
  });

  describe('--online', { skip: skipWithoutDovecot() }, () => {
    let dovecot: Dovecot;
    before(async () => {
      dovecot = await startDovecot();
    });
    after(() => dovecot.stop());
    // the routes of partners are tried in test/daemon/tried-online.test.ts
    const withMailbox = (password: string, more: Record<string, unknown> = {}) => ({
      ...good,
      partners: [],
      mailboxes: [
        ...good.mailboxes,
        {
          name: 'polled',
          imap: {
            ...{ host: '127.0.0.1', port: dovecot.tlsPort, ca: dovecot.tls.cert, user: dovecot.user },
            password: { file: file('imap.password', password) },
            ...more,
          },
          destinations: [{ type: 'directory', path: 'inbox' }],
        },
      ],
    });

    it('logs in to the mailbox', async () => {
      const { code, stdout } = await check(withMailbox(dovecot.password), ['--online']);
      assert.equal(code, 0, stdout.toString());
    });

    for (const [name, password, more, wanted] of [
      ['a wrong password', 'wrong horse', {}, /mailboxes\[1\]\.imap: .*orders@example\.com/],
      [
        'a folder that is not there',
        'correct horse',
        { folder: 'Nowhere' },
        /mailboxes\[1\]\.imap: .*Nowhere/,
      ],
      [
        'a certificate that is not trusted',
        'correct horse',
        { ca: anchorFile },
        /mailboxes\[1\]\.imap: .*certificate/,
      ],
      ['a port that nobody listens on', 'correct horse', { port: 1 }, /mailboxes\[1\]\.imap: .*127\.0\.0\.1/],
    ] as const) {
      it(`says so for ${name}, and only with --online`, async () => {
        const config = withMailbox(password, more);
        assert.equal((await check(config)).code, 0);
        const { code, stdout } = await check(config, ['--online']);
        assert.equal(code, 1);
        assert.match(stdout.toString(), wanted);
        assert.doesNotMatch(stdout.toString(), /horse/, 'the password is shown');
      });
    }
  });
});
