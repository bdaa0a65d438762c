/** Drop folders of the running daemon, also when the process is killed in the middle. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { kill, startDaemon, type TestDaemon } from '../support/daemon.ts';
import { healthyServer, type TestServer } from '../support/sick-servers.ts';
import { makeWorld, skipWithout, type World } from '../support/world.ts';

describe('drop folders of the daemon', { skip: skipWithout('openssl') }, () => {
  let world: World;
  let partner: TestServer;
  let daemon: TestDaemon;
  let path: string;
  before(async () => {
    world = makeWorld();
    partner = await healthyServer();
    path = join(world.folder, 'drop');
    mkdirSync(path);
    const route = { host: '127.0.0.1', port: partner.port, tls: 'none' };
    const acme = { name: 'acme', addresses: ['edi@acme.example'], from: 'erp@own.example' };
    daemon = await startDaemon(world, {
      config: {
        mailboxes: [],
        smtp: {},
        partners: [{ ...acme, encrypt: false, sign: 'none', route }],
        folders: [{ path, client: 'erp', settle: '200ms', scan: '1s' }],
      },
    });
  });
  after(async () => {
    await daemon?.stop();
    await partner?.close();
    world?.remove();
  });

  it('waits for its client, then sends', async () => {
    await daemon.waitFor('it is said', () => daemon.log().includes('there is no client erp'));
    assert.ok(!existsSync(join(path, 'acme')));
    await daemon.command(['clients', 'add', 'erp', '--scope', 'send', '--partner', 'acme']);
    await daemon.waitFor('the folder is made', () => existsSync(join(path, 'acme')));
    writeFileSync(join(path, 'acme', 'order.xml'), '<order/>');
    await daemon.waitFor('it is sent', () => partner.taken.length === 1);
    assert.match(partner.taken[0] ?? '', /Subject: order\.xml\n/);
  });

  it('loses nothing and sends nothing twice when it is killed three times among many files', async () => {
    let count = 0;
    const arrived = () => partner.taken.filter((text) => /Subject: file-/.test(text));
    // On a busy machine all may be taken before the kill comes: then it is done once more, with others.
    for (let among = 0, turn = 0; among < 3; turn += 1) {
      assert.ok(turn < 30, 'it was never killed among them');
      for (const end = count + 150; count < end; count += 1)
        writeFileSync(join(path, 'acme', `file-${count}`), `content ${count}`);
      const some = count - 145;
      await daemon.waitFor('some are sent', () => arrived().length >= some);
      const killed = daemon.pidOf('submit');
      kill(killed);
      if (readdirSync(join(path, 'acme')).length > 0) among += 1;
      await daemon.waitFor('another runs', () =>
        daemon.roles().some(({ role, pid }) => role === 'submit' && pid !== killed),
      );
    }
    await daemon.waitFor('all are sent', () => arrived().length >= count);
    const left = () => [...readdirSync(join(path, 'acme')), ...readdirSync(join(path, '.sealpost', 'acme'))];
    await daemon.waitFor('nothing is left', () => left().length === 0);
    const subjects = arrived().map((text) => /Subject: (file-\d+)/.exec(text)?.[1]);
    assert.equal(subjects.length, count);
    assert.equal(new Set(subjects).size, count);
    assert.ok(!existsSync(join(path, 'failed', 'acme')), 'none has failed');
  });
});
