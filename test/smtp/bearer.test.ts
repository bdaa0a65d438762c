/** Login by token at a partner's server: what is sent, what its answers mean, and which route a failure touches. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import type { PartnerConfig } from '../../src/config/index.ts';
import { loginHint } from '../../src/oauth/hints.ts';
import { Tokens } from '../../src/oauth/tokens.ts';
import { createSender } from '../../src/smtp/send.ts';
import type { Sender } from '../../src/smtp/sender.ts';
import { type BearerServer, startBearerServer } from '../support/bearer-smtp.ts';
import { makeTlsFiles, type TlsFiles } from '../support/tls.ts';
import { startTlsPeer } from '../support/tls-peer.ts';
import { clientSecret, startTokenServer, type TokenServer } from '../support/token-server.ts';

let tls: TlsFiles;
let tokenServer: TokenServer;
let server: BearerServer;
const senders: Sender[] = [];
const user = 'delegate@example.com';

before(async () => {
  tls = await makeTlsFiles();
  tokenServer = await startTokenServer();
  server = await startBearerServer(tls, (name, token) => name === user && tokenServer.valid.has(token));
});
beforeEach(() => {
  for (const sender of senders.splice(0)) sender.close();
  server.logins.length = 0;
  server.refusal = { text: '5.7.3 Authentication unsuccessful' };
  tokenServer.asked.length = 0;
  tokenServer.answer = undefined;
});
after(async () => {
  for (const sender of senders) sender.close();
  await Promise.all([server.stop(), tokenServer.stop()]);
  tls.remove();
});

const newTokens = (secret = clientSecret) =>
  new Tokens({ readSecret: () => secret, refreshTokens: undefined });

function route(more: Partial<PartnerConfig['route']> = {}, tokens = newTokens()) {
  const oauth2 = { tokenUrl: tokenServer.url, clientId: 'me', clientSecret: { env: 'X' } };
  const sender = createSender({
    route: {
      host: 'localhost',
      port: server.port,
      tls: 'required',
      ca: tls.cert,
      connections: 2,
      user,
      oauth2,
      ...more,
    },
    readSecret: () => 'password',
    name: 'us.example.org',
    tokens,
  });
  senders.push(sender);
  return sender;
}

const mail = Buffer.from('Subject: test\r\n\r\ntext\r\n');
async function* octets() {
  yield mail;
}
const message = { envelope: { from: 'us@example.org', to: ['them@example.com'] }, octets };

describe('login by token', () => {
  it('sends mail over two routes with one token, each with its own user name', async () => {
    const tokens = newTokens();
    const taken = server.mails.length;
    assert.ok('retry' in (await route({ user: 'shared@example.com' }, tokens).send(message)));
    assert.ok('done' in (await route({}, tokens).send(message)));
    assert.equal(server.mails.length, taken + 1);
    assert.deepEqual(
      server.logins.map((each) => [each.user, each.taken]),
      [
        ['shared@example.com', false],
        [user, true],
      ],
    );
    assert.equal(server.logins[0]?.token, server.logins[1]?.token);
    assert.equal(tokenServer.asked.length, 1);
  });

  it('asks for a new token when one expires in the middle, and sends', async () => {
    const tokens = newTokens();
    assert.ok('done' in (await route({}, tokens).send(message)));
    tokenServer.valid.clear();
    assert.ok('done' in (await route({}, tokens).send(message)));
    assert.deepEqual(
      server.logins.map(({ taken }) => taken),
      [true, false, true],
    );
    assert.equal(tokenServer.asked.length, 2);
  });

  it('is tried once with a fresh token that is refused, and the route is down', async () => {
    tokenServer.answer = (response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ access_token: 'of-somebody-else', token_type: 'Bearer' }));
    };
    const outcome = await route().send(message);
    assert.ok('retry' in outcome && outcome.retry === 'send-failed' && outcome.peer === 'down');
    assert.equal(server.logins.length, 1);
    assert.equal(outcome.facts?.code, '535');
    assert.match(String(outcome.facts?.reply), /5\.7\.3 .*SMTP\.SendAsApp.*New-ServicePrincipal/);
    assert.ok(!JSON.stringify(outcome).includes('of-somebody-else'));
  });

  for (const [what, refusal, says] of [
    [
      'SMTP AUTH is off for the mailbox',
      { text: '5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Mailbox' },
      /Set-CASMailbox/,
    ],
    [
      'SMTP AUTH is off in the tenant',
      { text: '5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant.' },
      /off in the tenant/,
    ],
    [
      'a policy blocks it',
      { text: '5.7.139 Authentication unsuccessful, the request did not meet the criteria' },
      /conditional access/,
    ],
    [
      'Gmail wants another scope',
      { text: '', challenge: { status: '400', schemes: 'Bearer', scope: 'https://mail.google.com/' } },
      /scope https:\/\/mail\.google\.com\/.*domain-wide delegation/,
    ],
    [
      'another server wants another scope',
      { text: '', challenge: { status: '400', schemes: 'Bearer', scope: 'urn:mail' } },
      /asks for the scope urn:mail/,
    ],
  ] as const)
    it(`says what to look at: ${what}`, async () => {
      server.refusal = refusal;
      const outcome = await route({ user: 'nobody@example.com' }).send(message);
      assert.ok('retry' in outcome);
      assert.equal(outcome.facts?.code, '535');
      assert.match(String(outcome.facts?.reply), says);
    });

  it('waits where the token server is away, without a connection, and leaves other routes alone', async () => {
    tokenServer.answer = (response) => response.destroy();
    const tokens = newTokens();
    const broken = route({}, tokens);
    const oauth2 = { accessToken: { env: 'X' } };
    tokenServer.valid.add('given');
    const other = route({ oauth2 }, newTokens('given'));
    const outcome = await broken.send(message);
    assert.ok('retry' in outcome && outcome.retry === 'token-failed' && outcome.peer === 'down');
    assert.match(String(outcome.facts?.reply), /^the token endpoint 127\.0\.0\.1:\d+ cannot be reached/);
    assert.equal(server.logins.length, 0);
    assert.ok('done' in (await other.send(message)));
    // it is left alone for a while
    assert.ok('retry' in (await broken.send(message)));
    assert.equal(tokenServer.asked.length, 1);
  });

  it('names a wrong client secret, and never repeats it', async () => {
    const outcome = await route({}, newTokens('wr0ng-secret')).send(message);
    assert.ok('retry' in outcome && outcome.retry === 'token-failed');
    assert.match(String(outcome.facts?.reply), /status 401, invalid_client, AADSTS7000215.*not its id/);
    assert.ok(!JSON.stringify(outcome).includes('wr0ng-secret'));
  });

  it('sends no token to a server that offers no such login', async () => {
    const peer = await startTlsPeer({ cert: tls.cert, key: tls.key });
    try {
      const outcome = await route({ port: peer.port }).send(message);
      assert.ok('retry' in outcome);
      assert.match(String(outcome.facts?.reply), /offers no login by token/);
      assert.ok(!peer.lines.some((line) => line.includes('AUTH')));
    } finally {
      peer.stop();
    }
  });

  it('with a password that Exchange Online no longer takes says so', () => {
    const words = '550 5.7.30 Basic authentication is not supported for Client Submission.';
    assert.match(
      loginHint({ protocol: 'smtp', host: 'smtp.office365.com', words, bearer: false }) ?? '',
      /use oauth2/,
    );
  });
});
