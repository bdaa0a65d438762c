import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:net';
import { describe, it } from 'node:test';
import { configSchema } from '../../src/config/schema.ts';
import { Connector, type ImapConfig } from '../../src/imap/connect.ts';
import { envelopeOf } from '../../src/imap/fetch.ts';
import { parseHeaders } from '../../src/message/headers.ts';
import { skipWithoutDovecot, startDovecot } from '../support/dovecot.ts';
import { clientSecret, startTokenServer } from '../support/token-server.ts';

function config(imap: Record<string, unknown>): ImapConfig {
  const [mailbox] = configSchema.parse({
    mailboxes: [
      {
        name: 'box',
        imap: { host: '127.0.0.1', user: 'orders@example.com', ...imap },
        destinations: [{ type: 'directory', path: '/nonexistent' }],
      },
    ],
  }).mailboxes;
  assert.ok(mailbox?.imap);
  return mailbox.imap;
}

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  return address.port;
}

const { signal } = new AbortController();

describe('imap connection', () => {
  it('sends no password to a server that offers no TLS, or greets with PREAUTH', async () => {
    for (const greeting of ['* OK ready', '* PREAUTH welcome']) {
      let heard = '';
      const server = createServer((socket) => {
        socket.on('error', () => {});
        socket.write(`${greeting}\r\n`);
        socket.on('data', (chunk) => {
          heard += chunk.toString('latin1');
          for (const [, tag, command] of chunk.toString('latin1').matchAll(/^(\S+) (\S+).*\r\n/gm)) {
            if (command === 'CAPABILITY') socket.write('* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n');
            socket.write(`${tag} OK done\r\n`);
          }
        });
      });
      const port = await listen(server);
      const connector = new Connector(
        config({ port, tls: 'starttls', password: { env: 'X' } }),
        () => 'correct horse',
      );
      await assert.rejects(connector.open(signal));
      assert.doesNotMatch(heard, /LOGIN|AUTHENTICATE|SELECT|correct|horse/);
      const clear = new Connector(
        config({ port, tls: 'none', password: { env: 'X' } }),
        () => 'correct horse',
      );
      if (greeting.includes('PREAUTH')) await assert.rejects(clear.open(signal), { code: 'imap-failed' });
      server.close();
    }
  });

  it('logs in with a bearer token, given or granted', { skip: skipWithoutDovecot() }, async () => {
    const server = await startTokenServer();
    const dovecot = await startDovecot({ tokenInfo: server.infoUrl });
    const base = { port: dovecot.tlsPort, ca: dovecot.tls.cert };
    const oauth2 = { tokenUrl: server.url, clientId: 'me', clientSecret: { env: 'X' }, scope: 'mail' };
    try {
      server.valid.add('given');
      const given = new Connector(config({ ...base, oauth2: { accessToken: { env: 'X' } } }), () => 'given');
      (await given.open(signal)).close();

      const granted = new Connector(config({ ...base, oauth2 }), () => clientSecret);
      (await granted.open(signal)).close();
      (await granted.open(signal)).close();
      assert.deepEqual(server.asked.map(Object.fromEntries), [
        { scope: 'mail', grant_type: 'client_credentials', client_id: 'me', client_secret: clientSecret },
      ]);
      // it expires in the middle
      server.valid.clear();
      (await granted.open(signal)).close();
      assert.equal(server.asked.length, 2);

      const wrong = new Connector(config({ ...base, oauth2 }), () => 'wr0ng');
      await assert.rejects(
        wrong.open(signal),
        (error: Error) => /status 401/.test(error.message) && !/wr0ng/.test(error.message),
      );
      const stale = new Connector(config({ ...base, oauth2: { accessToken: { env: 'X' } } }), () => 'stale');
      await assert.rejects(stale.open(signal), {
        code: 'imap-failed',
        message: /refused the login of/,
        hint: /user and scope/,
      });
    } finally {
      await server.stop();
      await dovecot.stop();
    }
  });
});

describe('imap envelope', () => {
  it('is made of Return-Path and Delivered-To, else of From and the user', () => {
    const of = (header: string) =>
      envelopeOf(parseHeaders(Buffer.from(`${header}\r\n\r\n`)), 'me@example.com');
    assert.deepEqual(
      of('Return-Path: <a@example.org>\r\nFrom: B <b@example.org>\r\nDelivered-To: c@example.com'),
      {
        from: 'a@example.org',
        to: ['c@example.com'],
      },
    );
    assert.deepEqual(of('From: "B, C" <b@example.org>'), { from: 'b@example.org', to: ['me@example.com'] });
    assert.deepEqual(of('Return-Path: <>\r\nFrom: b@example.org'), { from: '', to: ['me@example.com'] });
    for (const unclear of [
      'From: not an address\r\nDelivered-To: <a b>',
      'From: a@a.example ceo@p.example',
      'From: x <a@a.example <ceo@p.example>>',
      'From : a@a.example\r\nFrom: ceo@p.example',
      'Return-Path: <a@a.example> ceo@p.example\r\nFrom: a@a.example',
      'Return-Path: a@a.example, ceo@p.example\r\nDelivered-To: c@example.com, d@example.com',
    ])
      assert.deepEqual(of(unclear), { from: '', to: ['me@example.com'] }, unclear);
    assert.deepEqual(envelopeOf(undefined, 'me@example.com'), { from: '', to: ['me@example.com'] });
  });
});
