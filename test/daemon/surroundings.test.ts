/** What the supervisor keeps besides its processes: heartbeats, its folder, and what a reload must not move. */
import assert from 'node:assert/strict';
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { originOf } from '../../src/config/origin.ts';
import { configSchema } from '../../src/config/schema.ts';
import { askReload, clearRunFolder, openControl, runFolder, storedConfig } from '../../src/daemon/control.ts';
import { readHeartbeats, startHeartbeat } from '../../src/daemon/heartbeat.ts';
import { movedStore, readNewConfig } from '../../src/daemon/new-config.ts';
import { leave, present, withdraw } from '../../src/daemon/presence.ts';
import { draftOwner } from '../../src/files.ts';
import { createLog } from '../../src/log.ts';
import type { QueueRoom } from '../../src/queue/index.ts';
import { until } from '../support/net.ts';
import { useTestQueue } from '../support/queue.ts';

describe('signs of life', () => {
  let queue: QueueRoom;
  useTestQueue((opened) => {
    queue = opened.queue;
  });
  const names = () => queue.redis.smembers(`${queue.prefix}:alive`);

  it('of what has ended without a word are none, and its name is forgotten', async () => {
    await leave(queue, 'alive', 'http', { n: 1 }, 60_000);
    await leave(queue, 'alive', 'decrypt', { n: 2 }, 60_000);
    assert.equal((await present(queue, 'alive')).length, 2);
    const [key = ''] = (await names()).filter((name) => name.includes(':decrypt:'));
    const left = await queue.redis.pttl(key);
    assert.ok(left > 50_000 && left <= 60_000, `${left}`);
    await queue.redis.del(key);
    assert.deepEqual(await present(queue, 'alive'), ['{"n":1}']);
    assert.equal((await names()).length, 1);
  });

  it('are taken away of one process, in all that it left, and of no other', async () => {
    await leave(queue, 'alive', 'http', { n: 1 }, 60_000);
    await leave(queue, 'metrics', 'http', { n: 2 }, 60_000);
    await leave(queue, 'alive', 'decrypt', { n: 3 }, 60_000);
    await withdraw(queue, 'http', process.pid + 1);
    assert.equal((await present(queue, 'alive')).length, 2);
    await withdraw(queue, 'http', process.pid);
    assert.deepEqual(await present(queue, 'alive'), ['{"n":3}']);
    assert.deepEqual(await present(queue, 'metrics'), []);
    await withdraw(queue, 'decrypt', process.pid);
    assert.deepEqual(await names(), []);
  });

  it('tell of a process from its start, and are gone with its end', async () => {
    const beating = startHeartbeat(queue, 'handoff', createLog('silent', 'test'), () => [
      { what: 'mailbox orders', since: 1, why: 'no login' },
    ]);
    await until('it is alive', async () => (await readHeartbeats(queue)).length === 1);
    const [heartbeat] = await readHeartbeats(queue);
    assert.deepEqual(
      [heartbeat?.role, heartbeat?.pid, heartbeat?.refusing, heartbeat?.troubles[0]?.what],
      ['handoff', process.pid, null, 'mailbox orders'],
    );
    // What is killed takes nothing away: it is shown for 20 seconds at most.
    const [name = ''] = await names();
    const left = await queue.redis.pttl(name);
    assert.ok(left > 0 && left <= 20_000, `${left}`);
    await beating.stop();
    assert.deepEqual(await readHeartbeats(queue), []);
    assert.deepEqual(await names(), []);
    const brief = startHeartbeat(queue, 'handoff', createLog('silent', 'test'));
    await brief.stop();
    assert.deepEqual(await names(), [], 'also where the first was still under way');
  });
});

describe("the supervisor's folder", () => {
  const folder = mkdtempSync(join(tmpdir(), 'sealpost-run-'));
  after(() => rmSync(folder, { recursive: true, force: true }));

  it('is made for its owner alone, and made so again', async () => {
    const dataDir = join(folder, 'one');
    const run = await runFolder(dataDir);
    assert.equal(lstatSync(run).mode & 0o777, 0o700);
    chmodSync(run, 0o777);
    assert.equal(await runFolder(dataDir), run);
    assert.equal(lstatSync(run).mode & 0o777, 0o700);
  });

  it('is not taken from somebody else', {
    skip: process.getuid?.() !== 0 && 'only root gives folders away',
  }, async () => {
    const dataDir = join(folder, 'two');
    const run = await runFolder(dataDir);
    chownSync(run, 65_534, 65_534);
    await assert.rejects(runFolder(dataDir), { code: 'file-access', message: /somebody else/ });
  });

  it('is not one that a link leads to', async () => {
    const dataDir = join(folder, 'three');
    mkdirSync(join(folder, 'elsewhere'));
    mkdirSync(dataDir);
    symlinkSync(join(folder, 'elsewhere'), join(dataDir, 'run'));
    await assert.rejects(runFolder(dataDir), { code: 'file-access' });
  });

  it('is shared by containers, each with a process 1: none answers for another, or ends its entrance', async () => {
    const dataDir = join(folder, 'four');
    const run = await runFolder(dataDir);
    const machines = ['a'.repeat(16), 'b'.repeat(16)];
    const controls = await Promise.all(
      machines.map((machine) =>
        openControl(
          run,
          { reload: async () => `of ${machine}`, log: async (changes) => `${machine} ${changes}` },
          `${machine}-1-100`,
        ),
      ),
    );
    const said = async () => (await askReload(dataDir)).map(({ message }) => message).sort();
    assert.deepEqual(
      await said(),
      machines.map((machine) => `of ${machine}`),
    );
    await controls[0]?.close();
    assert.deepEqual(await said(), [`of ${machines[1]}`]);
    await controls[1]?.close();
  });

  it('is cleared of what killed supervisors left, and of nothing else', async () => {
    const run = await runFolder(join(folder, 'five'));
    const [machine, pid, start] = draftOwner.split('-');
    const living = storedConfig(run, 1);
    const kept = [
      living,
      living.replace('.json', '.certificates'),
      // a container that shares the folder: nobody here knows whether it lives
      join(run, `config-${'a'.repeat(16)}-1-100-1.json`),
      join(run, 'supervisor-0123456789abcdef.sock'),
    ];
    const dead = [`config-${machine}-${pid}-1-1.json`, `config-${machine}-${pid}-1-2.certificates`];
    assert.notEqual(start, '1');
    for (const file of [...kept, ...dead.map((name) => join(run, name))]) writeFileSync(file, '');
    await clearRunFolder(run);
    const left = readdirSync(run).map((name) => join(run, name));
    assert.deepEqual(left.sort(), kept.sort());
  });
});

describe('a reload', () => {
  const config = (settings: object) => configSchema.parse({ dataDir: '/a', ...settings });
  const s3 = { endpoint: 'https://s3.example', bucket: 'aaa' };
  for (const [what, settings] of [
    ['dataDir', { dataDir: '/b' }],
    ['redis', { redis: { prefix: '{other}' } }],
    ['redis', { redis: { url: 'redis://127.0.0.1:1' } }],
    ['spool.key', { spool: { key: { file: '/b/key' } } }],
    ['spool.directory', { spool: { directory: '/b' } }],
    ['spool.store', { spool: { store: 's3', s3 } }],
  ] as const)
    it(`does not move ${what}: ${JSON.stringify(settings)}`, () => {
      assert.equal(movedStore(config({}), config(settings)), what);
      assert.equal(movedStore(config(settings), config(settings)), undefined);
    });
  it('takes a file that is right, and refuses one that names what is not there', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'sealpost-reload-'));
    after(() => rmSync(folder, { recursive: true, force: true }));
    const file = join(folder, 'sealpost.yaml');
    const written = (settings: object) => {
      const all = {
        dataDir: folder,
        smtp: { listen: [{ port: 0 }] },
        mailboxes: [
          {
            name: 'orders',
            addresses: ['orders@own.example'],
            destinations: [{ type: 'directory', path: folder }],
          },
        ],
        ...settings,
      };
      writeFileSync(file, JSON.stringify(all));
      return configSchema.parse(all);
    };
    const old = written({});
    const checked = join(folder, 'next.checked');
    const running = { inForce: join(folder, 'none.json'), checked, roles: ['receive', 'decrypt'] as const };
    const taken = await readNewConfig(file, old, running);
    assert.equal(taken.config.dataDir, folder);
    assert.equal(originOf(taken.config)?.file, file, 'later messages name the file');
    assert.deepEqual(taken.waits, []);
    assert.equal(existsSync(checked), false, 'the hand-over leaves nothing');
    written({ identities: [{ name: 'own', certificate: '/nowhere.pem', key: '/nowhere.key' }] });
    await assert.rejects(readNewConfig(file, old, running), {
      code: 'reload-refused',
      message: /stays in force: .*nowhere/,
    });
    assert.equal(existsSync(checked), false);
  });

  it('does not move the bucket, and changes anything else', () => {
    const of = (bucket: string) => config({ spool: { store: 's3', s3: { ...s3, bucket } } });
    assert.equal(movedStore(of('aaa'), of('bbb')), 'spool.s3');
    const next = config({ workers: { concurrency: 3 }, retry: { attempts: 3 }, log: { level: 'debug' } });
    assert.equal(movedStore(config({}), next), undefined);
  });
});
