/** A mail server behind us that accepts and says nothing, with many messages, beside a destination that works. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { startDaemon, type TestDaemon } from '../support/daemon.ts';
import { type KeepingServer, startKeepingServer } from '../support/mail-server.ts';
import { makeWorld, partnerHeader, textEntity, type World } from '../support/world.ts';

describe('a mail server that falls silent', () => {
  let world: World;
  let daemon: TestDaemon;
  let silent: KeepingServer;
  let well: KeepingServer;
  before(async () => {
    world = makeWorld();
    [silent, well] = await Promise.all([startKeepingServer(), startKeepingServer()]);
    const mailbox = (name: string, port: number, connections: number) => ({
      ...{ name, addresses: [`${name}@own.example`], notSmime: 'pass' },
      destinations: [
        { type: 'smtp', host: '127.0.0.1', port, tls: 'none', connections, recipients: ['a@erp.example'] },
      ],
    });
    daemon = await startDaemon(world, {
      config: {
        mailboxes: [mailbox('silent', silent.port, 2), mailbox('well', well.port, 5)],
        workers: { decrypt: 1, concurrency: 4, drainTimeout: '1s' },
      },
    });
  });
  after(async () => {
    await silent?.close();
    await well?.close();
    await daemon?.stop();
    world?.remove();
  });

  const mail = () => Buffer.from(`${partnerHeader()}${textEntity('x')}`);

  it('gets no more connections than it may have, and the other one all its mail', async () => {
    // one that has worked is not probed with a single message any more
    for (let at = 0; at < 12; at++)
      await daemon.reaches(await daemon.accept(mail(), { to: ['silent@own.example'] }), 'delivered');
    silent.mute = true;
    const stuck: string[] = [];
    for (let at = 0; at < 20; at++) stuck.push(await daemon.accept(mail(), { to: ['silent@own.example'] }));
    const ends = () => silent.commands.filter((line) => line === 'DATA').length - 12;
    await daemon.waitFor('both connections are silent', () => ends() === 2);
    for (let at = 0; at < 20; at++)
      await daemon.reaches(await daemon.accept(mail(), { to: ['well@own.example'] }), 'delivered');
    assert.equal(well.kept.length, 20);
    assert.equal(ends(), 2);
    for (const id of stuck) assert.equal((await daemon.queue.ledger.get(id))?.state, 'decoded');
    const { handoff } = await daemon.queue.queues.depth();
    // nobody waits for a connection in a place that others could use
    assert.ok(handoff.active <= 2, JSON.stringify(handoff));
  });
});
