/** What flows and waits now: once in a pipe, again and again on a terminal; and who is alive. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readlinkSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { stringify } from 'yaml';
import type { QueueRoom } from '../../src/queue/index.ts';
import { command } from '../support/command.ts';
import { accept, until } from '../support/messages.ts';
import { openTestQueue } from '../support/queue.ts';
import { startTestRedis, type TestRedis } from '../support/redis.ts';
import { makeWorld, skipWithout, type World } from '../support/world.ts';

const program = join(import.meta.dirname, '../../bin/sealpost');

describe('an installation, seen from the command line', { skip: skipWithout('openssl') }, () => {
  let world: World;
  let server: TestRedis;
  let queue: QueueRoom;
  let configFile: string;
  before(async () => {
    world = makeWorld();
    server = await startTestRedis();
    configFile = world.file(
      'sealpost.yaml',
      stringify({ dataDir: server.dataDir, redis: { url: server.url } }),
    );
    queue = await openTestQueue(server);
    for (const text of ['one', 'two', 'three']) await accept(queue, text);
    const { id } = await accept(queue, 'suspended');
    const data = (await queue.redis.hget(`{sealpost}:inbound:${id}`, 'data')) ?? '';
    await queue.flow.suspend('inbound', JSON.parse(data), 'decrypt-no-key', {});
  });
  after(async () => {
    await queue?.close();
    await server?.stop();
    world?.remove();
  });
  const run = async (...args: string[]) => {
    const ran = await command([...args, '--config', configFile]);
    return { ...ran, stdout: ran.stdout.toString() };
  };

  it('is one snapshot in a pipe, without colours', async () => {
    const { code, stdout, stderr } = await run('top');
    assert.deepEqual([code, stderr], [0, '']);
    assert.equal(stdout.includes('\u001b'), false);
    assert.match(stdout, /^sealpost {2}\d{4}-.* no role is alive$/m);
    assert.match(stdout, /^received +3 +\d+ s$/m);
    assert.match(stdout, /^suspended +1 +\d+ s$/m);
    assert.match(stdout, /^20 min +4 +0 +0 +0 +1$/m);
    assert.match(stdout, /^decrypt-no-key +edi +1$/m);
    const told = JSON.parse((await run('top', '--json')).stdout);
    assert.deepEqual([told.waiting.received.messages, told.flow.hour.received], [3, 4]);
    assert.equal(told.suspended[0].reason, 'decrypt-no-key');
  });

  it('goes on on a terminal until Ctrl-C, which leaves the terminal as it was', {
    skip: skipWithout('script'),
  }, async () => {
    // exec: a shell that waits for its child ends by Ctrl-C as well, with a code of its own
    const child = spawn('script', ['-qefc', `exec ${program} top --config ${configFile}`, '/dev/null'], {
      env: { ...process.env, TERM: 'xterm', NO_COLOR: '' },
    });
    let text = '';
    child.stdout.setEncoding('utf8').on('data', (chunk) => {
      text += chunk;
    });
    await until(async () => text.includes('MESSAGES'));
    assert.ok(text.includes('\u001b[?1049h'), 'a screen of its own');
    const { id } = await accept(queue, 'while somebody watches');
    // events are recorded from now on
    await until(async () => text.includes(id.slice(0, 12)));
    const ended = once(child, 'exit');
    child.stdin.write('\u0003');
    assert.equal((await ended)[0], 0);
    assert.ok(text.trimEnd().endsWith('\u001b[?1049l'), text.slice(-60));
  });

  it('has no process that has ended, whatever its heartbeat says, and those of other machines', async () => {
    const gone = spawnSync('true').pid ?? 0;
    const space = readlinkSync('/proc/self/ns/pid');
    const beat = async (role: string, host: string, pid: number, more: object) => {
      const key = `${queue.prefix}:alive:${role}:${host}:${pid}`;
      await queue.redis.sadd(`${queue.prefix}:alive`, key);
      const value = { role, host, pid, at: Date.now(), refusing: null, troubles: [], ...more };
      await queue.redis.set(key, JSON.stringify(value), 'PX', 60_000);
    };
    await beat('receive', hostname(), process.pid, { space });
    await beat('decrypt', hostname(), gone, { space });
    await beat('handoff', hostname(), gone, { space: 'pid:[1]' });
    await beat('outbound', hostname(), gone, {});
    await beat('api', 'elsewhere', gone, { space });
    const { alive } = JSON.parse((await run('health', '--json')).stdout);
    const roles = alive.map(({ role }: { role: string }) => role);
    assert.deepEqual(roles, ['api', 'handoff', 'outbound', 'receive']);
    assert.equal((await run('health', '--role', 'decrypt')).code, 1);
    assert.equal((await run('health', '--role', 'receive')).code, 0);
  });
});
