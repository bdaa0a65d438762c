/**
 * The attacks on the sender of `test/attacks/sender-one-reading.test.ts`, through the running daemon: what is refused
 * is suspended under its code and handed to nobody; what is handed off says the same sender everywhere.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Queue } from 'bullmq';
import type { MessageRecord, MessageState, PartnerBy } from '../../src/queue/index.ts';
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
  let twin: Party;
  let renewed: Party;
  let seen: Party;
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
    twin = world.party('edi@provider.example');
    renewed = world.party('new@other.example');
    seen = world.party('edi@seen.example');
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
          { ...mailbox('waiting', []), unresolved: 'suspend' },
        ],
        partners: [
          partner('partner', world.partner, { explain: { to: 'help@partner.example' } }),
          partner('other', other),
          partner('strict', strict, { require: ['encrypted'] }),
          partner('pinned', pinned, { trust: { by: 'pins' } }),
          partner('rooted', rooted, { trust: { by: 'anchors', anchors: [world.anchorFile] } }),
          // a provider signs for both
          partner('twin-a', twin, { addresses: ['@twin-a.example', 'desk@other.example'] }),
          partner('twin-b', twin),
          partner('seen', seen),
        ],
        profiles: { dates: { 'edi-energy/content-gcm': '2027-04-01' } },
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
  /** Documents in the queue, of one message or of all. */
  async function queued(id?: string) {
    const connection = { path: join(daemon.dataDir, 'redis', 'redis.sock') };
    const queue = new Queue('orders', { connection, prefix: '{own}' });
    try {
      const jobs = await queue.getJobs();
      return jobs.map(({ data }) => data).filter((document) => id === undefined || document.id === id);
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

  /** Who signed ('' for nobody), mailbox, From, then state, partner and how it was resolved. */
  const resolutions: [string, string, string, MessageState, string | null, PartnerBy | null][] = [
    ['partner', 'open', 'edi@partner.example', 'delivered', 'partner', 'signature'],
    ['', 'open', 'edi@partner.example', 'delivered', 'partner', 'address'],
    ['partner', 'open', 'ceo@other.example', 'delivered', 'partner', 'conflict'],
    ['partner', 'open', 'x@nobody.example', 'delivered', 'partner', 'conflict'],
    ['', 'open', 'edi@partner.example, ceo@other.example', 'delivered', null, 'conflict'],
    ['', 'open', 'x@nobody.example', 'delivered', null, null],
    ['nameless', 'open', 'x@nobody.example', 'delivered', null, null],
    // its certificate is nobody's, and names an address of a partner
    ['renewed', 'open', 'ceo@other.example', 'delivered', 'other', 'signature'],
    ['renewed', 'open', 'edi@partner.example', 'delivered', null, 'conflict'],
    ['nameless', 'open', 'ceo@other.example', 'delivered', 'other', 'address'],
    // two partners have one certificate
    ['twin', 'open', 'x@twin-a.example', 'delivered', 'twin-a', 'signature'],
    ['twin', 'open', 'x@twin-b.example', 'delivered', 'twin-b', 'signature'],
    ['twin', 'open', 'x@twin-a.example, x@twin-b.example', 'delivered', null, 'conflict'],
    ['twin', 'open', 'x@nobody.example', 'delivered', null, 'conflict'],
    ['twin', 'open', 'edi@partner.example', 'delivered', null, 'conflict'],
    // an address counts more than a domain
    ['', 'open', 'desk@other.example', 'delivered', 'twin-a', 'address'],
    ['other', 'open', 'desk@other.example', 'delivered', 'other', 'conflict'],
    ['twin', 'waiting', 'x@nobody.example', 'suspended', null, 'conflict'],
    ['', 'waiting', 'x@nobody.example', 'suspended', null, null],
    ['partner', 'waiting', 'ceo@other.example', 'suspended', 'partner', 'conflict'],
    ['', 'known', 'x@nobody.example', 'terminated', null, null],
    ['partner', 'known', 'ceo@other.example', 'suspended', 'partner', 'conflict'],
    ['', 'orders', 'edi@partner.example', 'suspended', 'partner', 'address'],
    ['', 'orders', 'x@nobody.example', 'suspended', null, null],
  ];
  const listedOf = async (partner: string) => {
    const { stdout } = await daemon.command(['messages', 'list', '--json', '--partner', partner]);
    return JSON.parse(stdout.toString()).messages;
  };
  it('resolves the partner alike in verdict, record, documents and lists, whatever becomes of the message', async () => {
    const signers = new Map<string, Party>([
      ['partner', world.partner],
      ...Object.entries({ other, nameless, twin, renewed }),
    ]);
    const records = await Promise.all(
      resolutions.map(([signer, mailbox, from]) =>
        finished(mailOf(`From: ${from}`, signers.get(signer) ?? false), mailbox),
      ),
    );
    const jobs = await queued();
    const expected = new Map<string, [string | null, string | null]>();
    for (const [at, [signer, mailbox, from, state, partner, by]] of resolutions.entries()) {
      const what = `${signer || 'nobody'} signed, From ${from}, to ${mailbox}`;
      const record = records[at] ?? assert.fail(what);
      const { id } = record;
      assert.deepEqual([record.state, record.partner, record.partnerBy], [state, partner, by], what);
      expected.set(id, [partner, by]);
      const { facts } = record.events.find(({ type }) => type === 'decoded') ?? { facts: undefined };
      if (facts) assert.deepEqual([facts.partner, facts.partnerBy], [partner, by], what);
      const documents = [...posted(id), ...jobs.filter((each) => each.id === id)];
      assert.equal(documents.length, state === 'delivered' ? 2 : 0, what);
      if (state !== 'delivered') continue;
      const verdict = JSON.parse(readFileSync(join(daemon.delivered(id), 'verdict.json'), 'utf8'));
      for (const { sender } of [verdict, ...documents.map((each) => each.verdict)])
        assert.deepEqual([sender.partner, sender.by], [partner, by], what);
      for (const each of documents) assert.deepEqual([each.partner, each.partnerBy], [partner, by], what);
    }
    for (const partner of ['partner', 'other', 'strict', 'twin-a', 'twin-b', 'seen']) {
      const listed: MessageRecord[] = await listedOf(partner);
      const found = listed.filter(({ id }) => expected.has(id));
      for (const each of found) {
        assert.deepEqual([each.partner, each.partnerBy], expected.get(each.id));
        assert.equal(each.partner, partner);
      }
      const of = [...expected.values()].filter(([each]) => each === partner).length;
      assert.equal(found.length, of, `the list of ${partner}`);
    }
  });

  it('profiles check judges the mail that came: what was proved, what was only claimed, what was suspended', async () => {
    const header = () => headerOf('From: edi@seen.example');
    const entity = textEntity('an order');
    const usual = () => world.mail(entity, { header: header(), signer: seen });
    const mails = [
      [usual(), 'open'],
      [usual(), 'open'],
      [world.mail(entity, { header: header(), signer: seen, cipher: '-des3' }), 'open'],
      [world.mail(entity, { header: header(), signer: seen, to: false }), 'sealed'],
      [world.mail(entity, { header: header(), signer: false, cipher: '-aes128' }), 'open'],
    ] as const;
    const states = (await Promise.all(mails.map(([mail, to]) => finished(mail, to)))).map(
      ({ state }) => state,
    );
    assert.deepEqual(states, ['delivered', 'delivered', 'delivered', 'suspended', 'delivered']);
    const check = async (at: string) => {
      const { stdout, code } = await daemon.command([
        'profiles',
        'check',
        'edi-energy',
        '--at',
        at,
        '--partner',
        'seen',
        '--json',
      ]);
      const { partners } = JSON.parse(stdout.toString());
      assert.equal(code, 1);
      assert.equal(partners.length, 1);
      const needs: { where: string; rule: string; level: string; found: string; what: string }[] =
        partners[0].needs;
      return needs
        .filter(({ where }) => where === 'traffic')
        .map(({ rule, level, found, what }) => `${level} ${rule}: ${found} (${what.replace(/, last.*/, '')})`)
        .sort();
    };
    const always = [
      'must content: des-ede3-cbc (1 received)',
      'must key-management: rsa-pkcs1 (3 received)',
      'must protection: no encryption (1 received)',
      'must signature: rsa (4 received)',
      'should key-management: rsa-pkcs1 (1 received, by its address alone)',
      'should protection: no signature (1 received, by its address alone)',
    ];
    assert.deepEqual(await check('2027-03-31'), always);
    const later = [
      'must content-gcm: aes-256-cbc (2 received)',
      'must content-gcm: des-ede3-cbc (1 received)',
      'should content-gcm: aes-128-cbc (1 received, by its address alone)',
    ];
    assert.deepEqual(await check('2027-04-01'), [...always, ...later].sort());
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
