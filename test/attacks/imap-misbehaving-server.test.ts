/** IMAP servers that hang, flood, lie about what they can do, or put our own password into their words. */
import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { afterEach, describe, it } from 'node:test';
import { configSchema } from '../../src/config/schema.ts';
import type { Checkpoint, Mark } from '../../src/imap/checkpoint.ts';
import { createImapPoller, type ImapPoller } from '../../src/imap/poller.ts';
import { probeMailbox } from '../../src/imap/probe.ts';
import { MAX_LINES } from '../../src/imap/watch.ts';
import { createLog } from '../../src/log.ts';
import { type BadImap, type BadImapOptions, startBadImap } from '../support/bad-imap.ts';
import { until } from '../support/net.ts';
import { MemoryIntake } from '../support/smtp.ts';

const password = 'correct horse battery';
const mail = (uid: number) => ({ uid, octets: Buffer.from(`Subject: ${uid}\r\n\r\nx\r\n`) });

const servers: BadImap[] = [];
const pollers: ImapPoller[] = [];
afterEach(async () => {
  await Promise.all(pollers.splice(0).map((poller) => poller.stop(100)));
  for (const server of servers.splice(0)) server.stop();
});

async function start(options: BadImapOptions): Promise<BadImap> {
  const server = await startBadImap(options);
  servers.push(server);
  return server;
}

function mailboxOf(port: number, imap: Record<string, unknown>) {
  const [mailbox] = configSchema.parse({
    mailboxes: [
      {
        name: 'box',
        imap: {
          host: '127.0.0.1',
          port,
          tls: 'none',
          user: 'u',
          password: { env: 'X' },
          commandTimeout: '1s',
          ...imap,
        },
        destinations: [{ type: 'directory', path: '/nonexistent' }],
      },
    ],
  }).mailboxes;
  assert.ok(mailbox?.imap);
  return { ...mailbox, imap: mailbox.imap };
}

function memory(): Checkpoint {
  const marks = new Map<string, Mark>();
  return {
    load: async (folder) => marks.get(folder) ?? null,
    save: async (folder, mark) => void marks.set(folder, structuredClone(mark)),
    hold: async () => true,
    release: async () => {},
  };
}

function poll(port: number, imap: Record<string, unknown> = {}) {
  const lines: Record<string, unknown>[] = [];
  const intake = new MemoryIntake();
  const log = createLog('info', 'test', { write: (text: string) => lines.push(JSON.parse(text)) });
  const poller = createImapPoller({
    mailbox: 'box',
    config: mailboxOf(port, imap).imap,
    intake,
    checkpoint: memory(),
    log,
    readSecret: () => password,
  });
  pollers.push(poller);
  poller.start();
  return { poller, intake, lines };
}

/** Says something every now and then, and never the answer. */
function chatter(socket: Socket): true {
  const timer = setInterval(() => socket.write('* OK still at it\r\n'), 50);
  timer.unref();
  socket.on('close', () => clearInterval(timer));
  return true;
}

describe('a server that never answers but keeps sending', () => {
  for (const silent of ['LOGIN', 'SELECT', 'UID SEARCH', 'UID FETCH']) {
    it(`at ${silent}: the session ends at the deadline, and health can say so`, async () => {
      const server = await start({
        messages: [mail(1)],
        on: (verb, _line, _tag, socket) => verb === silent && chatter(socket),
      });
      const { poller, lines } = poll(server.port);
      await until('it has failed', () => poller.status().failingSince !== null);
      const { lastError, failingSince } = poller.status();
      assert.match(lastError?.message ?? '', /did not answer .* in \d seconds|the connection was lost/);
      assert.ok(Date.now() - (failingSince ?? 0) < 60_000);
      assert.ok(lines.some(({ msg }) => msg === 'an IMAP session failed'));
    });
  }

  it('costs the mailbox beside it nothing', async () => {
    const sick = await start({ on: (verb, _line, _tag, socket) => verb === 'SELECT' && chatter(socket) });
    const good = await start({ messages: [mail(1), mail(2)] });
    poll(sick.port, { commandTimeout: '1h' });
    const { intake } = poll(good.port);
    await until('the other is read', () => intake.stored.length === 2);
  });
});

it('a flood of untagged lines ends the session, and its size is told', async () => {
  const server = await start({
    on: (verb, _line, _tag, socket) => {
      if (verb !== 'UID SEARCH') return false;
      const flood = Buffer.from('* OK x\r\n'.repeat(10_000));
      const pour = () => {
        while (!socket.destroyed && socket.write(flood));
      };
      socket.on('drain', pour);
      pour();
      return true;
    },
  });
  const { poller } = poll(server.port, { commandTimeout: '1h' });
  await until('it has failed', () => poller.status().failingSince !== null);
  assert.match(
    poller.status().lastError?.message ?? '',
    new RegExp(`sent ${MAX_LINES + 1} lines of \\d+ octets instead of an answer`),
  );
});

describe('a server without UIDPLUS', () => {
  for (const [action, capabilities] of [
    ['delete', 'IMAP4rev1'],
    ['move', 'IMAP4rev1'],
  ] as const) {
    it(`has nothing expunged, ours is only marked: ${action}`, async () => {
      const server = await start({ capabilities, messages: [mail(7)] });
      const { intake, lines } = poll(server.port, { action });
      await until('it is marked', () => server.commands.some((line) => line.startsWith('UID STORE')));
      assert.equal(intake.stored.length, 1);
      assert.ok(server.commands.some((line) => /^UID STORE 7 \+FLAGS(\.SILENT)? \(\\Deleted\)$/.test(line)));
      assert.ok(!server.commands.some((line) => line.includes('EXPUNGE')));
      assert.equal(
        server.commands.some((line) => line.startsWith('UID COPY 7 ')),
        action === 'move',
      );
      await until('it is logged', () => lines.some(({ msg }) => String(msg).includes('no UIDPLUS')));
    });
  }

  it('and one with it expunges by UID', async () => {
    const server = await start({ messages: [mail(7)] });
    poll(server.port, { action: 'delete' });
    await until('it is removed', () => server.commands.includes('UID EXPUNGE 7'));
  });

  it('is told by check --online, with what else is missing', async () => {
    const server = await start({ capabilities: 'IMAP4rev1' });
    const notes = await probeMailbox(mailboxOf(server.port, {}).imap, () => password);
    const text = notes.map(({ message }) => message).join('\n');
    for (const part of [/no UIDPLUS/, /no MOVE/, /no IDLE/, /no folder Sealpost\/Processed yet/])
      assert.match(text, part);
    const full = await start({ capabilities: 'IMAP4rev1 UIDPLUS MOVE IDLE' });
    assert.deepEqual(await probeMailbox(mailboxOf(full.port, { action: 'delete' }).imap, () => password), []);
  });
});

describe("the server's own words", () => {
  const words = `[AUTHENTICATIONFAILED] \u001b[2Jaccount u locked, you sent ${password} ${Buffer.from(password).toString('base64')} ${'x'.repeat(500)}`;

  it('stand in log, health and check: cleaned, cut, and without the password', async () => {
    const on: BadImapOptions['on'] = (verb, _line, tag, socket) => {
      if (verb !== 'LOGIN' && verb !== 'AUTHENTICATE') return false;
      socket.write(`${tag} NO ${words}\r\n`);
      return true;
    };
    const server = await start({ on });
    const { poller, lines } = poll(server.port);
    await until('it has failed', () => poller.status().failingSince !== null);
    const message = poller.status().lastError?.message ?? '';
    assert.match(message, /refused the login of u; the server said: .*account u locked, you sent \*\*\*/);
    assert.ok(message.length < 300);
    const all = JSON.stringify(lines) + message;
    assert.ok(
      !all.includes(password) &&
        !all.includes(Buffer.from(password).toString('base64')) &&
        !all.includes('\\u001b'),
    );
    await assert.rejects(
      probeMailbox(mailboxOf(server.port, {}).imap, () => password),
      { code: 'imap-failed', message },
    );
  });

  it('stand in the log when a stored message cannot be moved', async () => {
    const server = await start({
      messages: [mail(7)],
      on: (verb, _line, tag, socket) => {
        if (verb !== 'UID MOVE') return false;
        socket.write(`${tag} NO [OVERQUOTA] the archive is full\r\n`);
        return true;
      },
    });
    const { lines } = poll(server.port);
    await until('it is logged', () => lines.some(({ said }) => /the archive is full/.test(String(said))));
  });
});

it('a folder that is moved onto itself, however it is written, is refused before anything is fetched', async () => {
  for (const moveTo of ['INBOX', 'Inbox']) {
    const server = await start({ messages: [mail(1)] });
    const { poller, intake } = poll(server.port, { folder: 'inbox', moveTo });
    await until('it has failed', () => poller.status().failingSince !== null);
    assert.match(poller.status().lastError?.message ?? '', /moveTo is the folder itself/);
    assert.equal(intake.stored.length, 0);
    await assert.rejects(
      probeMailbox(mailboxOf(server.port, { folder: 'inbox', moveTo }).imap, () => password),
      {
        code: 'config-invalid',
      },
    );
  }
});
