/**
 * The attacks of `sender-one-reading.test.ts` on a mailbox that is fetched over IMAP: octets that no SMTP session would
 * take so, from a real Dovecot through the running daemon. Beside them, one message that arrives by both ways at once.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { ImapFlow } from 'imapflow';
import { startDaemon, type TestDaemon } from '../support/daemon.ts';
import { type Dovecot, skipWithoutDovecot, startDovecot } from '../support/dovecot.ts';
import { makeWorld, openssl, type Party, skipWithout, textEntity, type World } from '../support/world.ts';

const skip = skipWithoutDovecot() || skipWithout('openssl');

describe('a mailbox over IMAP that requires a partner signature', { skip }, () => {
  let world: World;
  let dovecot: Dovecot;
  let client: ImapFlow;
  let daemon: TestDaemon;
  let other: Party;
  let nameless: Party;
  before(async () => {
    world = makeWorld();
    other = world.party('ceo@other.example');
    nameless = world.party('nobody@elsewhere.example', { emails: [] });
    dovecot = await startDovecot();
    client = await dovecot.client();
    const { certFile } = world.partner;
    const folder = join(world.folder, 'daemon1', 'inbox');
    daemon = await startDaemon(world, {
      config: {
        mailboxes: [
          {
            name: 'orders',
            addresses: ['orders@own.example'],
            require: ['signed', 'partner'],
            imap: {
              ...{ host: '127.0.0.1', port: dovecot.tlsPort, ca: dovecot.tls.cert },
              ...{ user: dovecot.user, password: { file: world.file('imap', dovecot.password) } },
              ...{ moveTo: 'Done', pollInterval: '1s' },
            },
            destinations: [{ type: 'directory', path: folder }],
          },
        ],
        partners: [
          { name: 'partner', addresses: ['@partner.example'], certificates: [certFile], identity: 'own' },
          {
            ...{ name: 'other', addresses: ['@other.example'], identity: 'own' },
            certificates: [other.certFile],
          },
        ],
      },
    });
  });
  after(async () => {
    await daemon?.stop();
    await dovecot?.stop();
    world?.remove();
  });

  let numbers = 0;
  const rest = () => `To: <orders@own.example>\r\nMessage-ID: <imap.${++numbers}@partner.example>\r\n`;
  const mailOf = (header: string, entity = textEntity('an order'), signer: Party = world.partner) =>
    world.mail(entity, { header: `${header}\r\n${rest()}`, signer });
  const text = (inner: string) => `${inner}\r\n${textEntity('an order')}`;
  const wrapped = (from: string, mark = '') =>
    `Content-Type: message/rfc822${mark}\r\n\r\nFrom: ${from}\r\n${textEntity('inside')}`;

  /** Puts a mail into the folder, and waits for its end. */
  async function finished(mail: Buffer) {
    const id = /<(imap\.\d+@partner\.example)>/.exec(mail.toString('latin1'))?.[1] ?? '';
    await client.append('INBOX', mail);
    const found = await daemon.waitFor(`${id} is fetched`, async () => {
      const { messages } = await daemon.queue.ledger.list({ messageId: `<${id}>` });
      return messages[0];
    });
    return await daemon.reaches(found.id, 'delivered', 'suspended');
  }
  const handedOff = () => readdirSync(daemon.inbox).filter((name) => !name.startsWith('.'));

  const own = 'From: edi@partner.example';
  /** Each with the code of its refusal. The signature is the partner's, and good. */
  const attacks: [name: string, mail: () => Buffer, code: string][] = [
    ['two authors', () => mailOf('From: edi@partner.example, ceo@other.example'), 'policy-refused'],
    ['two without a comma', () => mailOf('From: ceo@other.example edi@partner.example'), 'sender-invalid'],
    ['two in a group', () => mailOf('From: x: edi@partner.example, ceo@other.example;'), 'policy-refused'],
    ['a group without its end', () => mailOf('From: x: edi@partner.example'), 'sender-invalid'],
    [
      'an angle within an angle',
      () => mailOf('From: x <edi@partner.example <ceo@other.example>>'),
      'sender-invalid',
    ],
    ['a route to the other', () => mailOf('From: <@partner.example:ceo@other.example>'), 'policy-refused'],
    ['a comment', () => mailOf('From: ceo(edi@partner.example)@other.example'), 'policy-refused'],
    [
      'From with a space before its colon, and another',
      () => mailOf(`From : edi@partner.example\r\nFrom: ceo@other.example`),
      'sender-invalid',
    ],
    ['the same, the other way round', () => mailOf(`${own}\r\nFrom\t: ceo@other.example`), 'sender-invalid'],
    [
      'a domain that only a URL parser reads',
      () => mailOf('From: edi@partner.example, ceo@ｏｔｈｅｒ.ex%61mple'),
      'sender-invalid',
    ],
    [
      'a domain of encoded words',
      () => mailOf('From: edi@=?utf-8?Q?partner.example?=, ceo@other.example'),
      'sender-invalid',
    ],
    ['a folded address', () => mailOf('From: ceo@\r\n other.example'), 'policy-refused'],
    ['a bare CR', () => mailOf(`${own}\r\nSubject: x\rFrom: ceo@other.example`), 'mime-malformed'],
    ['a bare CR before the good one', () => mailOf(`Subject: x\rFrom: y\r\n${own}`), 'mime-malformed'],
    // Dovecot stores an octet of 0x80 in its place
    ['a NUL', () => mailOf(`${own}\0, ceo@other.example`), 'sender-invalid'],
    ['another Sender', () => mailOf(`${own}\r\nSender: ceo@other.example`), 'policy-refused'],
    ['the other within the signature', () => mailOf(own, text('From: ceo@other.example')), 'policy-refused'],
    [
      'a second one within the signature',
      () => mailOf(own, text(`${own}\r\nFrom: ceo@other.example`)),
      'sender-invalid',
    ],
    ['a bare CR within the signature', () => mailOf(own, text('X: y\rFrom: z@z')), 'mime-malformed'],
    [
      'a complete protected header without an author',
      () => mailOf(own, 'Subject: x\r\nContent-Type: text/plain; hp="clear"\r\n\r\nan order\r\n'),
      'sender-invalid',
    ],
    [
      'a wrapped mail of the other that says it is the message',
      () => mailOf(own, wrapped('ceo@other.example', '; forwarded=no')),
      'policy-refused',
    ],
    [
      'a certificate without addresses',
      () => mailOf('From: ceo@other.example', textEntity('x'), nameless),
      'policy-refused',
    ],
    [
      'a signature of both',
      () => {
        const { certFile, keyFile } = world.partner;
        const sign = ['cms', '-sign', '-signer', certFile, '-inkey', keyFile, '-signer', other.certFile];
        const both = openssl([...sign, '-inkey', other.keyFile], textEntity('x')).toString('latin1');
        return Buffer.from(`${own}\r\n${rest()}${both.replace(/\r?\n/g, '\r\n')}`, 'latin1');
      },
      'policy-refused',
    ],
  ];

  it('suspends every mail that wants to be of another, and hands off none', async () => {
    for (const [name, mail, code] of attacks) {
      const { state, reason } = await finished(mail());
      assert.deepEqual([state, reason], ['suspended', code], name);
    }
    assert.deepEqual(handedOff(), []);
  });

  it('hands off the good ones under the name of their author alone', async () => {
    const good = [
      mailOf('From: "ceo@other.example" <edi@Partner.example>'),
      mailOf('From : edi . x @ partner . example (ceo@other.example)'),
      // the outer header of IMAP mail is anybody's: the signed one counts
      mailOf('From: ceo@other.example', text(own)),
      // a mail within the mail is an attachment
      mailOf(own, wrapped('ceo@other.example')),
    ];
    for (const mail of good) {
      const { state, id, reason } = await finished(mail);
      assert.deepEqual([state, reason], ['delivered', null]);
      const verdict = JSON.parse(readFileSync(join(daemon.delivered(id), 'verdict.json'), 'utf8'));
      assert.equal(verdict.sender.partner, 'partner');
      assert.match(verdict.sender.from[0].address, /^(?:edi|edi\.x)@partner\.example$/i);
      const eml = readFileSync(join(daemon.delivered(id), 'message.eml'), 'latin1');
      const header = eml.slice(0, eml.indexOf('\r\n\r\n'));
      assert.equal(header.match(/^From[ \t]*:/gim)?.length, 1);
      assert.doesNotMatch(header, /<?ceo@other\.example>?\s*$/m);
    }
  });

  it('has one message where the same octets come over IMAP and SMTP at once', async () => {
    const before = handedOff().length;
    const mails = Array.from({ length: 12 }, () => mailOf(own));
    const replies = await Promise.all(
      mails.map(async (mail) => {
        const [reply] = await Promise.all([daemon.accept(mail), client.append('INBOX', mail)]);
        return reply;
      }),
    );
    const moved = async () => {
      const status = await client.status('INBOX', { messages: true });
      return status !== false && status.messages === 0;
    };
    await daemon.waitFor('all are moved', moved);
    for (const id of replies) {
      const { events, state } = await daemon.reaches(id, 'delivered');
      const types = events.map(({ type }) => type).sort();
      assert.deepEqual(types, ['decoded', 'delivered', 'duplicate', 'handed-off', 'received'], state);
    }
    assert.equal(handedOff().length, before + mails.length);
    const done = await client.status('Done', { messages: true });
    assert.equal(done !== false && done.messages, attacks.length + 4 + mails.length);
  });
});
