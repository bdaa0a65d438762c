/**
 * The bundle for maintainers: a marker in each secret, name, address, key, message and line of the log is not in it.
 */
import assert from 'node:assert/strict';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { stringify } from 'yaml';
import { z } from 'zod';
import { configSchema } from '../../src/config/schema.ts';
import { isSecret, optionsOf, settingsOf, shapeOf } from '../../src/config/shape.ts';
import { shareable, shareableSetting } from '../../src/config/shareable.ts';
import type { QueueRoom } from '../../src/queue/index.ts';
import { command } from '../support/command.ts';
import { accept } from '../support/messages.ts';
import { openTestQueue } from '../support/queue.ts';
import { startTestRedis, type TestRedis } from '../support/redis.ts';
import { makeWorld, skipWithout, type World } from '../support/world.ts';

/** Lower case and short, so that it is allowed in hosts, names, addresses and paths. */
const marker = 'plantedmarker';

/** The marker as it would look in other writings. */
const writings = [
  marker,
  marker.toUpperCase(),
  Buffer.from(marker).toString('hex'),
  // base64 at each of its three places, without the characters that depend on neighbours
  ...['', 'x', 'xx'].map((before) =>
    Buffer.from(before + marker)
      .toString('base64')
      .slice(4, -4),
  ),
];

function assertClean(text: string): void {
  for (const each of writings) {
    const at = text.toLowerCase().indexOf(each.toLowerCase());
    assert.equal(at, -1, text.slice(Math.max(0, at - 200), at + 100));
  }
}

describe('sealpost doctor', { skip: skipWithout('openssl') }, () => {
  let world: World;
  let server: TestRedis;
  let queue: QueueRoom;
  let configFile: string;
  before(async () => {
    world = makeWorld();
    server = await startTestRedis();
    const secret = world.file(`${marker}.secret`, `password-${marker}`);
    const m = `${marker}.example`;
    configFile = world.file(
      'sealpost.yaml',
      stringify({
        dataDir: server.dataDir,
        redis: { url: server.url },
        smtp: { listen: [{ host: '127.0.0.1', port: 2525 }], hostname: m },
        identities: [{ name: marker, certificate: world.own.certFile, key: world.own.keyFile }],
        mailboxes: [
          {
            name: marker,
            addresses: [`orders@${m}`],
            imap: { host: m, user: marker, password: { file: secret } },
            destinations: [
              { type: 'webhook', url: `https://${m}/${marker}`, secret: { env: marker.toUpperCase() } },
              { type: 'queue', queue: marker },
            ],
          },
        ],
        partners: [
          {
            name: marker,
            addresses: [`edi@${m}`],
            certificates: [world.partner.certFile],
            identity: marker,
            from: `orders@${m}`,
            route: { host: m, user: marker, password: { file: secret } },
          },
        ],
        retry: { attempts: 17 },
      }),
    );
    queue = await openTestQueue(server);
    const { id } = await accept(queue, `Subject: ${marker}\r\n\r\n${marker}`, marker);
    const data = (await queue.redis.hget(`{sealpost}:inbound:${id}`, 'data')) ?? '';
    const from = { partner: null, partnerBy: null, subject: marker };
    const facts = { message: marker, serial: marker };
    await queue.flow.suspend('inbound', JSON.parse(data), 'decrypt-no-key', facts, 1, undefined, from);
    assert.deepEqual(await queue.ledger.subjects([id]), [marker]);
  });
  after(async () => {
    await queue?.close();
    await server?.stop();
    world?.remove();
  });

  const run = (...args: string[]) =>
    command(['doctor', ...args, '--config', configFile], { env: { [marker.toUpperCase()]: marker } });
  const log = () =>
    world.file(
      'daemon.log',
      [
        {
          level: 40,
          time: 1,
          role: 'decrypt',
          msg: 'suspended',
          id: marker,
          partner: marker,
          reason: 'decrypt-no-key',
        },
        { level: 30, time: 2, role: marker, room: marker, msg: `hello ${marker}`, reply: marker },
        {
          level: 50,
          time: 3,
          role: 'receive',
          msg: 'could not start',
          err: {
            code: marker,
            type: marker,
            message: marker,
            at: `at ${marker} (file:///opt/${marker}/src/log.ts:1:2)`,
            cause: { code: 'ECONNREFUSED', type: 'Error' },
          },
        },
        {
          level: 50,
          time: 4,
          role: 'receive',
          msg: 'x',
          err: { code: 'spool-full', at: `at f (src/${marker}.ts:1:2)` },
        },
        { level: marker, time: 5, more: marker },
      ]
        .map((line) => JSON.stringify(line))
        .concat(marker)
        .join('\n'),
    );

  it('lists what it would write, and writes nothing unasked', async () => {
    const { code, stdout, stderr } = await run('--log', log());
    assert.deepEqual([code, stderr], [0, '']);
    const text = stdout.toString();
    for (const name of ['program', 'settings', 'problems', 'disk', 'redis', 'work', 'messages', 'log'])
      assert.match(text, new RegExp(`^${name} +\\d+ `, 'm'));
    assert.match(text, /^nothing was written; --out FILE writes it/m);
    assertClean(text);
  });

  it('has what helps, and no marker of a secret, name, address, key, message or log', async () => {
    const out = join(world.folder, 'bundle.json');
    const { code, stdout, stderr } = await run('--log', log(), '--out', out);
    assert.deepEqual([code, stderr], [0, '']);
    const text = readFileSync(out, 'utf8');
    assert.equal(statSync(out).mode & 0o777, 0o600);
    const at = stdout.toString().indexOf('SECTION');
    assert.ok(at >= 0 && at < stdout.toString().indexOf(`in ${out}`), 'listed before it is written');
    assertClean(text);
    assert.ok(!text.includes('PRIVATE KEY') && !text.includes('BEGIN CERTIFICATE'));
    const bundle = JSON.parse(text);
    assert.equal(bundle.settings.retry.attempts, 17);
    assert.equal(bundle.settings.mailboxes[0].imap.password, 'set');
    assert.equal(bundle.settings.mailboxes[0].destinations[0].type, 'webhook');
    assert.match(bundle.redis.redis_version ?? bundle.redis.valkey_version, /^\d/);
    assert.equal(bundle.work.messages.suspended, 1);
    assert.deepEqual(bundle.work.suspended, { 'decrypt-no-key': 1 });
    assert.deepEqual(
      bundle.messages[0].events.map(({ type }: { type: string }) => type),
      ['received', 'suspended'],
    );
    assert.equal(bundle.messages[0].reason, 'decrypt-no-key');
    const [first, second, third, fourth, fifth] = bundle.log;
    assert.deepEqual([first.msg, first.reason, first.role], ['suspended', 'decrypt-no-key', 'decrypt']);
    assert.deepEqual([second.msg, second.role], [null, null]);
    assert.deepEqual([third.err.at, third.err.cause.system], ['src/log.ts:1:2', 'ECONNREFUSED']);
    assert.deepEqual([fourth.err.code, fourth.err.at], ['spool-full', null]);
    assert.equal(fifth.level, null);
    assert.equal(bundle.log.length, 5, 'what is no line of the log is not in it');
    // not over another file
    assert.equal((await run('--out', out)).code, 1);
  });

  it('says only of every other setting of the schema that it is set', () => {
    let planted = 0;
    /** A value for each alternative, with the marker wherever text or a key may be chosen freely. */
    const plant = (schema: z.core.$ZodType): unknown[] => {
      if (isSecret(schema)) return [{ file: marker }, { env: marker, [marker]: marker }];
      const options = optionsOf(schema);
      if (options !== undefined) return options.flatMap(plant);
      const settings = settingsOf(schema);
      if (settings !== undefined) {
        const columns = Object.entries(settings).map(([name, below]) => [name, plant(below)] as const);
        const count = Math.max(1, ...columns.map(([, values]) => values.length));
        return Array.from({ length: count }, (_, at) => ({
          ...Object.fromEntries(
            columns.map(([name, values]) => [name, values[Math.min(at, values.length - 1)]]),
          ),
          [marker]: marker,
        }));
      }
      const { core } = shapeOf(schema);
      if (core instanceof z.core.$ZodArray) return [plant(core._zod.def.element)];
      if (core instanceof z.core.$ZodNumber) return [7];
      if (core instanceof z.core.$ZodBoolean) return [true];
      if (core instanceof z.core.$ZodLiteral) return [core._zod.def.values[0]];
      planted += 1;
      return [marker, { [marker]: marker }];
    };
    const configs = plant(configSchema);
    assert.ok(planted > 150, `${planted} settings are text`);
    for (const config of configs) assertClean(JSON.stringify(shareable(config)));
    assert.match(JSON.stringify(shareable(configs[0])), /"attempts":7/);
    assert.equal(shareableSetting('mailboxes[0].imap.host'), 'mailboxes[0].imap.host');
    assert.equal(shareableSetting(`mailboxes[0].${marker}`), 'unknown');
  });

  it('helps when nothing works: with a configuration that is wrong, and without Redis', async () => {
    const wrong = world.file('wrong.yaml', `${marker}: ${marker}\nsmtp: { hostname: [${marker}] }\n`);
    const bad = await command(['doctor', '--json', '--config', wrong]);
    assert.equal(bad.code, 0, bad.stderr);
    assertClean(bad.stdout.toString());
    const said = JSON.parse(bad.stdout.toString());
    assert.equal(said.settings.error, 'config-invalid');
    assert.ok(said.problems.some(({ setting }: { setting: string }) => setting === 'unknown'));
    const away = world.file(
      'away.yaml',
      stringify({ dataDir: server.dataDir, redis: { url: 'redis://127.0.0.1:1' } }),
    );
    const none = await command(['doctor', '--json', '--config', away]);
    assert.equal(JSON.parse(none.stdout.toString()).redis.error, 'redis-unreachable');
  });
});
