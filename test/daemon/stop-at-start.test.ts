/** A daemon that is told to stop while its roles start: they end once they have started, and nothing is killed. */
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { launch, writeConfig } from '../support/daemon.ts';
import { makeWorld, skipWithout } from '../support/world.ts';

describe('a daemon that stops at its start', { skip: skipWithout('redis-server', 'openssl') }, () => {
  const world = makeWorld();
  after(() => world.remove());

  it('drains the roles that were not ready yet', { timeout: 300_000 }, async () => {
    // longer than any start: what is killed was not told
    const { configFile } = writeConfig(world, { workers: { decrypt: 2, outbound: 1, drainTimeout: '120s' } });
    const daemon = launch(configFile);
    while (!daemon.log().includes('"msg":"ready"') && !daemon.over()) await sleep(2);
    process.kill(daemon.pid, 'SIGTERM');
    const { code } = await daemon.ended;
    assert.doesNotMatch(daemon.log(), /did not drain in time/);
    assert.equal(code, 0, daemon.log());
  });
});
