/**
 * The programs that integrators use, against the running daemon: each submits a mail, and the partner's server gets it.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, describe, it } from 'node:test';
import { createTransport } from 'nodemailer';
import { SMTPServer } from 'smtp-server';
import { startDaemon, type TestDaemon } from '../support/daemon.ts';
import { runOk } from '../support/peers/run.ts';
import { RawClient } from '../support/smtp.ts';
import { plain } from '../support/submission.ts';
import { makeTlsFiles, type TlsFiles } from '../support/tls.ts';
import { makeWorld, skipWithout, type World } from '../support/world.ts';

const needs = ['openssl', 'swaks', 'msmtp', 'curl', 'python3'];

describe('submission to the running daemon', { skip: skipWithout(...needs) }, () => {
  let world: World;
  let tls: TlsFiles;
  let daemon: TestDaemon;
  let token = '';
  let ports: { starttls: number; implicit: number };
  const taken: { from: string; to: string[]; text: string }[] = [];
  const partner = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS'],
    onData(stream, session, done) {
      const { mailFrom, rcptTo } = session.envelope;
      stream.setEncoding('latin1');
      let text = '';
      stream.on('data', (chunk: string) => {
        text += chunk;
      });
      stream.on('end', () => {
        const to = rcptTo.map(({ address }) => address);
        taken.push({ from: mailFrom === false ? '' : mailFrom.address, to, text });
        done();
      });
    },
  });
  before(async () => {
    world = makeWorld();
    tls = await makeTlsFiles();
    await once(partner.listen(0, '127.0.0.1'), 'listening');
    const address = partner.server.address();
    const port = typeof address === 'object' && address ? address.port : 0;
    const route = { host: '127.0.0.1', port, tls: 'none' };
    const open = { encrypt: false, sign: 'none', route };
    daemon = await startDaemon(world, {
      config: {
        mailboxes: [],
        smtp: {
          listen: [
            { port: 0, kind: 'submission' },
            { port: 0, kind: 'submission', implicitTls: true },
          ],
          tls: { cert: tls.cert, key: tls.key },
          hostname: 'own.example',
          greetingDelay: '0ms',
        },
        partners: [
          { name: 'acme', addresses: ['edi@acme.example'], ...open },
          { name: 'globex', addresses: ['in@globex.example'], ...open },
        ],
      },
    });
    const line = daemon.log().match(/"smtp":(\[[^\]]*\])/)?.[1] ?? '[]';
    const [starttls = 0, implicit = 0] = JSON.parse(line).map((each: string) =>
      Number(each.split(':').at(-1)),
    );
    ports = { starttls, implicit };
    const grants = ['--scope', 'send', '--partner', 'acme,globex', '--sender', 'erp@own.example'];
    assert.equal((await daemon.command(['clients', 'add', 'erp', ...grants])).code, 0);
    const made = await daemon.command(['tokens', 'add', 'erp', '--json']);
    token = JSON.parse(made.stdout.toString()).token;
    // The daemon sees it within a second.
    await daemon.waitFor('the login works', async () => {
      const client = await RawClient.connect(ports.starttls);
      try {
        await client.hello();
        await client.startTls(tls.pem);
        await client.command('EHLO client.example.org');
        return (await client.command(plain('erp', token))).startsWith('235 ');
      } finally {
        client.close();
      }
    });
  });
  after(async () => {
    await daemon?.stop();
    await new Promise<void>((resolve) => partner.close(resolve));
    tls?.remove();
    world?.remove();
  });

  const mailOf = (subject: string) =>
    `From: <erp@own.example>\r\nTo: <edi@acme.example>\r\nSubject: ${subject}\r\n\r\norder 4711\r\n`;
  /** Waits until the partner has the mail. */
  const arrives = (subject: string) =>
    daemon.waitFor(`${subject} arrives`, () =>
      taken.find(({ text }) => text.includes(`Subject: ${subject}\r\n`)),
    );

  it('swaks, with STARTTLS and DSN', async () => {
    const to = ['--server', '127.0.0.1', '--port', String(ports.starttls), '--tls', '--tls-verify'];
    const login = ['--auth', 'PLAIN', '--auth-user', 'erp', '--auth-password', token];
    const ca = ['--tls-ca-path', tls.cert];
    const envelope = ['--from', 'erp@own.example', '--to', 'edi@acme.example,in@globex.example'];
    const said = await runOk('swaks', [...to, ...ca, ...login, ...envelope, '--header', 'Subject: swaks']);
    const ids = /<~ +250 2\.0\.0 Ok: queued as (\S+) (\S+)/.exec(said.toString())?.slice(1) ?? [];
    assert.equal(ids.length, 2, said.toString());
    for (const id of ids) await daemon.reaches(id, 'sent');
    const mails = taken.filter(({ text }) => text.includes('Subject: swaks\r\n'));
    assert.deepEqual(mails.map(({ to: each }) => each.join()).sort(), [
      'edi@acme.example',
      'in@globex.example',
    ]);
  });

  it('msmtp, with AUTH LOGIN', async () => {
    const settings = world.file(
      'msmtprc',
      [
        'account default',
        'host 127.0.0.1',
        `port ${ports.starttls}`,
        'from erp@own.example',
        'tls on',
        `tls_trust_file ${tls.cert}`,
        'auth login',
        'user erp',
        `passwordeval echo ${token}`,
        'dsn_notify failure,delay',
        'dsn_return headers',
      ].join('\n'),
    );
    await runOk('chmod', ['600', settings]);
    await runOk('msmtp', ['-C', settings, '--', 'edi@acme.example'], { input: mailOf('msmtp') });
    assert.match((await arrives('msmtp')).text, /order 4711/);
    const { messages } = await daemon.queue.ledger.list({ partner: 'acme' });
    const dsn = messages.map(({ envelope }) => envelope.dsn).find((each) => each !== undefined);
    assert.deepEqual(dsn, {
      ret: 'HDRS',
      recipients: { 'edi@acme.example': { notify: ['FAILURE', 'DELAY'] } },
    });
  });

  it('curl, with implicit TLS', async () => {
    const file = world.file('curl.eml', mailOf('curl'));
    const url = `smtps://localhost:${ports.implicit}/client.example`;
    const envelope = ['--mail-from', 'erp@own.example', '--mail-rcpt', 'edi@acme.example'];
    await runOk('curl', ['-sS', url, '--cacert', tls.cert, '-u', `erp:${token}`, ...envelope, '-T', file]);
    assert.equal((await arrives('curl')).from, 'erp@own.example');
  });

  it("Python's smtplib, and what it is told of a stranger and of a sender that is not its own", async () => {
    const program = [
      'import smtplib, ssl, sys',
      'port, ca, token = int(sys.argv[1]), sys.argv[2], sys.argv[3]',
      'with smtplib.SMTP("localhost", port) as smtp:',
      '    smtp.starttls(context=ssl.create_default_context(cafile=ca))',
      '    smtp.login("erp", token)',
      '    fields = "Return-Path: <boss@own.example>\\r\\nFrom: <erp@own.example>\\r\\nSubject: python\\r\\n"',
      '    refused = smtp.sendmail("erp@own.example", ["edi@acme.example", "x@elsewhere.example"],',
      '        fields + "\\r\\norder 4711\\r\\n")',
      '    print(refused)',
      '    try:',
      '        smtp.sendmail("boss@own.example", ["edi@acme.example"], fields + "\\r\\nanother\\r\\n")',
      '    except smtplib.SMTPSenderRefused as refused:',
      '        print(refused.smtp_code, refused.smtp_error.decode())',
    ].join('\n');
    const said = await runOk('python3', ['-c', program, String(ports.starttls), tls.cert, token]);
    assert.deepEqual(said.toString().trim().split('\n'), [
      "{'x@elsewhere.example': (550, b'5.1.1 No such partner here')}",
      '550 5.7.1 Not permitted for this client',
    ]);
    const { to, text } = await arrives('python');
    assert.deepEqual(to, ['edi@acme.example']);
    assert.doesNotMatch(text, /Return-Path|boss/i);
  });

  it('nodemailer, with a pool, 5 MB and an idempotency key', async () => {
    const transport = createTransport({
      host: 'localhost',
      port: ports.implicit,
      secure: true,
      pool: true,
      maxConnections: 3,
      tls: { ca: tls.pem },
      auth: { user: 'erp', pass: token },
    });
    const send = (subject: string, key: string) =>
      transport.sendMail({
        from: 'erp@own.example',
        to: 'edi@acme.example',
        subject,
        text: 'order 4711',
        attachments: [{ filename: 'large.bin', content: Buffer.alloc(5_000_000, 'x') }],
        headers: { 'X-Sealpost-Idempotency-Key': key },
      });
    const [first, repeated, other] = await Promise.all([
      send('nodemailer', 'a'),
      send('nodemailer', 'a'),
      send('nodemailer-b', 'b'),
    ]);
    assert.equal(first?.response, repeated?.response, 'one message');
    assert.notEqual(first?.response, other?.response);
    const { text } = await arrives('nodemailer');
    assert.ok(text.length > 5_000_000);
    assert.doesNotMatch(text, /X-Sealpost-(?!Trace)/i);
    await arrives('nodemailer-b');
    assert.equal(taken.filter(({ text: each }) => each.includes('Subject: nodemailer\r\n')).length, 1);
    await assert.rejects(send('conflict', 'a'), { responseCode: 550 });
    transport.close();
  });

  it('has no secret in its log', () => {
    assert.ok(!daemon.log().includes(token.slice(0, 25)));
    assert.ok(!daemon.log().includes(Buffer.from(token).toString('base64').slice(0, 25)));
  });
});
