import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { allGranted, Client, type Grants, operatorClient } from '../../src/client/index.ts';
import { Rates } from '../../src/client/rates.ts';
import { SealpostError } from '../../src/errors.ts';
import { parseHeaders } from '../../src/message/index.ts';
import { Outgoing, PartnerBook, type Submission, submit } from '../../src/pipeline/submit.ts';
import type { OutboundEntry } from '../../src/queue/index.ts';
import { configOf, MemorySpool } from './support.ts';

const { partners } = configOf(`
partners:
  - { name: acme, addresses: [edi@partner.example], from: us@example.net, encrypt: false, sign: none }
  - { name: own, addresses: ['@own.example', 'in@own.example'], encrypt: false, sign: none }
  - { name: domain, addresses: ['@domain.example'], from: us@example.net, encrypt: false, sign: none }
`);

interface Given extends Partial<Submission> {
  partner?: string;
  accepts?: boolean;
  rates?: Rates;
  of?: typeof partners;
}

/** Submits a mail; returns the octets in the spool, and the entries for the records. */
async function handIn(outgoing: Outgoing, given: Given = {}) {
  const { partner = 'acme', accepts = true, rates, of = partners, ...more } = given;
  const spool = new MemorySpool();
  const entries: OutboundEntry[] = [];
  let opened = 0;
  const result = await submit(
    {
      partners: new PartnerBook(of),
      ...(rates && { rates }),
      async withIntake(work) {
        opened += 1;
        return await work({
          begin: () => spool.create(),
          deriveKey: () => Buffer.alloc(32, 1),
          async commitOutbound(writer, given) {
            if (!accepts) throw new SealpostError('queue-full', 'no room');
            await writer.finish();
            entries.push(...given);
            return given.map((_, index) => ({ id: `o${index + 1}`, duplicate: false }));
          },
        });
      },
      now: () => new Date('2026-11-29T10:00:00Z'),
    },
    {
      client: operatorClient,
      to: { partner },
      outgoing,
      origin: { kind: 'command', detail: {} },
      ...more,
    },
  ).catch((error: unknown) => {
    assert.ok(error instanceof SealpostError, String(error));
    return error;
  });
  return { result, entry: entries[0], entries, octets: [...spool.stored.values()][0], spool, opened };
}

const granted = (grants: Partial<Grants>) => new Client('erp', { ...allGranted, ...grants });

const mail = (...lines: string[]) => Outgoing.mail(() => [Buffer.from(lines.join('\r\n'))], 'order.eml');
const content = (text: string, facts: { type?: string; name?: string } = {}) =>
  Outgoing.content(() => [Buffer.from(text)], 'the content', facts);
const codeOf = (result: unknown) => (result instanceof SealpostError ? result.code : result);

describe('submit', () => {
  it('hands on the subject to be kept only where the partner wants that', async () => {
    const keeping = partners.map((each) => ({ ...each, keepSubjects: each.name === 'acme' }));
    const order = () => mail('Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=', '', '4711', '');
    assert.equal((await handIn(order(), { of: keeping })).entry?.subject, 'Gr\u00fc\u00dfe');
    assert.equal((await handIn(order())).entry?.subject, undefined);
    assert.equal((await handIn(mail('X: y', '', 'z'), { of: keeping })).entry?.subject, undefined);
  });

  it('adds what the header lacks, and says who sends to whom', async () => {
    const { result, entry, octets } = await handIn(mail('Subject: order', '', '4711', ''));
    const recipients = ['edi@partner.example'];
    assert.deepEqual(result, [{ id: 'o1', partner: 'acme', recipients, duplicate: false }]);
    assert.deepEqual(entry?.envelope, { from: 'us@example.net', to: ['edi@partner.example'] });
    assert.deepEqual([entry?.partner, entry?.origin.kind], ['acme', 'command']);
    const headers = parseHeaders(octets ?? Buffer.alloc(0));
    assert.equal(headers.get('from')?.trim(), '<us@example.net>');
    assert.equal(headers.get('to')?.trim(), '<edi@partner.example>');
    assert.equal(headers.get('date')?.trim(), 'Sun, 29 Nov 2026 10:00:00 +0000');
    assert.match(entry?.messageId ?? '', /^<[0-9a-f-]{36}@example\.net>$/);
    assert.equal(headers.get('message-id')?.trim(), entry?.messageId);
    assert.match(octets?.toString() ?? '', /\r\nSubject: order\r\n\r\n4711\r\n$/);
  });

  it('leaves what is there', async () => {
    const lines = [
      ...['From: them@own.example', 'To: x@y.example', 'Date: Sat, 28 Nov 2026 10:00:00 +0000'],
      ...['Message-ID: <a@b.example>', '', 'x', ''],
    ];
    const { entry, octets } = await handIn(mail(...lines), { idempotencyKey: 'k' });
    assert.equal(octets?.toString(), lines.join('\r\n'));
    assert.equal(entry?.messageId, '<a@b.example>');
    assert.equal(entry?.idempotency?.key, 'k');
    // The partner's setting says who we are, regardless of the field.
    assert.equal(entry?.envelope.from, 'us@example.net');
  });

  it('names no partner to another, and nobody as the author whom one of them does not know', async () => {
    const bare = () => mail('Subject: order', '', '4711');
    const header = ({ octets }: Awaited<ReturnType<typeof handIn>>) =>
      parseHeaders(octets ?? Buffer.alloc(0));
    const same = { recipients: ['edi@partner.example', 'a@domain.example'] };
    const both = header(await handIn(bare(), { to: same }));
    assert.deepEqual(
      [both.get('to')?.trim(), both.get('from')?.trim()],
      ['undisclosed-recipients:;', '<us@example.net>'],
    );
    const one = { recipients: ['a@domain.example', 'b@domain.example'] };
    const alone = header(await handIn(bare(), { to: one }));
    assert.equal(alone.get('to')?.trim(), '<a@domain.example>, <b@domain.example>');

    // each partner has a sender of its own: the mail needs an author whom the client may name to both
    const of = partners.map((each) => ({ ...each, from: `for-${each.name}@example.net` }));
    const client = granted({ senders: ['erp@example.net'] });
    const outcome = async (outgoing: Outgoing, to: Submission['to']) =>
      codeOf((await handIn(outgoing, { of, client, to })).result);
    assert.equal(await outcome(bare(), same), 'not-granted');
    assert.ok(Array.isArray(await outcome(bare(), one)));
    assert.ok(Array.isArray(await outcome(mail('From: erp@example.net', '', 'x'), same)));
    // the null sender is nobody's author
    const to = { recipients: ['a@own.example'] };
    assert.equal(codeOf((await handIn(bare(), { to, from: '' })).result), 'address-invalid');
    assert.ok(Array.isArray((await handIn(mail('From: a@own.example', '', 'x'), { to, from: '' })).result));
  });

  it('leaves out the fields of a delivery, and no others', async () => {
    const kept = [
      ...['From: them@own.example', 'To: x@y.example', 'Date: Sat, 28 Nov 2026 10:00:00 +0000'],
      ...['Message-ID: <a@b.example>', 'Received: from a by b; Sat, 28 Nov 2026 09:00:00 +0000'],
      ...['X-Return-Path: <a@b.example>', '', 'Return-Path: in the text', ''],
    ];
    const [first = '', ...rest] = kept;
    const lines = [
      'Return-Path: <boss@own.example>',
      'RETURN-PATH:',
      ' <boss@own.example>',
      first,
      ...[
        'Delivered-To: boss',
        'X-Original-To: a',
        'X-Delivered-To: b',
        'Envelope-To: c',
        'X-Envelope-To: d',
      ],
      'Delivery-date: Sat, 28 Nov 2026 10:00:00 +0000',
      ...rest,
    ];
    const { octets } = await handIn(mail(...lines));
    assert.equal(octets?.toString(), kept.join('\r\n'));
  });

  it('takes the sender from the message where the partner has none, and the first full address', async () => {
    const { entry } = await handIn(mail('From: Us <us@own.example>', '', 'x'), { partner: 'own' });
    assert.deepEqual(entry?.envelope, { from: 'us@own.example', to: ['in@own.example'] });
  });

  it('refuses a partner that is not there before anything is opened', async () => {
    const { result, opened } = await handIn(mail('a: b', '', ''), { partner: 'nobody' });
    assert.deepEqual([codeOf(result), opened], ['partner-unknown', 0]);
    assert.match(result instanceof SealpostError ? (result.hint ?? '') : '', /acme, own, domain/);
  });

  it('refuses a mail without sender and a partner without address, and keeps nothing', async () => {
    for (const [partner, lines, said, aborted] of [
      ['own', ['Subject: x', '', ''], /no From field/, 1],
      ['domain', ['Subject: x', '', ''], /only domains/, 0],
    ] as const) {
      const { result, spool } = await handIn(mail(...lines), { partner });
      assert.equal(codeOf(result), 'address-invalid');
      assert.match(result instanceof SealpostError ? result.message : '', said);
      assert.deepEqual([spool.open_, spool.aborted, spool.stored.size], [0, aborted, 0]);
    }
  });

  it('keeps nothing when there is no room', async () => {
    const { result, spool } = await handIn(mail('a: b', '', ''), { accepts: false });
    assert.deepEqual([codeOf(result), spool.open_, spool.aborted], ['queue-full', 0, 1]);
  });

  it('gives content a header, so that none of it is taken for one', async () => {
    const text = 'Subject: not a header\r\n\r\nx';
    const { octets } = await handIn(content(text, { name: 'order.edi' }));
    const headers = parseHeaders(octets?.subarray(0, octets.indexOf('\r\n\r\n') + 2) ?? Buffer.alloc(0));
    assert.equal(headers.get('subject'), undefined);
    assert.match(headers.get('content-type') ?? '', /application\/EDIFACT/);
    assert.match(headers.get('content-disposition') ?? '', /filename="order.edi"/);
    assert.ok(octets?.toString().endsWith(`\r\n\r\n${text}`));
    const typed = await handIn(content(text, { type: 'text/csv', name: 'order.edi' }));
    assert.match(typed.octets?.toString() ?? '', /Content-Type: text\/csv\r\n/);
  });

  it('refuses an invalid type at once', () => {
    assert.throws(() => content('x', { type: 'nonsense' }), { code: 'usage' });
    assert.throws(() => content('x', { type: 'multipart/mixed' }), { code: 'usage' });
  });

  it('takes an empty file, and no empty mail or nameless content', async () => {
    const { result } = await handIn(content('', { name: 'empty.csv' }));
    assert.ok(Array.isArray(result) && result[0]?.id === 'o1');
    for (const nothing of [content(''), mail('')]) {
      const { result, spool } = await handIn(nothing);
      assert.deepEqual([codeOf(result), spool.open_], ['message-empty', 0]);
    }
  });

  it('refuses a mail whose header is not one', async () => {
    const { result } = await handIn(mail('ISA*00*ZZ*ACME~', '', 'x'));
    assert.equal(codeOf(result), 'mime-malformed');
  });

  it('makes one message for each partner, at its own recipients', async () => {
    // Two of them are the same mailbox, in other words.
    const same = ['a@own.example', 'a@OWN.Example', '"a"@own.example'];
    const recipients = ['edi@partner.example', 'a@own.example', 'in@own.example', ...same];
    const { result, entries } = await handIn(mail('From: us@example.net', '', 'x'), { to: { recipients } });
    assert.deepEqual(
      entries.map(({ partner, envelope }) => [partner, envelope.to]),
      [
        ['acme', ['edi@partner.example']],
        ['own', ['a@own.example', 'in@own.example']],
      ],
    );
    assert.ok(Array.isArray(result) && result.length === 2);
    const unknown = await handIn(mail('a: b', '', ''), {
      to: { recipients: [...recipients, 'x@nobody.example'] },
    });
    assert.deepEqual([codeOf(unknown.result), unknown.opened], ['partner-unknown', 0]);
    const foreign = await handIn(mail('a: b', '', ''), {
      to: { partner: 'acme', recipients: ['in@own.example'] },
    });
    assert.equal(codeOf(foreign.result), 'address-invalid');
    assert.equal(
      codeOf((await handIn(mail('a: b', '', ''), { to: { recipients: [] } })).result),
      'request-invalid',
    );
  });

  it('keeps what is asked for apart from the mail', async () => {
    const lines = [
      'From: us@example.net',
      'X-Sealpost-Idempotency-Key: k1',
      'X-Sealpost-Metadata: order = 4711',
    ];
    const fields = mail(...lines, 'x-sealpost-priority: 2', 'Subject: s', '', 'x');
    const { entry, octets } = await handIn(fields, { fields: true });
    assert.deepEqual(entry?.metadata, { order: '4711' });
    assert.deepEqual([entry?.idempotency?.key, entry?.delivery?.priority], ['k1', 2]);
    assert.doesNotMatch(octets?.toString() ?? '', /sealpost/i);
    assert.match(octets?.toString() ?? '', /Subject: s\r\n\r\nx$/);
    // Where the door has other means, the fields are removed and say nothing.
    const ignored = await handIn(fields);
    assert.deepEqual([ignored.entry?.metadata, ignored.entry?.idempotency], [undefined, undefined]);
    assert.doesNotMatch(ignored.octets?.toString() ?? '', /sealpost/i);
    for (const wrong of ['X-Sealpost-Nothing: 1', 'X-Sealpost-Priority: 11', 'X-Sealpost-Not-Before: soon'])
      assert.equal(
        codeOf((await handIn(mail(wrong, '', 'x'), { fields: true })).result),
        'request-invalid',
        wrong,
      );
    const twice = mail('X-Sealpost-Idempotency-Key: a', 'X-Sealpost-Idempotency-Key: b', '', 'x');
    assert.equal(codeOf((await handIn(twice, { fields: true })).result), 'request-invalid');
  });

  it('knows a repetition by what it says, not by its framing', async () => {
    const print = async (boundary: string, text: string, more: Given = {}) => {
      const whole = mail(
        ...[`Date: ${new Date(boundary.length).toUTCString()}`, `Message-ID: <${boundary}@x.example>`],
        ...['From: us@example.net', `Content-Type: multipart/mixed; boundary="${boundary}"`, ''],
        ...['preamble', `--${boundary}`, 'Content-Type: text/plain', '', text, `--${boundary}--`, ''],
      );
      const { entry } = await handIn(whole, { idempotencyKey: 'k', ...more });
      return entry?.idempotency?.fingerprint;
    };
    const first = await print('one', 'order');
    assert.match(first ?? '', /^[0-9a-f]{32}$/);
    assert.equal(await print('another', 'order'), first);
    const others = [
      await print('one', 'orders'),
      await print('one', 'order', { to: { partner: 'acme', recipients: ['other@partner.example'] } }),
      await print('one', 'order', { metadata: { a: 'b' } }),
      await print('one', 'order', { delivery: { priority: 1 } }),
      await print('one', 'order', { from: 'x@own.example' }),
    ];
    assert.equal(new Set([first, ...others]).size, 6, String(others));
  });

  it('bounds metadata, key and delivery', async () => {
    const taken = async (more: Given) => codeOf((await handIn(mail('a: b', '', ''), more)).result);
    const pairs = (count: number, value = 'v') =>
      Object.fromEntries(Array.from({ length: count }, (_, at) => [`n${at}`, value]));
    assert.ok(Array.isArray(await taken({ metadata: pairs(20) })));
    assert.ok(Array.isArray(await taken({ metadata: { n: 'v'.repeat(500) } })));
    const now = Date.parse('2026-11-29T10:00:00Z');
    assert.ok(
      Array.isArray(await taken({ delivery: { notAfter: now + 1 }, idempotencyKey: '!'.repeat(200) })),
    );
    for (const wrong of [
      { metadata: pairs(21) },
      { metadata: { n: 'v'.repeat(501) } },
      { metadata: pairs(10, 'v'.repeat(450)) },
      { metadata: { 'a b': 'c' } },
      { metadata: { a: 'c\nX: y' } },
      { idempotencyKey: '' },
      { idempotencyKey: '!'.repeat(201) },
      { idempotencyKey: 'a b' },
      { delivery: { notAfter: now } },
      { delivery: { notBefore: now + 10, notAfter: now + 10 } },
      { delivery: { priority: 0 } },
    ])
      assert.equal(await taken(wrong), 'request-invalid', JSON.stringify(wrong).slice(0, 60));
  });

  describe('asks what the client may do', () => {
    const from = (address: string) => mail(`From: ${address}`, '', 'x');
    const code = async (grants: Partial<Grants>, outgoing: Outgoing, more: Given = {}) =>
      codeOf((await handIn(outgoing, { client: granted(grants), ...more })).result);

    it('verb', async () => {
      assert.equal(await code({ verbs: ['read'] }, from('a@x.example')), 'not-granted');
    });

    it('partner: one that is not granted is like one that is not there', async () => {
      const grants = { partners: ['own'] };
      const hidden = await handIn(mail('a: b', '', ''), { client: granted(grants), partner: 'acme' });
      const missing = await handIn(mail('a: b', '', ''), { client: granted(grants), partner: 'nobody' });
      const said = ({ result }: typeof hidden) =>
        result instanceof SealpostError && [result.code, result.message.replace(/"\w+"/, ''), result.hint];
      assert.deepEqual(said(hidden), said(missing));
      assert.deepEqual([codeOf(hidden.result), hidden.opened], ['partner-unknown', 0]);
      const to = { recipients: ['edi@partner.example'] };
      assert.equal(await code(grants, from('a@x.example'), { to }), 'partner-unknown');
    });

    it('sender: From, Sender and MAIL FROM alike', async () => {
      const grants = { senders: ['erp@own.example', '@sub.example'] };
      for (const good of ['erp@own.example', 'X <x@sub.example>', 'us@example.net'])
        assert.ok(Array.isArray(await code(grants, from(good))), good);
      for (const bad of ['x@own.example', 'erp@own.example, x@other.example', 'x@deep.sub.example'])
        assert.equal(await code(grants, from(bad)), 'not-granted', bad);
      assert.equal(await code(grants, from('')), 'mime-malformed');
      assert.equal(await code(grants, from('a <b <erp@own.example>>')), 'mime-malformed');
      const two = mail('From: erp@own.example', 'From: x@other.example', '', 'x');
      assert.equal(await code(grants, two), 'mime-malformed');
      const odd = mail('From: erp@own.example', 'Sender: a <b@c.example', '', 'x');
      assert.equal(await code(grants, odd), 'mime-malformed');
      const sender = mail('From: erp@own.example', 'Sender: x@other.example', '', 'x');
      assert.equal(await code(grants, sender), 'not-granted');
      assert.equal(await code(grants, from('erp@own.example'), { from: 'x@own.example' }), 'not-granted');
      assert.equal(await code(grants, from('erp@own.example'), { from: '' }), 'not-granted');
      assert.ok(Array.isArray(await code(grants, mail('Subject: s', '', 'x'))));
      assert.equal(await code({ senders: [] }, from('erp@own.example')), 'not-granted');
    });

    it('identity that signs for the partner', async () => {
      const signed = configOf(`
identities: [{ name: ours, pkcs12: k.p12 }, { name: theirs, pkcs12: t.p12 }]
partners: [{ name: acme, addresses: [e@p.example], from: us@x.example, identity: ours, encrypt: false }]
`);
      const as = (identities: string[]) => ({ client: granted({ identities }), of: signed.partners });
      assert.equal(codeOf((await handIn(mail('a: b', '', 'x'), as(['theirs']))).result), 'not-granted');
      assert.ok(Array.isArray((await handIn(mail('a: b', '', 'x'), as(['OURS']))).result));
    });

    it('rate and size', async () => {
      let now = 0;
      const rates = new Rates(() => now);
      const limits = { messages: 2, octets: 0, size: 20 };
      const small = mail('a: b', '', 'x');
      const codes = [];
      for (let at = 0; at < 3; at++) codes.push(await code({ limits }, small, { rates }));
      assert.deepEqual(
        [Array.isArray(codes[0]), Array.isArray(codes[1]), codes[2]],
        [true, true, 'rate-limited'],
      );
      now = 30_000;
      assert.ok(Array.isArray(await code({ limits }, small, { rates })));
      assert.equal(await code({ limits }, small, { rates }), 'rate-limited');
      // Another client has what is its own.
      const shop = new Client('shop', { ...allGranted, limits });
      assert.ok(Array.isArray((await handIn(small, { client: shop, rates })).result));
      // What was sent before there was a limit does not count against it, and a changed limit counts at once.
      const free = new Client('free', { ...allGranted, limits: { messages: 0, octets: 0, size: 0 } });
      for (let at = 0; at < 5; at++) await handIn(small, { client: free, rates });
      const bound = (messages: number) =>
        new Client('free', { ...allGranted, limits: { messages, octets: 1000, size: 0 } });
      assert.ok(Array.isArray((await handIn(small, { client: bound(1), rates })).result));
      assert.equal(codeOf((await handIn(small, { client: bound(1), rates })).result), 'rate-limited');
      assert.ok(Array.isArray((await handIn(small, { client: bound(2), rates })).result));
      // A mail to several partners is several messages, and is not refused for being more than are left.
      const two = new Client('two', { ...allGranted, limits: { messages: 2, octets: 0, size: 0 } });
      const to = { recipients: ['edi@partner.example', 'in@domain.example'] };
      assert.ok(Array.isArray((await handIn(small, { client: two, rates, to })).result));
      assert.equal(codeOf((await handIn(small, { client: two, rates })).result), 'rate-limited');
      const exact = mail('a: b', '', 'x'.repeat(12));
      assert.ok(Array.isArray(await code({ limits }, exact)));
      assert.equal(await code({ limits }, mail('a: b', '', 'x'.repeat(13))), 'message-too-large');
    });
  });
});
