/** Backups that somebody has cut, changed, made up or aimed at other files; and what a restore must not revive. */
import assert from 'node:assert/strict';
import { createHash, createPublicKey, createSecretKey, type KeyObject, randomBytes } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { ArchiveWriter, type FrameType, packed } from '../../src/backup/archive.ts';
import { makeBackup, proofOf, spoolKeyId } from '../../src/backup/backup.ts';
import { makeBackupKey, readBackupKey } from '../../src/backup/keypair.ts';
import { readBackup } from '../../src/backup/reading.ts';
import { restoreBackup, restoreFiles, restoreSpoolKey } from '../../src/backup/restore.ts';
import { CertStore, type NewCertificate } from '../../src/certstore/index.ts';
import { allGranted } from '../../src/client/index.ts';
import { ClientRegistry } from '../../src/client/registry.ts';
import { createLog } from '../../src/log.ts';
import { openQueue } from '../../src/queue/index.ts';
import { connect as connectTo } from '../../src/redis/index.ts';
import { loadSpoolKey, openLargeStore } from '../../src/spool/index.ts';
import { addPerson, UserRegistry } from '../../src/user/index.ts';
import { createTestCa } from '../support/ca.ts';
import { testConfig, useTestQueue } from '../support/queue.ts';

const folder = mkdtempSync(join(tmpdir(), 'sealpost-archives-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const place = (name: string) => join(folder, name);
const pair = makeBackupKey();
writeFileSync(place('key'), pair.privateKey, { mode: 0o600 });
const key = readBackupKey(place('key'), 'private');
const spoolKey = createSecretKey(randomBytes(32));
const log = createLog('silent', 'test');

type Made = [FrameType, Buffer | object];
let count = 0;

/** An archive with frames as somebody wants them, who has the public half of the key. */
async function archive(frames: Made[], made: KeyObject = spoolKey, counts = {}): Promise<string> {
  const pieces: Buffer[] = [];
  const writer = new ArchiveWriter({ write: async (octets) => void pieces.push(octets) });
  await writer.begin(createPublicKey(pair.publicKey));
  const proof = proofOf(made, writer.contentKey.export());
  await writer.frame('H', {
    version: '1',
    prefix: '{sealpost}',
    startedAt: 1,
    spoolKey: spoolKeyId(spoolKey),
    proof,
  });
  for (const [type, body] of frames) await writer.frame(type, body);
  const total = (letter: string) => frames.filter(([type]) => type === letter).length;
  const trailer = { keys: total('K'), objects: total('O'), files: total('F'), missing: 0, at: 1, ...counts };
  await writer.frame('T', trailer);
  await writer.end();
  count += 1;
  const file = place(`${count}.backup`);
  writeFileSync(file, Buffer.concat(pieces));
  return file;
}

const invalid = { code: 'backup-invalid' };
const sha256OfX = '2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881';
const file = (name: string, where = 'config'): Made[] => [
  ['F', { place: where, name }],
  ['D', Buffer.from('x')],
  ['E', { octets: 1, sha256: sha256OfX }],
];

describe('a backup that was cut or changed', () => {
  const large: Made[] = Array.from({ length: 12 }, (_, at) => [
    ['K', { k: `d:${at}`, t: 'string', x: 0 }] satisfies Made,
    ['P', packed([randomBytes(100_000)])] satisfies Made,
  ]).flat();

  it('is refused wherever it was cut, and when something was added', async () => {
    const whole = readFileSync(await archive(large));
    await readBackup(await archive(large), key);
    const cuts = [
      0,
      10,
      18,
      60,
      106,
      107,
      123,
      124,
      262_267 + 16,
      262_268 + 123,
      whole.length - 17,
      whole.length - 1,
    ];
    for (const at of cuts) {
      writeFileSync(place('cut'), whole.subarray(0, at));
      await assert.rejects(readBackup(place('cut'), key), invalid, `cut at ${at} of ${whole.length}`);
    }
    writeFileSync(place('cut'), Buffer.concat([whole, Buffer.of(0)]));
    await assert.rejects(readBackup(place('cut'), key), invalid);
  });

  it('is refused with any octet changed, and with chunks in another order', async () => {
    const whole = readFileSync(await archive(large));
    for (let at = 0; at < whole.length; at += at < 200 ? 7 : 50_001) {
      const changed = Buffer.from(whole);
      changed[at] = (changed[at] ?? 0) ^ 1;
      writeFileSync(place('changed'), changed);
      await assert.rejects(readBackup(place('changed'), key), invalid, `octet ${at}`);
    }
    const begin = 18 + 8 + 80 + 17;
    const chunk = 262_144 + 16;
    const [first, second] = [
      whole.subarray(begin, begin + chunk),
      whole.subarray(begin + chunk, begin + 2 * chunk),
    ];
    const swapped = Buffer.concat([
      whole.subarray(0, begin),
      second,
      first,
      whole.subarray(begin + 2 * chunk),
    ]);
    writeFileSync(place('swapped'), swapped);
    await assert.rejects(readBackup(place('swapped'), key), invalid);
  });

  it('is refused when frames are not where they belong', async () => {
    const odd: Made[][] = [
      [['D', Buffer.from('x')]],
      [['P', packed([Buffer.from('x')])]],
      [['H', {}]],
      [['K', { k: 'oauth:google', t: 'string', x: 0 }]],
      [['K', { k: 'm:x', t: 'string', x: 0 }]],
      [['O', { id: '../../etc/passwd' }]],
      [
        ['K', { k: 'd:1', t: 'string', x: 0 }],
        ['P', Buffer.from([0, 0, 0, 9, 1])],
      ],
      [
        ['F', { place: 'config', name: 'a' }],
        ['K', { k: 'd:1', t: 'string', x: 0 }],
      ],
      [['T', { keys: 0, objects: 0, files: 0, missing: 0, at: 1 }]],
      [
        ['O', { id: 'a'.repeat(32) }],
        ['D', Buffer.from('x')],
        ['E', { octets: 2, sha256: sha256OfX }],
      ],
    ];
    const reader = { elements: async () => undefined };
    for (const frames of odd)
      await assert.rejects(readBackup(await archive(frames), key, reader), invalid, JSON.stringify(frames));
    await assert.rejects(readBackup(await archive([], spoolKey, { keys: 1 }), key), invalid);
  });
});

describe('files of a backup', () => {
  it('do not leave their folder', async () => {
    const names = [
      '../out',
      '/etc/passwd',
      'a/../../out',
      'a//b',
      '',
      '.',
      'a/./b',
      'a\\..\\b',
      'a\0b',
      'x/'.repeat(50),
    ];
    for (const name of names) {
      const made = await archive(file(name));
      await assert.rejects(restoreFiles(made, key, place(`into-${count}`)), invalid, name);
      assert.equal(
        existsSync(place(`into-${count}`)) && readdirSync(place(`into-${count}`)).length > 0,
        false,
      );
    }
    for (const name of ['../x', 'redis/appendonlydir/x', 'spool.key/x', 'clients.version.1'])
      await assert.rejects(readBackup(await archive(file(name, 'data')), key), invalid, name);
  });

  it('replace nothing, and follow no link', async () => {
    mkdirSync(place('elsewhere'));
    mkdirSync(place('target'));
    symlinkSync(place('elsewhere'), place('target/keys'));
    await assert.rejects(restoreFiles(await archive(file('keys/x')), key, place('target')), {
      code: 'restore-refused',
    });
    assert.deepEqual(readdirSync(place('elsewhere')), []);
    await assert.rejects(
      restoreFiles(await archive([...file('a'), ...file('a')]), key, place('twice')),
      invalid,
    );
    await assert.rejects(
      restoreFiles(await archive([...file('a'), ...file('a/b')]), key, place('both')),
      invalid,
    );
  });
});

describe('a restore', () => {
  let test: Parameters<Parameters<typeof useTestQueue>[0]>[0];
  useTestQueue((opened) => {
    test = opened;
  });

  it('takes no backup of somebody who has the public half of the key alone', async () => {
    const config = testConfig(test.server, {
      redis: { prefix: '{forged}' },
      spool: { directory: place('forged') },
    });
    const store = await openLargeStore(config, spoolKey, log);
    const forged = await archive(large(), createSecretKey(randomBytes(32)));
    const parts = { config, redis: test.queue.redis, store, log };
    await assert.rejects(restoreBackup(parts, { file: forged, key, spoolKey }), {
      code: 'restore-refused',
      message: /was not made by an installation with this spool key/,
    });
    assert.deepEqual(await test.queue.redis.keys('{forged}:*'), []);
    function large(): Made[] {
      return [
        ['K', { k: 'd:1', t: 'string', x: 0 }],
        ['P', packed([Buffer.from('x')])],
      ];
    }
  });

  it('takes the spool key of a backup only if a person has named it: whoever makes one up has a key of its own', async () => {
    const own = randomBytes(32);
    const text = Buffer.from(`${own.toString('base64')}\n`);
    const named = spoolKeyId(createSecretKey(own));
    const made = await archive(
      [
        ['F', { place: 'data', name: 'spool.key' }],
        ['D', text],
        ['E', { octets: text.length, sha256: createHash('sha256').update(text).digest('hex') }],
      ],
      createSecretKey(own),
    );
    const config = testConfig({ url: test.server.url, dataDir: place('machine') }, {});
    await assert.rejects(restoreSpoolKey(config, { file: made, key, id: spoolKeyId(spoolKey) }), {
      code: 'restore-refused',
      message: new RegExp(`is ${named}, and not ${spoolKeyId(spoolKey)}`),
    });
    assert.ok(!existsSync(place('machine')), 'nothing was written');
    await restoreSpoolKey(config, { file: made, key, id: named });
    assert.deepEqual(readFileSync(place('machine/spool.key')), text);
    await assert.rejects(restoreSpoolKey(config, { file: made, key, id: named }), {
      message: /has a spool key already/,
    });
    const without = await archive([]);
    const other = testConfig({ url: test.server.url, dataDir: place('other-machine') }, {});
    await assert.rejects(restoreSpoolKey(other, { file: without, key, id: named }), {
      message: /has no spool key in it/,
    });
  });

  const connect = (name: string, isFollower = false) =>
    connectTo({ url: test.server.url, commandTimeout: 30_000 }, 'producer', log, name, isFollower ? 2 : 3);

  /** Backs up the installation of the test. */
  async function backup(name: string, how = connect): Promise<{ file: string; own: KeyObject }> {
    const config = testConfig(test.server);
    const own = await loadSpoolKey(config.spool, config.dataDir);
    const store = await openLargeStore(config, own, log);
    const pieces: Buffer[] = [];
    await makeBackup(
      { configFile: 'none', config, version: 'test', connect: how, store, spoolKey: own, log },
      { recipient: pair.key, withKeys: false, withSpoolKey: false },
      { write: async (octets) => void pieces.push(octets) },
    );
    writeFileSync(place(name), Buffer.concat(pieces));
    return { file: place(name), own };
  }

  /** Restores elsewhere on the same server; `prepare` gets the data folder before. */
  async function restore(name: string, made: { file: string; own: KeyObject }, prepare = (_: string) => {}) {
    const config = testConfig(
      { url: test.server.url, dataDir: place(`${name}-data`) },
      {
        redis: { prefix: `{${name}}` },
        spool: { key: { file: join(test.server.dataDir, 'spool.key') } },
      },
    );
    mkdirSync(config.dataDir);
    prepare(config.dataDir);
    const store = await openLargeStore(config, made.own, log);
    const again = () =>
      restoreBackup(
        { config, redis: test.queue.redis, store, log },
        { file: made.file, key, spoolKey: made.own },
      );
    const result = await again();
    const queue = await openQueue(config, { role: 'test', log, checkDurability: false });
    const parts = { ...queue, folder: config.dataDir, log, now: Date.now };
    return { result, queue, parts, again };
  }

  it('revives no token and no person, and accepts no older list of clients afterwards', async () => {
    const { redis, prefix } = test.queue;
    const here = { ...test.queue, folder: test.server.dataDir, log, now: Date.now };
    const registry = await ClientRegistry.open(here);
    await registry.change((document) => {
      document.clients.push({
        name: 'erp',
        grants: allGranted,
        createdAt: 1,
        pins: ['ab'.repeat(32)],
        queue: true,
      });
    });
    const token = await registry.addCredential('erp', { note: '', scope: {}, expiresAt: null });
    const users = await UserRegistry.open({ ...here, oidc: undefined });
    await users.change((document) => {
      const rights = { role: 'viewer', mailboxes: '*', partners: '*', content: false } as const;
      addPerson(document, 'eve', rights, { now: 1 });
    });
    await redis.set(`${prefix}:session:abc`, 'of eve');
    const made = await backup('tokens');
    const before = await redis.get(`${prefix}:clients`);

    const { result, queue, parts, again } = await restore('elsewhere', made);
    try {
      assert.deepEqual([result.credentials, result.people], [2, 1]);
      assert.equal(await redis.exists('{elsewhere}:session:abc'), 0);
      const restored = await ClientRegistry.open(parts);
      assert.deepEqual(
        restored.document.clients.map(({ name, pins, queue }) => [name, pins, queue]),
        [['erp', [], undefined]],
      );
      assert.throws(() => restored.byToken(token.text), { code: 'client-unauthenticated' });
      assert.equal(restored.byCertificate('ab'.repeat(32)), undefined);
      const people = await UserRegistry.open({ ...parts, oidc: undefined });
      assert.deepEqual(
        people.people.map(({ name, disabled, epoch }) => [name, disabled, epoch]),
        [['eve', true, 1]],
      );
      // The list of then, put back by hand, is older than what was seen.
      await redis.set('{elsewhere}:clients', before ?? '');
      await restored.refresh();
      assert.match(String(restored.trouble), /version/);
    } finally {
      await queue.close();
    }
    // And twice is once too often.
    await assert.rejects(again(), { code: 'restore-refused' });
  });

  it('keeps what was refused among certificates, and what the machine knows of later', async () => {
    const ca = createTestCa('Backup Root');
    const here = { ...test.queue, folder: test.server.dataDir, log, now: Date.now };
    const store = await CertStore.open(here);
    const facts: NewCertificate = {
      ...{ partner: 'acme', uses: ['encrypt', 'verify'], from: null, until: null },
      ...{ source: 'traffic', findings: [], rule: null, announcedBy: null, message: null },
    };
    const by = { by: 'alice', why: 'compared by telephone' };
    const [kept, rejected, later] = ['kept', 'rejected', 'later'].map(
      (name) => ca.issue({ commonName: name, email: `${name}@acme.example` }).certificate,
    );
    assert.ok(kept && rejected && later);
    for (const each of [kept, rejected, later]) await store.offer(each, facts);
    await store.decide(kept.thumbprint, 1, 'approved', by);
    await store.decide(rejected.thumbprint, 1, 'rejected', by);
    await store.decide(later.thumbprint, 1, 'approved', by);
    const made = await backup('certs');

    const anew = await restore('certs-anew', made);
    try {
      const restored = await CertStore.open(anew.parts);
      assert.equal(restored.trouble, undefined);
      assert.deepEqual(
        [kept, rejected, later].map(({ thumbprint }) => restored.of(thumbprint)?.state),
        ['approved', 'rejected', 'approved'],
      );
    } finally {
      await anew.queue.close();
    }

    // Rejected after the backup, on this machine, whose folder outlives the disaster.
    await store.decide(later.thumbprint, 2, 'revoked', by);
    const there = await restore('certs-there', made, (folder) => {
      for (const name of ['certs.version', 'certs.refused'])
        copyFileSync(join(test.server.dataDir, name), join(folder, name));
    });
    try {
      const restored = await CertStore.open(there.parts);
      assert.match(String(restored.trouble), /was seen before/);
      assert.deepEqual(restored.approvedOf('acme'), []);
      await restored.accept();
      const approved = restored.approvedOf('acme').map(({ thumbprint }) => thumbprint);
      assert.deepEqual(approved, [kept.thumbprint]);
    } finally {
      await there.queue.close();
    }
  });

  it('is of one moment, or is none: with a user who may not hold up writes', async () => {
    const { redis, prefix } = test.queue;
    await redis.call('ACL', 'SETUSER', 'limited', 'on', '>pw', '~*', '&*', '+@all', '-client|pause');
    const target = { url: test.server.url, username: 'limited', password: 'pw', commandTimeout: 30_000 };
    const limited = (name: string, isFollower = false) =>
      connectTo(target, 'producer', log, name, isFollower ? 2 : 3);
    const made = await backup('quiet', limited);
    assert.equal((await readBackup(made.file, key)).trailer.missing, 0);
    let busy = true;
    const writer = (async () => {
      while (busy)
        await Promise.all(Array.from({ length: 20 }, (_, at) => redis.hset(`${prefix}:m:busy`, 'n', at)));
    })();
    // One that no write fell into would be right.
    const outcomes = new Set<string>();
    for (let tries = 0; tries < 20 && !outcomes.has('backup-failed'); tries += 1)
      outcomes.add(
        await backup('busy', limited).then(
          () => 'made',
          ({ code, message }) => (/CLIENT PAUSE/.test(message) ? code : message),
        ),
      );
    busy = false;
    assert.ok(outcomes.has('backup-failed'), [...outcomes].join());
    await writer;
  });
});
