/** Attacks of a client that is logged in: relaying, foreign senders and partners, a mail smuggled inside of another. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { useTestQueue } from '../support/queue.ts';
import type { RawClient } from '../support/smtp.ts';
import { startSubmission, submitMail, type TestSubmission } from '../support/submission.ts';
import { makeTlsFiles, type TlsFiles } from '../support/tls.ts';

const mail = 'From: <erp@own.example>\r\nSubject: order\r\n\r\n4711';

describe('attacks of a client that may submit', () => {
  let test: Parameters<Parameters<typeof useTestQueue>[0]>[0];
  useTestQueue((opened) => {
    test = opened;
  });
  let tls: TlsFiles;
  let door: TestSubmission;
  let client: RawClient;
  const lines: string[] = [];
  before(async () => {
    tls = await makeTlsFiles();
    const { createLog } = await import('../../src/log.ts');
    const log = createLog('info', 'test', { write: (line: string) => void lines.push(line) });
    door = await startSubmission({ queue: test.queue, dataDir: test.server.dataDir }, tls, { log });
    const token = await door.client('erp', { partners: ['acme'], senders: ['erp@own.example'] });
    client = await door.loggedIn('erp', token);
  });
  after(async () => {
    client.close();
    await door.close();
    tls.remove();
  });
  const stored = async () => (await door.records()).length;

  it('there is no way on but to partners: every form of a relayed address is refused', async () => {
    await client.command('MAIL FROM:<erp@own.example>');
    for (const address of [
      'anyone@elsewhere.example',
      'anyone%elsewhere.example@own.example',
      '@acme.example:anyone@elsewhere.example',
      'elsewhere.example!anyone@own.example',
      '"edi@acme.example"@elsewhere.example',
      'edi@acme.example.elsewhere.example',
      'postmaster',
    ])
      assert.match(await client.command(`RCPT TO:<${address}>`), /^5(?:50 5\.1\.1|01 5\.1\.3) /, address);
    assert.match(await client.command('DATA'), /^503 /);
    await client.command('RSET');
  });

  it('the partner of another client is exactly like none, and the log names what to configure', async () => {
    await client.command('MAIL FROM:<erp@own.example>');
    const foreign = await client.command('RCPT TO:<in@globex.example>');
    const unknown = await client.command('RCPT TO:<in@nobody.example>');
    await client.command('RSET');
    assert.equal(foreign, unknown);
    assert.equal(foreign, '550 5.1.1 No such partner here');
    const line = lines.map((each) => JSON.parse(each)).find(({ command }) => /RCPT/.test(command ?? ''));
    assert.match(line.hint, /add the address to a partner .* sealpost clients grant erp --partner/);
    assert.equal(line.login, 'erp');
  });

  it('a sender that is not granted is refused in MAIL FROM, From and Sender', async () => {
    const before = await stored();
    const refused = /^550 5\.7\.1 Not permitted/;
    assert.match(await submitMail(client, mail, { from: 'ceo@own.example' }), refused);
    assert.match(await submitMail(client, mail, { from: '' }), refused, 'the null sender');
    for (const header of [
      'From: <ceo@own.example>',
      'From: "erp@own.example" <ceo@own.example>',
      'From: <erp@own.example>, <ceo@own.example>',
      'From: <erp@own.example>\r\nSender: <ceo@own.example>',
    ])
      assert.match(await submitMail(client, `${header}\r\nSubject: x\r\n\r\n1`), refused, header);
    const twice = 'From: <erp@own.example>\r\nFrom: <ceo@own.example>\r\n\r\n1';
    assert.match(await submitMail(client, twice), /^554 5\.6\.0 /);
    assert.equal(await stored(), before);
    assert.match(await submitMail(client, mail), /^250 /);
  });

  it('a sender that is not granted is refused at MAIL, alike whether somebody has it or not', async () => {
    const grants = { partners: ['acme', 'initech'], senders: ['desk@own.example'] };
    const desk = await door.loggedIn('desk', await door.client('desk', grants));
    const from = (address: string) => desk.command(`MAIL FROM:<${address}>`);
    const refused = '550 5.7.1 Not permitted for this client';
    // the sender of a partner of others, one of another client, one of nobody, and none
    for (const address of ['for-hooli@own.example', 'erp@own.example', 'nobody@own.example', ''])
      assert.equal(await from(address), refused, address);
    assert.match(await desk.command('RCPT TO:<edi@acme.example>'), /^503 /);
    // The log has the first refusal of each kind.
    const logged = lines.map((each) => JSON.parse(each)).find(({ command }) => /^MAIL/.test(command ?? ''));
    assert.match(logged.why, /^client \w+ is not granted sender \S+@own\.example$/);

    // what an operator wrote for one partner is for that one
    assert.match(await from('For-Initech@own.example'), /^550 /, 'local parts have case');
    assert.match(await from('for-initech@OWN.example'), /^250 /);
    assert.equal(await desk.command('RCPT TO:<edi@acme.example>'), refused);
    assert.match(await desk.command('RCPT TO:<in@hooli.example>'), /^550 5\.1\.1 /);
    assert.match(await desk.command('RCPT TO:<in@initech.example>'), /^250 /);
    await desk.command('RSET');
    const own = mail.replace('erp@', 'desk@');
    const sent = await submitMail(desk, own, { from: 'desk@own.example', to: ['in@initech.example'] });
    assert.match(sent, /^250 /);
    desk.close();
  });

  it('who sends a mail on is checked as its author is', async () => {
    const before = await stored();
    for (const header of [
      'Resent-From: <ceo@own.example>',
      'RESENT-SENDER: <ceo@own.example>\r\nResent-From: <erp@own.example>',
      'Resent-From: <erp@own.example>\r\nResent-From: <ceo@own.example>',
      'Resent-From: nobody at all',
    ])
      assert.match(await submitMail(client, `${header}\r\n${mail}`), /^550 5\.7\.1 Not permitted/, header);
    assert.equal(await stored(), before);
    assert.match(await submitMail(client, `Resent-From: <erp@own.example>\r\n${mail}`), /^250 /);
  });

  it('a sender that is not granted is refused in a mail that is all of the content', async () => {
    const before = await stored();
    const outer = 'From: <erp@own.example>\r\nSubject: x\r\nContent-Type: message/rfc822';
    const own = 'From: <erp@own.example>\r\nSubject: y\r\n\r\n1';
    const ceo = own.replace('erp@', 'ceo@');
    const refused = /^550 5\.7\.1 Not permitted/;
    const inBase64 = `Content-Transfer-Encoding: base64\r\n\r\n${Buffer.from(ceo).toString('base64')}`;
    for (const rest of [
      `\r\n\r\n${ceo}`,
      `; forwarded=no\r\n\r\n${ceo}`,
      `; forwarded=yes\r\nContent-Transfer-Encoding: 8bit\r\n\r\n${ceo}`,
      `\r\n\r\nSender: <ceo@own.example>\r\n${own}`,
      `\r\n\r\nFrom : <ceo@own.example>\r\n${own}`,
      `\r\n\r\nFrom: <ceo@own.example>\r\n${own}`,
      `\r\n${inBase64}`,
      `\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=46rom: <ceo@own.example>\r\n${own}`,
    ])
      assert.match(await submitMail(client, `${outer}${rest}`), refused, rest);
    const global = outer.replace('message/rfc822', 'Message/Global (a comment)');
    assert.match(await submitMail(client, `${global}\r\n\r\n${ceo}`), refused);
    assert.equal(await stored(), before);
    // its own, and one that is a part among others, as a mail that is forwarded
    assert.match(await submitMail(client, `${outer}; forwarded=no\r\n\r\n${own}`), /^250 /);
    const part = `--b\r\nContent-Type: message/rfc822\r\n\r\n${ceo}\r\n--b--`;
    const mixed = outer.replace('message/rfc822', 'multipart/mixed; boundary=b');
    assert.match(await submitMail(client, `${mixed}\r\n\r\n${part}`), /^250 /);
  });

  it('fields for Sealpost are refused where they are unknown or repeated, and do not inject others', async () => {
    const before = await stored();
    for (const field of [
      'X-Sealpost-Partner: globex',
      'X-Sealpost-Protection: none',
      'X-Sealpost-Idempotency-Key: a\r\nX-Sealpost-Idempotency-Key: b',
      'X-Sealpost-Metadata: a=1\r\nX-Sealpost-Metadata: a=2',
      'X-Sealpost-Priority: 11',
    ])
      assert.match(await submitMail(client, `${field}\r\n${mail}`), /^550 5\.5\.4 /, field);
    assert.equal(await stored(), before);
  });

  it('a mail is not smuggled inside of another by any other end of data', async () => {
    const before = await stored();
    const inner = 'MAIL FROM:<ceo@own.example>\r\nRCPT TO:<edi@acme.example>\r\nDATA\r\n';
    for (const end of ['\n.\n', '\n.\r\n', '\r\n.\n', '\r.\r', '\r.\r\n', '\r\n.\r']) {
      for (const line of ['MAIL FROM:<erp@own.example>', 'RCPT TO:<edi@acme.example>', 'DATA'])
        await client.command(line);
      client.write(`${mail}${end}${inner}${mail}\r\n.\r\n`);
      assert.match(await client.reply(), /^550 5\.6\.0 A bare CR or LF/, JSON.stringify(end));
    }
    assert.equal(await stored(), before);
    assert.match(await client.command('NOOP'), /^250 /, 'one reply for each');
  });
});
