import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { SMTPServer, type SMTPServerOptions } from 'smtp-server';
import type { PartnerConfig } from '../../src/config/schema.ts';
import { createLog, type Log } from '../../src/log.ts';
import { sendResults } from '../../src/smtp/metrics.ts';
import { createSender } from '../../src/smtp/send.ts';
import type { Sender, SenderParts } from '../../src/smtp/sender.ts';
import { until } from '../support/net.ts';
import { skipWithoutPostfix, startSink } from '../support/postfix.ts';
import { MemoryIntake, sentAs, startReceiver } from '../support/smtp.ts';
import { makeTlsFiles, type TlsFiles } from '../support/tls.ts';

const mail = Buffer.from('Subject: test\r\n\r\n.dot\r\n..dots\r\nend\r\n');
const envelope = { from: 'us@example.org', to: ['orders@example.com'] };

const senders: Sender[] = [];
after(() => {
  for (const { close } of senders) close();
});

/** Sends, and says the outcome in the words of SMTP. */
const toldBy = ({ send, close }: Sender) => ({
  send: async (...args: Parameters<Sender['send']>) => sentAs(await send(...args)),
  close,
});

function sender(route: Partial<PartnerConfig['route']>, parts: Partial<SenderParts> = {}) {
  const complete = { host: '127.0.0.1', port: 25, tls: 'none' as const, connections: 5, ...route };
  const made = createSender({
    route: complete,
    readSecret: () => 'secret',
    name: 'us.example.org',
    ...parts,
  });
  senders.push(made);
  return toldBy(made);
}

function message(octets: Buffer = mail, to = envelope.to) {
  async function* pieces() {
    for (let at = 0; at < octets.length; at += 1000) yield octets.subarray(at, at + 1000);
  }
  return { envelope: { ...envelope, to }, octets: pieces };
}

/** A server that says what it is told; smtp-server's own listening part. */
async function scripted(options: SMTPServerOptions): Promise<{ port: number; stop: () => void }> {
  const server = new SMTPServer({
    disableReverseLookup: true,
    logger: false,
    hideSTARTTLS: true,
    disabledCommands: ['AUTH'],
    ...options,
  });
  server.on('error', () => {});
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { port: portOf(server.server), stop: () => server.close() };
}

/** A server of single lines, for what no library does: `script` answers each line, DATA included. */
async function typed(script: (line: string, socket: Socket) => string | undefined) {
  const server = createServer((socket) => {
    let buffer = '';
    socket.on('error', () => {});
    socket.write('220 typed\r\n');
    socket.on('data', (chunk) => {
      buffer += chunk.toString('latin1');
      for (;;) {
        const end = buffer.indexOf('\r\n');
        if (end < 0) return;
        const answer = script(buffer.slice(0, end), socket);
        buffer = buffer.slice(end + 2);
        if (answer !== undefined) socket.write(`${answer}\r\n`);
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { port: portOf(server), stop: () => server.close() };
}

function portOf(server: Server): number {
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  return address.port;
}

function replyWith(responseCode: number, text: string): Error {
  return Object.assign(new Error(text), { responseCode });
}

/** Recipients to which mail was sent, for which it was deferred, and refused. */
async function results(): Promise<number[]> {
  const { values } = await sendResults.get();
  return ['sent', 'deferred', 'refused'].map(
    (status) => values.find(({ labels }) => labels.status === status)?.value ?? 0,
  );
}

describe('smtp sender', () => {
  it('sends exactly the octets, dots and all, over kept connections', async () => {
    const { receiver, intake, ports } = await startReceiver();
    const large = Buffer.from(
      `${Array.from({ length: 5000 }, () => `.${randomBytes(40).toString('base64')}`).join('\r\n')}\r\n`,
    );
    const { send, close } = sender({ port: ports[0] ?? 0 });
    for (const octets of [mail, large, mail]) {
      const result = await send(message(octets));
      assert.equal(result.status, 'sent', result.reply);
      assert.match(result.reply, /^250 2\.0\.0 Ok: queued as orders-/);
      assert.deepEqual([result.host, result.possibleDuplicate], ['127.0.0.1', false]);
      assert.ok(intake.stored.at(-1)?.octets.equals(octets));
    }
    assert.deepEqual(intake.stored[0]?.entries[0]?.envelope, envelope);
    close();
    await receiver.close(1000);
  });

  it('logs the dialogue of a route at level debug, and nothing of what is sent', async () => {
    const { receiver, ports } = await startReceiver();
    const lines: { partner: string; direction: string; line: string }[] = [];
    const log: Log = Object.assign(createLog('silent', 'test'), {
      level: 'info',
      debug: (fields: (typeof lines)[number]) => lines.push(fields),
    });
    const send = async () => {
      const dialogue = { log, about: { partner: 'acme' } };
      const made = sender({ port: ports[0] ?? 0 }, { dialogue });
      const { status } = await made.send(message(Buffer.from('Subject: marker\r\n\r\nmarker\r\n')));
      assert.equal(status, 'sent');
      made.close();
    };
    await send();
    assert.deepEqual(lines, []);
    log.level = 'debug';
    await send();
    const said = lines.map(({ direction, line }) => `${direction} ${line}`);
    for (const expected of [
      /^< 220 /,
      /^> EHLO us\.example\.org$/,
      /^> MAIL FROM:/,
      /^> DATA$/,
      /^< 250 2\.0\.0 Ok/,
    ])
      assert.ok(
        said.some((each) => expected.test(each)),
        `${expected} in ${said.join('\n')}`,
      );
    assert.ok(lines.every(({ partner }) => partner === 'acme'));
    assert.doesNotMatch(JSON.stringify(lines), /marker/);
    await receiver.close(1000);
  });

  it('sends to smtp-sink, many at once', { skip: skipWithoutPostfix() }, async () => {
    const sink = await startSink(['-m', '3']);
    const { send, close } = sender({ port: sink.port, connections: 3 });
    const results = await Promise.all(Array.from({ length: 50 }, () => send(message())));
    assert.ok(results.every(({ status }) => status === 'sent'));
    close();
    const messages = await sink.messages();
    assert.equal(messages.length, 50);
    const unixLines = mail.toString().replaceAll('\r\n', '\n');
    for (const octets of messages) assert.equal(octets.toString().trimEnd(), unixLines.trimEnd());
    await sink.stop();
  });

  it('suspends for an address that holds more than an address, and calls nobody', async () => {
    const { send } = sender({ port: 1 });
    const wrong = [
      ...['a@x.example\r\nRCPT TO:<z@z.example>', 'a@x.example> SIZE=1', 'no domain', ''].map((to) =>
        message(mail, [to]),
      ),
      { ...message(), envelope: { from: 'a\n@b.example', to: envelope.to } },
      message(mail, []),
    ];
    for (const each of wrong) {
      const { outcome } = await send(each);
      assert.ok('suspend' in outcome && outcome.suspend === 'address-invalid', JSON.stringify(outcome));
      assert.ok(outcome.facts?.message && outcome.peer === undefined);
    }
  });

  it('defers on 4xx and network errors, and is refused on 5xx, with the reply', async () => {
    for (const [code, status] of [
      [451, 'deferred'],
      [421, 'deferred'],
      [550, 'refused'],
      [554, 'refused'],
    ] as const) {
      for (const stage of ['onMailFrom', 'onRcptTo', 'onData'] as const) {
        const server = await scripted({
          onData: (stream, _session, done) =>
            stream
              .resume()
              .on('end', () => (stage === 'onData' ? done(replyWith(code, 'at the end')) : done())),
          ...(stage !== 'onData' && {
            [stage]: (_a: unknown, _s: unknown, done: (e: Error) => void) => done(replyWith(code, 'no')),
          }),
        });
        const { send, close } = sender({ port: server.port });
        const result = await send(message());
        assert.deepEqual([result.status, result.code], [status, code], `${code} ${stage}`);
        assert.match(result.reply, new RegExp(`^${code} `));
        assert.equal(result.possibleDuplicate, false);
        const { outcome } = result;
        assert.ok(!('done' in outcome));
        // what was said, as far as it went; the message itself is no part of it
        const { dialogue = [] } = outcome;
        assert.ok(dialogue.includes('> EHLO us.example.org'), dialogue.join('\n'));
        assert.ok(
          dialogue.some((line) => line.startsWith(`< ${code}`)),
          dialogue.join('\n'),
        );
        if (stage === 'onData') assert.ok(dialogue.includes('> DATA'), dialogue.join('\n'));
        assert.doesNotMatch(dialogue.join('\n'), /Subject|dots/);
        assert.equal(outcome.facts?.dialogue, undefined);
        close();
        server.stop();
      }
    }
    const result = await sender({ port: 1 }).send(message());
    assert.deepEqual([result.status, result.code, result.possibleDuplicate], ['deferred', null, false]);
    assert.match(result.reply, /ECONNREFUSED/);
  });

  it('says the worst of its recipients, and counts each', async () => {
    const server = await scripted({
      onRcptTo: ({ address }, _session, done) => {
        if (address.startsWith('no')) done(replyWith(550, 'unknown'));
        else if (address.startsWith('later')) done(replyWith(450, 'busy'));
        else done();
      },
      onData: (stream, _session, done) => stream.resume().on('end', () => done()),
    });
    const { send, close } = sender({ port: server.port });
    for (const [to, status, code, counts] of [
      [['yes@a.example', 'no@a.example', 'later@a.example'], 'deferred', 450, [1, 1, 1]],
      [['no@a.example', 'later@a.example'], 'deferred', 450, [0, 1, 1]],
      [['yes@a.example', 'no@a.example'], 'refused', 550, [1, 0, 1]],
      [['yes@a.example', 'you@a.example'], 'sent', 250, [2, 0, 0]],
    ] as const) {
      const before = await results();
      const result = await send(message(mail, [...to]));
      assert.deepEqual([result.status, result.code], [status, code], to.join());
      assert.deepEqual(
        (await results()).map((count, at) => count - (before[at] ?? 0)),
        counts,
        to.join(),
      );
      if (!('done' in result.outcome)) assert.equal(result.outcome.peer, 'works');
    }
    close();
    server.stop();
  });

  it('tells a possible duplicate: the connection is lost after the final dot, not before it', async () => {
    let data = false;
    let cutAt = '.';
    const server = await typed((line, socket) => {
      if (data) {
        if (line === cutAt) socket.destroy();
        return undefined;
      }
      if (line === 'DATA') data = true;
      return line === 'DATA' ? '354 go' : '250 ok';
    });
    const { send } = sender({ port: server.port });
    const after = await send(message());
    assert.deepEqual([after.status, after.possibleDuplicate], ['deferred', true]);
    data = false;
    cutAt = 'first';
    const endless = Buffer.from(`first\r\n${`${'x'.repeat(70)}\r\n`.repeat(110_000)}`);
    const before = await send(message(endless));
    assert.deepEqual([before.status, before.possibleDuplicate], ['deferred', false]);
    server.stop();
  });

  it('tells a possible duplicate of one domain beside another that has refused or taken it', async () => {
    let data = false;
    let lost = '';
    const server = await typed((line, socket) => {
      if (data && line === '.') {
        data = false;
        if (lost === 'now') socket.destroy();
        return '250 taken';
      }
      if (data) return undefined;
      if (line.startsWith('RCPT')) lost = line.includes('lost.example') ? 'now' : '';
      data = line === 'DATA';
      return data ? '354 go' : '250 ok';
    });
    const made = createSender({
      route: { port: server.port, tls: 'none', connections: 5 },
      readSecret: () => '',
      name: 'us.example.org',
      resolver: async () => [{ exchange: '127.0.0.1', priority: 1 }],
    });
    senders.push(made);
    for (const [to, possibleDuplicate] of [
      [['a@lost.example', 'b@taken.example'], true],
      [['b@taken.example', 'a@lost.example'], true],
      [['a@one.example', 'b@taken.example'], false],
    ] as const) {
      const result = await toldBy(made).send(message(mail, [...to]));
      assert.equal(result.possibleDuplicate, possibleDuplicate, to.join());
    }
    server.stop();
  });

  it('keeps no connection that comes back after its end, and none after a hundred messages', async () => {
    const quits: string[] = [];
    const opened: string[] = [];
    let data = false;
    let hold = Promise.withResolvers<void>();
    const server = await typed((line, socket) => {
      if (line.startsWith('EHLO')) opened.push(line);
      if (line === 'QUIT') quits.push(line);
      if (data && line === '.') {
        data = false;
        void hold.promise.then(() => socket.write('250 taken\r\n'));
        return undefined;
      }
      if (data) return undefined;
      data = line === 'DATA';
      return data ? '354 go' : '250 ok';
    });
    const { send, close } = sender({ port: server.port });
    hold.resolve();
    for (let count = 0; count < 100; count++) assert.equal((await send(message())).status, 'sent');
    assert.equal(opened.length, 1);
    await until('the hundredth message ends the connection', () => quits.length === 1);
    hold = Promise.withResolvers();
    const last = send(message());
    await until('the server has it', () => opened.length === 2 && !data);
    close();
    hold.resolve();
    assert.equal((await last).status, 'sent');
    await until('the connection is ended', () => quits.length === 2);
    server.stop();
  });

  it('sends nothing of a message whose octets break off', async () => {
    const { receiver, intake, ports } = await startReceiver();
    const { send, close } = sender({ port: ports[0] ?? 0 });
    const result = await send({
      ...message(),
      octets: async function* () {
        yield mail;
        throw new Error('gone');
      },
    });
    assert.deepEqual([result.status, result.possibleDuplicate], ['deferred', false]);
    close();
    await receiver.close(1000);
    assert.deepEqual([intake.stored.length, intake.open], [0, 0]);
  });

  it('takes a new connection when the server has closed the kept one', async () => {
    const sockets: Socket[] = [];
    let data = false;
    const server = await typed((line, socket) => {
      sockets.push(socket);
      if (data) {
        data = line !== '.';
        return data ? undefined : '250 taken';
      }
      data = line === 'DATA';
      return data ? '354 go' : '250 ok';
    });
    const { send, close } = sender({ port: server.port });
    let made = 0;
    const counted = () => {
      const { octets, ...rest } = message();
      return {
        ...rest,
        octets: () => {
          made += 1;
          return octets();
        },
      };
    };
    assert.equal((await send(counted())).status, 'sent');
    sockets.at(-1)?.destroy();
    assert.equal((await send(counted())).status, 'sent');
    assert.equal(made, 2, 'each was signed and encrypted once');
    close();
    server.stop();
  });

  it('makes the next message while the only connection is busy, and each of them once', async () => {
    const [began, release] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const server = await scripted({
      onData: (stream, _session, done) => {
        began.resolve();
        stream.resume().on('end', () => void release.promise.then(() => done()));
      },
    });
    const { send, close } = sender({ port: server.port, connections: 1 });
    const first = send(message());
    await began.promise;
    let made = 0;
    const { octets, ...rest } = message();
    const second = send({
      ...rest,
      octets: () => {
        made += 1;
        return octets();
      },
    });
    await until('the second one is made', () => made === 1);
    release.resolve();
    assert.deepEqual([(await first).status, (await second).status, made], ['sent', 'sent', 1]);
    close();
    server.stop();
  });

  it('asks before each connection and transaction whether a message may still leave', async () => {
    const [began, release] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    let [connections, taken] = [0, 0];
    const server = await scripted({
      onConnect: (_session, done) => {
        connections += 1;
        done();
      },
      onData: (stream, _session, done) => {
        taken += 1;
        began.resolve();
        stream.resume().on('end', () => void release.promise.then(() => done()));
      },
    });
    const made = createSender({
      route: { host: '127.0.0.1', port: server.port, tls: 'none', connections: 1 },
      ...{ readSecret: () => '', name: 'us.example.org' },
    });
    const expired = { suspend: 'expired', facts: { notAfter: 'then' } } as const;
    const first = made.send(message());
    await began.promise;
    let over = false;
    const second = made.send({ ...message(), held: () => (over ? expired : undefined) });
    over = true;
    release.resolve();
    assert.ok('done' in (await first));
    assert.deepEqual(await second, { ...expired, peer: undefined });
    assert.equal(taken, 1, 'it waited for the connection, and nobody was asked');
    made.close();

    // Time passes while the connection is opened.
    const asked = connections;
    let questions = 0;
    const early = { retry: 'not-yet', untried: true, after: 1000 } as const;
    const other = createSender({
      route: { host: '127.0.0.1', port: server.port, tls: 'none', connections: 1 },
      ...{ readSecret: () => '', name: 'us.example.org' },
    });
    const held = () => (++questions > 1 ? early : undefined);
    assert.deepEqual(await other.send({ ...message(), held }), { ...early, peer: undefined });
    assert.deepEqual([connections, taken], [asked + 1, 1]);
    assert.ok('done' in (await other.send(message())), 'the connection is kept');
    assert.equal(connections, asked + 1);
    other.close();
    server.stop();
  });

  it('sends nothing twice by itself when a kept connection breaks in the middle of a message', async () => {
    let begun = 0;
    let data = false;
    const server = await typed((line, socket) => {
      if (data) {
        if (begun === 2) socket.destroy();
        data = line !== '.';
        return data ? undefined : '250 taken';
      }
      data = line === 'DATA';
      if (data) begun += 1;
      return data ? '354 go' : '250 ok';
    });
    const { send, close } = sender({ port: server.port });
    assert.equal((await send(message())).status, 'sent');
    assert.equal((await send(message())).status, 'deferred');
    assert.equal(begun, 2);
    close();
    server.stop();
  });

  it('stops when it is told to', async () => {
    const server = await typed((line) => (line.startsWith('EHLO') ? '250 ok' : undefined));
    const abort = new AbortController();
    const { send } = sender({ port: server.port });
    setTimeout(() => abort.abort(), 100);
    const result = await send(message(), abort.signal);
    assert.deepEqual([result.status, result.possibleDuplicate], ['deferred', false]);
    server.stop();
  });

  it('needs SMTPUTF8 for a non-ASCII local part, but not for a domain', async () => {
    const seen: string[] = [];
    const server = await scripted({
      hideSMTPUTF8: true,
      onRcptTo: ({ address }, _s, done) => {
        seen.push(address);
        done();
      },
      onData: (stream, _s, done) => stream.resume().on('end', () => done()),
    });
    const { send, close } = sender({ port: server.port });
    const result = await send(message(mail, ['jörg@a.example']));
    assert.deepEqual([result.status, seen.length], ['refused', 0]);
    assert.equal((await send(message(mail, ['joerg@bücher.example']))).status, 'sent');
    assert.equal(seen.length, 1);
    close();
    server.stop();
  });

  it('refuses a message that the server has announced to be too large for it', async () => {
    const server = await scripted({ size: 1000 });
    const { send, close } = sender({ port: server.port });
    const result = await send(message(Buffer.alloc(5000, 'x')));
    assert.equal(result.status, 'refused');
    close();
    server.stop();
  });
});

describe('smtp sender: TLS', () => {
  let files: TlsFiles;
  before(async () => {
    files = await makeTlsFiles();
  });
  after(() => files.remove());

  const tlsServer = (options: SMTPServerOptions = {}) =>
    scripted({
      cert: files.pem,
      key: readFileSync(files.key),
      hideSTARTTLS: false,
      disabledCommands: [],
      authOptional: true,
      onData: (stream, session, done) =>
        stream.resume().on('end', () => done(null, session.secure ? 'secure' : 'clear')),
      ...options,
    });

  it('upgrades with the CA of the route, and not with another', async () => {
    const server = await tlsServer();
    const good = await sender({ port: server.port, tls: 'required', ca: files.cert }).send(message());
    assert.deepEqual([good.status, good.reply], ['sent', '250 secure']);
    const bad = await sender({ port: server.port, tls: 'required' }).send(message());
    assert.deepEqual([bad.status, bad.code], ['deferred', null]);
    assert.match(bad.reply, /self.signed/i);
    server.stop();
  });

  it('sends nothing when TLS is required and not offered, and says so', async () => {
    const lines: string[] = [];
    const server = await typed((line) => {
      lines.push(line);
      return line === 'STARTTLS' ? '502 no' : '250 ok';
    });
    const result = await sender({
      port: server.port,
      tls: 'required',
      user: 'u',
      password: { env: 'X' },
    }).send(message());
    assert.deepEqual(
      [result.status, result.reply],
      ['deferred', 'TLS is required by the route but 127.0.0.1 does not offer STARTTLS'],
    );
    assert.ok(lines.every((line) => !/^(MAIL|AUTH)/.test(line)));
    server.stop();
  });

  it('speaks TLS from the first octet', async () => {
    const server = await tlsServer({ secure: true });
    const result = await sender({ port: server.port, tls: 'implicit', ca: files.cert }).send(message());
    assert.equal(result.reply, '250 secure');
    server.stop();
  });

  it('takes TLS where it is offered and goes without where it is not', async () => {
    for (const [hideSTARTTLS, reply] of [
      [false, '250 secure'],
      [true, '250 clear'],
    ] as const) {
      const server = await tlsServer({ hideSTARTTLS, disabledCommands: hideSTARTTLS ? ['STARTTLS'] : [] });
      const result = await sender({ port: server.port, tls: 'opportunistic' }).send(message());
      assert.equal(result.reply, reply);
      server.stop();
    }
  });

  it('logs in over TLS; a refused login says nothing about the message', async () => {
    const server = await tlsServer({
      authOptional: false,
      onAuth: ({ username, password }, _s, done) =>
        username === 'us' && password === 'secret' ? done(null, { user: 'us' }) : done(new Error('no')),
    });
    const route = { port: server.port, tls: 'required' as const, ca: files.cert, password: { env: 'X' } };
    assert.equal((await sender({ ...route, user: 'us' }).send(message())).status, 'sent');
    const bad = await sender({ ...route, user: 'them' }).send(message());
    assert.deepEqual([bad.status, bad.code], ['deferred', 535]);
    assert.ok(!('done' in bad.outcome));
    const said = (bad.outcome.dialogue ?? []).join('\n');
    assert.match(said, /^> AUTH \S+ \*\*\*\n< 535 /m);
    for (const form of ['secret', Buffer.from('\0them\0secret').toString('base64')])
      assert.ok(!said.includes(form), said);
    server.stop();
  });
});

describe('smtp sender: a login without TLS', () => {
  it('goes to this machine in clear, and to no other name or address', async () => {
    const logins: string[] = [];
    const server = await scripted({
      disabledCommands: [],
      authOptional: true,
      allowInsecureAuth: true,
      onAuth: ({ username }, _session, done) => {
        logins.push(username ?? '');
        done(null, { user: 'us' });
      },
      onData: (stream, _session, done) => stream.resume().on('end', () => done()),
    });
    const route = { port: server.port, tls: 'none' as const, user: 'us', password: { env: 'X' } };
    assert.equal((await sender({ ...route, host: '127.0.0.1' }).send(message())).status, 'sent');
    assert.deepEqual(logins, ['us']);
    // Linux takes it for this machine, but nothing says so: as good as any other address
    const other = await sender({ ...route, host: '0.0.0.0' }).send(message());
    assert.equal(other.status, 'deferred');
    assert.match(other.reply, /not sent in clear text/);
    assert.deepEqual(logins, ['us']);
    server.stop();
  });
});

describe('smtp sender: MX', () => {
  const failing = (code: string) => async () => {
    throw Object.assign(new Error(code), { code });
  };
  const mx = (port: number, parts: Partial<SenderParts>) =>
    toldBy(
      createSender({
        route: { port, tls: 'none', connections: 5 },
        readSecret: () => '',
        name: 'us.example.org',
        ...parts,
      }),
    );

  it('tries the next host when the first cannot be reached', async () => {
    const { receiver, intake, ports } = await startReceiver();
    const { send, close } = mx(ports[0] ?? 0, {
      resolver: async (domain) => {
        assert.equal(domain, 'example.com');
        return [
          { exchange: '127.0.0.1', priority: 20 },
          { exchange: '127.0.0.9', priority: 10 },
        ];
      },
    });
    const result = await send(message());
    assert.deepEqual([result.status, result.host], ['sent', '127.0.0.1']);
    assert.equal(intake.stored.length, 1);
    close();
    await receiver.close(1000);
  });

  it('takes the domain itself without MX, refuses for a null MX or no domain, defers when DNS is down', async () => {
    const { receiver, ports } = await startReceiver();
    const cases: [NonNullable<SenderParts['resolver']>, string[], string, RegExp][] = [
      [failing('ENODATA'), ['orders@[127.0.0.1]'], 'refused', /550 5\.1\.1/],
      [failing('ENODATA'), ['orders@localhost'], 'refused', /550 5\.1\.1/],
      [async () => [{ exchange: '', priority: 0 }], envelope.to, 'refused', /null MX/],
      [failing('ENOTFOUND'), envelope.to, 'refused', /does not exist/],
      [failing('ESERVFAIL'), envelope.to, 'deferred', /DNS/],
    ];
    for (const [resolver, to, status, reply] of cases) {
      const { send, close } = mx(ports[0] ?? 0, { resolver });
      const result = await send(message(mail, to));
      assert.equal(result.status, status, result.reply);
      assert.match(result.reply, reply);
      close();
    }
    await receiver.close(1000);
  });

  it('says that a route works when the server of one domain does, and that it is down when none does', async () => {
    const { receiver, ports } = await startReceiver();
    const { send, close } = mx(ports[0] ?? 0, {
      resolver: async (domain) => [
        { exchange: domain === 'example.com' ? '127.0.0.1' : '127.0.0.9', priority: 1 },
      ],
    });
    const works = ['orders@example.com'];
    const dead = ['x@invoices.example', 'y@gone.example'];
    for (const [to, peer] of [
      [works, 'works'],
      [[...works, ...dead], 'works'],
      [[...dead, ...works], 'works'],
      [dead, 'down'],
    ] as const)
      assert.equal((await send(message(mail, [...to]))).peer, peer, to.join());
    close();
    await receiver.close(1000);
  });

  it('sends to each domain by itself', async () => {
    const intake = new MemoryIntake();
    const { receiver, ports } = await startReceiver({}, { intake });
    const { send, close } = mx(ports[0] ?? 0, {
      resolver: async (domain) => {
        if (domain === 'gone.example') throw Object.assign(new Error(), { code: 'ENOTFOUND' });
        return [{ exchange: '127.0.0.1', priority: 1 }];
      },
    });
    const before = await results();
    const result = await send(message(mail, ['orders@example.com', 'x@invoices.example', 'y@gone.example']));
    assert.deepEqual([result.status, result.host], ['refused', '127.0.0.1']);
    assert.deepEqual(
      (await results()).map((count, at) => count - (before[at] ?? 0)),
      [2, 0, 1],
    );
    assert.deepEqual(
      intake.stored.map(({ entries }) => entries[0]?.mailbox),
      ['orders', 'invoices'],
    );
    close();
    await receiver.close(1000);
  });
});
