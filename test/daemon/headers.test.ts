/** What becomes of the header of a mail, outside and inside of its protection, in the running daemon. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { Verdict } from '../../src/smime/index.ts';
import { startDaemon, type TestDaemon } from '../support/daemon.ts';
import {
  makeWorld,
  type Party,
  partnerHeader,
  skipWithout,
  textEntity,
  type World,
} from '../support/world.ts';

const skip = skipWithout('openssl');

describe('headers through the running daemon', { skip }, () => {
  let world: World;
  let other: Party;
  let daemon: TestDaemon;
  before(async () => {
    world = makeWorld();
    other = world.party('edi@other.example');
    const inbox = join(world.folder, 'daemon1', 'inbox');
    const mailbox = (name: string, require: string[]) => ({
      name,
      addresses: [`${name}@own.example`],
      require,
      destinations: [{ type: 'directory', path: inbox }],
    });
    const partner = (name: string, { certFile }: Party) => ({
      name,
      addresses: [`edi@${name}.example`],
      certificates: [certFile],
      identity: 'own',
    });
    daemon = await startDaemon(world, {
      config: {
        mailboxes: [mailbox('orders', ['signed', 'partner']), mailbox('open', ['signed'])],
        partners: [partner('partner', world.partner), partner('other', other)],
      },
    });
  });
  after(async () => {
    await daemon?.stop();
    world?.remove();
  });

  const read = (id: string, name: string) => readFileSync(join(daemon.delivered(id), name), 'utf8');
  const verdictOf = (id: string): Verdict => {
    const document = JSON.parse(read(id, 'verdict.json'));
    return document.verdict ?? document;
  };

  it('hands the header of a large message off whole, also when it is longer than one piece', async () => {
    const fields = Array.from({ length: 80 }, (_, n) => `X-Long-${n}: ${`word${n} `.repeat(130)}end`);
    const header = `${partnerHeader('large')}${fields.join('\r\n')}\r\n`;
    const mail = world.mail(textEntity('a line of the content\r\n'.repeat(15_000)), { header });
    assert.ok(Buffer.byteLength(header) > 65_536 && mail.length > 262_144);
    const id = await daemon.accept(mail);
    const record = await daemon.reaches(id, 'delivered', 'suspended');
    assert.equal(record.state, 'delivered', JSON.stringify(record.events));
    assert.equal(record.partner, 'partner', 'the From field is in it');
    const [head = ''] = read(id, 'message.eml').split('\r\n\r\n');
    for (const field of fields) assert.ok(head.includes(`\r\n${field}`), field.slice(0, 12));
  });

  /** A mail with the given protected header (RFC 9788) and an outer header that names another author. */
  function mailFrom(inner: string, outer: string, to = 'orders'): Buffer {
    const common = `To: <${to}@own.example>\r\nDate: Tue, 06 Jan 2026 10:00:00 +0000\r\n`;
    const entity = [
      `From: ${inner}\r\n${common}Subject: inside\r\n`,
      `HP-Outer: From: ${inner}\r\nHP-Outer: Subject: [...]\r\n`,
      'Content-Type: text/plain; charset="utf-8"; hp="cipher"\r\n\r\nthe content\r\n',
    ].join('');
    const header = `From: ${outer}\r\n${common}Subject: [...]\r\n`;
    return world.mail(entity, { header, signArgs: ['-nodetach', '-binary'] });
  }
  const partner = 'Partner <edi@partner.example>';

  it('takes the protected From for the author, and reports the outer one that differs', async () => {
    const outer = 'Mallory <mallory@evil.example>';
    const id = await daemon.accept(mailFrom(partner, outer));
    const record = await daemon.reaches(id, 'delivered', 'suspended');
    assert.deepEqual([record.state, record.partner], ['delivered', 'partner'], JSON.stringify(record.events));
    const { headers } = verdictOf(id);
    assert.equal(headers.protection, 'rfc9788-cipher');
    assert.deepEqual(
      headers.differences.filter(({ name }) => name === 'From'),
      [{ name: 'From', outer, inner: partner, intended: false }],
    );
    const message = read(id, 'message.eml');
    assert.match(message, /^From: Partner <edi@partner\.example>\r$/m);
    assert.match(message, /^Subject: inside\r$/m);
    assert.doesNotMatch(message, /mallory/i);
  });

  it('refuses a protected From that is not the signer, whatever stands outside', async () => {
    for (const [inner, to, words] of [
      [
        'Other <edi@other.example>',
        'orders',
        /signed by partner partner, and its From field names partner other/,
      ],
      [
        'Other <edi@other.example>',
        'open',
        /signed by partner partner, and its From field names partner other/,
      ],
    ] as const) {
      const id = await daemon.accept(mailFrom(inner, partner, to), { to: [`${to}@own.example`] });
      const record = await daemon.reaches(id, 'delivered', 'suspended');
      assert.deepEqual([record.state, record.reason], ['suspended', 'policy-refused']);
      assert.match(JSON.stringify(record.events), words);
    }
  });

  it('judges a signer under a root by the protected From, not by the outer one', async () => {
    const guest = world.party('guest@elsewhere.example');
    const send = async (inner: string, outer: string) => {
      const common = `To: <open@own.example>\r\nSubject: s\r\n`;
      const entity = `From: ${inner}\r\n${common}Content-Type: text/plain; hp="clear"\r\n\r\nx\r\n`;
      const mail = world.mail(entity, { header: `From: ${outer}\r\n${common}`, signer: guest, to: false });
      const id = await daemon.accept(mail, { to: ['open@own.example'] });
      return daemon.reaches(id, 'delivered', 'suspended');
    };
    assert.equal((await send(guest.email, 'boss@own.example')).state, 'delivered');
    const refused = await send('boss@own.example', guest.email);
    assert.deepEqual([refused.state, refused.reason], ['suspended', 'policy-refused']);
  });
});
