import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { SealpostError } from '../../src/errors.ts';
import { parseHeaders } from '../../src/message/index.ts';
import { Outgoing, submit } from '../../src/pipeline/submit.ts';
import type { OutboundEntry } from '../../src/queue/index.ts';
import { configOf, MemorySpool } from './support.ts';

const { partners } = configOf(`
partners:
  - { name: acme, addresses: [edi@partner.example], from: us@example.net, encrypt: false, sign: none }
  - { name: own, addresses: ['@own.example', 'in@own.example'], encrypt: false, sign: none }
  - { name: domain, addresses: ['@domain.example'], from: us@example.net, encrypt: false, sign: none }
`);

/** Submits a mail; returns the octets in the spool, and the entry of the record. */
async function handIn(outgoing: Outgoing, { partner = 'acme', accepts = true, idempotencyKey = '' } = {}) {
  const spool = new MemorySpool();
  const entries: OutboundEntry[] = [];
  let opened = 0;
  const result = await submit(
    {
      partners,
      async withIntake(work) {
        opened += 1;
        return await work({
          begin: () => spool.create(),
          async commitOutbound(writer, entry) {
            if (!accepts) throw new SealpostError('queue-full', 'no room');
            await writer.finish();
            entries.push(entry);
            return { id: 'o1', duplicate: false };
          },
        });
      },
      now: () => new Date('2026-11-29T10:00:00Z'),
    },
    {
      partner,
      outgoing,
      origin: { kind: 'command', detail: {} },
      ...(idempotencyKey === '' ? {} : { idempotencyKey }),
    },
  ).catch((error: unknown) => {
    assert.ok(error instanceof SealpostError, String(error));
    return error;
  });
  return { result, entry: entries[0], octets: [...spool.stored.values()][0], spool, opened };
}

const mail = (...lines: string[]) => Outgoing.mail(() => [Buffer.from(lines.join('\r\n'))], 'order.eml');
const content = (text: string, facts: { type?: string; name?: string } = {}) =>
  Outgoing.content(() => [Buffer.from(text)], 'the content', facts);
const codeOf = (result: unknown) => (result instanceof SealpostError ? result.code : result);

describe('submit', () => {
  it('adds what the header lacks, and says who sends to whom', async () => {
    const { result, entry, octets } = await handIn(mail('Subject: order', '', '4711', ''));
    assert.deepEqual(result, { id: 'o1', duplicate: false });
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
    assert.equal(entry?.idempotencyKey, 'k');
    // The partner's setting says who we are, regardless of the field.
    assert.equal(entry?.envelope.from, 'us@example.net');
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
    for (const [partner, lines, said] of [
      ['own', ['Subject: x', '', ''], /no From field/],
      ['domain', ['Subject: x', '', ''], /only domains/],
    ] as const) {
      const { result, spool } = await handIn(mail(...lines), { partner });
      assert.equal(codeOf(result), 'address-invalid');
      assert.match(result instanceof SealpostError ? result.message : '', said);
      assert.deepEqual([spool.open_, spool.aborted, spool.stored.size], [0, 1, 0]);
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
    assert.deepEqual((await handIn(content('', { name: 'empty.csv' }))).result, {
      id: 'o1',
      duplicate: false,
    });
    for (const nothing of [content(''), mail('')]) {
      const { result, spool } = await handIn(nothing);
      assert.deepEqual([codeOf(result), spool.open_], ['message-empty', 0]);
    }
  });

  it('refuses a mail whose header is not one', async () => {
    const { result } = await handIn(mail('ISA*00*ZZ*ACME~', '', 'x'));
    assert.equal(codeOf(result), 'mime-malformed');
  });
});
