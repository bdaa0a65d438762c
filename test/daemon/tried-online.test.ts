/** `check --online` and `partners test` against real servers: what works is silent, each failure is one sentence. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chmodSync } from 'node:fs';
import { createServer as createHttp } from 'node:http';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { SMTPServer } from 'smtp-server';
import { stringify } from 'yaml';
import { webhookSignature } from '../../src/handoff/signed-post.ts';
import { type BearerServer, startBearerServer } from '../support/bearer-smtp.ts';
import { command } from '../support/command.ts';
import { baseConfig } from '../support/daemon.ts';
import { freePort } from '../support/net.ts';
import { makeTlsFiles, type TlsFiles } from '../support/tls.ts';
import { clientSecret, startTokenServer, type TokenServer } from '../support/token-server.ts';
import { makeWorld, partnerReads, skipWithout, type World } from '../support/world.ts';

const password = 'correct-horse-battery';
const webhookSecret = 'a webhook secret of some length';

describe('what is tried over the network', { skip: skipWithout('openssl') }, () => {
  let world: World;
  let tls: TlsFiles;
  let tokens: TokenServer;
  let bearer: BearerServer;
  let closed = 0;
  const mails: Buffer[] = [];
  const recipients: string[] = [];
  const mx = new SMTPServer({
    disabledCommands: ['STARTTLS'],
    authMethods: ['PLAIN', 'LOGIN'],
    allowInsecureAuth: true,
    authOptional: true,
    onAuth({ username, password: given }, _session, done) {
      if (given === password) return done(null, { user: username });
      done(Object.assign(new Error('5.7.8 wrong'), { responseCode: 535 }));
    },
    onRcptTo({ address }, _session, done) {
      recipients.push(address);
      if (!address.startsWith('nobody@')) return done();
      done(Object.assign(new Error('5.1.1 unknown'), { responseCode: 550 }));
    },
    onData(stream, _session, done) {
      const pieces: Buffer[] = [];
      stream.on('data', (piece: Buffer) => pieces.push(piece));
      stream.on('end', () => {
        mails.push(Buffer.concat(pieces));
        done();
      });
    },
  });
  const posted: { body: string; test: unknown; signature: unknown }[] = [];
  let clock = 0;
  const hook = createHttp((request, response) => {
    let body = '';
    request.on('data', (piece) => {
      body += piece;
    });
    request.on('end', () => {
      const { 'sealpost-test': test, 'sealpost-signature': signature } = request.headers;
      posted.push({ body, test, signature });
      response.setHeader('date', new Date(Date.now() + clock).toUTCString());
      response.writeHead(request.url === '/broken' ? 500 : 204).end();
    });
  });
  const sockets: Socket[] = [];
  const silent = createServer((socket) => void sockets.push(socket));
  let ports = { mx: 0, hook: 0, silent: 0 };

  const portOf = (server: { address(): unknown }) => {
    const address = server.address();
    return typeof address === 'object' && address !== null && 'port' in address ? Number(address.port) : 0;
  };
  before(async () => {
    world = makeWorld();
    tls = await makeTlsFiles();
    tokens = await startTokenServer();
    bearer = await startBearerServer(tls, (_user, token) => tokens.valid.has(token));
    await once(mx.listen(0, '127.0.0.1'), 'listening');
    for (const server of [hook, silent]) await once(server.listen(0, '127.0.0.1'), 'listening');
    ports = { mx: portOf(mx.server), hook: portOf(hook), silent: portOf(silent) };
    closed = await freePort();
  });
  after(async () => {
    mx.close();
    hook.close();
    for (const socket of sockets) socket.destroy();
    silent.close();
    await Promise.all([bearer.stop(), tokens.stop()]);
    tls.remove();
    world.remove();
  });

  const secret = (name: string, text: string) => {
    const file = world.file(name, text);
    chmodSync(file, 0o600);
    return { file };
  };
  const partner = (name: string, route: object, more: object = {}) => ({
    name,
    addresses: [`edi@${name}.example`],
    encrypt: false,
    sign: 'none',
    from: 'us@own.example',
    route: { host: '127.0.0.1', tls: 'none', port: ports.mx, ...route },
    ...more,
  });
  let files = 0;
  function configOf(settings: Record<string, unknown>): string {
    const base = baseConfig(world, world.folder);
    return world.file(`online${files++}.yaml`, stringify({ ...base, ...settings }));
  }
  const byToken = (text: string) => ({
    host: 'localhost',
    port: bearer.port,
    tls: 'required',
    ca: tls.cert,
    user: 'us@own.example',
    oauth2: { tokenUrl: tokens.url, clientId: 'me', clientSecret: secret(`app${text.length}`, text) },
  });
  const webhook = (url: string) => ({
    type: 'webhook',
    url,
    allowPrivate: true,
    secret: secret('hook', webhookSecret),
  });
  const mailbox = (name: string, path: string) => ({
    name,
    addresses: [`${name}@own.example`],
    destinations: [webhook(`http://127.0.0.1:${ports.hook}${path}`)],
  });

  it('says nothing of what works, and sends nothing', async () => {
    const config = configOf({
      mailboxes: [mailbox('orders', '/good')],
      partners: [
        partner('acme', { user: 'own', password: secret('pass', password) }),
        partner('cloud', byToken(clientSecret)),
      ],
    });
    recipients.length = 0;
    const ran = await command(['check', '--online', '--config', config]);
    assert.ok(!/: error:/.test(ran.stdout.toString()), ran.stdout.toString());
    assert.ok(!/\.route|clock/.test(ran.stdout.toString()), ran.stdout.toString());
    assert.equal(ran.code, 0);
    assert.equal(mails.length + bearer.mails.length, 0);
    assert.deepEqual(recipients, []);
    const [test] = posted.splice(0);
    assert.ok(test);
    assert.equal(JSON.parse(test.body).test, true);
    assert.equal(test.test, 'true');
    const seconds = Number(/^t=(\d+)/.exec(String(test.signature))?.[1]);
    assert.equal(test.signature, webhookSignature(webhookSecret, seconds, Buffer.from(test.body)));
    const probed = await command(['check', '--online', '--probe-recipient', '--config', config]);
    assert.equal(probed.code, 0, probed.stdout.toString());
    assert.deepEqual(recipients, ['edi@acme.example']);
    assert.equal(mails.length + bearer.mails.length, 0);
  });

  const mailTo = (name: string, port: number, more: object = {}) => ({
    ...{ type: 'smtp', name, host: '127.0.0.1', port, tls: 'none', recipients: [`${name}@erp.example`] },
    ...more,
  });
  const events = (path: string) => ({
    ...{ url: `http://127.0.0.1:${ports.hook}${path}`, allowPrivate: true },
    secret: secret('events', webhookSecret),
  });

  it('tries backups, mail destinations and the webhook of events as well', async () => {
    const settings = (good: boolean) => ({
      mailboxes: [
        {
          ...mailbox('orders', '/good'),
          destinations: [
            mailTo('erp', ports.mx),
            mailTo('later', good ? ports.mx : closed, {
              recipients: ['{recipient}'],
              allow: ['@erp.example'],
            }),
            mailTo('archive', ports.mx, {
              ...{ user: 'own', password: secret(`archive${good}`, good ? password : 'wrong password') },
            }),
            ...(good ? [] : [mailTo('nobody', ports.mx)]),
          ],
          onSuspend: { destination: mailTo('alarm', good ? ports.mx : closed) },
        },
      ],
      partners: [
        partner(
          'acme',
          {},
          {
            backup: { route: { host: '127.0.0.1', tls: 'none', port: good ? ports.mx : closed } },
          },
        ),
        partner('paper', {}, { backup: { route: { folder: join(world.folder, 'paper') } } }),
      ],
      events: events(good ? '/good' : '/broken'),
    });
    [recipients.length, posted.length, mails.length] = [0, 0, 0];
    const fine = await command(['check', '--online', '--config', configOf(settings(true))]);
    assert.equal(fine.code, 0, fine.stdout.toString());
    assert.ok(!/destinations|backup\.route: |events/.test(fine.stdout.toString()), fine.stdout.toString());
    assert.equal(recipients.length, 0);
    assert.deepEqual(
      posted.map(({ body, test }) => [JSON.parse(body).test, test]),
      [[true, 'true']],
    );
    const ran = await command([
      'check',
      '--online',
      '--probe-recipient',
      '--json',
      '--config',
      configOf(settings(false)),
    ]);
    const problems: { setting: string; message: string; hint?: string }[] = JSON.parse(ran.stdout.toString());
    const said = (setting: string) => problems.find((each) => each.setting === setting);
    for (const [setting, message, hint] of [
      ['partners[0].backup.route', /^127\.0\.0\.1 cannot be reached: /, /host and port/],
      ['mailboxes[0].destinations[1]', /^127\.0\.0\.1 cannot be reached: /, /host and port/],
      ['mailboxes[0].destinations[2]', /refused the login: 535 5\.7\.8 wrong/, /user, password/],
      [
        'mailboxes[0].destinations[3]',
        /refused the test envelope: 550 5\.1\.1 unknown/,
        /sender and recipients of the destination/,
      ],
      ['mailboxes[0].onSuspend.destination', /cannot be reached/, /host and port/],
      ['events', /webhook of events does not work: it answered with status 500/, /"test": true/],
    ] as const) {
      assert.match(said(setting)?.message ?? '', message, setting);
      assert.match(said(setting)?.hint ?? '', hint, setting);
    }
    assert.equal(said('partners[1].backup.route'), undefined);
    assert.ok(
      recipients.includes('erp@erp.example') && !recipients.some((to) => to.startsWith('postmaster')),
    );
    assert.equal(mails.length, 0);
  });

  it('says each failure in one sentence, with what to do, and two at a time', async () => {
    clock = 120_000;
    const config = configOf({
      mailboxes: [mailbox('orders', '/broken'), mailbox('late', '/good')],
      partners: [
        partner('closed', { port: closed }),
        partner('wrong', { user: 'own', password: secret('bad', 'wrong password') }),
        partner('clear', { tls: 'required' }),
        partner('cloud', byToken('another secret')),
        partner('nobody', {}, { addresses: ['nobody@nobody.example'] }),
      ],
    });
    const ran = await command(['check', '--online', '--probe-recipient', '--json', '--config', config]);
    clock = 0;
    const problems: { setting: string; severity: string; message: string; hint?: string }[] = JSON.parse(
      ran.stdout.toString(),
    );
    assert.equal(ran.code, 1);
    const at = (setting: string) =>
      problems.filter((each) => each.setting === setting).map(({ message }) => message);
    assert.match(at('partners[0].route')[0] ?? '', /^127\.0\.0\.1 cannot be reached: /);
    assert.match(at('partners[1].route')[0] ?? '', /^127\.0\.0\.1 refused the login: 535 5\.7\.8 wrong/);
    assert.match(at('partners[2].route')[0] ?? '', /does not offer STARTTLS/);
    assert.match(
      at('partners[3].route')[0] ?? '',
      /gave no token \(status 401, invalid_client, AADSTS7000215\)/,
    );
    assert.match(at('partners[4].route')[0] ?? '', /refused the test envelope: 550 5\.1\.1 unknown/);
    assert.match(at('mailboxes[0].destinations[0]')[0] ?? '', /answered with status 500/);
    assert.match(
      at('mailboxes[1].destinations[0]').join(),
      /clock of 127\.0\.0\.1:\d+ is 1(?:19|20|21) seconds ahead/,
    );
    for (const { hint, setting, message } of problems)
      if (/route|destinations/.test(setting)) assert.ok(hint, `${setting}: ${message}`);
    assert.ok(!ran.stdout.includes('wrong password') && !ran.stdout.includes('another secret'));
  });

  it('shows the dialogue of a test mail, without secrets', async () => {
    const config = configOf({
      partners: [
        partner(
          'acme',
          { user: 'own', password: secret('pass', password) },
          {
            encrypt: true,
            sign: 'detached',
            identity: 'own',
            certificates: [world.partner.certFile],
          },
        ),
        partner('cloud', byToken(clientSecret)),
        partner('nobody', {}, { addresses: ['nobody@nobody.example'] }),
      ],
    });
    const ran = await command(['partners', 'test', 'acme', '--config', config]);
    const text = ran.stdout.toString();
    assert.equal(ran.code, 0, text + ran.stderr);
    for (const line of [
      /^< 220 /m,
      /^> EHLO own\.example$/m,
      /^> AUTH PLAIN \*\*\*$/m,
      /^> MAIL FROM:<us@own/m,
      /^< 354/m,
    ])
      assert.match(text, line);
    assert.match(text, /^sent to edi@acme\.example$/m);
    const encoded = Buffer.from(`\0own\0${password}`).toString('base64');
    assert.ok(!text.includes(password) && !text.includes(encoded));
    const [mail] = mails.splice(0);
    assert.ok(mail);
    assert.match(mail.toString(), /smime-type=enveloped-data/);
    assert.match(mail.toString(), /^Auto-Submitted: auto-generated\r$/m);
    assert.match(partnerReads(world, mail), /tests whether mail from us reaches you/);

    const token = await command(['partners', 'test', 'cloud', '--json', '--config', config]);
    assert.equal(token.code, 0, token.stderr);
    const { sent, dialogue } = JSON.parse(token.stdout.toString());
    assert.equal(sent, true);
    assert.ok(dialogue.includes('> AUTH XOAUTH2 ***'));
    assert.ok(![...tokens.valid].some((each) => token.stdout.includes(each)));

    const refused = await command(['partners', 'test', 'nobody', '--config', config]);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /not sent to nobody@nobody\.example: 550 5\.1\.1 unknown \[send-refused\]/);
    const unknown = await command(['partners', 'test', 'elsewhere', '--config', config]);
    assert.equal(unknown.code, 1);
    assert.match(unknown.stderr, /\[partner-unknown\]/);
  });
});
