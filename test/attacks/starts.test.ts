/** Processes that are killed at the wrong moment: before they are ready, while the supervisor dies, after a reload. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { readHeartbeats } from '../../src/daemon/heartbeat.ts';
import { aliveEveryMs } from '../../src/daemon/protocol.ts';
import { isAlive, kill, type Launched, launch, startDaemon, writeConfig } from '../support/daemon.ts';
import { until } from '../support/messages.ts';
import { makeWorld, skipWithout, textEntity } from '../support/world.ts';

describe('starts and ends at the wrong moment', { skip: skipWithout('openssl'), timeout: 1_800_000 }, () => {
  const world = makeWorld();
  after(() => world.remove());

  async function launched(t: { after(work: () => Promise<void>): void }, config = {}) {
    const { configFile, folder } = writeConfig(world, config);
    const daemon: Launched = launch(configFile);
    t.after(async () => {
      const roles = daemon.roles();
      if (!daemon.over()) process.kill(daemon.pid, 'SIGTERM');
      await daemon.ended;
      for (const { pid } of roles) kill(pid);
      try {
        kill(Number(readFileSync(join(folder, 'data', 'redis', 'redis.pid'), 'utf8')));
      } catch {}
    });
    return daemon;
  }

  it('a role that is killed before it was ever ready is started again, and the daemon runs', async (t) => {
    const daemon = await launched(t);
    const find = (role: string) => daemon.roles().find((each) => each.role === role);
    await until(async () => find('handoff') !== undefined);
    const first = find('handoff')?.pid ?? 0;
    kill(first);
    assert.doesNotMatch(daemon.log(), /"role":"handoff".*"msg":"ready"/);
    await until(async () => daemon.over() || daemon.log().includes('"msg":"running"'));
    assert.equal(daemon.over(), false, daemon.log());
    const again = find('handoff')?.pid;
    assert.ok(again !== undefined && again !== first);
    assert.match(daemon.log(), /"role":"handoff","code":null,"signal":"SIGKILL".*starting it again/);
  });

  it('a role that outlives the supervisor says nothing of it, drains and ends', async (t) => {
    const daemon = await launched(t);
    await until(async () => daemon.log().includes('"msg":"running"'));
    const roles = daemon.roles();
    // Its next words to the supervisor are due when it goes on, before it learns that nobody is there.
    for (const { pid } of roles) process.kill(pid, 'SIGSTOP');
    await sleep(aliveEveryMs + 500);
    kill(daemon.pid);
    await daemon.ended;
    for (const { pid } of roles) process.kill(pid, 'SIGCONT');
    await until(async () => roles.every(({ pid }) => !isAlive(pid)));
    assert.doesNotMatch(daemon.log(), /EPIPE|^ {4}at /m);
    for (const { role } of roles)
      assert.match(daemon.log(), new RegExp(`"role":"${role}".*"msg":"drained"`), role);
  });

  it('what has ended is not shown as alive: at once after a reload, and at once after kill -9', async (t) => {
    const daemon = await startDaemon(world);
    t.after(async () => void (await daemon.stop()));
    await daemon.reaches(await daemon.accept(world.mail(textEntity('1'))), 'delivered');
    const alive = async () => (await readHeartbeats(daemon.queue)).map(({ pid }) => pid);
    const old = daemon.roles().map(({ pid }) => pid);
    await daemon.waitFor('all give signs of life', async () => {
      const found = await alive();
      return old.every((pid) => found.includes(pid));
    });
    const { code, stderr } = await daemon.command(['reload']);
    assert.equal(code, 0, String(stderr));
    const left = await alive();
    assert.deepEqual(
      old.filter((pid) => left.includes(pid)),
      [],
    );

    const victim = daemon.pidOf('handoff');
    await daemon.waitFor('it gives a sign of life', async () => (await alive()).includes(victim));
    const { redis, prefix } = daemon.queue;
    const [key = ''] = (await redis.smembers(`${prefix}:alive`)).filter((each) =>
      each.endsWith(`:${victim}`),
    );
    kill(victim);
    // it does not expire: it is removed, or stays
    await redis.persist(key);
    await daemon.waitFor('it is known dead', async () => !(await alive()).includes(victim));
    await daemon.waitFor('nor are its metrics there', async () =>
      (await redis.smembers(`${prefix}:metrics`)).every((each) => !each.endsWith(`:${victim}`)),
    );
  });
});
