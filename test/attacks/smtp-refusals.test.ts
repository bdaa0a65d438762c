/** What a client may ask for that is not offered, what it may repeat without end, and what of it the log shows. */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { createLog } from '../../src/log.ts';
import { clientOf } from '../../src/net/index.ts';
import { MAX_ERRORS, MAX_IDLE_COMMANDS } from '../../src/smtp/connection.ts';
import { Gate } from '../../src/smtp/gate.ts';
import { commandForLog, RefusalLog } from '../../src/smtp/refusal-log.ts';
import { RawClient, startReceiver, type TestReceiver } from '../support/smtp.ts';
import { makeTlsFiles, type TlsFiles } from '../support/tls.ts';

type Line = Record<string, unknown>;

function recorder() {
  const lines: Line[] = [];
  const log = createLog('info', 'test', { write: (text: string) => lines.push(JSON.parse(text)) });
  return { log, lines };
}

describe('parameters that were not offered', () => {
  let tls: TlsFiles;
  let test: TestReceiver;
  before(async () => {
    tls = await makeTlsFiles();
    test = await startReceiver({ tls: { cert: tls.cert, key: tls.key } });
  });
  after(async () => {
    await test.receiver.close(0);
    tls.remove();
  });

  it('get 555, and the known ones do not', async () => {
    const client = await RawClient.connect(test.ports[0] ?? 0);
    await client.hello();
    for (const parameter of [
      'X=1',
      'AUTH=<>',
      'RET=HDRS',
      'HOLDFOR=9',
      'MT-PRIORITY=1',
      'SIZE=10 FOO',
      'REQUIRETLS',
    ]) {
      assert.match(
        await client.command(`MAIL FROM:<a@example.org> ${parameter}`),
        /^555 5\.5\.4 /,
        parameter,
      );
    }
    assert.match(await client.command('MAIL FROM:<a@example.org> SIZE=10 BODY=8BITMIME SMTPUTF8'), /^250 /);
    for (const parameter of ['NOTIFY=NEVER', 'ORCPT=rfc822;a@example.org', 'X']) {
      assert.match(
        await client.command(`RCPT TO:<orders@example.com> ${parameter}`),
        /^555 5\.5\.4 /,
        parameter,
      );
    }
    assert.match(await client.command('DATA'), /^503 /, 'no recipient came of it');
    assert.match(await client.command('RCPT TO:<orders@example.com>'), /^250 /);
    client.close();
  });

  it('REQUIRETLS is offered and taken over TLS only', async () => {
    const client = await RawClient.connect(test.ports[0] ?? 0);
    assert.doesNotMatch(await client.hello(), /REQUIRETLS/);
    await client.startTls(tls.pem);
    assert.match(await client.command('EHLO client.example.org'), /^250-REQUIRETLS$/m);
    assert.match(await client.command('MAIL FROM:<a@example.org> REQUIRETLS=1'), /^501 /);
    assert.match(await client.command('MAIL FROM:<a@example.org> REQUIRETLS'), /^250 /);
    client.close();
  });
});

describe('a client that never comes to the point', () => {
  let test: TestReceiver;
  before(async () => {
    test = await startReceiver({ maxRecipients: 3 });
  });
  after(() => test.receiver.close(0));

  it('has no more recipients by writing one of them in many ways', async () => {
    const client = await RawClient.connect(test.ports[0] ?? 0);
    await client.hello();
    await client.command('MAIL FROM:<a@example.org>');
    const ways = ['orders', 'Orders', 'ORDERS', 'oRDERS', 'oRders'].map(
      (local) => `RCPT TO:<${local}@example.com>`,
    );
    const replies: string[] = [];
    for (const way of ways) replies.push((await client.command(way)).slice(0, 9));
    assert.deepEqual(replies, ['250 2.1.5', '250 2.1.5', '250 2.1.5', '452 4.5.3', '452 4.5.3']);
    assert.match(await client.command(ways[0] ?? ''), /^250 /, 'one that is known may come again');
    await client.command('DATA');
    client.write('Subject: x\r\n\r\nx\r\n.\r\n');
    assert.match(await client.reply(), /^250 /);
    assert.equal(test.intake.stored.at(-1)?.entries[0]?.envelope.to.length, 3);
    client.close();
  });

  it('is sent away after a thousand recipients that are none', async () => {
    const client = await RawClient.connect(test.ports[0] ?? 0);
    await client.hello();
    client.write(`MAIL FROM:<a@example.org>\r\n${'RCPT TO:<nobody@example.com>\r\n'.repeat(1000)}`);
    assert.match(await client.reply(), /^250 /);
    let refused = 0;
    let last = '';
    for (let reply = await client.reply(); reply !== ''; reply = await client.reply()) {
      last = reply;
      if (reply.startsWith('550 ')) refused++;
    }
    assert.equal(refused, MAX_ERRORS);
    assert.match(last, /^421 4\.7\.0 /);
  });

  it('is sent away after a hundred commands that bring no message nearer', async () => {
    const client = await RawClient.connect(test.ports[0] ?? 0);
    await client.hello();
    const commands = ['NOOP', 'RSET', 'VRFY x', 'HELP', 'EHLO again'];
    client.write(`${commands.join('\r\n')}\r\n`.repeat(40));
    let good = 1;
    let last = '';
    for (let reply = await client.reply(); reply !== ''; reply = await client.reply()) {
      last = reply;
      if (reply.startsWith('2')) good++;
    }
    assert.equal(good, MAX_IDLE_COMMANDS);
    assert.match(last, /^421 4\.7\.0 /);
  });

  it('runs nothing that was pipelined after QUIT', async () => {
    const before = test.intake.stored.length;
    const client = await RawClient.connect(test.ports[0] ?? 0);
    await client.hello();
    const message =
      'MAIL FROM:<a@example.org>\r\nRCPT TO:<orders@example.com>\r\nDATA\r\nx: y\r\n\r\nz\r\n.\r\n';
    client.write(`QUIT\r\n${message}${'\0garbage\xff\r\n'.repeat(1000)}`);
    assert.match(await client.reply(), /^221 /);
    assert.equal(await client.reply(), '');
    assert.equal(test.intake.stored.length, before);
  });

  it('names itself without control characters', async () => {
    const client = await RawClient.connect(test.ports[0] ?? 0);
    await client.reply();
    for (const name of ['a\x1b[2J', 'a\rb', 'a\x00', 'a\u009b', 'x'.repeat(400)]) {
      assert.match(await client.command(`EHLO ${name}`), /^501 /, JSON.stringify(name));
    }
    client.close();
  });
});

describe('the log of what was refused', () => {
  const logs: RefusalLog[] = [];
  const make = () => {
    const { log, lines } = recorder();
    const refused = new RefusalLog(log);
    logs.push(refused);
    return { refused, lines };
  };
  afterEach(() => {
    for (const log of logs) for (let round = 0; round < 2; round++) log.flush();
  });

  it('has client, command and reason, and no octets that a terminal would obey', async () => {
    const { log, lines } = recorder();
    const { receiver, ports } = await startReceiver({ maxConnectionsPerClient: 1 }, { log });
    const client = await RawClient.connect(ports[0] ?? 0);
    await client.hello();
    const second = await RawClient.connect(ports[0] ?? 0);
    assert.match(await second.reply(), /^421 4\.7\.0 /);
    await client.command('MAIL FROM:<a@example.org>');
    await client.command('RCPT TO:<no\u202ebody@example.com>\x1b[2J');
    await client.command('RCPT TO:<stranger@example.com>');
    await client.command('AUTH PLAIN AGEAc2VjcmV0');
    await client.command('c2VjcmV0');
    await client.command('RSET');
    await client.envelope();
    client.write('a: b\n\r\n.\r\n');
    await client.reply();
    client.close();
    await receiver.close(0);
    const found = lines
      .filter(({ msg }) => msg === 'refused')
      .map(({ client, command, reply }) => [client, command, reply]);
    assert.deepEqual(found, [
      ['127.0.0.1', 'connect', '421 4.7.0 Too many connections, try again'],
      ['127.0.0.1', 'RCPT TO:<no body@example.com> [2J', '501 Error: Bad recipient address syntax'],
      ['127.0.0.1', 'RCPT TO:<stranger@example.com>', '550 5.1.1 No such mailbox here'],
      ['127.0.0.1', 'AUTH ***', '500 Error: command not recognized'],
      ['127.0.0.1', 'DATA', '550 5.6.0 A bare CR or LF is not allowed in a message'],
      // counted with the other command that was not recognized
      ['127.0.0.1', 'unknown, 8 octets', '500 Error: command not recognized'],
    ]);
    assert.doesNotMatch(JSON.stringify(lines), /c2VjcmV0|AGEA|\\u001b|\u202e/);
    const message = lines.find(({ command }) => command === 'DATA');
    assert.deepEqual([message?.from, message?.recipients, message?.octets], ['sender@example.org', 1, 7]);
  });

  it('counts each client and each kind by itself, so a flood hides nothing', () => {
    const { refused, lines } = make();
    for (let at = 0; at < 10_000; at++) refused.note({ client: '192.0.2.1', kind: '550', fields: { at } });
    refused.note({ client: '192.0.2.2', kind: '550', fields: { other: 'client' } });
    refused.note({ client: '192.0.2.1', kind: '452', fields: { other: 'kind' } });
    assert.deepEqual(
      lines.map(({ at, other }) => at ?? other),
      [0, 'client', 'kind'],
    );
    refused.flush();
    assert.deepEqual([lines.length, lines.at(-1)?.more, lines.at(-1)?.at], [4, 9999, 9999]);
    refused.flush();
    refused.flush();
    refused.note({ client: '192.0.2.1', kind: '550', fields: {} });
    assert.equal(lines.length, 5, 'who was quiet gets a line at once');
  });

  it('stays short however many clients there are', () => {
    const { refused, lines } = make();
    for (let at = 0; at < 5000; at++)
      refused.note({ client: `2001:db8:0:${at}`, kind: '550', fields: { at } });
    assert.equal(lines.length, 51);
    refused.flush();
    assert.deepEqual([lines.length, lines.at(-1)?.clients, lines.at(-1)?.more], [52, 'others', 4949]);
  });

  it('shows no arguments of a line that is not a command', () => {
    assert.equal(commandForLog('mail FROM:<a@b.example>\t\0'), 'mail FROM:<a@b.example>');
    assert.equal(commandForLog('auth LOGIN c2VjcmV0'), 'AUTH ***');
    assert.equal(commandForLog('hunter2'), 'unknown, 7 octets');
    assert.equal(commandForLog(`RCPT TO:<${'x'.repeat(4000)}>`).length, 200);
  });
});

describe('what counts as one client', () => {
  it('is the IPv4 address, mapped or not, and 64 bits of an IPv6 address', () => {
    assert.equal(clientOf('::ffff:192.0.2.1'), '192.0.2.1');
    assert.equal(clientOf('::FFFF:192.0.2.1'), clientOf('192.0.2.1'));
    assert.notEqual(clientOf('::ffff:192.0.2.1'), clientOf('::ffff:192.0.2.2'));
    assert.equal(clientOf('2001:db8:0:1::1'), clientOf('2001:db8::1:ffff:ffff:ffff:ffff'));
    const gate = new Gate(10, 1);
    assert.ok('leave' in gate.enter('2001:db8::1'));
    assert.ok('refusal' in gate.enter('2001:db8::ffff:2'));
    assert.ok('leave' in gate.enter('2001:db8:0:1::2'));
  });
});
