/**
 * The attacks on the sender of `test/attacks/sender-one-reading.test.ts`, through the running daemon: what is refused
 * is suspended under its code and handed to nobody; what is handed off says the same sender everywhere.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Queue } from 'bullmq';
import { createTestCa } from '../support/ca.ts';
import { startDaemon, type TestDaemon } from '../support/daemon.ts';
import { assertDocument } from '../support/documents.ts';
import { type Hook, startHook } from '../support/hook.ts';
import { makeWorld, openssl, type Party, skipWithout, textEntity, type World } from '../support/world.ts';

describe('senders through the running daemon', { skip: skipWithout('openssl') }, () => {
  let world: World;
  let hook: Hook;
  let daemon: TestDaemon;
  let other: Party;
  let strict: Party;
  let nameless: Party;
  let pinned: Party;
  let rooted: Party;
  before(async () => {
    world = makeWorld();
    hook = await startHook();
    other = world.party('ceo@other.example');
    strict = world.party('edi@strict.example');
    nameless = world.party('nobody@elsewhere.example', { emails: [] });
    pinned = world.party('edi@pinned.example', { key: 'p256' });
    const self = createTestCa('Rooted', { email: 'edi@rooted.example', ca: false, keyUsage: null });
    rooted = {
      ...{ ...self, email: 'edi@rooted.example' },
      ...{ certFile: world.file('rooted.pem', self.certPem), keyFile: world.file('rooted.key', self.keyPem) },
    };
    const secret = { file: world.file('hook-secret', 'a secret of the tests') };
    const destinations = [
      { type: 'directory', path: join(world.folder, 'daemon1', 'inbox') },
      { type: 'webhook', url: hook.url, secret, allowPrivate: true },
      { type: 'queue', queue: 'orders', prefix: '{own}' },
    ];
    const mailbox = (name: string, require: string[]) => ({
      name,
      addresses: [`${name}@own.example`],
      require,
      destinations,
    });
    const partner = (name: string, { certFile }: Party, more = {}) => ({
      name,
      addresses: [`@${name}.example`],
      certificates: [certFile],
      identity: 'own',
      ...more,
    });
    daemon = await startDaemon(world, {
      config: {
        mailboxes: [
          mailbox('orders', ['signed', 'partner']),
          mailbox('open', []),
          { ...mailbox('sealed', []), policy: { require: ['encrypted'], shortfall: 'refuse' } },
          { ...mailbox('known', []), unresolved: 'drop' },
        ],
        partners: [
          partner('partner', world.partner, { explain: { to: 'help@partner.example' } }),
          partner('other', other),
          partner('strict', strict, { require: ['encrypted'] }),
          partner('pinned', pinned, { trust: { by: 'pins' } }),
          partner('rooted', rooted, { trust: { by: 'anchors', anchors: [world.anchorFile] } }),
        ],
      },
    });
  });
  after(async () => {
    await daemon?.stop();
    hook?.close();
    world?.remove();
  });

  let numbers = 0;
  const headerOf = (from: string) =>
    `${from}\r\nTo: <orders@own.example>\r\nSubject: test\r\nMessage-ID: <sender.${++numbers}@partner.example>\r\n`;
  const mailOf = (from: string, signer: Party | false = world.partner, to: Party | false = world.own) =>
    world.mail(textEntity('an order'), { header: headerOf(from), signer, to });
  const finished = async (mail: Buffer, to = 'orders') => {
    const id = await daemon.accept(mail, { to: [`${to}@own.example`] });
    return daemon.reaches(id, 'delivered', 'suspended', 'terminated');
  };
  const posted = (id: string) =>
    hook.posted.map(({ body }) => JSON.parse(body)).filter((document) => document.id === id);
  async function queued(id: string) {
    const connection = { path: join(daemon.dataDir, 'redis', 'redis.sock') };
    const queue = new Queue('orders', { connection, prefix: '{own}' });
    try {
      const jobs = await queue.getJobs();
      return jobs.map(({ data }) => data).filter((document) => document.id === id);
    } finally {
      await queue.close();
    }
  }
  /** The values of `address`, `from` and the like, at any depth. */
  function addressesIn(value: unknown, key = ''): string[] {
    if (typeof value === 'string') return /^(?:address|from|to|cc|sender|replyTo)$/.test(key) ? [value] : [];
    if (typeof value !== 'object' || value === null) return [];
    return Object.entries(value).flatMap(([name, each]) =>
      addressesIn(each, Array.isArray(value) ? key : name),
    );
  }
  const inFolder = (id: string): boolean => {
    try {
      daemon.delivered(id);
      return true;
    } catch {
      return false;
    }
  };

  const attacks: [name: string, from: string, code: string][] = [
    ['two mailboxes without a comma', 'From: ceo@other.example edi@partner.example', 'sender-invalid'],
    ['an angle within an angle', 'From: x <edi@partner.example <ceo@other.example>>', 'sender-invalid'],
    [
      'a second field with a space before its colon',
      'From : edi@partner.example\r\nFrom: ceo@other.example',
      'sender-invalid',
    ],
    ['a domain that only some decode', 'From: edi@partner.example, ceo@xn--p-.example', 'sender-invalid'],
    ['no From', 'X-From: edi@partner.example', 'sender-invalid'],
    ['another partner', 'From: ceo@other.example', 'policy-refused'],
    ['another partner beside the signer', 'From: edi@partner.example, ceo@other.example', 'policy-refused'],
    ['nobody beside a pinned signer', 'From: edi@partner.example, x@nobody.example', 'policy-refused'],
    ['a quoted name of the signer', 'From: "edi@partner.example" <ceo@other.example>', 'policy-refused'],
    [
      'another partner as the Sender',
      'From: edi@partner.example\r\nSender: ceo@other.example',
      'policy-refused',
    ],
  ];
  for (const [name, from, code] of attacks)
    it(`suspends, and hands to nobody: ${name}`, async () => {
      const record = await finished(mailOf(from));
      assert.deepEqual([record.state, record.reason], ['suspended', code], JSON.stringify(record.events));
      const { messages } = await daemon.queue.ledger.list({ partner: 'partner', state: 'suspended' });
      assert.equal(messages.find(({ id }) => id === record.id)?.partnerBy, 'conflict');
      assert.deepEqual([inFolder(record.id), posted(record.id), await queued(record.id)], [false, [], []]);
    });

  it('narrow-trust: takes the signatures that a partner says for its own, and no others', async () => {
    const fromCa = (name: string) => world.party(`sales@${name}.example`, { key: 'p256' });
    for (const [name, signer, proven] of [
      ['pinned', pinned, true],
      ['pinned', fromCa('pinned'), false],
      ['rooted', fromCa('rooted'), true],
      ['rooted', rooted, false],
      ['other', fromCa('other'), true],
    ] as const) {
      const mail = mailOf(`From: edi@${name}.example`, signer);
      const [strictly, openly] = [await finished(mail), await finished(mail, 'open')];
      const about = `${name}, signed by ${signer.certificate.subject}`;
      const expected = proven ? ['delivered', null] : ['suspended', 'policy-refused'];
      assert.deepEqual([strictly.state, strictly.reason], expected, about);
      assert.equal(openly.state, 'delivered', about);
      assert.deepEqual([openly.partner, openly.partnerBy], [name, proven ? 'signature' : 'address'], about);
    }
  });

  it('suspends what two partners signed, and what a certificate without addresses signed for a partner', async () => {
    const sign = ['cms', '-sign', '-signer', world.partner.certFile, '-inkey', world.partner.keyFile];
    const both = openssl([...sign, '-signer', other.certFile, '-inkey', other.keyFile], textEntity('x'));
    for (const mail of [
      Buffer.concat([
        Buffer.from(headerOf('From: edi@partner.example')),
        Buffer.from(both.toString('latin1').replace(/\r?\n/g, '\r\n'), 'latin1'),
      ]),
      mailOf('From: ceo@other.example', nameless),
    ]) {
      const record = await finished(mail);
      assert.deepEqual([record.state, record.reason], ['suspended', 'policy-refused']);
      assert.deepEqual([inFolder(record.id), posted(record.id), await queued(record.id)], [false, [], []]);
    }
  });

  it('hands the good one off with the same sender in ledger, message, folder, webhook and queue', async () => {
    // a part has a header of its own, which some parsers take for the message's
    const part = 'From: ceo@other.example\r\nReply-To: ceo@other.example\r\nContent-Type: text/plain';
    const entity = `Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n${part}\r\n\r\nan order\r\n--b--\r\n`;
    const header = headerOf(
      'From: "ceo@other.example" <edi@Partner.example>\r\nSender: Bulk <out@provider.example>',
    );
    const record = await finished(world.mail(entity, { header }));
    assert.deepEqual([record.state, record.partner], ['delivered', 'partner'], JSON.stringify(record.events));
    const from = [{ name: 'ceo@other.example', address: 'edi@partner.example' }];
    const sender = {
      partner: 'partner',
      by: 'signature',
      from,
      sender: { name: 'Bulk', address: 'out@provider.example' },
    };
    const read = (name: string) => readFileSync(join(daemon.delivered(record.id), name), 'utf8');
    assert.deepEqual(JSON.parse(read('verdict.json')).sender, sender);
    assert.match(read('message.eml'), /^From: "ceo@other\.example" <edi@Partner\.example>\r$/m);
    assert.equal(read('message.eml').split('\r\n\r\n')[0]?.match(/^From/gm)?.length, 1);
    const documents = [...posted(record.id), ...(await queued(record.id))];
    assert.equal(documents.length, 2);
    assert.equal(record.partnerBy, 'signature');
    for (const document of documents) {
      assertDocument('handoff', document);
      const { headers, verdict, envelope, ...rest } = document;
      assert.deepEqual([rest.partner, rest.partnerBy], ['partner', 'signature']);
      assert.equal(envelope.from, 'edi@partner.example');
      assert.deepEqual([headers.from, verdict.sender], [from, sender]);
      assert.equal(headers.messageId, record.messageId);
      const judged = ['edi@partner.example', 'orders@own.example', 'out@provider.example'];
      for (const address of addressesIn({ headers, sender: verdict.sender }))
        assert.ok(judged.includes(address));
      assert.deepEqual(addressesIn(rest), [], 'nothing else of the document is an address');
    }
  });

  it('refuses what falls short of a policy, and tells the partner that signed it, from the null sender', async () => {
    const about = async (id: string) => {
      const { messages } = await daemon.queue.ledger.list({ direction: 'outbound', limit: 200 });
      return messages.filter(({ origin }) => origin.detail.message === id);
    };
    const record = await finished(mailOf('From: edi@partner.example', world.partner, false), 'sealed');
    assert.deepEqual([record.state, record.events.at(-1)?.type], ['terminated', 'refused']);
    const [told, ...others] = await about(record.id);
    assert.ok(told && others.length === 0);
    assert.equal(told.id, record.events.at(-1)?.facts.explanation);
    assert.deepEqual([told.state, told.partner], ['queued', 'partner']);
    assert.deepEqual(told.envelope, { from: '', to: ['help@partner.example'] });
    const forged = await finished(mailOf('From: edi@partner.example', false, false), 'sealed');
    assert.deepEqual([forged.state, forged.reason], ['suspended', 'policy-encrypted']);
    assert.deepEqual(await about(forged.id), []);
  });

  it('drops what no partner is resolved for, with a record and without octets', async () => {
    const record = await finished(mailOf('From: x@nobody.example', false), 'known');
    assert.deepEqual([record.state, record.events.at(-1)?.type], ['terminated', 'dropped']);
    assert.equal(await daemon.queue.flow.originalOf(record.id), null);
    const known = await finished(mailOf('From: edi@partner.example', false), 'known');
    assert.deepEqual([known.state, known.partnerBy], ['delivered', 'address']);
  });

  it("counts each partner's own require that From names, be it signed by another or by nobody", async () => {
    const plain = (from: string, signer: Party | false) => finished(mailOf(from, signer, false), 'open');
    assert.equal((await plain('From: edi@partner.example', world.partner)).state, 'delivered');
    for (const [from, signer] of [
      ['From: edi@strict.example', strict],
      ['From: edi@strict.example', false],
      ['From: edi@partner.example, edi@strict.example', world.partner],
      ['From: edi@strict.example, edi@partner.example', false],
    ] as const) {
      const record = await plain(from, signer);
      assert.deepEqual([record.state, record.reason], ['suspended', 'policy-refused'], from);
      assert.match(JSON.stringify(record.events), /encryption is required/, from);
    }
    const sealed = await finished(mailOf('From: edi@strict.example', strict), 'open');
    assert.deepEqual([sealed.state, sealed.partner], ['delivered', 'strict']);
  });
});
