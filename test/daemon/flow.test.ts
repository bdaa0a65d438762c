import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Worker } from 'bullmq';
import type { MessageRecord } from '../../src/queue/index.ts';
import { sealpost, startDaemon, type TestDaemon } from '../support/daemon.ts';
import { assertDocument } from '../support/documents.ts';
import { type Dovecot, skipWithoutDovecot, startDovecot } from '../support/dovecot.ts';
import { type Hook, startHook } from '../support/hook.ts';
import { type Sink, skipWithoutPostfix, startSink } from '../support/postfix.ts';
import { makeWorld, openssl, partnerReads, skipWithout, textEntity } from '../support/world.ts';

const skip = skipWithout('openssl') || skipWithoutDovecot() || skipWithoutPostfix();

/** The address of the partner's mail server; the server behind it may be down, or be replaced later. */
class Door {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  target: number | undefined;
  port = 0;

  constructor() {
    this.#server = createServer((socket) => {
      this.#sockets.add(socket);
      socket.on('error', () => {});
      if (this.target === undefined) return void socket.destroy();
      const behind = connect(this.target, '127.0.0.1');
      this.#sockets.add(behind);
      behind.on('error', () => socket.destroy());
      socket.on('close', () => behind.destroy());
      behind.on('close', () => socket.destroy());
      socket.pipe(behind).pipe(socket);
    });
  }

  async open(): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    const address = this.#server.address();
    if (typeof address === 'object' && address !== null) this.port = address.port;
    return this;
  }

  /** Those who are connected to the old one must come again. */
  leadTo(target: number | undefined): void {
    this.target = target;
    for (const socket of this.#sockets) socket.destroy();
    this.#sockets.clear();
  }

  close(): void {
    this.leadTo(undefined);
    this.#server.close();
  }
}

describe('the flow through the running daemon', { skip }, () => {
  const world = makeWorld();
  const door = new Door();
  let daemon: TestDaemon;
  let dovecot: Dovecot;
  let sink: Sink;
  let refusing: Sink;
  let hook: Hook;

  before(async () => {
    dovecot = await startDovecot();
    const first = await dovecot.client();
    await first.mailboxCreate('Other');
    await first.logout();
    sink = await startSink();
    refusing = await startSink(['-f', 'RCPT', '-B', '550 5.7.1 we do not know you']);
    hook = await startHook();
    await door.open();
    const inbox = join(world.folder, 'daemon1', 'inbox');
    const partner = {
      certificates: [world.partner.certFile],
      identity: 'own',
      from: world.own.email,
    };
    const route = (port: number) => ({ host: '127.0.0.1', port, tls: 'none' });
    daemon = await startDaemon(world, {
      config: {
        mailboxes: [
          {
            name: 'orders',
            addresses: ['orders@own.example'],
            require: ['encrypted', 'signed', 'partner'],
            destinations: [
              { type: 'directory', path: inbox },
              {
                type: 'webhook',
                url: hook.url,
                secret: { file: world.file('hook.secret', 'a secret of the web hook') },
                allowPrivate: true,
              },
              { type: 'queue', queue: 'own-work', prefix: '{own}' },
            ],
          },
          {
            name: 'polled',
            imap: {
              ...{ host: '127.0.0.1', port: dovecot.tlsPort, ca: dovecot.tls.cert, user: dovecot.user },
              password: { file: world.file('imap.password', dovecot.password) },
            },
            destinations: [{ type: 'directory', path: inbox }],
          },
          {
            // nobody looks into it unless asked
            name: 'by-hand',
            imap: {
              ...{ host: '127.0.0.1', port: dovecot.tlsPort, ca: dovecot.tls.cert, user: dovecot.user },
              ...{ password: { file: join(world.folder, 'imap.password') }, folder: 'Other' },
              ...{ pollInterval: '12h', idle: false },
            },
            destinations: [{ type: 'directory', path: inbox }],
          },
        ],
        partners: [
          { name: 'partner', addresses: ['edi@partner.example'], ...partner, route: route(sink.port) },
          { name: 'shaky', addresses: ['edi@shaky.example'], ...partner, route: route(door.port) },
          {
            name: 'signs-sha1',
            addresses: ['edi@old.example'],
            ...partner,
            digest: 'sha1',
            contentEncryption: 'des-ede3-cbc',
            sign: 'detached',
            allowWeak: true,
            route: route(sink.port),
          },
        ],
      },
    });
  });
  after(async () => {
    await daemon?.stop();
    await dovecot?.stop();
    await sink?.stop();
    await refusing?.stop();
    hook?.close();
    door.close();
    world.remove();
  });

  const verdictIn = (folder: string) => JSON.parse(readFileSync(join(folder, 'verdict.json'), 'utf8'));
  const reply = (record: MessageRecord) => JSON.stringify(record.events);
  async function sent(partner: string, text: string): Promise<string> {
    const file = world.file('out.eml', `Subject: answer\r\n\r\n${text}\r\n`);
    const { code, stdout, stderr } = await daemon.command(['send', '--partner', partner, file]);
    assert.equal(code, 0, stderr);
    return stdout.toString().trim();
  }
  /** The one mail in the sink that the partner can read with this text. */
  async function arrived(text: string): Promise<Buffer> {
    return await daemon.waitFor(`${text} arrives`, async () => {
      for (const mail of await sink.messages()) {
        try {
          if (partnerReads(world, mail).includes(text)) return mail;
        } catch {} // half written
      }
      return undefined;
    });
  }

  it('brings SMTP mail to a directory, a webhook that fails first, and a queue', async () => {
    hook.answers.push(503, 500);
    const id = await daemon.accept(world.mail(textEntity('for three destinations')));
    const record = await daemon.reaches(id, 'delivered');
    assert.equal(record.partner, 'partner');

    const verdict = verdictIn(daemon.delivered(id));
    assert.deepEqual(
      [verdict.verdict ?? verdict].map(({ status, encrypted, signature, integrity }) => [
        status,
        encrypted,
        signature,
        integrity,
      ]),
      [['ok', true, 'valid', 'signed']],
    );
    assert.match(readFileSync(join(daemon.delivered(id), 'message.eml'), 'utf8'), /for three destinations/);

    assert.equal(hook.posted.length, 3, 'twice refused, then taken');
    const [first, , third] = hook.posted;
    assert.ok(first && third);
    assert.equal(first.headers['idempotency-key'], third.headers['idempotency-key']);
    assert.match(String(third.headers['sealpost-signature']), /^t=\d+,v1=[0-9a-f]{64}$/);
    const document = JSON.parse(third.body);
    assertDocument('handoff', document);
    assert.deepEqual([document.id, document.mailbox], [id, 'orders']);
    assert.match(Buffer.from(document.message.data, 'base64').toString(), /for three destinations/);

    const connection = daemon.queue.connect('own-worker');
    const taken = Promise.withResolvers<string>();
    // The operator's own worker, as he would write it.
    const blocking = connection.duplicate({ maxRetriesPerRequest: null });
    const worker = new Worker('own-work', async ({ data }) => taken.resolve(data.id), {
      connection: blocking,
      prefix: '{own}',
    });
    assert.equal(await taken.promise, id);
    await worker.close();
    blocking.disconnect();
    connection.disconnect();
  });

  it('brings IMAP mail to a directory and moves it', async () => {
    const client = await dovecot.client();
    await client.append('INBOX', world.mail(textEntity('over IMAP')));
    const record = await daemon.waitFor('the mail of the mailbox is delivered', async () => {
      const { messages } = await daemon.queue.ledger.list({ mailbox: 'polled', state: 'delivered' });
      return messages[0];
    });
    assert.equal(record.origin.kind, 'imap');
    assert.match(readFileSync(join(daemon.delivered(record.id), 'message.eml'), 'utf8'), /over IMAP/);
    await daemon.waitFor('it was moved', async () => {
      // the separator of folders is the server's
      const folder = (await client.list()).find(({ path }) => /^Sealpost.Processed$/.test(path));
      if (folder === undefined) return false;
      const status = await client.status(folder.path, { messages: true });
      return status !== false && status.messages === 1;
    });
  });

  it('reads an IMAP folder when a person says so, and not while the mailbox is paused', async () => {
    const act = async (what: string) => {
      const { code, stderr } = await daemon.command(['mailboxes', what, 'by-hand']);
      assert.equal(code, 0, stderr);
    };
    const listed = async () => {
      const { stdout } = await daemon.command(['mailboxes', 'list', '--json']);
      return JSON.parse(`${stdout}`).find(({ name }: { name: string }) => name === 'by-hand');
    };
    const append = async (text: string) => {
      await client.append('Other', world.mail(textEntity(text)));
    };
    const delivered = async () =>
      (await daemon.queue.ledger.list({ mailbox: 'by-hand', state: 'delivered' })).messages.length;
    const client = await dovecot.client();
    await daemon.waitFor('the folder has been read', async () => (await listed()).folder?.state === 'idle');
    await append('polled at once');
    await act('poll');
    await daemon.waitFor('it is delivered', async () => (await delivered()) === 1);

    await act('pause');
    const { lastScan } = await daemon.waitFor('the poller knows', async () => {
      const { folder } = await listed();
      return folder?.state === 'paused' && folder;
    });
    await append('while it is paused');
    await act('poll');
    // The state is written anew when it changes: it did not.
    const { state, paused, folder } = await listed();
    assert.deepEqual(
      [state, paused !== null, folder.state, folder.lastScan],
      ['paused', true, 'paused', lastScan],
    );
    assert.equal(await delivered(), 1);
    const status = await client.status('Other', { messages: true });
    assert.equal(status !== false && status.messages, 1, 'it is where it was');

    await act('resume');
    await daemon.waitFor('it is delivered', async () => (await delivered()) === 2);
    await append('and nobody looks');
    await act('poll');
    await daemon.waitFor('it is delivered', async () => (await delivered()) === 3);
    await client.logout();
  });

  it('keeps what the policy refuses, with the reason', async () => {
    for (const [how, reason] of [
      [{ to: false }, 'policy-refused'],
      [{ signer: false }, 'policy-refused'],
    ] as const) {
      const id = await daemon.accept(world.mail(textEntity('not as agreed'), how));
      assert.equal((await daemon.reaches(id, 'suspended', 'delivered')).reason, reason);
    }
  });

  it('signs and encrypts what goes out, and openssl on the other side reads it', async () => {
    const id = await sent('partner', 'an answer in secret');
    const mail = await arrived('an answer in secret');
    const record = await daemon.reaches(id, 'sent');
    assert.match(reply(record), /"code":"250"/);
    assert.match(mail.toString(), /^To: <edi@partner\.example>\r?$/m);
    assert.match(mail.toString(), /^Message-ID: </im);
    assert.doesNotMatch(mail.toString(), /in secret/);
  });

  it('uses SHA-1 and 3DES for a partner who is allowed to be weak', async () => {
    const id = await sent('signs-sha1', 'in the old way');
    const record = await daemon.reaches(id, 'sent', 'suspended');
    assert.equal(record.state, 'sent', reply(record));
    const mail = await arrived('in the old way');
    assert.match(openssl(['cms', '-cmsout', '-print', '-noout'], mail).toString(), /des-ede3-cbc/);
  });

  it('tries again while the partner is down, and sends when he is up', async () => {
    door.leadTo(undefined);
    const id = await sent('shaky', 'after a while');
    await daemon.waitFor('two attempts failed', async () => {
      const record = await daemon.queue.ledger.get(id);
      return (record?.events.filter(({ type }) => type === 'retried').length ?? 0) >= 2;
    });
    door.leadTo(sink.port);
    const record = await daemon.reaches(id, 'sent', 'suspended');
    assert.equal(record.state, 'sent', reply(record));
    assert.match(reply(record), /"reason":"send-failed"/);
    await arrived('after a while');
  });

  it('suspends what the partner refuses, with his reply; sends it when resumed', async () => {
    door.leadTo(refusing.port);
    const id = await sent('shaky', 'refused at first');
    const record = await daemon.reaches(id, 'suspended', 'sent');
    assert.deepEqual([record.state, record.reason], ['suspended', 'send-refused']);
    assert.match(reply(record), /5\.7\.1 we do not know you/);
    const shown = await daemon.command(['messages', 'show', id]);
    assert.match(shown.stdout.toString(), /reason +send-refused/);
    assert.match(shown.stdout.toString(), /reply=550 5\.7\.1 we do not know you/);

    door.leadTo(sink.port);
    const resumed = await daemon.command(['messages', 'resume', id]);
    assert.deepEqual([resumed.code, resumed.stdout.toString()], [0, `${id}\n`]);
    await daemon.reaches(id, 'sent');
    await arrived('refused at first');
    const again = await daemon.command(['messages', 'resume', id]);
    assert.equal(again.code, 1);
    assert.match(again.stderr, /is not suspended/);
  });

  describe('sealpost messages', () => {
    it('lists, filters and shows', async () => {
      const all = await daemon.command(['messages', 'list', '--json']);
      const { messages }: { messages: MessageRecord[] } = JSON.parse(all.stdout.toString());
      assert.ok(messages.length >= 5);
      const suspended = await daemon.command(['messages', 'list', '--json', '--state', 'suspended']);
      const { messages: found }: { messages: MessageRecord[] } = JSON.parse(suspended.stdout.toString());
      assert.deepEqual(
        found.map(({ id }) => id),
        messages.filter(({ state }) => state === 'suspended').map(({ id }) => id),
      );
      const lines = await daemon.command(['messages', 'list', '--mailbox', 'polled']);
      assert.match(
        lines.stdout.toString(),
        /^ID +TIME .*\ni[0-9a-f]+ {2}\S+ \S+ {2}in +delivered +\S+ +polled .*\n$/,
      );
    });

    it('terminates, with a reason that stays', async () => {
      const { messages } = await daemon.queue.ledger.list({ state: 'suspended' });
      const [message] = messages;
      assert.ok(message);
      const without = await daemon.command(['messages', 'terminate', message.id]);
      assert.equal(without.code, 2, 'a reason is needed');
      const { code } = await daemon.command(['messages', 'terminate', message.id, '--why', 'of no use']);
      assert.equal(code, 0);
      const record = await daemon.reaches(message.id, 'terminated');
      assert.match(reply(record), /of no use/);
      const resumed = await daemon.command(['messages', 'resume', message.id]);
      assert.equal(resumed.code, 1);
    });

    it('reports an unknown message, and usage errors', async () => {
      for (const args of [
        ['show', 'nonsense'],
        ['resume', 'nonsense'],
        ['terminate', 'nonsense', '--why', 'x'],
      ]) {
        const { code, stderr } = await daemon.command(['messages', ...args]);
        assert.equal(code, 1);
        assert.match(stderr, /^sealpost: there is no message nonsense.* \[message-unknown\]\n/);
      }
      const wrong = await daemon.command(['messages', 'list', '--state', 'lost']);
      assert.equal(wrong.code, 2);
      assert.match(wrong.stderr, /unknown state "lost" \[usage\]\nhint: states are received, /);
    });
  });

  it('sealpost health names the roles that are alive', async () => {
    const { code, stdout } = await daemon.command(['health', '--json', '--role', 'receive']);
    assert.equal(code, 0);
    const { alive, messages } = JSON.parse(stdout.toString());
    const roles = alive.map(({ role, pid }: { role: string; pid: number }) => ({ role, pid }));
    assert.deepEqual(
      roles.sort((a: { pid: number }, b: { pid: number }) => a.pid - b.pid),
      daemon.roles().sort((a, b) => a.pid - b.pid),
    );
    assert.ok(messages.delivered >= 2);
    const http = await daemon.command(['health', '--role', 'http']);
    assert.equal(http.code, 1);
    assert.match(http.stderr, /^sealpost: http is not alive/);
    const words = await daemon.command(['health']);
    assert.match(words.stdout.toString(), /^alive {2}decrypt /m);
    assert.match(words.stdout.toString(), /^queue {2}outbound +0 waiting/m);
  });

  it('sealpost send refuses what cannot be sent, and says why', async () => {
    const file = world.file('out.eml', 'Subject: x\r\n\r\nx\r\n');
    for (const [args, code, wanted] of [
      [
        ['--partner', 'nobody', file],
        1,
        /there is no partner "nobody" \[partner-unknown\]\nhint: partners are partner/,
      ],
      [['--partner', 'partner', '/nonexistent'], 1, /there is no such file \[file-access\]/],
      [['--partner', 'partner', world.file('empty.eml', '')], 1, /\[message-empty\]/],
      [
        ['--partner', 'partner', world.file('bare.eml', 'no header at all\n\nx\n')],
        1,
        /\[mime-malformed\]\nhint: /,
      ],
      [[file], 2, /nobody to send to/],
    ] as const) {
      const ran = await daemon.command(['send', ...args]);
      assert.equal(ran.code, code, ran.stderr);
      assert.match(ran.stderr, wanted);
    }
    const elsewhere = await sealpost([
      'send',
      '--partner',
      'partner',
      '--config',
      world.file(
        'off.yaml',
        `${readFileSync(daemon.configFile, 'utf8').replace(/^dataDir: .*$/m, 'dataDir: off')}`,
      ),
      file,
    ]);
    assert.equal(elsewhere.code, 1);
    assert.match(
      elsewhere.stderr,
      /^sealpost: the daemon is not running.* \[redis-unreachable\]\nhint: start it/m,
    );
  });

  it('logs no password, no secret and no content', () => {
    const log = daemon.log();
    assert.match(log, /"msg":"message accepted"/);
    for (const secret of [
      dovecot.password,
      'a secret of the web hook',
      'for three destinations',
      'in secret',
    ])
      assert.equal(log.includes(secret), false, secret);
    assert.doesNotMatch(log, /PRIVATE KEY|Received:|Subject:/);
  });

  it('leaves nothing in the spool when all is done', async () => {
    const { messages } = await daemon.queue.ledger.list({ state: 'suspended' });
    for (const { id } of messages)
      await daemon.command(['messages', 'terminate', id, '--why', 'the end of the test']);
    await daemon.waitFor('the queues are empty', async () => {
      const depth = Object.values(await daemon.queue.queues.depth());
      return depth.every(({ waiting, active, delayed }) => waiting + active + delayed === 0);
    });
    const spool = join(daemon.dataDir, 'spool');
    assert.deepEqual(existsSync(spool) ? readdirSync(spool) : [], []);
  });
});
