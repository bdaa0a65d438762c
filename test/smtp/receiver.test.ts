import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { SealpostError } from '../../src/errors.ts';
import { until } from '../support/net.ts';
import { skipWithoutPostfix, smtpSource } from '../support/postfix.ts';
import { RawClient, startReceiver, type TestReceiver } from '../support/smtp.ts';
import { makeTlsFiles, type TlsFiles } from '../support/tls.ts';

const mail = 'Subject: test\r\nMessage-ID: <one@example.org>\r\n\r\nHello\r\n';

async function sendTo(port: number, octets: string | Buffer, to?: string[], from?: string): Promise<string> {
  const client = await RawClient.connect(port);
  try {
    await client.hello();
    await client.envelope(to, from);
    client.write(octets);
    client.write('.\r\n');
    return await client.reply();
  } finally {
    client.close();
  }
}

describe('smtp receiver', () => {
  let test: TestReceiver;
  let port: number;
  before(async () => {
    test = await startReceiver({ maxSize: '1MiB', maxRecipients: 3 });
    port = test.ports[0] ?? 0;
  });
  after(() => test.receiver.close(0));

  it('announces what it has, and neither STARTTLS nor AUTH without a certificate', async () => {
    const client = await RawClient.connect(port);
    assert.equal(await client.reply(), '220 mx.example.com ESMTP');
    const extensions = (await client.command('EHLO client.example.org')).split('\n');
    assert.deepEqual(extensions, [
      '250-mx.example.com',
      '250-PIPELINING',
      '250-8BITMIME',
      '250-SMTPUTF8',
      '250-ENHANCEDSTATUSCODES',
      '250 SIZE 1048576',
    ]);
    for (const command of ['STARTTLS', 'AUTH PLAIN AAAA', 'WIZ x', 'SHELL', 'KILL', 'XCLIENT NAME=x']) {
      assert.match(await client.command(command), /^500 5\.5\.2 /, command);
    }
    client.close();
  });

  it('answers 250 with the queue id and keeps exactly what came', async () => {
    const stuffed = `${mail}..dot\r\n...\r\n\t8-bit \xe4\r\n`;
    const reply = await sendTo(port, Buffer.from(stuffed, 'latin1'), undefined, '');
    const stored = test.intake.stored.at(-1);
    const octets = Buffer.from(stuffed.replaceAll('\r\n..', '\r\n.'), 'latin1');
    assert.deepEqual(stored?.octets, octets);
    const id = `orders-${createHash('sha256').update(octets).digest('hex').slice(0, 12)}`;
    assert.equal(reply, `250 2.0.0 Ok: queued as ${id}`);
    assert.deepEqual(stored?.entries[0]?.envelope, { from: '', to: ['orders@example.com'] });
    assert.equal(stored?.entries[0]?.messageId, '<one@example.org>');
    assert.deepEqual(stored?.entries[0]?.origin, {
      kind: 'smtp',
      detail: { client: '127.0.0.1', helo: 'client.example.org', protocol: 'ESMTP' },
    });
  });

  it('makes one entry for each mailbox', async () => {
    const to = ['orders@example.com', 'anyone@Invoices.Example', 'invoices@example.com'];
    await sendTo(port, mail, to);
    const entries = test.intake.stored.at(-1)?.entries.map(({ mailbox, envelope }) => [mailbox, envelope.to]);
    assert.deepEqual(entries, [
      ['orders', ['orders@example.com']],
      ['invoices', [to[1], to[2]]],
    ]);
  });

  it('takes only configured recipients, with a strict syntax', async () => {
    const client = await RawClient.connect(port);
    await client.hello();
    assert.match(await client.command('MAIL FROM:<a b@example.org>'), /^501 5\.1\.7 /);
    assert.match(await client.command('MAIL FROM:<a@-example.org>'), /^501 5\.1\.7 /);
    assert.match(await client.command('MAIL FROM:<>'), /^250 2\.1\.0 /);
    assert.match(await client.command('RCPT TO:<stranger@example.com>'), /^550 5\.1\.1 /);
    assert.match(await client.command('RCPT TO:<orders@elsewhere.example>'), /^550 5\.1\.1 /);
    assert.match(await client.command('RCPT TO:<orders%x@example.com@example.com>'), /^501 5\.1\.3 /);
    assert.match(await client.command('RCPT TO:<postmaster>'), /^550 5\.1\.1 /);
    assert.match(await client.command('RCPT TO:<>'), /^501 5\.1\.3 /);
    assert.match(await client.command('RCPT TO:<a@-b.example>'), /^501 5\.1\.3 /);
    assert.match(await client.command('DATA'), /^503 /);
    assert.match(await client.command('RCPT TO:<ORDERS@EXAMPLE.com>'), /^250 2\.1\.5 /);
    assert.match(await client.command('RCPT TO:<mixed@example.com>'), /^250 /);
    assert.match(await client.command('RCPT TO:<a@invoices.example>'), /^250 /);
    assert.match(await client.command('RCPT TO:<b@invoices.example>'), /^452 4\.5\.3 /);
    client.close();
  });

  it('refuses what is too large, announced or not', async () => {
    const client = await RawClient.connect(port);
    await client.hello();
    assert.match(await client.command('MAIL FROM:<a@example.org> SIZE=1048577'), /^552 5\.3\.4 /);
    assert.match(await client.envelope(), /^354/);
    const line = Buffer.from(`${'x'.repeat(998)}\r\n`);
    for (let sent = 0; sent <= 1024 * 1024; sent += line.length) client.write(line);
    client.write('.\r\n');
    assert.match(await client.reply(), /^552 5\.3\.4 /);
    assert.match(await client.envelope(), /^354/, 'the session goes on');
    client.close();
    await until('nothing stays open', () => test.intake.open === 0);
  });

  it('cuts a client that goes on for ever', async () => {
    const client = await RawClient.connect(port);
    await client.hello();
    await client.envelope();
    const chunk = Buffer.alloc(64 * 1024, 'x');
    for (let sent = 0; sent < 4 * 1024 * 1024 && !client.ended; sent += chunk.length) client.write(chunk);
    assert.match(await client.reply(), /^421 /);
    client.close();
  });

  it('refuses an empty message', async () => {
    assert.match(await sendTo(port, ''), /^554 5\.6\.0 /);
  });

  it('accepts a command that ends with LF alone, which is not a way into a message', async () => {
    const client = await RawClient.connect(port);
    await client.hello();
    client.write('NOOP\nNOOP\r\n');
    assert.deepEqual([await client.reply(), await client.reply()], ['250 2.0.0 OK', '250 2.0.0 OK']);
    client.close();
  });

  it('refuses bare CR and LF, so no terminator but CRLF.CRLF counts', async () => {
    const smuggled = 'MAIL FROM:<a@example.org>\r\nRCPT TO:<orders@example.com>\r\nDATA\r\nx\r\n';
    for (const terminator of [
      '\n.\n',
      '\r.\r',
      '\n.\r\n',
      '\r\n.\n',
      '\r\n.\r',
      '\r.\r\n',
      '\n..\r\n',
      '\r\n\0.\r\n',
    ]) {
      const before = test.intake.stored.length;
      const client = await RawClient.connect(port);
      await client.hello();
      await client.envelope();
      client.write(`Subject: a\r\n\r\nbody${terminator}${smuggled}.\r\n`);
      const reply = await client.reply();
      if (terminator.includes('\0')) assert.match(reply, /^250 /);
      else assert.match(reply, /^550 5\.6\.0 /, JSON.stringify(terminator));
      assert.match(await client.command('NOOP'), /^250 /, 'there was one message, not two');
      assert.equal(test.intake.stored.length, before + (terminator.includes('\0') ? 1 : 0));
      client.close();
    }
  });

  it('sees a bare CR or LF for every chunking', async () => {
    for (const text of ['ab\rcd\r\n', 'ab\ncd\r\n', '\nabcd\r\n', 'abcdefgh\r', 'abcdefg\r\r\n']) {
      const client = await RawClient.connect(port);
      await client.hello();
      await client.envelope();
      for (const octet of `${text}\r\n.\r\n`) {
        client.write(octet);
        await new Promise(setImmediate);
      }
      assert.match(await client.reply(), /^550 5\.6\.0 /, JSON.stringify(text));
      client.close();
    }
  });

  it('takes a pipelined session in one piece', async () => {
    const client = await RawClient.connect(port);
    await client.reply();
    client.write(
      `EHLO c.example\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<nobody@example.com>\r\nRCPT TO:<orders@example.com>\r\nDATA\r\n`,
    );
    for (const code of [250, 250, 550, 250, 354]) assert.ok((await client.reply()).startsWith(String(code)));
    client.write(`${mail}.\r\nMAIL FROM:<b@example.org>\r\nRSET\r\nQUIT\r\n`);
    for (const code of [250, 250, 250, 221]) assert.ok((await client.reply()).startsWith(String(code)));
  });

  it('leaves nothing of a message whose client drops', async () => {
    const { stored, aborted } = { stored: test.intake.stored.length, aborted: test.intake.aborted };
    const client = await RawClient.connect(port);
    await client.hello();
    await client.envelope();
    client.write(mail.repeat(100));
    await until('the message began', () => test.intake.open === 1);
    client.close();
    await until('it was aborted', () => test.intake.open === 0);
    assert.equal(test.intake.aborted, aborted + 1);
    assert.equal(test.intake.stored.length, stored);
  });

  it('answers 452 when the store is full and 451 for whatever else goes wrong in it', async () => {
    const failures: [Error, RegExp][] = [
      [new SealpostError('redis-full', 'secret detail'), /^452 4\.3\.1 /],
      [new SealpostError('redis-unreachable', 'secret detail'), /^451 4\.3\.0 /],
      [new Error('secret detail'), /^451 4\.3\.0 /],
    ];
    for (const [error, expected] of failures) {
      test.intake.onCommit = () => Promise.reject(error);
      const reply = await sendTo(port, mail);
      assert.match(reply, expected);
      assert.doesNotMatch(reply, /secret/);
      test.intake.onWrite = () => Promise.reject(error);
      assert.equal(await sendTo(port, mail), reply, 'the same while writing');
      test.intake.onWrite = () => {};
    }
    test.intake.onCommit = async () => {};
    assert.match(await sendTo(port, mail), /^250 /);
  });

  it('sends away a client that only makes errors', async () => {
    const client = await RawClient.connect(port);
    await client.hello();
    await client.command('MAIL FROM:<a@example.org>');
    let reply = '';
    let tries = 0;
    while (!reply.startsWith('421') && tries++ < 30)
      reply = await client.command(`RCPT TO:<u${tries}@example.com>`);
    assert.ok(tries <= 22, `${tries} tries`);
    assert.match(reply, /^550|^421 4\.7\.0/);
    await until('the connection ends', () => client.ended);
  });

  it('takes messages of smtp-source, many at once', { skip: skipWithoutPostfix() }, async () => {
    const before = test.intake.stored.length;
    await smtpSource(port, '-s 10 -m 200 -l 10240 -d -f a@example.org -t orders@example.com'.split(' '));
    const messages = test.intake.stored.slice(before);
    assert.equal(messages.length, 200);
    assert.ok(
      messages.every(
        ({ octets }) => octets.length > 10_000 && octets.subarray(-2).equals(Buffer.from('\r\n')),
      ),
    );
    assert.equal(new Set(messages.map(({ entries }) => entries[0]?.messageId)).size, 200);
  });
});

describe('smtp receiver: time', () => {
  it('answers 451 in time when the commit hangs', async () => {
    const { receiver, intake, ports } = await startReceiver({}, { storeTimeout: 200 });
    intake.onCommit = () => new Promise(() => {});
    assert.match(await sendTo(ports[0] ?? 0, mail), /^451 4\.3\.0 /);
    await receiver.close(0);
  });

  it('answers in time when the spool hangs in the middle', async () => {
    const { receiver, intake, ports } = await startReceiver({}, { storeTimeout: 200 });
    intake.onWrite = () => new Promise(() => {});
    assert.match(await sendTo(ports[0] ?? 0, mail.repeat(10_000)), /^421 4\.3\.0 /);
    await until('nothing stays open', () => intake.open === 0);
    await receiver.close(0);
  });

  it('cuts a client that sends DATA octet by octet', async () => {
    const { receiver, intake, ports } = await startReceiver({
      dataTimeout: '1s',
      dataMinimumRate: '1MiB',
    });
    const client = await RawClient.connect(ports[0] ?? 0);
    await client.hello();
    await client.envelope();
    const timer = setInterval(() => client.write('x'), 20);
    assert.match(await client.reply(), /^421 4\.4\.2 /);
    clearInterval(timer);
    client.close();
    await until('nothing stays open', () => intake.open === 0);
    assert.equal(intake.stored.length, 0);
    await receiver.close(0);
  });

  it('cuts a client that types a command octet by octet', async () => {
    const { receiver, ports } = await startReceiver({ commandTimeout: '1s' });
    const client = await RawClient.connect(ports[0] ?? 0);
    await client.hello();
    const timer = setInterval(() => client.write('N'), 20);
    assert.match(await client.reply(), /^421 4\.4\.2 /);
    clearInterval(timer);
    client.close();
    await receiver.close(0);
  });

  it('sends early talkers away when it waits before the greeting', async () => {
    const { receiver, ports } = await startReceiver({ greetingDelay: '1s' });
    const early = await RawClient.connect(ports[0] ?? 0);
    assert.match(await early.command('EHLO early.example'), /^421 /);
    const patient = await RawClient.connect(ports[0] ?? 0);
    assert.match(await patient.reply(), /^220 /);
    for (const client of [early, patient]) client.close();
    await receiver.close(0);
  });

  it('limits connections, in all and of one client', async () => {
    for (const limit of [{ maxConnections: 2 }, { maxConnectionsPerClient: 2 }]) {
      const { receiver, ports } = await startReceiver(limit);
      const clients = [await RawClient.connect(ports[0] ?? 0), await RawClient.connect(ports[0] ?? 0)];
      for (const client of clients) await client.hello();
      const third = await RawClient.connect(ports[0] ?? 0);
      assert.match(await third.reply(), /^421 4\.7\.0 /);
      clients[0]?.close();
      await until('a place is free', async () => {
        const next = await RawClient.connect(ports[0] ?? 0);
        const greeting = await next.reply();
        next.close();
        return greeting.startsWith('220');
      });
      await receiver.close(0);
    }
  });

  it('drains: finishes what is in flight, sends everybody else away', async () => {
    const { receiver, intake, ports } = await startReceiver();
    const port = ports[0] ?? 0;
    const [idle, busy] = [await RawClient.connect(port), await RawClient.connect(port)];
    for (const client of [idle, busy]) await client.hello();
    await busy.envelope();
    busy.write(mail);
    const closed = receiver.close(10_000);
    assert.match(await idle.reply(), /^421 4\.3\.2 /);
    const fresh = await RawClient.connect(port);
    assert.match(await fresh.reply(), /^421 4\.3\.2 /);
    busy.write('.\r\n');
    assert.match(await busy.reply(), /^250 2\.0\.0 /);
    assert.match(await busy.reply(), /^421 4\.3\.2 /);
    await closed;
    assert.equal(intake.stored.length, 1);
    await assert.rejects(RawClient.connect(port), { code: 'ECONNREFUSED' });
  });

  it('does not wait longer than it is told', async () => {
    const { receiver, intake, ports } = await startReceiver();
    const client = await RawClient.connect(ports[0] ?? 0);
    await client.hello();
    await client.envelope();
    client.write(mail);
    await receiver.close(100);
    await until('the client is gone', () => client.ended);
    assert.deepEqual([intake.stored.length, intake.open], [0, 0]);
  });
});

describe('smtp receiver: TLS', () => {
  let files: TlsFiles;
  let test: TestReceiver;
  before(async () => {
    files = await makeTlsFiles();
    test = await startReceiver({
      listen: [{ port: 0 }, { port: 0, implicitTls: true }],
      tls: { cert: files.cert, key: files.key },
      requireTls: true,
    });
  });
  after(async () => {
    await test.receiver.close(0);
    files.remove();
  });

  it('offers STARTTLS, wants it before MAIL, and forgets what was said before it', async () => {
    const client = await RawClient.connect(test.ports[0] ?? 0);
    assert.match(await client.hello(), /STARTTLS/);
    assert.match(await client.command('MAIL FROM:<a@example.org>'), /^530 5\.7\.0 /);
    await client.startTls(files.pem, 'EHLO injected\r\nMAIL FROM:<injected@example.org>\r\n');
    assert.match(await client.command('MAIL FROM:<a@example.org>'), /^503 /);
    assert.doesNotMatch(await client.command('EHLO client.example.org'), /STARTTLS/);
    await client.envelope();
    client.write(`${mail}.\r\n`);
    assert.match(await client.reply(), /^250 /);
    const detail = test.intake.stored.at(-1)?.entries[0]?.origin.detail;
    assert.equal(detail?.protocol, 'ESMTPS');
    assert.match(String(detail?.tls), /^TLSv1\.3 /);
    client.close();
  });

  it('speaks TLS from the first octet where it is told to', async () => {
    const socket = connectTls({
      port: test.ports[1] ?? 0,
      host: '127.0.0.1',
      ca: files.pem,
      servername: 'localhost',
    });
    const client = new RawClient(socket);
    assert.doesNotMatch(await client.hello(), /STARTTLS/);
    assert.match(await client.command('MAIL FROM:<a@example.org>'), /^250 /);
    client.close();
  });

  it('refuses TLS below 1.2', async () => {
    const socket = connectTls({
      port: test.ports[1] ?? 0,
      host: '127.0.0.1',
      minVersion: 'TLSv1',
      maxVersion: 'TLSv1.1',
      ciphers: 'DEFAULT@SECLEVEL=0',
      ca: files.pem,
    });
    await assert.rejects(
      new Promise((resolve, reject) => socket.once('secureConnect', resolve).once('error', reject)),
    );
  });

  it('does not start with implicit TLS and no certificate, or with a key that is not its own', async () => {
    await assert.rejects(startReceiver({ listen: [{ port: 0, implicitTls: true }] }), {
      code: 'config-invalid',
    });
    const other = await makeTlsFiles();
    await assert.rejects(startReceiver({ tls: { cert: files.cert, key: other.key } }), {
      code: 'key-mismatch',
    });
    other.remove();
  });
});

describe('smtp receiver: size', () => {
  it('keeps the octets of a large message', async () => {
    const { receiver, intake, ports } = await startReceiver();
    const lines: string[] = [];
    for (let index = 0; index < 100_000; index++)
      lines.push(index % 7 === 0 ? '.' : randomBytes(50).toString('base64'));
    const octets = Buffer.from(`${lines.join('\r\n')}\r\n`);
    const stuffed = octets.toString('latin1').replace(/^\./gm, '..');
    assert.match(await sendTo(ports[0] ?? 0, stuffed), /^250 /);
    assert.ok(intake.stored[0]?.octets.equals(octets));
    await receiver.close(0);
  });
});
