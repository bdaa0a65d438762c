/** What the daemon says of messages and routes, and how its log is changed while it runs. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { errorTable } from '../../src/errors.ts';
import { startDaemon, type TestDaemon } from '../support/daemon.ts';
import { type KeepingServer, startKeepingServer } from '../support/mail-server.ts';
import { makeWorld, partnerHeader, skipWithout, textEntity, type World } from '../support/world.ts';

describe('the log of the running daemon', { skip: skipWithout('openssl') }, () => {
  let world: World;
  let server: KeepingServer;
  let daemon: TestDaemon;
  before(async () => {
    world = makeWorld();
    server = await startKeepingServer();
    const partner = (name: string) => ({
      ...{ name, addresses: [`edi@${name}.example`], from: 'orders@own.example', encrypt: false },
      ...{ sign: 'none', route: { host: '127.0.0.1', port: server.port, tls: 'none' } },
    });
    daemon = await startDaemon(world, {
      config: {
        partners: [partner('acme')],
        log: { level: 'info', times: 'iso' },
      },
    });
  });
  after(async () => {
    await daemon?.stop();
    await server?.close();
    world?.remove();
  });

  type Line = Record<string, unknown>;
  const lines = (msg: string): Line[] =>
    daemon
      .log()
      .split('\n')
      .filter((line) => line.startsWith('{') && line.includes(JSON.stringify(msg)))
      .map((line): Line => JSON.parse(line));
  const line = (msg: string, fits: (line: Line) => boolean = () => true) =>
    daemon.waitFor(msg, () => lines(msg).find(fits));

  async function send(partner: string): Promise<string> {
    const mail = `From: orders@own.example\r\nTo: edi@${partner}.example\r\nSubject: x\r\n\r\nbody\r\n`;
    const ran = await daemon.command(['send', '--partner', partner, world.file('out.eml', mail)]);
    assert.equal(ran.code, 0, ran.stderr);
    return ran.stdout.toString().trim();
  }

  it('warns of a suspended message with its partner and the sentence of the table', async () => {
    const id = await daemon.accept(Buffer.from(`${partnerHeader()}${textEntity('in clear')}`));
    await daemon.reaches(id, 'suspended');
    const { level, reason, mailbox, why, hint, time } = await line(
      'a message is suspended',
      (each) => each.id === id,
    );
    const { cause, remedy } = errorTable['not-smime'];
    assert.deepEqual([level, reason, mailbox, why, hint], [40, 'not-smime', 'orders', cause, remedy]);
    assert.match(String(time), /^\d{4}-\d\d-\d\dT/);
  });

  it('says that an attempt failed and when the next is, and of a route that it is down and works again', async () => {
    server.answers.push('421 4.3.2 not now', '421 4.3.2 not now');
    const id = await send('acme');
    await daemon.reaches(id, 'sent');
    const retry = await line('an attempt failed; it is tried again', (each) => each.id === id);
    assert.deepEqual([retry.level, retry.partner, retry.reason], [30, 'acme', 'send-failed']);
    assert.ok(Date.parse(String(retry.next)) > 0);
    assert.match(String(retry.said), /not now/);
    const down = await line('a route is down', (each) => each.partner === 'acme');
    assert.deepEqual([down.level, down.queue], [40, 'outbound']);
    const healed = await line('a route works again', (each) => each.partner === 'acme');
    assert.equal(healed.level, 30);
    await daemon.waitFor(
      'the route is not sick any more',
      async () => (await daemon.queue.routes.down()).length === 0,
    );
    assert.equal(lines('a route is down').filter((each) => each.partner === 'acme').length, 1);
  });

  it('takes other levels for a room while it runs, also in a process that is started again', async () => {
    const shown = await daemon.command(['log']);
    assert.match(shown.stdout.toString(), /^all {8}info\n/);
    const changed = await daemon.command(['log', 'queue=debug,smtp=error']);
    assert.equal(changed.code, 0, changed.stderr);
    assert.match(changed.stdout.toString(), /^queue {6}debug {2}changed$/m);
    const [{ levels }] = JSON.parse(`${(await daemon.command(['log', '--json'])).stdout}`);
    assert.deepEqual(
      [levels.queue, levels.imap],
      [
        { level: 'debug', changed: true },
        { level: 'info', changed: false },
      ],
    );
    await line('levels of the log were changed');
    const before = daemon.pidOf('receive');
    process.kill(before, 'SIGKILL');
    const ready = await line('ready', (each) => each.role === 'receive' && each.pid !== before);
    daemon.smtpPort = Number(/:(\d+)$/.exec(String(ready.smtp))?.[1]);
    const reply = await daemon.send(Buffer.from(''), { to: ['nobody@own.example'] });
    assert.match(reply, /^550 /);
    // at `info`, a refusal has a line
    assert.equal(
      lines('refused').some((each) => each.pid !== before),
      false,
    );
    const wrong = await daemon.command(['log', 'nothing=debug']);
    assert.deepEqual([wrong.code, /no room/.test(wrong.stderr)], [2, true]);
    const reset = await daemon.command(['log', 'default']);
    assert.equal(reset.stdout.toString().includes('changed'), false);
  });
});
