import assert from 'node:assert/strict';
import { createHash, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { until } from '../support/net.ts';
import { useTestQueue } from '../support/queue.ts';
import { RawClient } from '../support/smtp.ts';
import { plain, startSubmission, submitMail, type TestSubmission } from '../support/submission.ts';
import { makeTlsFiles, type TlsFiles } from '../support/tls.ts';

const mail = 'From: <erp@own.example>\r\nSubject: order\r\n\r\n4711';

const decoded = (text: string) => Buffer.from(text, 'base64').toString();

describe('smtp submission', () => {
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
    token = await door.client('erp', { partners: ['acme'], senders: ['erp@own.example'] });
  });
  after(async () => {
    await door.close();
    tls.remove();
  });

  it('offers AUTH and DSN over TLS, and AUTH not before', async () => {
    const client = await RawClient.connect(door.ports.starttls);
    const clear = (await client.hello()).split('\n').map((line) => line.slice(4));
    assert.ok(clear.includes('STARTTLS') && clear.includes('DSN'), clear.join());
    assert.ok(!clear.some((line) => line.startsWith('AUTH')), clear.join());
    assert.match(await client.command('MAIL FROM:<erp@own.example>'), /^530 5\.7\.0 Issue STARTTLS/);
    await client.startTls(tls.pem);
    const secure = (await client.command('EHLO client.example.org')).split('\n').map((line) => line.slice(4));
    assert.ok(secure.includes('AUTH PLAIN LOGIN') && secure.includes('DSN'), secure.join());
    assert.match(await client.command('MAIL FROM:<erp@own.example>'), /^530 5\.7\.0 Authentication required/);
    assert.match(await client.command('AUTH CRAM-MD5'), /^504 /);
    client.close();
  });

  it('takes AUTH PLAIN in one line and in two, AUTH LOGIN, and over implicit TLS', async () => {
    const one = await door.secure();
    assert.match(await one.command(plain('erp', token)), /^235 2\.7\.0 /);
    assert.match(await one.command(plain('erp', token)), /^503 /, 'once');
    one.close();
    const two = await door.secure();
    assert.equal(await two.command('AUTH PLAIN'), '334');
    assert.match(
      await two.command(Buffer.from(`\0ERP\0${token}`).toString('base64')),
      /^235 /,
      'names are without case',
    );
    two.close();
    const login = await door.secure();
    assert.equal(decoded((await login.command('AUTH LOGIN')).slice(4)), 'Username:');
    assert.equal(decoded((await login.command(Buffer.from('erp').toString('base64'))).slice(4)), 'Password:');
    assert.match(await login.command(Buffer.from(token).toString('base64')), /^235 /);
    assert.match(await submitMail(login, mail), /^250 2\.0\.0 Ok: queued as o[0-9a-f]{31}$/);
    login.close();
    const implicit = new RawClient(connectTls({ port: door.ports.implicit, ca: tls.pem }));
    assert.match(await implicit.reply(), /^220 /);
    assert.match(await implicit.command('EHLO client.example.org'), /\n250.AUTH PLAIN LOGIN\n/);
    assert.match(await implicit.command(plain('erp', token)), /^235 /);
    implicit.close();
  });

  it('makes one message for each partner, with what was asked for, and its fields removed', async () => {
    const both = await door.client('both', { partners: ['acme', 'globex'] });
    const client = await door.loggedIn('both', both);
    const fields =
      'X-Sealpost-Idempotency-Key: 4711\r\nX-Sealpost-Metadata: order=4711\r\nX-Sealpost-Priority: 2\r\n';
    await client.command(
      'MAIL FROM:<erp@own.example> RET=HDRS ENVID=QQ+2B314 SIZE=100 BODY=8BITMIME AUTH=<>',
    );
    const replies = [
      await client.command('RCPT TO:<edi@acme.example> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;edi@acme.example'),
      await client.command('RCPT TO:<in@globex.example> NOTIFY=NEVER'),
      await client.command('RCPT TO:<Other@acme.example>'),
      await client.command('DATA'),
    ];
    assert.deepEqual(
      replies.map((reply) => reply.slice(0, 3)),
      ['250', '250', '250', '354'],
    );
    client.write(`${fields}${mail}\r\n.\r\n`);
    const reply = await client.reply();
    const ids = / as (\S+) (\S+)$/.exec(reply)?.slice(1) ?? [];
    assert.equal(ids.length, 2, reply);
    const [acme, globex] = await Promise.all(ids.map((id) => test.queue.ledger.get(id)));
    assert.deepEqual(acme?.envelope, {
      from: 'erp@own.example',
      to: ['edi@acme.example', 'Other@acme.example'],
      dsn: {
        ret: 'HDRS',
        envid: 'QQ+2B314',
        recipients: {
          'edi@acme.example': { notify: ['SUCCESS', 'FAILURE'], orcpt: 'rfc822;edi@acme.example' },
        },
      },
    });
    assert.deepEqual(globex?.envelope.dsn?.recipients, { 'in@globex.example': { notify: ['NEVER'] } });
    assert.deepEqual(
      [acme?.partner, acme?.client, acme?.metadata, acme?.delivery?.priority, acme?.origin.kind],
      ['acme', 'both', { order: '4711' }, 2, 'submission'],
    );
    assert.equal(acme?.origin.detail.protocol, 'ESMTPSA');

    const again = await submitMail(client, `${fields}${mail}`, {
      to: ['edi@acme.example', 'in@globex.example', 'Other@acme.example'],
    });
    assert.match(again, /^550 5\.5\.4 This repetition differs/, 'without the DSN it is another request');
    client.close();
  });

  it('reads its fields as libraries for mail write them: encoded, and folded', async () => {
    const client = await door.loggedIn('erp', token);
    const folded = [
      `X-Sealpost-Idempotency-Key: =?utf-8?q?${'k'.repeat(60)}?=`,
      ` =?utf-8?q?${'k'.repeat(60)}?=`,
      'X-Sealpost-Metadata: =?utf-8?b?bm90ZT1HcsO8w59l?= an',
      ' alle =?utf-8?q?=C3=BCberall?=',
    ].join('\r\n');
    const first = await submitMail(client, `${folded}\r\n${mail}`);
    assert.match(first, /^250 /);
    const plain = `X-Sealpost-Idempotency-Key: ${'k'.repeat(120)}\r\nX-Sealpost-Metadata: note=Grüße an alle überall`;
    assert.equal(await submitMail(client, `${plain}\r\n${mail}`), first);
    const id = first.split(' ').at(-1) ?? '';
    assert.deepEqual((await test.queue.ledger.get(id))?.metadata, { note: 'Grüße an alle überall' });
    const twoLines = 'X-Sealpost-Metadata: =?utf-8?q?note=3Da=0D=0Ab?=';
    assert.match(await submitMail(client, `${twoLines}\r\n${mail}`), /^550 5\.5\.4 /);
    client.close();
  });

  it('does not make a message twice for a repeated key', async () => {
    const client = await door.loggedIn('erp', token);
    const keyed = `X-Sealpost-Idempotency-Key: once\r\nDate: Mon, 30 Nov 2026 10:00:00 +0000\r\n${mail}`;
    const first = await submitMail(client, keyed);
    const repeated = await submitMail(client, keyed.replace('10:00:00', '10:00:01'));
    assert.match(first, /^250 /);
    assert.equal(repeated, first);
    client.close();
  });

  it('checks DSN parameters (RFC 3461), and knows them on this kind of listener only', async () => {
    const client = await door.loggedIn('erp', token);
    const wrong = {
      'MAIL FROM:<erp@own.example> RET=SOME': /^501 /,
      'MAIL FROM:<erp@own.example> ENVID=a+2b': /^501 5\.5\.4 /,
      'MAIL FROM:<erp@own.example> ENVID=a=b': /^501 5\.5\.4 /,
      'MAIL FROM:<erp@own.example> ENVID=a+0Ab': /^501 /,
      [`MAIL FROM:<erp@own.example> ENVID=${'a'.repeat(101)}`]: /^501 5\.5\.4 /,
      'MAIL FROM:<erp@own.example> ENVID': /^501 /,
      'MAIL FROM:<erp@own.example> ENVID=a ENVID=b': /^501 /,
      'MAIL FROM:<erp@own.example> HOLDFOR=1': /^555 5\.5\.4 /,
    };
    for (const [line, reply] of Object.entries(wrong)) assert.match(await client.command(line), reply, line);
    assert.match(await client.command(`MAIL FROM:<erp@own.example> ENVID=${'a'.repeat(100)}`), /^250 /);
    for (const [line, reply] of Object.entries({
      'NOTIFY=NEVER,DELAY': /^501 /,
      'NOTIFY=SOMETIMES': /^501 /,
      'ORCPT=rfc822': /^501 5\.5\.4 /,
      'ORCPT=;a': /^501 /,
      'ORCPT=rfc_822;a': /^501 5\.5\.4 /,
      [`ORCPT=${'t'.repeat(65)};a`]: /^501 5\.5\.4 /,
      'ORCPT=rfc822;a=b': /^501 5\.5\.4 /,
      'ORCPT=rfc822;a+2g': /^501 5\.5\.4 /,
      [`ORCPT=rfc822;${'a'.repeat(494)}`]: /^501 5\.5\.4 /,
      'FOO=1': /^555 5\.5\.4 /,
      [`ORCPT=rfc822;${'a'.repeat(493)}`]: /^250 /,
      [`ORCPT=${'t'.repeat(64)};a`]: /^250 /,
      'NOTIFY=success,DELAY': /^250 /,
    }))
      assert.match(await client.command(`RCPT TO:<edi@acme.example> ${line}`), reply, line);
    client.close();
    const mx = await RawClient.connect(door.ports.mx);
    assert.doesNotMatch(await mx.hello(), /DSN|AUTH/);
    assert.match(await mx.command('MAIL FROM:<a@b.example> RET=HDRS'), /^555 5\.5\.4 /);
    assert.match(await mx.command('AUTH PLAIN AAAA'), /^500 5\.5\.2 /);
    mx.close();
  });

  it('knows a client by the pinned key of its certificate, without AUTH', async () => {
    const own = await makeTlsFiles();
    const spki = new X509Certificate(readFileSync(own.cert)).publicKey.export({
      type: 'spki',
      format: 'der',
    });
    const pin = createHash('sha256').update(spki).digest('hex');
    const other = await makeTlsFiles();
    await door.client('machine', { partners: ['acme'] }, [pin]);
    const send = async (files: TlsFiles) => {
      const key = readFileSync(files.key);
      const socket = connectTls({ port: door.ports.implicit, ca: tls.pem, cert: files.pem, key });
      const client = new RawClient(socket);
      await client.reply();
      await client.command('EHLO client.example.org');
      const reply = await submitMail(client, mail);
      return { client, reply };
    };
    const { client, reply } = await send(own);
    assert.match(reply, /^250 /);
    const record = await test.queue.ledger.get(/ as (\S+)$/.exec(reply)?.[1] ?? '');
    assert.equal(record?.client, 'machine');
    const foreign = await send(other);
    assert.match(foreign.reply, /^530 5\.7\.0 /);
    foreign.client.close();
    await door.registry.change((document) => {
      for (const each of document.clients) each.pins = each.pins.filter((known) => known !== pin);
    });
    assert.match(await submitMail(client, mail), /^530 5\.7\.0 /, 'a pin that was removed');
    client.close();
    own.remove();
    other.remove();
  });

  it('ends the session of a client that was removed, and honours grants as they are now', async () => {
    const gone = await door.client('gone', { partners: ['acme'] });
    const client = await door.loggedIn('gone', gone);
    assert.match(await submitMail(client, mail), /^250 /);
    await door.registry.change((document) => {
      for (const each of document.clients) if (each.name === 'gone') each.grants.partners = ['globex'];
    });
    assert.match(await submitMail(client, mail), /^550 5\.1\.1 /);
    await client.command('MAIL FROM:<erp@own.example>');
    assert.match(await client.command('RCPT TO:<in@globex.example>'), /^250 /);
    await door.registry.change((document) => {
      document.clients = document.clients.filter(({ name }) => name !== 'gone');
      document.credentials = document.credentials.filter(({ client: owner }) => owner !== 'gone');
    });
    assert.match(await client.command('RCPT TO:<in@globex.example>'), /^535 5\.7\.8 /);
    assert.match(await client.command('DATA'), /^354 /);
    client.write(`${mail}\r\n.\r\n`);
    assert.match(await client.reply(), /^535 5\.7\.8 /);
    assert.match(await client.command('MAIL FROM:<erp@own.example>'), /^421 4\.7\.0 The login is no longer/);
    await until('it is cut off', () => client.ended);
  });

  it('keeps nothing of a mail that was cut, and says what is too large', async () => {
    const before = (await door.records()).length;
    const cut = await door.loggedIn('erp', token);
    for (const line of ['MAIL FROM:<erp@own.example>', 'RCPT TO:<edi@acme.example>', 'DATA'])
      await cut.command(line);
    cut.write(`${mail}\r\n`);
    cut.close();
    const small = await door.client('small', { limits: { messages: 0, octets: 0, size: 1000 } });
    const client = await door.loggedIn('small', small);
    assert.match(await submitMail(client, `${mail}${'0123456789\r\n'.repeat(100_000)}`), /^552 5\.3\.4 /);
    assert.match(await client.command('MAIL FROM:<erp@own.example> SIZE=1001'), /^552 5\.3\.4 /);
    assert.match(await client.command('MAIL FROM:<erp@own.example> SIZE=1000'), /^250 /);
    await client.command('RSET');
    assert.match(await submitMail(client, ''), /^55\d 5\.6\.0 /, 'no header');
    assert.equal((await door.records()).length, before);
    assert.match(await submitMail(client, mail), /^250 /);
    client.close();
  });
});
