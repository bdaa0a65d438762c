import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  bootDaemon,
  isAlive,
  kill,
  type Launched,
  launch,
  sealpost,
  startDaemon,
  type TestDaemon,
  writeConfig,
} from '../support/daemon.ts';
import { countLoaded, partsOf } from '../support/loaded.ts';
import { freePort } from '../support/net.ts';
import { RawClient } from '../support/smtp.ts';
import { makeWorld, skipWithout, textEntity } from '../support/world.ts';

describe('supervision', { skip: skipWithout('openssl'), timeout: 1_800_000 }, () => {
  const world = makeWorld();
  const running = new Set<TestDaemon>();
  const launches: Launched[] = [];
  const launchOne = (file: string) => {
    const launched = launch(file);
    launches.push(launched);
    return launched;
  };
  after(async () => {
    // What a failed test has left.
    for (const { pid, roles, over } of launches)
      if (!over()) for (const each of [...roles(), { pid }]) kill(each.pid);
    for (const daemon of running) await daemon.stop();
    world.remove();
  });
  async function start(...args: Parameters<typeof startDaemon>): Promise<TestDaemon> {
    const daemon = await startDaemon(...args);
    running.add(daemon);
    return daemon;
  }
  async function stop(daemon: TestDaemon) {
    running.delete(daemon);
    return await daemon.stop();
  }
  const partners = [
    {
      name: 'partner',
      addresses: ['edi@partner.example'],
      certificates: [world.partner.certFile],
      identity: 'own',
      from: world.own.email,
      route: { host: '127.0.0.1', port: 1, tls: 'none' },
    },
  ];
  const noneAlive = (daemon: TestDaemon, pids: number[]) =>
    daemon.waitFor('all processes have ended', () => pids.every((pid) => !isAlive(pid)));

  it('starts each role again after kill -9, and loses nothing', async () => {
    const daemon = await start(world, { config: { partners, http: { port: 0 } } });
    assert.deepEqual(
      daemon
        .roles()
        .map(({ role }) => role)
        .sort(),
      ['decrypt', 'handoff', 'http', 'outbound', 'receive'],
    );
    const ids: string[] = [];
    for (const { role, pid } of daemon.roles()) {
      // The receiver has a new port afterwards: all mail goes in while it is there.
      if (role === 'receive') continue;
      kill(pid);
      // While it is away: accepted anyway, and done later.
      for (let count = 0; count < 3; count++)
        ids.push(await daemon.accept(world.mail(textEntity(`${role} ${count}`))));
      await daemon.waitFor(`${role} runs again`, () =>
        daemon.roles().some((each) => each.role === role && each.pid !== pid),
      );
    }
    const receiver = daemon.pidOf('receive');
    kill(receiver);
    await daemon.waitFor(
      'receive is ready again',
      () => daemon.log().split('"imap":0,"msg":"ready"').length > 2,
    );
    assert.notEqual(daemon.pidOf('receive'), receiver);
    for (const id of ids) await daemon.reaches(id, 'delivered');
    const folders = readdirSync(daemon.inbox).filter((name) => !name.startsWith('.'));
    assert.equal(folders.length, ids.length, 'each once');
    assert.match(daemon.log(), /"role":"supervisor".*"signal":"SIGKILL".*starting it again/);
    assert.deepEqual(await stop(daemon), { code: 0, signal: null });
  });

  it('waits longer only for a role that dies again and again without any work done', async () => {
    const port = await freePort();
    const smtp = { listen: [{ port }], hostname: 'own.example', greetingDelay: '0ms' };
    const daemon = await start(world, { config: { smtp } });
    const deaths = () =>
      [...daemon.log().matchAll(/"SIGKILL","delayMs":(\d+),"worked":(true|false),"livedMs":(\d+)/g)].map(
        ([, wait, worked, lived]) => ({
          wait: Number(wait),
          worked: worked === 'true',
          // on a busy machine the start alone may take that long
          steady: Number(lived) > 10_000,
        }),
      );
    const ready = () => daemon.log().split('"imap":0,"msg":"ready"').length - 1;
    const die = async () => {
      const before = ready();
      kill(daemon.pidOf('receive'));
      await daemon.waitFor('receive is ready again', () => ready() > before);
    };
    for (let count = 0; count < 3; count++) {
      await daemon.accept(world.mail(textEntity(`work ${count}`)));
      await die();
    }
    await die();
    await die();
    await daemon.accept(world.mail(textEntity('work again')));
    await die();
    const found = deaths();
    assert.deepEqual(
      found.map(({ worked }) => worked),
      [true, true, true, false, false, true],
    );
    let expected = 250;
    for (const { wait, worked, steady } of found) {
      if (worked || steady) expected = 250;
      assert.equal(wait, expected);
      expected *= 2;
    }
    await stop(daemon);
  });

  // One data folder goes through three lives: drained, orphaned, ended at once.
  let drained: TestDaemon | undefined;
  let takenOver: TestDaemon | undefined;
  it('drains at SIGTERM: what is in flight is finished, then it ends with 0 and nothing is left', async () => {
    const daemon = await start(world, { config: { workers: { decrypt: 1, drainTimeout: '10m' } } });
    const pids = [...daemon.roles().map(({ pid }) => pid), daemon.redisPid() ?? 0];
    const slow = await RawClient.connect(daemon.smtpPort);
    await slow.hello();
    assert.match(await slow.envelope(['orders@own.example']), /^354 /);
    const mail = world.mail(textEntity('in the middle of DATA'));
    slow.write(mail.subarray(0, 500));
    const waiting: string[] = [];
    for (let count = 0; count < 20; count++)
      waiting.push(await daemon.accept(world.mail(textEntity(`${count}`))));
    daemon.signal('SIGTERM');
    await daemon.waitFor('receive drains', () => /"role":"receive".*"msg":"draining"/.test(daemon.log()));
    slow.write(mail.subarray(500));
    slow.write('.\r\n');
    const reply = await slow.reply();
    assert.match(reply, /^250 /);
    assert.deepEqual(await daemon.ended, { code: 0, signal: null });
    await noneAlive(daemon, pids);
    await stop(daemon);

    // What was not done is done by the next one: nothing was lost.
    const again = await bootDaemon(join(daemon.dataDir, '..'), daemon.configFile);
    running.add(again);
    for (const id of [...waiting, reply.split(' as ')[1] ?? '']) await again.reaches(id, 'delivered');
    assert.equal(readdirSync(again.inbox).filter((name) => !name.startsWith('.')).length, 21);
    drained = again;
  });

  it('roles end by themselves when the supervisor is killed, and the next start takes over', async () => {
    const daemon = drained ?? (await start(world));
    const id = await daemon.accept(world.mail(textEntity('before the crash')));
    const pids = daemon.roles().map(({ pid }) => pid);
    kill(daemon.pid);
    await daemon.ended;
    await noneAlive(daemon, pids);
    const redis = daemon.redisPid();
    const again = await bootDaemon(join(daemon.dataDir, '..'), daemon.configFile);
    running.add(again);
    assert.equal(again.redisPid(), redis, 'the private server that was left is used again');
    await again.reaches(id, 'delivered');
    await daemon.queue.close();
    running.delete(daemon);
    takenOver = again;
  });

  it('ends at once at a second SIGTERM', async () => {
    const daemon = takenOver ?? (await start(world));
    const pids = [...daemon.roles().map(({ pid }) => pid), daemon.redisPid() ?? 0];
    // A client that never ends its message keeps the receiver from draining.
    const slow = await RawClient.connect(daemon.smtpPort);
    await slow.hello();
    assert.match(await slow.envelope(['orders@own.example']), /^354 /);
    slow.write('Subject: never ends\r\n');
    daemon.signal('SIGTERM');
    await daemon.waitFor('receive drains', () => /"role":"receive".*"msg":"draining"/.test(daemon.log()));
    assert.ok(daemon.roles().some(({ role }) => role === 'receive'));
    daemon.signal('SIGTERM');
    const { signal } = await daemon.ended;
    assert.equal(signal, null);
    await noneAlive(daemon, pids);
    slow.close();
    await stop(daemon);
    assert.equal(daemon.redisPid(), undefined, 'the private server is left');
  });

  for (const [moment, line] of [
    ['Redis is starting', undefined],
    ['the roles are starting', '"private redis server"'],
  ] as const) {
    it(`ends with 0 when SIGTERM comes while ${moment}`, async () => {
      const { configFile, folder } = writeConfig(world);
      const launched = launchOne(configFile);
      const lock = join(folder, 'data', 'redis', 'start.lock');
      // The lock is there for a moment only; on a busy machine it may be missed.
      const log = line ?? '"private redis server"';
      while (!launched.log().includes(log) && !(line === undefined && existsSync(lock))) await sleep(2);
      process.kill(launched.pid, 'SIGTERM');
      assert.deepEqual(await launched.ended, { code: 0, signal: null }, launched.log());
      assert.deepEqual(launched.roles(), []);
      // redis-server removes it when it ends in order
      assert.equal(existsSync(join(folder, 'data', 'redis', 'redis.pid')), false);
    });
  }

  it('roles that are still starting end, too, when the supervisor is killed', async () => {
    const { configFile, folder } = writeConfig(world);
    const launched = launchOne(configFile);
    const server = join(folder, 'data', 'redis', 'redis.pid');
    // roles load their code while the server starts, which first makes an empty file
    const serverPid = () => (existsSync(server) ? Number(readFileSync(server, 'utf8')) : 0);
    while (launched.roles().length < 3 || serverPid() === 0) await sleep(2);
    const pids = launched.roles().map(({ pid }) => pid);
    kill(launched.pid);
    await launched.ended;
    while (pids.some(isAlive)) await sleep(10);
    assert.doesNotMatch(launched.log(), /ERR_IPC_CHANNEL_CLOSED/);
    kill(serverPid());
  });

  it('runs only the roles of --only, each with what it uses and no more', async () => {
    const modules = countLoaded(world, 'only');
    const daemon = await start(world, { args: ['--only', 'receive'], env: modules.env });
    assert.deepEqual(
      daemon.roles().map(({ role }) => role),
      ['receive'],
    );
    const id = await daemon.accept(world.mail(textEntity('waits')));
    // The rest in a second daemon on the same folder: it shares the private server.
    const rest = await bootDaemon(join(daemon.dataDir, '..'), daemon.configFile, {
      args: ['--only', 'decrypt,handoff'],
      env: modules.env,
    });
    running.add(rest);
    assert.deepEqual(
      rest
        .roles()
        .map(({ role }) => role)
        .sort(),
      ['decrypt', 'handoff'],
    );
    await rest.reaches(id, 'delivered');
    await rest.queue.close();
    // The first that leaves does not take the server away from the other.
    rest.signal('SIGTERM');
    assert.deepEqual(await rest.ended, { code: 0, signal: null });
    running.delete(rest);
    await daemon.reaches(await daemon.accept(world.mail(textEntity('still taken'))), 'received');
    await stop(daemon);
    // msgpackr comes with BullMQ's classes, of which it is enough to have one script
    for (const [role, without, most] of [
      ['receive', ['msgpackr', 'imapflow', 'cms', 'handoff', 'partner', 'pipeline'], 370],
      ['decrypt', ['smtp-server', 'imapflow', 'undici', 'nodemailer'], 760],
      ['handoff', ['smtp-server', 'imapflow', 'undici', 'cms', 'pki', 'smime'], 600],
    ] as const) {
      const urls = modules.of(`${role}.ts`);
      const parts = partsOf(urls);
      for (const name of ['zod', 'yaml', '@opentelemetry/api', 'commander', ...without])
        assert.ok(!parts.has(name), `${role} loads ${name}`);
      assert.ok(urls.length < most, `${role} loads ${urls.length} modules`);
    }
  });

  it('reports a wrong role list as a usage error', async () => {
    const { configFile } = writeConfig(world);
    const { code, stderr } = await sealpost(['start', '--config', configFile, '--only', 'receive,decript']);
    assert.equal(code, 2);
    assert.match(stderr, /^sealpost: --only: unknown role "decript" \[usage\]\nhint: roles are receive, /);
  });

  describe('a broken start ends with 1, says why, and leaves no process', () => {
    const badKey = world.file(
      'bad.key',
      '-----BEGIN PRIVATE KEY-----\nnonsense\n-----END PRIVATE KEY-----\n',
    );
    const taken = createServer();
    after(() => taken.close());
    const portInUse = async () => {
      await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
      const address = taken.address();
      return typeof address === 'object' && address !== null ? address.port : 0;
    };
    const cases: [string, () => Promise<Record<string, unknown>>, RegExp][] = [
      [
        'a bad key file',
        async () => ({ identities: [{ name: 'own', certificate: world.own.certFile, key: badKey }] }),
        /bad\.key.*sealpost: (.*\n)*.*\[config-invalid\]/s,
      ],
      [
        'a port in use',
        async () => ({ smtp: { listen: [{ port: await portInUse() }], hostname: 'own.example' } }),
        /"code":"listen-failed","message":"[^"]*127\.0\.0\.1.*sealpost: receive could not start: .*\[listen-failed\]/s,
      ],
      [
        'Redis that is not there',
        async () => ({ redis: { url: 'redis://127.0.0.1:1', commandTimeout: '500ms' } }),
        /"code":"redis-unreachable".*127\.0\.0\.1:1.*sealpost: \w+ could not start: .*\[redis-unreachable\]/s,
      ],
      [
        'a setting that does not exist',
        async () => ({ smpt: {} }),
        /^sealpost: .*\[config-invalid\]\n.*: smpt: is not a setting/s,
      ],
      [
        'nothing to do',
        async () => ({ smtp: {}, mailboxes: [] }),
        /^.*sealpost: .*nothing|anything to do \[config-invalid\]\nhint: /s,
      ],
    ];
    for (const [name, config, wanted] of cases) {
      it(name, async () => {
        const { configFile, folder } = writeConfig(world, await config());
        const launched = launchOne(configFile);
        const seen = new Set<number>();
        const look = setInterval(() => {
          for (const { pid } of launched.roles()) seen.add(pid);
          // It would continue for ever.
          if (launched.log().includes('starting it again')) kill(launched.pid);
        }, 10);
        const end = await launched.ended;
        clearInterval(look);
        assert.deepEqual(end, { code: 1, signal: null }, launched.log());
        assert.match(launched.log(), wanted);
        assert.deepEqual([...seen].filter(isAlive), []);
        const pidFile = join(folder, 'data', 'redis', 'redis.pid');
        if (existsSync(pidFile)) assert.equal(isAlive(Number(readFileSync(pidFile, 'utf8'))), false);
      });
    }
  });
});
