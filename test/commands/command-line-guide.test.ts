/**
 * docs/command-line.md: its examples are run, and what they print is what it says; its exit codes are those of the
 * commands.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { stringify } from 'yaml';
import type { QueueRoom } from '../../src/queue/index.ts';
import { command } from '../support/command.ts';
import { blocksOf, sessionsOf, settled, wordsOf } from '../support/doc-blocks.ts';
import { accept } from '../support/messages.ts';
import { openTestQueue } from '../support/queue.ts';
import { startTestRedis, type TestRedis } from '../support/redis.ts';
import { makeWorld, skipWithout, type World } from '../support/world.ts';

const file = 'docs/command-line.md';

describe('docs/command-line.md', { skip: skipWithout('openssl') }, () => {
  let world: World;
  let server: TestRedis;
  let queue: QueueRoom;
  let configFile: string;
  /** The message that the page shows. */
  let suspended: string;
  before(async () => {
    world = makeWorld();
    server = await startTestRedis();
    configFile = world.file(
      'sealpost.yaml',
      stringify({ dataDir: server.dataDir, redis: { url: server.url } }),
    );
    queue = await openTestQueue(server);
    // one second apart, so that their order is that of the page
    await accept(queue, 'the first order');
    await wait();
    suspended = (await accept(queue, 'the second order')).id;
    const data = (await queue.redis.hget(`{sealpost}:inbound:${suspended}`, 'data')) ?? '';
    await queue.flow.suspend('inbound', JSON.parse(data), 'decrypt-no-key', {});
    await wait();
    const writer = queue.intake.begin();
    await writer.write(Buffer.from('the third order'));
    await queue.intake.commitOutbound(writer, [
      {
        partner: 'acme',
        origin: { kind: 'command', detail: {} },
        envelope: { from: 'orders@example.com', to: ['edi@acme.example'] },
        messageId: '<2@example.com>',
      },
    ]);
  });
  after(async () => {
    await queue?.close();
    await server?.stop();
    world?.remove();
  });
  const wait = () => new Promise((resolve) => setTimeout(resolve, 2));
  /** `ID`, and the id that the page has, stand for the message that is suspended here. */
  const own = (word: string) => (word === 'ID' || /^i[0-9a-f]{31}$/.test(word) ? suspended : word);
  const readsConfig = (args: string[]) => !['decode', 'nonsense'].includes(args[0] ?? '');
  const run = async (args: string[]) => {
    const words = args.map(own);
    const ran = await command(readsConfig(args) ? [...words, '--config', configFile] : words);
    return { code: ran.code, text: `${ran.stdout}${ran.stderr}` };
  };

  it('shows what its commands print', async () => {
    const sessions = blocksOf(file)
      .filter(({ kind }) => kind === 'console')
      .flatMap(sessionsOf);
    assert.equal(sessions.length, 4);
    for (const { args, printed } of sessions)
      assert.equal(settled((await run(args)).text), settled(printed), args.join(' '));
  });

  it('has the exit codes that the commands have', async () => {
    const page = readFileSync(resolve(import.meta.dirname, '../..', file), 'utf8');
    const rows = [...page.matchAll(/^\| `sealpost ([^`]+)` \| (\d) \|/gm)];
    assert.ok(rows.length >= 15);
    assert.deepEqual([...new Set(rows.map(([, , code]) => code))].sort(), ['0', '1', '2']);
    for (const [, line = '', code] of rows) {
      const ran = await run(wordsOf(line));
      assert.equal(ran.code, Number(code), `${line}: ${ran.text}`);
      assert.equal((await queue.ledger.get(suspended))?.state, 'suspended', `${line} changes nothing`);
    }
  });
});
