/**
 * Attacks on who may submit mail: AUTH in clear, a flood of guesses, a name that answers otherwise, a spoken browser.
 */
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';
import { after, before, describe, it, mock } from 'node:test';
import { FailedLogins, FORGIVEN_EVERY, MAX_FAILURES } from '../../src/smtp/submission.ts';
import { until } from '../support/net.ts';
import { useTestQueue } from '../support/queue.ts';
import { RawClient } from '../support/smtp.ts';
import { plain, startSubmission, submitMail, type TestSubmission } from '../support/submission.ts';
import { makeTlsFiles, type TlsFiles } from '../support/tls.ts';

const mail = 'From: <erp@own.example>\r\nSubject: order\r\n\r\n4711';

describe('attacks on logins for submission', () => {
  let test: Parameters<Parameters<typeof useTestQueue>[0]>[0];
  useTestQueue((opened) => {
    test = opened;
  });
  let tls: TlsFiles;
  let door: TestSubmission;
  let token = '';
  before(async () => {
    tls = await makeTlsFiles();
    door = await startSubmission({ queue: test.queue, dataDir: test.server.dataDir }, tls);
    token = await door.client('erp', { partners: ['acme'] });
  });
  after(async () => {
    await door.close();
    tls.remove();
  });

  it('AUTH in clear is refused, and what was said there is not a login', async () => {
    const client = await RawClient.connect(door.ports.starttls);
    await client.hello();
    assert.match(await client.command(plain('erp', token)), /^538 5\.7\.11 /);
    assert.match(await client.command('AUTH LOGIN'), /^538 5\.7\.11 /);
    await client.startTls(tls.pem, `${plain('erp', token)}\r\nMAIL FROM:<a@b.example>\r\n`);
    await client.command('EHLO client.example.org');
    assert.match(await client.command('MAIL FROM:<erp@own.example>'), /^530 5\.7\.0 Authentication/);
    client.close();
  });

  it('an unknown user, a wrong password, a token of another and nonsense get the same reply for the same work', async () => {
    const other = await door.client('shop', { partners: ['acme'] });
    const wrong = token.replace(/.$/, (last) => (last === 'a' ? 'b' : 'a'));
    const stale = `${'sealpost_0000000000_'}${'0'.repeat(49)}`;
    const tries: Record<string, [string, string]> = {
      unknown: ['nobody', token],
      wrong: ['erp', wrong],
      foreign: ['erp', other],
      stale: ['erp', stale],
      nonsense: ['erp', 'x'],
      empty: ['erp', ''],
    };
    const hashes = mock.method(crypto, 'createHash');
    const compares = mock.method(crypto, 'timingSafeEqual');
    syncBuiltinESMExports();
    const seen = new Map<string, string>();
    try {
      for (const [what, [user, password]] of Object.entries(tries)) {
        const before = [hashes.mock.callCount(), compares.mock.callCount()];
        assert.throws(() => door.door.login(user, password), { code: 'client-unauthenticated' });
        const work = [hashes.mock.callCount(), compares.mock.callCount()].map(
          (count, index) => count - (before[index] ?? 0),
        );
        seen.set(what, work.join());
      }
    } finally {
      mock.restoreAll();
      syncBuiltinESMExports();
    }
    assert.deepEqual([...new Set(seen.values())], ['1,1'], JSON.stringify([...seen]));

    const replies = new Set<string>();
    for (const [user, password] of Object.values(tries)) {
      const client = await door.secure();
      replies.add(await client.command(plain(user, password)));
      client.close();
    }
    assert.deepEqual([...replies], ['535 5.7.8 Authentication credentials invalid']);
  });

  it('nobody acts for another client (RFC 4616, authzid)', async () => {
    const client = await door.secure();
    const as = Buffer.from(`shop\0erp\0${token}`).toString('base64');
    assert.match(await client.command(`AUTH PLAIN ${as}`), /^535 /);
    client.close();
  });

  it('a flood of failures from one address is not looked at any more, in a table that does not grow', async () => {
    let now = 0;
    const logins = new FailedLogins(() => now);
    for (let count = 0; count < MAX_FAILURES; count += 1) {
      assert.ok(logins.mayTry('192.0.2.1'), String(count));
      logins.note('192.0.2.1');
    }
    assert.ok(!logins.mayTry('192.0.2.1'));
    assert.ok(logins.mayTry('192.0.2.2'), 'another client');
    now += FORGIVEN_EVERY - 1;
    assert.ok(!logins.mayTry('192.0.2.1'));
    now += 1;
    assert.ok(logins.mayTry('192.0.2.1'), 'one is forgotten');
    for (let count = 0; count < 20_000; count += 1) logins.note(`192.0.2.3.${count}`);
    assert.ok(logins.mayTry('192.0.2.1'), 'the oldest ones left the table');

    const own = await startSubmission({ queue: test.queue, dataDir: test.server.dataDir }, tls);
    try {
      const erp = await own.loggedIn('erp', token);
      const compares = mock.method(own.door, 'login');
      let cut = 0;
      for (let attempt = 0; attempt < MAX_FAILURES + 3; attempt += 1) {
        const client = await own.secure();
        const reply = await client.command(plain('erp', attempt < MAX_FAILURES ? 'x' : token));
        if (reply.startsWith('421 4.7.0 Too many failed logins')) cut += 1;
        client.close();
      }
      assert.equal(cut, 3, 'also with the right token');
      assert.equal(compares.mock.callCount(), MAX_FAILURES);
      assert.match(await submitMail(erp, mail), /^250 /, 'who is logged in is not affected');
      erp.close();
    } finally {
      await own.close();
    }
  });

  it('a program that speaks HTTP is cut off before its body can speak SMTP, at each kind of listener', async () => {
    const commands = 'EHLO x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<edi@acme.example>\r\nDATA\r\n';
    for (const line of [
      'POST / HTTP/1.1',
      'PATCH http://localhost:25/x HTTP/1.0',
      'CONNECT mx.example.com:25 HTTP/1.1',
      'PRI * HTTP/2.0',
      'get /x?y HTTP/1.1',
      'GET  /  HTTP/1.1 ',
      'GET /',
      'M-SEARCH * HTTP/1.1',
    ])
      for (const port of [door.ports.starttls, door.ports.mx]) {
        const client = await RawClient.connect(port);
        await client.reply();
        client.write(`${line}\r\nHost: localhost\r\nContent-Length: 90\r\n\r\n${commands}`);
        assert.match(await client.reply(), /^421 4\.7\.0 This is a mail server/, line);
        assert.equal(await client.reply(), '', `${line}: nothing after it is read`);
        await until('it is cut off', () => client.ended);
        client.close();
      }
  });
});
