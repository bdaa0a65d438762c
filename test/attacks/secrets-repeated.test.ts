/** A server that repeats our login in its reply: neither the ledger nor the dialogue shows it. */
import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { describe, it } from 'node:test';
import { withoutSecrets } from '../../src/log.ts';
import { Tokens } from '../../src/oauth/tokens.ts';
import { createSender } from '../../src/smtp/send.ts';

const secret = 'correct-horse-battery-staple';
const user = 'us@own.example';
const plain = Buffer.from(`\0${user}\0${secret}`).toString('base64');
const bearer = Buffer.from(`user=${user}\x01auth=Bearer ${secret}\x01\x01`).toString('base64');
const alone = Buffer.from(secret).toString('base64');

/** Sends to a server that answers each line of a login with `reply`; returns what a person can see of it. */
async function seen(method: string, reply: (line: string) => string): Promise<string> {
  const server = createServer((socket) => {
    let [text, asked] = ['', 0];
    socket.on('error', () => {});
    socket.write('220 here\r\n');
    socket.on('data', (octets) => {
      text += octets.toString('latin1');
      for (let end = text.indexOf('\r\n'); end >= 0; end = text.indexOf('\r\n')) {
        const line = text.slice(0, end);
        text = text.slice(end + 2);
        if (line.startsWith('EHLO')) socket.write(`250-here\r\n250 AUTH ${method}\r\n`);
        else if (line === 'AUTH LOGIN' || (method === 'LOGIN' && asked++ === 0)) socket.write('334 eA==\r\n');
        else socket.write(`${reply(line)}\r\n`);
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  const login = method === 'XOAUTH2' ? { oauth2: { accessToken: { env: 'X' } } } : { password: { env: 'X' } };
  const lines: string[] = [];
  const sender = createSender({
    route: { host: '127.0.0.1', port: address.port, tls: 'none', connections: 1, user, ...login },
    readSecret: () => secret,
    name: 'own.example',
    tokens: new Tokens({ readSecret: () => secret, refreshTokens: undefined }),
    trace: (direction, line) => void lines.push(`${direction} ${line}`),
  });
  const octets = async function* () {
    yield Buffer.from('Subject: x\r\n\r\nbody\r\n');
  };
  const outcome = await sender.send({ envelope: { from: user, to: ['edi@acme.example'] }, octets });
  sender.close();
  server.close();
  assert.ok('retry' in outcome, 'the login is refused');
  assert.equal(outcome.facts?.stage, 'login');
  return `${lines.join('\n')}\n${JSON.stringify(outcome)}`;
}

describe('a server that repeats what it was told', () => {
  for (const [method, sent] of [
    ['PLAIN', plain],
    ['LOGIN', alone],
    ['XOAUTH2', bearer],
  ] as const)
    it(`${method}: shows nothing of a login that it refuses, whole or cut`, async () => {
      for (const reply of [
        (line: string) => `535 5.7.8 what is ${line}`,
        (line: string) => `535 5.7.8 what is ${line.slice(0, 30)}...`,
        () => `535-5.7.8 ${secret}\r\n535 5.7.8 is wrong`,
      ]) {
        const text = await seen(method, reply);
        assert.match(text, /535[ -]5\.7\.8/);
        assert.match(text, /5\.7\.8 (?:what is )?(?:AUTH [A-Z0-9]+ )?\*\*\*/);
        for (const form of [secret, sent.slice(0, 16)]) assert.equal(text.includes(form), false, text);
      }
    });

  it('is quoted in all else', () => {
    const text = 'connection id AAAAAAAAAAAAAAAAAAAAAAAAAAAA from mx1-longhostname0001.example.com';
    assert.equal(withoutSecrets(text, [secret, '']), text);
  });
});
