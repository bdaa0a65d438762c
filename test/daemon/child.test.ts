/** A single supervised process: what its end means, and how long it waits. The test controls the clock. */

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it, type TestContext } from 'node:test';
import { Child, type ChildOptions } from '../../src/daemon/child.ts';
import type { StartFailure } from '../../src/daemon/protocol.ts';
import { type OutOfHand, Watchdog } from '../../src/daemon/watchdog.ts';
import { createLog, type Log } from '../../src/log.ts';
import { signalOne } from '../support/signal.ts';

const folder = mkdtempSync(join(tmpdir(), 'sealpost-child-'));
after(() => rmSync(folder, { recursive: true, force: true }));

/** A child of the role `http` whose configuration is not there, with what it tells. */
function child(t: TestContext, options: Partial<ChildOptions> = {}) {
  t.mock.timers.enable({ apis: ['setTimeout', 'setInterval'] });
  const failures: StartFailure[] = [];
  const lost: number[] = [];
  const waits: unknown[] = [];
  const heard: Log = Object.assign(createLog('silent', 'test'), {
    error: (facts: { delayMs?: number }) => {
      if (facts.delayMs !== undefined) waits.push(facts.delayMs);
    },
  });
  const made = new Child({
    role: 'http',
    index: 0,
    threads: 1,
    secrets: [],
    configFile: join(folder, 'none.yaml'),
    redisUrl: undefined,
    stored: '',
    begin: Promise.resolve(),
    takeOver: false,
    beside: ['http'],
    log: heard,
    levels: () => ({}),
    onFailed: (_role, failure) => {
      failures.push(failure);
      return true;
    },
    onLost: (_role, pid) => lost.push(pid),
    onCheck: () => undefined,
    ...options,
  });
  t.after(() => made.kill());
  return { made, failures, lost, waits };
}

const realTimeout = setTimeout;

/** Waits, by the real clock, until something is so; the timers of the test do not run meanwhile. */
async function soon(what: string, isSo: () => boolean): Promise<void> {
  for (let look = 0; !isSo(); look++) {
    assert.ok(look < 3000, what);
    await new Promise<void>((resolve) => realTimeout(resolve, 10));
  }
}

describe('a role process that waits', () => {
  it('begins when it is told to', async (t) => {
    const begin = Promise.withResolvers<void>();
    const { made, failures } = child(t, { begin: begin.promise });
    made.start();
    assert.equal(failures.length, 0);
    begin.resolve();
    await soon('it has begun', () => failures.length > 0);
    assert.equal(failures[0]?.code, 'file-access');
  });

  it('ends quietly when it is not to begin', async (t) => {
    const { made, failures, lost } = child(t, { begin: new Promise(() => undefined) });
    made.start();
    await made.drain(60_000);
    assert.deepEqual([failures, lost], [[], []]);
  });
});

describe('a role process that ends', () => {
  it('of a kill before it was ready is started again, each time after twice the wait, up to half a minute', async (t) => {
    const { made, failures, lost, waits } = child(t);
    const pids: number[] = [];
    made.start();
    const expected = [250, 500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000];
    for (const [index, wait] of expected.entries()) {
      const { pid } = made;
      assert.ok(pid !== undefined);
      pids.push(pid);
      process.kill(pid, 'SIGKILL');
      await soon('its end is seen', () => waits.length === index + 1);
      t.mock.timers.tick(wait - 1);
      assert.equal(made.pid, pid, 'not a millisecond early');
      t.mock.timers.tick(1);
      assert.notEqual(made.pid, pid);
    }
    assert.deepEqual(waits, expected);
    assert.deepEqual(lost, pids, 'what each left behind is taken away');
    assert.deepEqual(failures, []);
  });

  it('begins with the shortest wait again once it has lived for more than ten seconds', async (t) => {
    let now = 1000;
    t.mock.method(performance, 'now', () => now);
    const { made, waits } = child(t);
    made.start();
    for (const [index, lived] of [0, 0, 10_000, 10_001, 0].entries()) {
      now += lived;
      signalOne(made.pid ?? 0, 'SIGKILL');
      await soon('its end is seen', () => waits.length === index + 1);
      t.mock.timers.tick(30_000);
    }
    assert.deepEqual(waits, [250, 500, 1000, 250, 500]);
  });

  it('of its configuration before it was ready is told with the reason, and tried again only if so told', async (t) => {
    for (const ends of [true, false]) {
      const failures: StartFailure[] = [];
      const onFailed = (_role: string, failure: StartFailure) => {
        failures.push(failure);
        return ends;
      };
      const { made, waits, lost } = child(t, { onFailed });
      made.start();
      await soon('it has failed', () => lost.length === 1);
      assert.equal(failures.length, 1);
      assert.match(failures[0]?.message ?? '', /none\.yaml/);
      assert.deepEqual(waits, ends ? [] : [250]);
      if (ends) await assert.rejects(made.ready.promise, /http could not start: .*none\.yaml/);
      made.kill();
      t.mock.timers.reset();
    }
  });

  it('is not started again when it was told to end, and is killed a second after its time', async (t) => {
    const { made, waits, lost } = child(t);
    made.start();
    const { pid } = made;
    assert.ok(pid !== undefined);
    // it holds its word back: stopped, it hears nothing
    process.kill(pid, 'SIGSTOP');
    const drained = made.drain(5000);
    t.mock.timers.tick(5999);
    await new Promise(setImmediate);
    assert.deepEqual([lost, process.kill(pid, 0)], [[], true]);
    t.mock.timers.tick(1);
    await drained;
    assert.deepEqual([lost, waits], [[pid], []]);
    t.mock.timers.tick(60_000);
    assert.equal(made.pid, pid);
    await made.drain(5000);
  });
});

describe('the watchdog', () => {
  function watchdog(t: TestContext) {
    t.mock.timers.enable({ apis: ['setInterval'] });
    const told: OutOfHand[] = [];
    const dog = new Watchdog((facts) => told.push(facts), process.pid);
    t.after(() => dog.stop());
    const pass = (seconds: number) => {
      for (let second = 0; second < seconds; second++) t.mock.timers.tick(1000);
    };
    return { dog, told, pass };
  }

  it('ends what has said nothing for a minute, once, and nothing before it is ready', (t) => {
    const { dog, told, pass } = watchdog(t);
    pass(300);
    dog.start();
    pass(60);
    assert.equal(told.length, 0);
    pass(1);
    pass(300);
    assert.deepEqual(
      told.map(({ why }) => why),
      ['silent'],
    );
    assert.ok(told.every(({ megabytes }) => megabytes === null || megabytes > 0));
  });

  it('counts from the last sign of life, and is still after it was stopped', (t) => {
    const { dog, told, pass } = watchdog(t);
    dog.start();
    for (let sign = 0; sign < 5; sign++) {
      pass(60);
      dog.heard();
    }
    assert.deepEqual(told, []);
    pass(60);
    dog.stop();
    pass(300);
    assert.deepEqual(told, []);
  });
});
