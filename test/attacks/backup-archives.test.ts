/** Backups that somebody has cut, changed, made up or aimed at other files; and what a restore must not revive. */
import assert from 'node:assert/strict';
import { createPublicKey, createSecretKey, type KeyObject, randomBytes } from 'node:crypto';
import {
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
import { restoreBackup, restoreFiles } from '../../src/backup/restore.ts';
import { allGranted } from '../../src/client/index.ts';
import { ClientRegistry } from '../../src/client/registry.ts';
import { createLog } from '../../src/log.ts';
import { openQueue } from '../../src/queue/index.ts';
import { connect as connectTo } from '../../src/redis/index.ts';
import { loadSpoolKey, openLargeStore } from '../../src/spool/index.ts';
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

  it('revives no token, and accepts no older list of clients afterwards', async () => {
    const { redis, prefix, seal, unseal } = test.queue;
    const dataDir = test.server.dataDir;
    const open = (
      parts: { redis: typeof redis; prefix: string; seal: typeof seal; unseal: typeof unseal },
      at: string,
    ) =>
      ClientRegistry.open({
        redis: parts.redis,
        prefix: parts.prefix,
        seal: parts.seal,
        unseal: parts.unseal,
        folder: at,
        log,
        now: Date.now,
      });
    const registry = await open(test.queue, dataDir);
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
    const config = testConfig(test.server);
    const own = await loadSpoolKey(config.spool, config.dataDir);
    const connect = (name: string, isFollower = false) =>
      connectTo({ url: test.server.url, commandTimeout: 30_000 }, 'producer', log, name, isFollower ? 2 : 3);
    const store = await openLargeStore(config, own, log);
    const pieces: Buffer[] = [];
    await makeBackup(
      { configFile: 'none', config, version: 'test', connect, store, spoolKey: own, log },
      { recipient: pair.key, withKeys: false, withSpoolKey: false },
      { write: async (octets) => void pieces.push(octets) },
    );
    writeFileSync(place('tokens'), Buffer.concat(pieces));
    const before = await redis.get(`${prefix}:clients`);

    const settings = {
      redis: { prefix: '{elsewhere}' },
      spool: { key: { file: join(dataDir, 'spool.key') } },
    };
    const there = testConfig({ url: test.server.url, dataDir: place('elsewhere-data') }, settings);
    mkdirSync(there.dataDir);
    const parts = { config: there, redis, store: await openLargeStore(there, own, log), log };
    const { credentials } = await restoreBackup(parts, { file: place('tokens'), key, spoolKey: own });
    assert.equal(credentials, 2);
    const queue = await openQueue(there, { role: 'test', log, checkDurability: false });
    try {
      const restored = await open(queue, there.dataDir);
      assert.equal(restored.trouble, undefined);
      assert.deepEqual(
        restored.document.clients.map(({ name, pins, queue }) => [name, pins, queue]),
        [['erp', [], undefined]],
      );
      assert.throws(() => restored.byToken(token.text), { code: 'client-unauthenticated' });
      assert.equal(restored.byCertificate('ab'.repeat(32)), undefined);
      // The list of then, put back by hand, is older than what was seen.
      await redis.set('{elsewhere}:clients', before ?? '');
      await restored.refresh();
      const after: ClientRegistry = restored;
      assert.match(String(after.trouble), /version/);
    } finally {
      await queue.close();
    }
    // And twice is once too often.
    await assert.rejects(restoreBackup(parts, { file: place('tokens'), key, spoolKey: own }), {
      code: 'restore-refused',
    });
  });
});
