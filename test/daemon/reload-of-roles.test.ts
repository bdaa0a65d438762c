/** A container or unit of one role has the files of that role only: a reload looks at these, and at no others. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { parse, stringify } from 'yaml';
import { checkConfig } from '../../src/config/check.ts';
import { roleNames } from '../../src/daemon/protocol.ts';
import { startDaemon } from '../support/daemon.ts';
import { freePort } from '../support/net.ts';
import { startTestRedis, type TestRedis } from '../support/redis.ts';
import { makeWorld, skipWithout, textEntity, type World } from '../support/world.ts';

describe('the check of what some roles read', { skip: skipWithout('openssl') }, () => {
  let world: World;
  before(() => {
    world = makeWorld();
  });
  after(() => world?.remove());

  /** Settings with an error for each role; no file that is named is there. */
  async function complaints(): Promise<Map<string, string[]>> {
    const pair = (name: string) => ({ cert: `/nowhere/${name}.pem`, key: `/nowhere/${name}.key` });
    const secret = { file: '/nowhere/secret' };
    const file = world.file(
      'absent.yaml',
      stringify({
        dataDir: world.folder,
        redis: { url: 'redis://127.0.0.1:1', ca: '/nowhere/redis.pem' },
        spool: { key: secret },
        smtp: { listen: [{ port: 2525 }], tls: pair('smtp') },
        api: { port: 8026, tls: pair('api') },
        console: { port: 8027, tls: pair('console') },
        http: { port: 8025 },
        dkim: [{ domain: 'own.example', selector: 's', key: '/nowhere/dkim.key' }],
        identities: [{ name: 'own', certificate: '/nowhere/own.pem', key: '/nowhere/own.key' }],
        trust: { anchors: ['/nowhere/ca.pem'] },
        events: { url: 'https://erp.example/', secret },
        folders: [{ path: '/proc/nowhere/drop', client: 'erp' }],
        mailboxes: [
          {
            ...{ name: 'orders', addresses: ['orders@own.example'] },
            imap: { host: 'imap.own.example', user: 'x', password: secret },
            destinations: [
              { type: 'directory', path: '/proc/nowhere/inbox' },
              { type: 'webhook', url: 'https://erp.example/', secret },
            ],
          },
        ],
        partners: [
          {
            ...{ name: 'acme', addresses: ['@acme.example'], certificates: ['/nowhere/acme.pem'] },
            ...{ identity: 'own', from: 'us@own.example' },
            route: { host: 'mx.acme.example', ca: '/nowhere/mx.pem' },
          },
        ],
      }),
    );
    const settings = async (roles?: string[]) => {
      const found = await checkConfig(file, { roles });
      return [...new Set(found.filter(({ severity }) => severity === 'error').map((each) => each.setting))];
    };
    const all = await Promise.all(roleNames.map(async (role) => [role, await settings([role])] as const));
    return new Map([...all, ['all of them', await settings()]]);
  }

  it('names the missing files of a role, and those of no other', async () => {
    const found = await complaints();
    const everyone = ['redis.ca', 'spool.key'];
    const keys = ['identities[0].certificate', 'identities[0].key', 'trust.anchors[0]'];
    const certificates = 'partners[0].certificates[0]';
    const expected: Record<string, string[]> = {
      receive: ['smtp.tls', 'mailboxes[0].imap.password'],
      decrypt: [...keys, certificates],
      handoff: ['mailboxes[0].destinations[0].path', 'mailboxes[0].destinations[1].secret'],
      outbound: [...keys, certificates, 'dkim[0].key', 'partners[0].route.ca'],
      submit: ['folders[0].path'],
      api: ['api.tls', 'events.secret', certificates],
      console: ['console.tls', certificates],
      http: [],
    };
    assert.deepEqual(Object.keys(expected).sort(), [...roleNames].sort());
    for (const [role, settings] of Object.entries(expected))
      assert.deepEqual(found.get(role)?.sort(), [...everyone, ...settings].sort(), role);
    // together they name everything
    const all = [...new Set([...Object.values(expected).flat(), ...everyone])].sort();
    assert.deepEqual(found.get('all of them')?.sort(), all);
  });
});

describe('reload where one role runs', { skip: skipWithout('openssl', 'redis-server') }, () => {
  let world: World;
  let redis: TestRedis;
  before(async () => {
    world = makeWorld();
    redis = await startTestRedis();
  });
  after(async () => {
    await redis?.stop();
    world?.remove();
  });

  it('takes a change without the files of the others, and refuses one whose own file is missing', async () => {
    const key = world.file('spool.key', randomBytes(32).toString('base64'));
    chmodSync(key, 0o600);
    const port = await freePort();
    const hook = { type: 'webhook', url: 'https://erp.example/', secret: { file: '/nowhere/hook' } };
    const mailboxes = (address: string) => [
      { name: 'orders', addresses: ['orders@own.example', address], destinations: [hook] },
    ];
    const daemon = await startDaemon(world, {
      args: ['--only', 'receive'],
      config: {
        redis: { url: redis.url },
        smtp: { listen: [{ port }], hostname: 'own.example', greetingDelay: '0ms' },
        spool: { key: { file: key } },
        identities: [{ name: 'own', certificate: '/nowhere/own.pem', key: '/nowhere/own.key' }],
        trust: { anchors: ['/nowhere/ca.pem'] },
        mailboxes: mailboxes('first@own.example'),
      },
    });
    try {
      const settings = parse(readFileSync(daemon.configFile, 'utf8'));
      const write = (more: object) => writeFileSync(daemon.configFile, stringify({ ...settings, ...more }));
      const old = daemon.pidOf('receive');
      write({ mailboxes: mailboxes('second@own.example') });
      const taken = await daemon.command(['reload']);
      assert.equal(taken.code, 0, taken.stderr);
      assert.match(taken.stdout.toString(), /in force, in 1 new processes/);
      const [entry] = await daemon.queue.audit.list({});
      assert.deepEqual([entry?.what, entry?.why], ['reload', daemon.configFile]);
      await daemon.waitFor('the old process has ended', () => daemon.roles().every(({ pid }) => pid !== old));
      await daemon.accept(world.mail(textEntity('hello')), { to: ['second@own.example'] });
      write({
        mailboxes: mailboxes('third@own.example'),
        smtp: { ...settings.smtp, tls: { cert: '/nowhere/smtp.pem', key: '/nowhere/smtp.key' } },
      });
      const refused = await daemon.command(['reload']);
      assert.equal(refused.code, 1);
      assert.match(refused.stderr, /stays in force: .*smtp\.tls: .*nowhere\/smtp/);
      assert.ok(!refused.stderr.includes('own.key'), refused.stderr);
    } finally {
      await daemon.stop();
    }
  });
});
