/** Decoded mail goes on to real mail servers, through the running daemon: Dovecot over LMTP, Postfix, and itself. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { simpleParser } from 'mailparser';
import { parse, stringify } from 'yaml';
import { command } from '../support/command.ts';
import { startDaemon, type TestDaemon } from '../support/daemon.ts';
import { type Dovecot, skipWithoutLmtp, startDovecot } from '../support/dovecot.ts';
import { readMail } from '../support/mail-server.ts';
import { freePort } from '../support/net.ts';
import { type Sink, skipWithoutPostfix, startSink } from '../support/postfix.ts';
import { makeWorld, partnerHeader, skipWithout, textEntity, type World } from '../support/world.ts';

const skip = skipWithoutLmtp() || skipWithoutPostfix() || skipWithout('openssl');

describe('mail servers as destinations', { skip }, () => {
  let world: World;
  let dovecot: Dovecot;
  let sink: Sink;
  let daemon: TestDaemon;
  before(async () => {
    world = makeWorld();
    [dovecot, sink] = await Promise.all([startDovecot({ lmtp: ['second@example.com'] }), startSink()]);
    const port = await freePort();
    const { certFile } = world.partner;
    const smtp = { type: 'smtp', host: '127.0.0.1', port: sink.port, tls: 'none' };
    daemon = await startDaemon(world, {
      config: {
        smtp: { listen: [{ port }], hostname: 'own.example', greetingDelay: '0ms' },
        mailboxes: [
          {
            ...{ name: 'store', addresses: ['@example.com'], require: ['signed', 'partner'] },
            destinations: [
              {
                ...{ type: 'lmtp', host: 'localhost', port: dovecot.lmtpPort, ca: dovecot.tls.cert },
                ...{ recipients: ['{recipient}'], allow: ['@example.com'] },
              },
            ],
            onSuspend: {
              destination: { ...smtp, recipients: ['ops@erp.example'] },
              include: 'original',
            },
          },
          {
            ...{ name: 'erp', addresses: ['erp@own.example'], notSmime: 'pass' },
            destinations: [{ ...smtp, recipients: ['{mailbox}+{partner}@erp.example'] }],
          },
          {
            ...{ name: 'loop', addresses: ['loop@own.example'], notSmime: 'pass' },
            destinations: [
              { ...smtp, name: 'one', port, recipients: ['{recipient}'], allow: ['loop@own.example'] },
            ],
          },
        ],
        partners: [
          {
            ...{ name: 'partner', addresses: ['@partner.example'] },
            ...{ certificates: [certFile], identity: 'own' },
          },
        ],
      },
    });
  });
  after(async () => {
    await daemon?.stop();
    await dovecot?.stop();
    await sink?.stop();
    world?.remove();
  });

  /** The newest mail of the user. */
  async function fetched(): Promise<Buffer> {
    const client = await dovecot.client();
    const lock = await client.getMailboxLock('INBOX');
    try {
      const message = await client.fetchOne('*', { source: true });
      return message === false ? Buffer.alloc(0) : (message.source ?? Buffer.alloc(0));
    } finally {
      lock.release();
    }
  }

  it('Dovecot keeps it, and a mail program reads it with the verdict', async () => {
    const header = `Authentication-Results: own.example; smime=pass (forged)\r\n${partnerHeader('an order')}`;
    const mail = world.mail(textEntity('Bestellung für dich'), { header });
    const id = await daemon.accept(mail, { to: [dovecot.user] });
    const { events } = await daemon.reaches(id, 'delivered');
    const facts = events.find(({ type }) => type === 'handed-off')?.facts;
    assert.match(String(facts?.reply), /^250 2\.0\.0 <orders@example\.com>.* Saved$/);
    const octets = await fetched();
    const parsed = await simpleParser(octets);
    assert.deepEqual([parsed.subject, parsed.text?.trim()], ['an order', 'Bestellung für dich']);
    const fields = readMail(octets).fields;
    const of = (name: string) => fields.filter(([key]) => key === name).map(([, value]) => value);
    assert.deepEqual(of('authentication-results'), [
      'own.example; smime=pass body.smime-identifier="edi@partner.example"',
    ]);
    assert.deepEqual(of('x-sealpost-partner'), ['partner']);
    assert.deepEqual(of('x-sealpost-idempotency-key'), [`${id}.lmtp`]);
    // Dovecot's own, then ours (RFC 5321, section 4.4)
    const ours = of('received').find((each) => each.includes('by own.example'));
    assert.match(
      ours ?? '',
      new RegExp(
        `^from \\S+ \\(\\[127\\.0\\.0\\.1\\]\\) by own\\.example with ESMTP id ${id} for <orders@example\\.com>; `,
      ),
    );
    assert.equal(of('return-path').length, 1);
  });

  it('is tried by check, over LMTP and TLS: without a mail, and to the recipient if that is wanted', async () => {
    let files = 0;
    const settings = parse(readFileSync(daemon.configFile, 'utf8'));
    const check = async (more: object, ...options: string[]) => {
      const lmtp = { type: 'lmtp', name: 'store', host: 'localhost', port: dovecot.lmtpPort };
      const destination = { ...lmtp, ca: dovecot.tls.cert, recipients: [dovecot.user], ...more };
      const mailboxes = [{ name: 'store', addresses: ['@example.com'], destinations: [destination] }];
      const file = world.file(`lmtp${files++}.yaml`, stringify({ ...settings, partners: [], mailboxes }));
      const ran = await command(['check', '--online', '--json', ...options, '--config', file]);
      const found: { setting: string; message: string }[] = JSON.parse(ran.stdout.toString());
      return found.filter(({ setting }) => setting.includes('destinations')).map(({ message }) => message);
    };
    const before = await fetched();
    assert.deepEqual(await check({}), []);
    assert.deepEqual(await check({}, '--probe-recipient'), []);
    assert.deepEqual(await fetched(), before);
    const nobody = { recipients: ['nobody@example.com'] };
    assert.deepEqual(await check(nobody), []);
    const [refused = '', ...others] = await check(nobody, '--probe-recipient');
    assert.match(refused, /550 5\.1\.1 <nobody@example\.com> User doesn't exist/);
    assert.deepEqual(others, []);
    // its certificate is of nobody that this machine knows
    assert.match((await check({ ca: undefined })).join(), /certificate|TLS/i);
    assert.match((await check({ port: await freePort() })).join(), /cannot be reached/);
    // an IMAP server is none of LMTP
    assert.equal((await check({ port: dovecot.port })).length, 1);
  });

  it('each recipient has an outcome: who has it does not get it again', async () => {
    const to = [dovecot.user, 'nobody@example.com', 'second@example.com'];
    const id = await daemon.accept(world.mail(textEntity('for three')), { to });
    const { reason, events } = await daemon.reaches(id, 'suspended');
    assert.equal(reason, 'handoff-refused', JSON.stringify(events));
    assert.match(
      String(events.at(-1)?.facts.message),
      /550 5\.1\.1 <nobody@example\.com> User doesn't exist/,
    );
    const client = await dovecot.client();
    const count = async () => {
      const status = await client.status('INBOX', { messages: true });
      return status === false ? 0 : (status.messages ?? 0);
    };
    const before = await count();
    assert.equal((await daemon.command(['messages', 'resume', id])).code, 0);
    await daemon.waitFor('it is suspended again', async () => {
      const record = await daemon.queue.ledger.get(id);
      return record?.events.filter(({ type }) => type === 'suspended').length === 2;
    });
    assert.equal(await count(), before);
    // the report is a mail too, with the original as it came
    const octets = await daemon.waitFor('the report', async () =>
      (await sink.messages()).find((mail) => mail.includes(`Subject: ${id} is suspended`)),
    );
    const report = await simpleParser(octets);
    assert.match(report.text ?? '', /is suspended: handoff-refused/);
    assert.deepEqual(
      report.attachments.map(({ filename }) => filename),
      ['report.json', 'original.eml'],
    );
    const json = JSON.parse(String(report.attachments[0]?.content));
    assert.deepEqual([json.id, json.failed.to], [id, 'lmtp']);
    assert.match(String(report.attachments[1]?.content), /^From: Partner/);
  });

  it('Postfix gets it, with the name of the partner in the address', async () => {
    const id = await daemon.accept(world.mail(textEntity('.leading dot\r\n..two')), {
      to: ['erp@own.example'],
    });
    await daemon.reaches(id, 'delivered');
    const mails = await sink.messages();
    const mail = mails.find((each) => each.includes(`X-Sealpost-Id: ${id}`));
    assert.match(mail?.toString() ?? '', /\n\.leading dot\r?\n\.\.two\r?\n/);
  });

  it('a mail that comes back is refused, and its sender is told why', async () => {
    const id = await daemon.accept(world.mail(textEntity('round and round'), { to: false }), {
      to: ['loop@own.example'],
    });
    const { reason, events } = await daemon.reaches(id, 'suspended');
    assert.equal(reason, 'handoff-refused');
    assert.match(String(events.at(-1)?.facts.reply), /^554 5\.4\.6 /);
    // nothing of it came in
    const { messages } = await daemon.queue.ledger.list({ mailbox: 'loop' });
    assert.deepEqual(
      messages.map((each) => each.id),
      [id],
    );
    const circling = Buffer.concat([
      Buffer.from('Received: from a by b; Tue, 06 Jan 2026 10:00:00 +0000\r\n'.repeat(101)),
      Buffer.from(`${partnerHeader()}${textEntity('x')}`),
    ]);
    assert.match(await daemon.send(circling, { to: ['loop@own.example'] }), /^554 5\.4\.6 /);
  });
});
