/** The daemon with its large messages in an object store: through, while the store is away, and after it. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { ListMultipartUploadsCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';
import { loadConfig } from '../../src/config/load.ts';
import { createLog } from '../../src/log.ts';
import { openQueue, type QueueRoom } from '../../src/queue/index.ts';
import { startDaemon, type TestDaemon } from '../support/daemon.ts';
import { objectStorePrograms, startObjectStore, type TestObjectStore } from '../support/object-store.ts';
import { makeWorld, skipWithout, type World } from '../support/world.ts';

describe('daemon with an object store', { skip: skipWithout(...objectStorePrograms) }, () => {
  let world: World;
  let store: TestObjectStore;
  let daemon: TestDaemon;
  let sweeper: QueueRoom;
  before(async () => {
    world = makeWorld();
    store = await startObjectStore();
    // With two destinations, decrypt hands nothing off itself, and decoded content goes to the store as well.
    const to = (name: string) => ({ name, type: 'directory', path: join(world.folder, 'daemon1', name) });
    daemon = await startDaemon(world, {
      config: {
        spool: { store: 's3', s3: { ...store.settings, timeout: '10s' } },
        mailboxes: [
          {
            name: 'orders',
            addresses: ['orders@own.example'],
            destinations: [to('inbox'), to('copy')],
          },
        ],
      },
    });
    // with that age the daemon's own sweeps would end uploads that are under way
    const config = loadConfig(daemon.configFile);
    const spool = { ...config.spool, sweepAfter: 0 };
    sweeper = await openQueue({ ...config, spool }, { role: 'test', log: createLog('silent', 'test') });
  });
  after(async () => {
    await sweeper?.close();
    await daemon?.stop();
    await store?.stop();
    world?.remove();
  });

  const attachment = (octets: Buffer) =>
    `Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n${octets
      .toString('base64')
      .replace(/.{76}/g, '$&\r\n')}\r\n`;
  const sha256 = (octets: Buffer) => createHash('sha256').update(octets).digest('hex');
  const bodyOf = (id: string) => sha256(readFileSync(join(daemon.delivered(id), 'body.bin')));
  const stored = async () => {
    const { Contents = [] } = await store.client.send(new ListObjectsV2Command({ Bucket: store.bucket }));
    return Contents.length;
  };
  const uploads = async () => {
    const input = { Bucket: store.bucket };
    const { Uploads = [] } = await store.client.send(new ListMultipartUploadsCommand(input));
    return Uploads.length;
  };

  it('brings 25 MB from SMTP to the folder, and leaves nothing behind', async () => {
    const octets = randomBytes(25_000_000);
    const id = await daemon.accept(world.mail(attachment(octets)));
    await daemon.reaches(id, 'delivered');
    assert.equal(bodyOf(id), sha256(octets));
    await daemon.waitFor('the bucket is empty', async () => (await stored()) === 0);
    assert.equal(existsSync(join(daemon.dataDir, 'spool')), false);
  });

  it('answers 451, then 452 before the octets, and takes the message when the store is back', async () => {
    const octets = randomBytes(2_000_000);
    const mail = world.mail(attachment(octets));
    await store.kill();
    assert.match(await daemon.send(mail), /^451 4\.3\.0 /);
    await daemon.waitFor('452', async () => /^452 4\.3\.1 /.test(await daemon.send(mail)));
    await store.start();
    const reply = await daemon.waitFor('250', async () => {
      const said = await daemon.send(mail);
      return said.startsWith('250 ') ? said : undefined;
    });
    const id = / as (\S+)$/.exec(reply)?.[1] ?? '';
    await daemon.reaches(id, 'delivered');
    assert.equal(bodyOf(id), sha256(octets));
  });

  it('answers 451 when the store dies in the middle of a message, and the sweep ends the upload', async () => {
    const octets = randomBytes(20_000_000);
    const mail = world.mail(attachment(octets));
    let dying: Promise<void> | undefined;
    function* pieces() {
      for (let at = 0; at < mail.length; at += 65_536) {
        if (at > 12_000_000) dying ??= store.kill();
        yield mail.subarray(at, at + 65_536);
      }
    }
    assert.match(await daemon.send(pieces()), /^451 4\.3\.0 /);
    await dying;
    await store.start();
    assert.equal(await uploads(), 1);
    await daemon.waitFor('it accepts again', async () => {
      const said = await daemon.send(mail);
      return said.startsWith('250 ');
    });
    await daemon.waitFor('the upload is swept', async () => {
      await sweeper.sweep();
      return (await uploads()) === 0;
    });
    await daemon.waitFor('delivered', async () => (await daemon.queue.ledger.count()).delivered === 3);
  });

  it('loses nothing that was accepted: it waits for the store, and no attempt counts', async () => {
    const all = Array.from({ length: 4 }, () => randomBytes(1_000_000));
    const ids: string[] = [];
    // stopped workers: two wait for their hand-off and two to be decoded when the store goes
    process.kill(daemon.pidOf('handoff'), 'SIGSTOP');
    for (const [index, octets] of all.entries()) {
      if (index === 2) {
        for (const id of ids) await daemon.reaches(id, 'decoded');
        process.kill(daemon.pidOf('decrypt'), 'SIGSTOP');
      }
      ids.push(await daemon.accept(world.mail(attachment(octets))));
    }
    await store.kill();
    for (const role of ['decrypt', 'handoff']) process.kill(daemon.pidOf(role), 'SIGCONT');
    await daemon.waitFor('jobs that found the store away', () => daemon.log().includes('job failed'));
    // more failures than the 30 attempts of the schedule would allow
    const { prefix, redis } = daemon.queue;
    for (const id of ids.slice(2))
      await daemon.waitFor(
        'many failures',
        async () => Number(await redis.hget(`${prefix}:inbound:${id}`, 'atm')) > 35,
      );
    assert.equal((await daemon.queue.ledger.count()).suspended, 0);
    await store.start();
    for (const [index, id] of ids.entries()) {
      const record = await daemon.reaches(id, 'delivered', 'suspended');
      assert.equal(record.state, 'delivered', JSON.stringify(record.events));
      assert.equal(bodyOf(id), sha256(all[index] ?? Buffer.alloc(0)));
      assert.ok(record.events.every(({ type }) => type !== 'retried'));
    }
    await daemon.waitFor('the bucket is empty', async () => {
      await sweeper.sweep();
      return (await stored()) === 0;
    });
  });
});
