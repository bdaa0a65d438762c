import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { parse, stringify } from 'yaml';
import { sealpost, startDaemon, type TestDaemon } from '../support/daemon.ts';
import { freePort } from '../support/net.ts';
import { makeWorld, skipWithout, textEntity, type World } from '../support/world.ts';

describe('reload', { skip: skipWithout('openssl') }, () => {
  let world: World;
  let daemon: TestDaemon;
  let base: Record<string, unknown>;
  before(async () => {
    world = makeWorld();
    const port = await freePort();
    daemon = await startDaemon(world, {
      config: {
        smtp: { listen: [{ port }], hostname: 'own.example', greetingDelay: '0ms' },
        // Half of it is what clients of the old receiver have: on a busy machine 15 seconds are not much.
        workers: { decrypt: 1, drainTimeout: '5m' },
      },
    });
    base = parse(readFileSync(daemon.configFile, 'utf8'));
  });
  after(async () => {
    await daemon?.stop();
    world?.remove();
  });

  const write = (settings: Record<string, unknown>) =>
    writeFileSync(daemon.configFile, stringify({ ...base, ...settings }));
  const pids = () => new Set(daemon.roles().map(({ pid }) => pid));
  const withAddress = (address: string) => {
    const [mailbox] = Array.isArray(base.mailboxes) ? base.mailboxes : [];
    return { mailboxes: [{ ...mailbox, addresses: ['orders@own.example', address] }] };
  };

  it('takes a new configuration with new processes', async () => {
    const old = pids();
    const to = ['new@own.example'];
    assert.match(await daemon.send(world.mail(textEntity('no')), { to }), /^550 5\.1\.1/);
    write(withAddress('new@own.example'));
    const ran = await daemon.command(['reload']);
    assert.equal(ran.code, 0, ran.stderr);
    assert.match(ran.stdout.toString(), /in force, in 3 new processes/);
    const now = pids();
    assert.equal(now.size, 3);
    const [entry] = await daemon.queue.audit.list({ limit: 1 });
    assert.equal(entry?.what, 'reload');
    assert.match(entry?.by ?? '', /.@./);
    assert.deepEqual(
      [...now].filter((pid) => old.has(pid)),
      [],
    );
    const id = await daemon.accept(world.mail(textEntity('yes')), { to });
    await daemon.reaches(id, 'delivered');
  });

  it('keeps the old one whole when anything is wrong with the new one, and says what', async () => {
    const old = pids();
    const [identity] = Array.isArray(base.identities) ? base.identities : [];
    const wrong: [Record<string, unknown>, RegExp][] = [
      [{ mailboxes: 'nonsense' }, /mailboxes/],
      [{ identities: [{ ...identity, key: '/nowhere.key' }] }, /nowhere\.key/],
      [{ dataDir: `${daemon.dataDir}2` }, /no daemon/],
      [{ redis: { prefix: '{other}' } }, /redis was changed/],
      [{ smtp: { listen: [{ host: '192.0.2.1', port: 2525 }] } }, /receive could not start/],
    ];
    for (const [settings, why] of wrong) {
      write(settings);
      const ran = await daemon.command(['reload']);
      assert.equal(ran.code, 1, `${why}`);
      assert.match(ran.stderr, why);
    }
    // Processes that were started for the new one are killed, and end a moment after the command does.
    await daemon.waitFor('the processes of before', () => pids().size === old.size);
    assert.deepEqual(pids(), old);
    // A process that is started again has the configuration in force, not the broken file.
    process.kill(daemon.pidOf('receive'), 'SIGKILL');
    const id = await daemon.waitFor('mail is received again', () =>
      daemon.accept(world.mail(textEntity('still')), { to: ['new@own.example'] }).catch(() => undefined),
    );
    await daemon.reaches(id, 'delivered');
  });

  it('takes it at SIGHUP as well', async () => {
    write(withAddress('hup@own.example'));
    const old = pids();
    daemon.signal('SIGHUP');
    await daemon.waitFor('new processes', () => {
      const now = pids();
      return now.size === 3 && [...now].every((pid) => !old.has(pid));
    });
    const id = await daemon.accept(world.mail(textEntity('hup')), { to: ['hup@own.example'] });
    await daemon.reaches(id, 'delivered');
  });

  it('loses nothing and turns nobody away while mail comes in', async () => {
    const replies: string[] = [];
    let loading = true;
    // A connection that is being opened while the old listener closes may be reset: a sender tries again at once.
    const sendAgain = async (raw: Buffer): Promise<string> => {
      for (let attempt = 1; ; attempt++) {
        const reply = await daemon.send(raw).catch((error: Error) => `error ${error.message}`);
        // Empty: the connection ended without an answer.
        if ((reply !== '' && !reply.startsWith('error ')) || attempt === 3) return reply;
      }
    };
    const mails = Array.from({ length: 4 }, (_, at) => world.mail(textEntity(`load ${at}`)));
    const load = mails.map(async (mail, at) => {
      for (let turn = 0; loading; turn++) {
        // Other octets each time: a duplicate would prove nothing.
        const header = Buffer.from(`X-Turn: ${at}.${turn}\r\n`);
        replies.push(await sendAgain(Buffer.concat([header, mail])));
        // There is always one on its way; more of them would only take the processor from the new processes.
        await sleep(25);
      }
    });
    for (let turn = 0; turn < 2; turn++) {
      write(withAddress(`turn${turn}@own.example`));
      const ran = await daemon.command(['reload']);
      assert.equal(ran.code, 0, ran.stderr);
    }
    loading = false;
    await Promise.all(load);
    assert.deepEqual(
      replies.filter((reply) => !reply.startsWith('250 ')),
      [],
    );
    const ids = replies.map((reply) => / as (\S+)$/.exec(reply)?.[1] ?? '');
    assert.equal(new Set(ids).size, replies.length);
    for (const id of ids) await daemon.reaches(id, 'delivered');
  });
});

describe('reload without a daemon', () => {
  it('says so', async () => {
    const world = makeWorld();
    const file = world.file(
      'none.yaml',
      stringify({ dataDir: world.folder, smtp: { listen: [{ port: 0 }] } }),
    );
    const ran = await sealpost(['reload', '--config', file]);
    assert.equal(ran.code, 1);
    assert.match(ran.stderr, /no daemon with this data folder runs/);
    world.remove();
  });
});
