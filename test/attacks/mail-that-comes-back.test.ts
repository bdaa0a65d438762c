/** Mail to a partner that a server sends back to us, for ever, if nobody stops it. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { startDaemon, type TestDaemon } from '../support/daemon.ts';
import { type Dovecot, skipWithoutDovecot, startDovecot } from '../support/dovecot.ts';
import { type KeepingServer, startKeepingServer } from '../support/mail-server.ts';
import { freePort } from '../support/net.ts';
import { makeWorld, skipWithout, type World } from '../support/world.ts';

describe('mail to a partner that comes back into a mailbox', {
  skip: skipWithoutDovecot() || skipWithout('openssl'),
}, () => {
  let world: World;
  let dovecot: Dovecot;
  let partner: KeepingServer;
  let daemon: TestDaemon;

  before(async () => {
    world = makeWorld();
    [dovecot, partner] = await Promise.all([startDovecot(), startKeepingServer()]);
    daemon = await startDaemon(world, {
      config: {
        mailboxes: [
          {
            ...{ name: 'orders', addresses: ['orders@own.example'], notSmime: 'pass' },
            imap: {
              ...{ host: '127.0.0.1', port: dovecot.tlsPort, ca: dovecot.tls.cert },
              ...{ user: dovecot.user, password: { file: world.file('imap', dovecot.password) } },
              ...{ moveTo: 'Done', pollInterval: '1s' },
            },
            destinations: [{ type: 'directory', path: join(world.folder, 'daemon1', 'inbox') }],
          },
        ],
        partners: [
          {
            ...{ name: 'acme', addresses: ['edi@acme.example'], from: 'orders@own.example' },
            ...{ certificates: [world.partner.certFile], identity: 'own' },
            route: { host: '127.0.0.1', port: partner.port, tls: 'none' },
          },
        ],
      },
    });
  });
  after(async () => {
    await daemon?.stop();
    await Promise.all([dovecot?.stop(), partner?.close()]);
    world?.remove();
  });

  it('is suspended as a loop and handed to nobody; the same mail of another installation is not', async () => {
    const mail = 'From: orders@own.example\r\nTo: edi@acme.example\r\nSubject: round\r\n\r\nbody\r\n';
    const file = world.file('out.eml', mail);
    const { stdout } = await daemon.command(['send', '--message', '--partner', 'acme', file]);
    await daemon.reaches(stdout.toString().trim(), 'sent');
    const [kept] = partner.kept;
    assert.ok(kept);
    // the partner's server forwards it to us, as it is but for what servers put above it
    const returned = Buffer.concat([
      Buffer.from('Return-Path: <>\r\nReceived: from mx.acme.example by imap.own.example; x\r\n'),
      kept.octets,
    ]);
    const foreign = Buffer.from(
      returned.toString('latin1').replace(/^(X-Sealpost-Trace: ).{4}/m, '$1AAAA'),
      'latin1',
    );
    assert.notDeepEqual(foreign, returned);
    const client = await dovecot.client();
    for (const each of [returned, foreign]) await client.append('INBOX', each);
    const [first, second] = await daemon.waitFor('both are finished', async () => {
      const { messages } = await daemon.queue.ledger.list({ mailbox: 'orders' });
      const ended = messages.filter(({ state }) => state === 'suspended' || state === 'delivered');
      return ended.length === 2 ? ended : undefined;
    });
    const byReason = new Map([first, second].map((each) => [each?.reason, each]));
    const loop = byReason.get('mail-loop');
    assert.equal(loop?.state, 'suspended');
    assert.equal(loop?.origin.kind, 'imap');
    // Nobody here has the key that it is encrypted for: so much was tried with the other one, and not with this.
    const other = [...byReason.values()].find((each) => each !== loop);
    assert.notEqual(other?.reason, 'mail-loop');
    assert.match(JSON.stringify(other), /no-recipient-key|decrypt/);
    assert.deepEqual(readdirSync(daemon.inbox), []);
    // It left the folder all the same: the next poll does not fetch it again.
    await daemon.waitFor('the folder is empty', async () => {
      const status = await client.status('INBOX', { messages: true });
      return status !== false && status.messages === 0;
    });
  });
});

describe('mail to a partner that comes back', { skip: skipWithout('openssl') }, () => {
  let world: World;
  let partner: KeepingServer;
  let daemon: TestDaemon;

  before(async () => {
    world = makeWorld();
    partner = await startKeepingServer();
    const port = await freePort();
    const clear = { encrypt: false, sign: 'none', from: 'orders@own.example' };
    const to = (port: number) => ({ host: '127.0.0.1', port, tls: 'none' });
    daemon = await startDaemon(world, {
      config: {
        smtp: { listen: [{ port }], hostname: 'own.example', greetingDelay: '0ms' },
        mailboxes: [
          {
            ...{ name: 'orders', addresses: ['orders@own.example'], notSmime: 'pass' },
            destinations: [{ type: 'directory', path: world.folder }],
          },
        ],
        partners: [
          { ...clear, name: 'acme', addresses: ['edi@acme.example'], route: to(partner.port) },
          { ...clear, name: 'ourselves', addresses: ['orders@own.example'], route: to(port) },
        ],
      },
    });
  });
  after(async () => {
    await daemon?.stop();
    await partner?.close();
    world?.remove();
  });

  const mail = (subject: string) =>
    `From: orders@own.example\r\nTo: edi@acme.example\r\nSubject: ${subject}\r\n\r\nbody\r\n`;
  const send = (to: string, octets: string | Buffer) =>
    daemon.command(['send', '--message', '--partner', to, world.file('out.eml', octets)]);

  /** A mail as the partner got it. */
  async function received(subject: string): Promise<Buffer> {
    const { stdout } = await send('acme', mail(subject));
    await daemon.reaches(stdout.toString().trim(), 'sent');
    return partner.kept.at(-1)?.octets ?? Buffer.alloc(0);
  }

  it('is refused with 5.4.6, whatever the servers on the way have put above it', async () => {
    const octets = await received('round');
    const hops = Buffer.from(
      'Return-Path: <>\r\nReceived: from mx.acme.example by relay.acme.example; x\r\n',
    );
    for (const returned of [octets, Buffer.concat([hops, octets])])
      assert.match(await daemon.send(returned), /^554 5\.4\.6 /);
    // of another installation, it would be mail like any other
    const foreign = octets.toString('latin1').replace(/^(X-Sealpost-Trace: ).{4}/m, '$1AAAA');
    await daemon.reaches(await daemon.accept(Buffer.from(foreign, 'latin1')), 'delivered');
  });

  it('keeps the traces of mailboxes of ours when it passes through a door', async () => {
    const { stdout } = await send('acme', `X-Sealpost-Trace: of-a-mailbox\r\n${mail('traced')}`);
    await daemon.reaches(stdout.toString().trim(), 'sent');
    const traces = partner.kept
      .at(-1)
      ?.octets.toString()
      .match(/^X-Sealpost-Trace: .*$/gm);
    assert.equal(traces?.length, 2);
    assert.equal(traces[1], 'X-Sealpost-Trace: of-a-mailbox');
  });

  it('is not sent again when a relay of ours hands it to a door', async () => {
    const octets = await received('through a door');
    const before = partner.kept.length;
    const { code, stderr } = await send('acme', octets);
    assert.equal(code, 1);
    assert.match(stderr, /it was sent to a partner from here before.* \[mail-loop\]/s);
    const circling = `${'Received: from a by b; Tue, 06 Jan 2026 10:00:00 +0000\r\n'.repeat(101)}${mail('hops')}`;
    assert.match((await send('acme', circling)).stderr, /more than 100 servers.* \[mail-loop\]/s);
    assert.equal((await send('acme', circling.slice(circling.indexOf('\n') + 1))).code, 0);
    await daemon.waitFor('the last mail', () => partner.kept.length > before);
    assert.equal(partner.kept.length, before + 1);
  });

  it('is delivered if it was sent to an address of ours', async () => {
    const { stdout } = await send('ourselves', mail('to ourselves'));
    await daemon.reaches(stdout.toString().trim(), 'sent');
    const { messages } = await daemon.queue.ledger.list({ mailbox: 'orders' });
    const [arrived] = messages;
    assert.ok(arrived);
    await daemon.reaches(arrived.id, 'delivered');
  });
});
