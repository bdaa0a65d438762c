import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { chmodSync, readdirSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { configSchema, type MailboxConfig } from '../../src/config/schema.ts';
import { SealpostError } from '../../src/errors.ts';
import { type Checkpoint, createCheckpoints } from '../../src/imap/checkpoint.ts';
import type { ImapConfig } from '../../src/imap/connect.ts';
import { FolderReader } from '../../src/imap/folder.ts';
import {
  createImapPoller,
  type ImapPoller,
  type ImapPollerParts,
  type Skipped,
} from '../../src/imap/poller.ts';
import { createLog } from '../../src/log.ts';
import { openQueue, type QueueRoom } from '../../src/queue/index.ts';
import type { Intake } from '../../src/queue/types.ts';
import { type Dovecot, skipWithoutDovecot, startDovecot } from '../support/dovecot.ts';
import { until } from '../support/net.ts';
import { startTestRedis, type TestRedis } from '../support/redis.ts';

const log = createLog('silent', 'test');
let serial = 0;

/** A message that no other test has. */
function mail(name: string, body = 'Hello'): string {
  return `Return-Path: <partner@example.org>\r\nSubject: ${name}\r\nMessage-ID: <${name}-${serial++}@example.org>\r\n\r\n${body}\r\n`;
}

describe('imap poller', { skip: skipWithoutDovecot() }, () => {
  let dovecot: Dovecot;
  let redis: TestRedis;
  let queue: QueueRoom;
  const pollers: ImapPoller[] = [];
  let mailboxName = '';

  before(async () => {
    [dovecot, redis] = await Promise.all([startDovecot(), startTestRedis()]);
    queue = await openQueue(configSchema.parse({ redis: { url: redis.url }, dataDir: redis.dataDir }), {
      role: 'test',
      log,
    });
  });
  afterEach(async () => {
    await Promise.all(pollers.splice(0).map((poller) => poller.stop(2000)));
    const client = await dovecot.client();
    await client.mailboxOpen('INBOX');
    await client.messageDelete('1:*');
    await client.logout();
  });
  after(async () => {
    await queue.close();
    await redis.stop();
    await dovecot.stop();
  });

  interface PollerOptions {
    parts?: Partial<ImapPollerParts>;
    /** Continues with the marks of an earlier poller of the test. */
    again?: boolean;
  }

  function mailboxOf(imap: Record<string, unknown>): MailboxConfig {
    const [mailbox] = configSchema.parse({
      mailboxes: [
        {
          name: mailboxName,
          imap: {
            host: '127.0.0.1',
            port: dovecot.tlsPort,
            user: dovecot.user,
            password: { env: 'UNUSED' },
            ca: dovecot.tls.cert,
            pollInterval: '1h',
            ...imap,
          },
          destinations: [{ type: 'directory', path: '/nonexistent' }],
        },
      ],
    }).mailboxes;
    assert.ok(mailbox);
    return mailbox;
  }

  function configOf(imap: Record<string, unknown>): ImapConfig {
    const config = mailboxOf(imap).imap;
    assert.ok(config);
    return config;
  }

  function poller(imap: Record<string, unknown> = {}, options: PollerOptions = {}): ImapPoller {
    if (!options.again) mailboxName = `box${serial++}`;
    const made = createImapPoller({
      mailbox: mailboxName,
      config: configOf(imap),
      intake: queue.intake,
      checkpoint: createCheckpoints(queue.redis, queue.prefix),
      log,
      readSecret: () => dovecot.password,
      ...options.parts,
    });
    pollers.push(made);
    made.start();
    return made;
  }

  async function append(...messages: (string | Buffer)[]): Promise<void> {
    const client = await dovecot.client();
    for (const message of messages) await client.append('INBOX', message);
    await client.logout();
  }

  async function inFolder(folder: string, query: Record<string, unknown> = { all: true }): Promise<number> {
    const client = await dovecot.client();
    await client.mailboxOpen(folder);
    const found = await client.search(query);
    await client.logout();
    return Array.isArray(found) ? found.length : 0;
  }

  /** Records of the mailbox, oldest first. */
  async function records() {
    const { messages } = await queue.ledger.list({ mailbox: mailboxName });
    return messages.reverse();
  }
  const storedCount = async () => (await records()).length;

  /** Resolves when the poller has nothing left to do. */
  const rest = (made: ImapPoller) => until('the poller is idle', () => made.status().state === 'idle');

  /** An intake that fails, or counts how often a message was begun. */
  function watched(commit?: (next: () => ReturnType<Intake['commit']>) => ReturnType<Intake['commit']>) {
    const counts = { begun: 0, aborted: 0, committed: 0 };
    const intake: ImapPollerParts['intake'] = {
      begin() {
        counts.begun++;
        const writer = queue.intake.begin();
        const abort = writer.abort.bind(writer);
        writer.abort = () => {
          counts.aborted++;
          return abort();
        };
        return writer;
      },
      async commit(writer, entries) {
        const next = () => queue.intake.commit(writer, entries);
        const results = await (commit === undefined ? next() : commit(next));
        counts.committed++;
        return results;
      },
    };
    return { counts, intake };
  }

  it('stores what is there, then moves it into a folder that it makes', async () => {
    const messages = [mail('one'), mail('two'), mail('three')];
    await append(...messages);
    const made = poller({ moveTo: 'Sealpost/Processed' });
    await until('all are stored', async () => (await storedCount()) === 3);
    await rest(made);
    assert.equal(await inFolder('INBOX'), 0);
    const client = await dovecot.client();
    const paths = (await client.list()).map(({ path }) => path);
    assert.ok(paths.includes('Sealpost.Processed') || paths.includes('Sealpost/Processed'), paths.join());
    const [first] = await records();
    assert.deepEqual(first?.envelope, { from: 'partner@example.org', to: [dovecot.user] });
    assert.match(first?.messageId ?? '', /^<one-\d+@example\.org>$/);
    assert.equal(first?.octets, messages[0]?.length);
    const { kind, detail } = first?.origin ?? {};
    assert.deepEqual([kind, detail?.host, detail?.folder], ['imap', '127.0.0.1', 'INBOX']);
    assert.ok(Number(detail?.uid) > 0 && Number(detail?.uidValidity) > 0);
    await client.logout();
  });

  it('is woken by IDLE', async () => {
    const made = poller();
    await rest(made);
    await append(mail('woken'));
    await until('it is stored', async () => (await storedCount()) === 1);
  });

  it('polls where IDLE is switched off', async () => {
    const made = poller({ idle: false, pollInterval: '1s' });
    await rest(made);
    await append(mail('polled'));
    await until('it is stored', async () => (await storedCount()) === 1);
  });

  it('marks messages as seen and fetches only unseen ones, each once', async () => {
    await append(mail('a'), mail('b'));
    const client = await dovecot.client();
    await client.mailboxOpen('INBOX');
    await client.messageFlagsAdd('1', ['\\Seen']);
    const { counts, intake } = watched();
    const made = poller({ action: 'seen' }, { parts: { intake } });
    await until('it is stored', async () => (await storedCount()) === 1);
    await rest(made);
    assert.equal(await inFolder('INBOX', { seen: true }), 2);
    await made.stop(2000);
    await client.messageFlagsRemove('1:*', ['\\Seen']);
    await client.logout();
    await rest(poller({ action: 'seen' }, { parts: { intake }, again: true }));
    assert.equal(counts.begun, 1, 'the checkpoint keeps it from fetching again, whatever the flags say');
  });

  it('deletes messages, and only those that it stored', async () => {
    await append(mail('a'), mail('b', 'x'.repeat(3000)), mail('c'));
    const made = poller({ action: 'delete', maxSize: '2KiB' });
    await until('they are stored', async () => (await storedCount()) === 2);
    await rest(made);
    assert.equal(await inFolder('INBOX'), 1);
  });

  it('leaves and reports a message that is too large, once, and goes on', async () => {
    await append(mail('first'), mail('huge', 'x'.repeat(5000)), mail('last'));
    const skipped: Skipped[] = [];
    const onSkipped = (message: Skipped) => skipped.push(message);
    const made = poller({ maxSize: '4KiB' }, { parts: { onSkipped } });
    await until('the others are stored', async () => (await storedCount()) === 2);
    await rest(made);
    assert.deepEqual([skipped.length, skipped[0]?.code, made.status().skipped], [1, 'message-too-large', 1]);
    assert.equal(await inFolder('INBOX'), 1);
    await made.stop(2000);
    await rest(poller({ maxSize: '4KiB' }, { parts: { onSkipped }, again: true }));
    assert.equal(skipped.length, 1);
  });

  it('continues past a message that the server cannot read, and reports it in the end', async () => {
    const client = await dovecot.client();
    const names = (): string[] =>
      ['new', 'cur'].flatMap((sub) =>
        readdirSync(join(dovecot.maildir, sub)).map((name) => join(dovecot.maildir, sub, name)),
      );
    await client.append('INBOX', mail('first'));
    const others = names();
    await client.append('INBOX', mail('unreadable'));
    const [bad = ''] = names().filter((name) => !others.includes(name));
    await client.append('INBOX', mail('last'));
    await client.logout();
    chmodSync(bad, 0);
    const skipped: Skipped[] = [];
    const made = poller({ pollInterval: '1s' }, { parts: { onSkipped: (message) => skipped.push(message) } });
    await until('the others are stored', async () => (await storedCount()) === 2);
    await append(mail('newer'));
    await until('a newer one is stored', async () => (await storedCount()) === 3);
    await rest(made);
    await until('it was moved', async () => (await inFolder('INBOX')) === 1);
    assert.equal(made.status().stored, 3);
    await made.stop(2000);

    // the last of its attempts
    const [folder] = await queue.redis.keys(`*:imap:mark:${mailboxName}:*`);
    const { uidValidity, failed } = JSON.parse((await queue.redis.get(folder ?? '')) ?? '');
    const [uid] = Object.keys(failed);
    const again = await dovecot.client();
    const parts = {
      mailbox: mailboxName,
      config: configOf({}),
      intake: queue.intake,
      checkpoint: createCheckpoints(queue.redis, queue.prefix),
      log,
      onStored: () => {},
      onSkipped: (message: Skipped) => skipped.push(message),
      drops: new Map([[`${uidValidity}/${uid}`, { count: 5, notBefore: 0 }]]),
    };
    const reader = new FolderReader(again, parts);
    await reader.open();
    await assert.rejects(reader.scan(() => false));
    assert.deepEqual(
      skipped.map(({ uid: number, code }) => [String(number), code]),
      [[uid, 'imap-failed']],
    );
    await rest(poller({}, { again: true, parts: { onSkipped: (message) => skipped.push(message) } }));
    assert.equal(skipped.length, 1);
  });

  it('tries three times what the server does not give, then reports it', async () => {
    await append(mail('first'), mail('refused'), mail('last'));
    const client = await dovecot.client();
    await client.mailboxOpen('INBOX');
    const bad = ((await client.search({ all: true }, { uid: true })) || [])[1];
    await client.logout();
    let asked = 0;
    const wire = await startWire(dovecot.port, {
      answer(line) {
        const tag = new RegExp(`^(\\S+) UID FETCH ${bad} .*BODY\\.PEEK\\[\\]`).exec(line)?.[1];
        if (tag === undefined) return undefined;
        asked++;
        return `${tag} NO [SERVERBUG] not now\r\n`;
      },
    });
    const skipped: Skipped[] = [];
    const onSkipped = (message: Skipped) => skipped.push(message);
    const made = poller({ tls: 'none', port: wire.port, pollInterval: '1s' }, { parts: { onSkipped } });
    await until('it is reported', () => skipped.length === 1);
    assert.deepEqual([skipped[0]?.uid, skipped[0]?.code, asked], [bad, 'imap-failed', 3]);
    assert.deepEqual([await storedCount(), made.status().lastError, await inFolder('INBOX')], [2, null, 1]);
    await made.stop(2000);
    wire.stop();
  });

  it('streams a message of 20 MB, octet for octet', async () => {
    const lines = Array.from({ length: 20_000 }, () => randomBytes(750).toString('base64'));
    const octets = Buffer.from(mail('large', lines.join('\r\n')));
    await append(octets);
    poller();
    await until('it is stored', async () => (await storedCount()) === 1);
    const [record] = await records();
    assert.equal(record?.octets, octets.length);
    assert.equal(record?.sha256, createHash('sha256').update(octets).digest('hex'));
  });

  it('does not make a second message after a crash between the commit and the move', async () => {
    await append(mail('crash'));
    const { counts, intake } = watched();
    const real = createCheckpoints(queue.redis, queue.prefix);
    const dying: Checkpoint = {
      ...real,
      save: () => Promise.reject(new SealpostError('redis-unreachable', 'died')),
    };
    const first = poller({}, { parts: { intake, checkpoint: dying } });
    await until('it was committed', () => counts.committed === 1);
    await first.stop(2000);
    assert.equal(await inFolder('INBOX'), 1);
    await rest(poller({}, { parts: { intake }, again: true }));
    assert.deepEqual([counts.committed, await storedCount()], [2, 1]);
    assert.equal(await inFolder('INBOX'), 0);
  });

  it('repeats a move that failed without fetching again', async () => {
    await append(mail('unmoved'));
    const { counts, intake } = watched();
    const real = createCheckpoints(queue.redis, queue.prefix);
    let saves = 0;
    const dying: Checkpoint = {
      ...real,
      // the mark is saved, and the process dies before the move
      save: async (folder, mark) => {
        await real.save(folder, mark);
        if (++saves === 1) throw new SealpostError('redis-unreachable', 'died');
      },
    };
    const first = poller({}, { parts: { intake, checkpoint: dying } });
    await until('the mark was saved', () => saves === 1);
    await first.stop(2000);
    assert.equal(await inFolder('INBOX'), 1);
    await rest(poller({}, { parts: { intake }, again: true }));
    assert.deepEqual([counts.begun, await inFolder('INBOX')], [1, 0]);
  });

  it('marks nothing while the store refuses, and stores it when it takes mail again', async () => {
    await append(mail('later'));
    let refusals = 0;
    const { intake } = watched(async (next) => {
      if (refusals++ < 2) throw new SealpostError('redis-full', 'full');
      return next();
    });
    const made = poller({ action: 'seen' }, { parts: { intake } });
    await until('it was refused', () => made.status().lastError?.code === 'redis-full');
    assert.equal(await inFolder('INBOX', { seen: true }), 0);
    await until('it is stored', async () => (await storedCount()) === 1);
    await rest(made);
    assert.equal(await inFolder('INBOX', { seen: true }), 1);
  });

  it('reads a folder again when its UIDVALIDITY changes, and makes no second message of the same octets', async () => {
    const client = await dovecot.client();
    const message = mail('kept');
    await client.mailboxCreate('Changing');
    await client.append('Changing', message);
    const options = { folder: 'Changing', action: 'seen' };
    const made = poller(options);
    await until('it is stored', async () => (await storedCount()) === 1);
    await made.stop(2000);
    await client.mailboxDelete('Changing');
    await new Promise((resolve) => setTimeout(resolve, 1100)); // Dovecot's UIDVALIDITY is the time in seconds
    await client.mailboxCreate('Changing');
    await client.append('Changing', message);
    await client.append('Changing', mail('fresh'));
    const { counts, intake } = watched();
    await rest(poller(options, { parts: { intake }, again: true }));
    assert.deepEqual([counts.committed, await storedCount()], [2, 2]);
    await client.mailboxDelete('Changing');
    await client.logout();
  });

  it('leaves nothing of a message when the connection drops in the middle, and fetches it whole afterwards', async () => {
    const octets = Buffer.from(
      mail('dropped', randomBytes(3_000_000).toString('base64').replace(/.{76}/g, '$&\r\n')),
    );
    await append(octets);
    const { counts, intake } = watched();
    let breaks = 1;
    let passed = 0;
    const wire = await startWire(dovecot.tlsPort, {
      fromServer(chunk, cut) {
        passed += chunk.length;
        if (breaks > 0 && passed > 1_000_000) {
          breaks--;
          cut();
        }
      },
    });
    const made = poller({ port: wire.port }, { parts: { intake } });
    await until('it is stored', async () => (await storedCount()) === 1);
    assert.deepEqual(counts, { begun: 2, aborted: 1, committed: 1 });
    assert.equal((await records())[0]?.octets, octets.length);
    await made.stop(2000);
    wire.stop();
  });

  it('connects again after the server was killed', async () => {
    const made = poller();
    await rest(made);
    await dovecot.kill();
    await until('it noticed', () => made.status().state === 'waiting');
    await dovecot.start();
    await append(mail('after'));
    await until('it is stored', async () => (await storedCount()) === 1);
    await rest(made);
    assert.equal(made.status().lastError, null);
  });

  it('leaves the folder to one poller, and takes over when that stops', async () => {
    const first = poller();
    await rest(first);
    const second = poller({}, { again: true });
    await until('it stands by', () => second.status().state === 'standby');
    await append(mail('single'));
    await until('it is stored', async () => (await storedCount()) === 1);
    await rest(first);
    assert.deepEqual([first.status().stored, second.status().stored], [1, 0]);
    await first.stop(2000);
    await rest(second);
  });

  it('logs in over STARTTLS, and reads a wrong password as such', async () => {
    await rest(poller({ tls: 'starttls', port: dovecot.port }));
    const lines: { level: number; msg: string; mailbox: string; err: { code: string; message: string } }[] =
      [];
    const heard = createLog('warn', 'test', { write: (line) => void lines.push(JSON.parse(line)) });
    const made = poller({}, { parts: { readSecret: () => 'Hunter2-wrong', log: heard } });
    await until('it failed', () => made.status().state === 'waiting');
    assert.match(made.status().lastError?.message ?? '', /refused the login of orders@example\.com/);
    const [line] = lines;
    assert.deepEqual(
      [lines.length, line?.level, line?.msg, line?.mailbox, line?.err.code],
      [1, 40, 'an IMAP session failed', mailboxName, 'imap-failed'],
    );
    // in the words of Dovecot
    assert.match(line?.err.message ?? '', /the server said: .*Authentication failed/);
    assert.equal(JSON.stringify(lines).includes('Hunter2'), false);
    // the dialogue of it, in which nobody reads the password
    const said = made.status().dialogue.join('\n');
    assert.match(said, /^> \S+ (?:LOGIN|AUTHENTICATE) /m);
    assert.match(said, /^< \S+ NO /m);
    const base64 = (text: string) => Buffer.from(text).toString('base64');
    for (const form of ['Hunter2', base64('Hunter2-wrong'), base64('\0orders@example.com\0Hunter2-wrong')])
      assert.ok(!said.includes(form), said);
  });

  it('refuses a certificate that it does not know', async () => {
    const made = poller({ ca: undefined });
    await until('it failed', () => made.status().state === 'waiting');
    assert.equal(made.status().lastError?.code, 'imap-failed');
  });
});

interface Faults {
  /** Sees what the server sends; may cut the wire. */
  fromServer?: (chunk: Buffer, cut: () => void) => void;
  /** Answers a command in place of the server (clear text only). */
  answer?: (line: string) => string | undefined;
}

/** A wire between poller and server that can be cut, and that can answer for the server. */
async function startWire(target: number, faults: Faults): Promise<{ port: number; stop: () => void }> {
  const wire = createServer((near) => {
    const far = connect(target, '127.0.0.1');
    const cut = () => {
      near.destroy();
      far.destroy();
    };
    near.on('data', (chunk) => {
      const answer = faults.answer?.(chunk.toString('latin1'));
      if (answer === undefined) far.write(chunk);
      else near.write(answer);
    });
    far.on('data', (chunk) => {
      faults.fromServer?.(chunk, cut);
      if (!near.destroyed) near.write(chunk);
    });
    for (const socket of [near, far]) socket.on('error', () => {}).on('close', cut);
  });
  await new Promise<void>((resolve) => wire.listen(0, '127.0.0.1', resolve));
  const address = wire.address();
  assert.ok(typeof address === 'object' && address !== null);
  return { port: address.port, stop: () => wire.close() };
}
