/** Destinations that hang beside others that work, with the real daemon: a file system, and a web server. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { startDaemon, type TestDaemon } from '../support/daemon.ts';
import { skipWithoutClock } from '../support/fake-clock.ts';
import { type Hook, startHook } from '../support/hook.ts';
import { crlf, makeWorld } from '../support/world.ts';

const mail = (text: string) =>
  crlf(Buffer.from(`From: edi@partner.example\nTo: orders@own.example\nSubject: ${text}\n\n${text}\n`));

describe('a destination that hangs', { skip: skipWithoutClock }, () => {
  const world = makeWorld();
  const sick = join(world.folder, 'sick');
  const hanging = join(world.folder, 'hanging');
  let daemon: TestDaemon;
  let well: Hook;
  const asked = new Set<object>();
  const silent = createServer((request) => {
    asked.add(request);
    request.resume();
  });

  before(async () => {
    mkdirSync(sick);
    const library = join(world.folder, 'hang.so');
    const source = join(import.meta.dirname, '../support/hang.c');
    const { status, stderr } = spawnSync('cc', ['-shared', '-fPIC', '-O2', '-o', library, source, '-ldl']);
    assert.equal(status, 0, String(stderr));
    well = await startHook();
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const address = silent.address();
    assert.ok(address !== null && typeof address === 'object');
    const secret = { env: 'HOOK_SECRET' };
    const hook = (name: string, url: string) => ({ type: 'webhook', name, url, secret, allowPrivate: true });
    const inbox = join(world.folder, 'daemon1', 'inbox');
    const destinations = [
      { type: 'directory', name: 'sick', path: sick },
      { type: 'directory', name: 'well', path: inbox },
      hook('silent', `http://127.0.0.1:${address.port}/`),
      hook('answers', well.url),
    ];
    daemon = await startDaemon(world, {
      config: {
        mailboxes: [{ name: 'orders', addresses: ['orders@own.example'], notSmime: 'pass', destinations }],
        workers: { decrypt: 1, handoff: 1 },
      },
      env: {
        ...{ HOOK_SECRET: 'x'.repeat(40), LD_PRELOAD: library, HANG_UNDER: sick, HANG_WHILE: hanging },
        SEALPOST_PASS_ENV: 'HANG_UNDER,HANG_WHILE',
      },
    });
  });
  after(async () => {
    rmSync(hanging, { force: true });
    well.close();
    silent.closeAllConnections();
    silent.close();
    await daemon.stop();
    world.remove();
  });

  const folders = (path: string) => readdirSync(path).filter((name) => !name.startsWith('.'));

  it('leaves the others theirs, in one process, and has its own when it is back', async () => {
    // It works at first: messages are on their way into it when it stops to answer.
    await daemon.accept(mail('before'));
    await daemon.waitFor('the first is there', () => folders(sick).length === 1);
    const pid = daemon.pidOf('handoff');
    writeFileSync(hanging, '');
    const ids: string[] = [];
    for (let at = 0; at < 20; at++) ids.push(await daemon.accept(mail(`number ${at}`)));
    await daemon.waitFor('the healthy ones have all', () => folders(daemon.inbox).length === 21);
    await daemon.waitFor('the healthy ones have all', () => well.posted.length === 21);
    // Those of the sick ones wait: one request is under way, or a few of those that came before it was known.
    assert.equal(folders(sick).length, 1);
    assert.ok(asked.size >= 1 && asked.size < 21, String(asked.size));
    for (const id of ids) assert.equal((await daemon.queue.ledger.get(id))?.state, 'decoded');

    // Later ones, when both are known to be sick.
    await daemon.accept(mail('later'));
    await daemon.waitFor('it has the later one', () => folders(daemon.inbox).length === 22);
    assert.equal(daemon.pidOf('handoff'), pid, 'it was not killed for being out of hand');

    rmSync(hanging);
    await daemon.waitFor('the folder has all', () => folders(sick).length === 22);
    assert.deepEqual(folders(sick).sort(), folders(daemon.inbox).sort());
    assert.deepEqual(
      readdirSync(sick).filter((name) => name.startsWith('.')),
      [],
    );
  });

  it('does not keep the daemon from starting again', async () => {
    writeFileSync(hanging, '');
    const before = folders(daemon.inbox).length;
    process.kill(daemon.pidOf('handoff'), 'SIGKILL');
    await daemon.accept(mail('after the start'));
    await daemon.waitFor('the healthy one has it', () => folders(daemon.inbox).length === before + 1);
  });
});
