import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type DkimKey, recordName, recordText } from '../../src/dkim/index.ts';
import { SealpostError } from '../../src/errors.ts';
import { opensAt, type Windows } from '../../src/partner/windows.ts';
import { sendStep } from '../../src/pipeline/send.ts';
import { signedOctets } from '../../src/pipeline/signed.ts';
import type { DeliveryOptions, Facts, MessageState, OutboundJob, Outcome } from '../../src/queue/index.ts';
import { decodeSync, type EncodeOptions } from '../../src/smime/index.ts';
import type { OutboundMessage } from '../../src/smtp/sender.ts';
import { alice, options } from '../attacks/support.ts';
import { dkimKey, dkimpy, rsaKey, skipWithoutDkimpy } from '../support/dkim.ts';
import { configOf, fetchFrom, kindOf, MemorySpool, messageOf, never } from './support.ts';

const config = configOf(`
partners:
  - { name: acme, addresses: [edi@partner.example, a@own.example], encrypt: false, sign: none }
`);
const envelope = { from: 'us@example.net', to: ['edi@partner.example'] };
const mail = Buffer.from('Subject: order\r\nContent-Type: text/plain\r\n\r\n4711\r\n');
const encrypting = (): EncodeOptions => ({ recipients: [alice.certificate] });

/** Octets of a message, made as the sender does. */
async function made(message: OutboundMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of message.octets()) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}

/** One attempt with a sender that does as told. */
async function send(
  asked: (message: OutboundMessage) => Promise<Outcome>,
  {
    octets = mail,
    state = 'queued' as MessageState | null,
    partner = 'acme',
    protection = encrypting,
    spool = new MemorySpool(),
    limits = config.limits,
    delivery = {} as DeliveryOptions,
    now = Date.parse('2026-12-01T12:00:00Z'),
    windows = undefined as Windows | undefined,
    dkim = [] as readonly DkimKey[],
    to = envelope.to,
    settings = config.partners[0],
  } = {},
) {
  const messages: OutboundMessage[] = [];
  const sent: Facts[] = [];
  const job: OutboundJob = {
    ...{ id: 'o1', direction: 'outbound', partner, messageId: null, receivedAt: 1 },
    envelope: { ...envelope, to },
    origin: { kind: 'command', detail: {} },
    octets: spool.put(octets),
    delivery,
  };
  assert.ok(settings);
  const step = sendStep({
    spool,
    flow: {
      fetch: fetchFrom(spool, state),
      async sent(_job, facts) {
        sent.push(facts);
      },
    },
    route: (name) =>
      name === 'acme'
        ? {
            partner: { ...settings, windows },
            sender: {
              async send(message, signal) {
                assert.equal(signal, never);
                messages.push(message);
                return await asked(message);
              },
            },
          }
        : undefined,
    protection,
    limits,
    ...{ hostname: 'own.example', trace: (what: string) => `trace-of-${what}` },
    isOwn: (recipient) => recipient.endsWith('@own.example'),
    dkim,
    now: () => now,
    opensAt,
  });
  return { outcome: await step(job, { signal: never }), messages, sent };
}

/** What the ledger keeps of `encrypting`. */
const used = 'oE256c:p1.r2048';
const taken = async (): Promise<Outcome> => ({ done: true, facts: { reply: '250 ok' } });

describe('send', () => {
  it('gives the sender the protected message, as often as it asks, and records what it said', async () => {
    const { outcome, messages, sent } = await send(taken);
    assert.deepEqual([outcome, sent], [{ done: true }, [{ reply: '250 ok', used }]]);
    const [message] = messages;
    assert.ok(message && messages.length === 1);
    assert.deepEqual(message.envelope, envelope);
    const first = await made(message);
    assert.ok(!first.includes('4711'));
    for (const octets of [first, await made(message)]) {
      const { verdict, content } = decodeSync(octets, options);
      assert.equal(verdict.encrypted, true);
      assert.match(content?.toString() ?? '', /4711/);
    }
  });

  it('streams what lies in a file', async () => {
    const spool = new MemorySpool(100);
    const octets = Buffer.concat([mail, Buffer.from('a line of it\r\n'.repeat(1000))]);
    const { messages } = await send(taken, { octets, spool });
    assert.equal(spool.opened, 0);
    const [message] = messages;
    assert.ok(message);
    const { content } = decodeSync(await made(message), options);
    assert.ok(spool.opened > 0 && (content?.length ?? 0) > 14_000);
    assert.ok((message.estimate ?? 0) > octets.length);
  });

  it('passes on what the sender says of a message that was not sent, and records nothing', async () => {
    for (const answer of [
      { retry: 'send-failed', facts: { reply: '451 later' }, peer: 'works' },
      { suspend: 'send-refused', facts: { reply: '550 no' }, peer: 'works' },
      { retry: 'spool-unreachable', facts: { message: 'away' }, untried: true },
    ] as const) {
      const { outcome, sent } = await send(async () => answer);
      assert.deepEqual([outcome, sent], [answer, []]);
    }
  });

  it('marks what leaves, and says when it came, but not from where', async () => {
    const { messages } = await send(taken);
    const [message] = messages;
    assert.ok(message);
    const top = (await made(message)).toString().split('\r\n').slice(0, 5);
    assert.deepEqual(top, [
      'Received: by own.example (over command)',
      ' id o1',
      ' for <edi@partner.example>;',
      ' Thu, 01 Jan 1970 00:00:00 +0000',
      'X-Sealpost-Trace: trace-of-(partners)',
    ]);
  });

  it('does not mark what is to come back: mail to an address of ours', async () => {
    for (const to of [['a@own.example'], ['edi@partner.example', 'a@own.example']]) {
      const { messages } = await send(taken, { to });
      const [message] = messages;
      assert.ok(message);
      const text = (await made(message)).toString();
      assert.doesNotMatch(text, /X-Sealpost-Trace/);
      // several recipients must not learn of each other
      assert.equal(/ for </.test(text), to.length === 1);
    }
  });

  describe('DKIM', { skip: skipWithoutDkimpy() }, () => {
    const key = dkimKey('example.net', 's1', rsaKey());
    const records = { [recordName(key)]: recordText(key) };
    const from = Buffer.concat([Buffer.from('From: us@example.net\r\n'), mail]);
    const large = Buffer.concat([from, Buffer.alloc(2_000_000, 'a line of it\r\n')]);

    it('signs the octets that leave, and the record names who signed', async () => {
      const asked = async (message: OutboundMessage) => {
        const octets = await made(message);
        assert.ok(octets.includes('X-Sealpost-Trace') && !octets.includes('4711'));
        assert.deepEqual(dkimpy([octets], records), [[true]]);
        return { done: true, facts: { reply: '250 ok' } } as const;
      };
      const { sent } = await send(asked, { octets: from, dkim: [key], now: Date.now() });
      assert.deepEqual(sent, [{ reply: '250 ok', dkim: ['s1._domainkey.example.net'], used }]);
    });

    it('keeps a large one in the spool until its end is known, and not longer', async () => {
      const spool = new MemorySpool();
      const limits = { ...config.limits, work: 1e12 };
      const asked = async (message: OutboundMessage) => {
        const before = spool.stored.size;
        const octets = message.octets()[Symbol.asyncIterator]();
        const first: IteratorResult<Buffer> = await octets.next();
        assert.match(String(first.value), /^DKIM-Signature: /);
        await octets.next();
        assert.equal(spool.stored.size, before + 1);
        // the server went away
        await octets.return?.();
        assert.equal(spool.stored.size, before);
        const whole = await made(message);
        assert.deepEqual([spool.stored.size, dkimpy([whole], records)], [before, [[true]]]);
        return { done: true } as const;
      };
      const { outcome } = await send(asked, { octets: large, dkim: [key], spool, limits, now: Date.now() });
      assert.deepEqual([outcome, spool.open_], [{ done: true }, 0]);
    });

    it('does not sign, nor keep, mail of another author, and says so', async () => {
      const spool = new MemorySpool();
      const other = Buffer.from(large.toString().replace('us@example.net', 'us@example.org'));
      const asked = async (message: OutboundMessage) => {
        const before = spool.stored.size;
        for await (const _ of message.octets()) assert.equal(spool.stored.size, before);
        assert.doesNotMatch((await made(message)).toString(), /DKIM-Signature/);
        return { done: true } as const;
      };
      const limits = { ...config.limits, work: 1e12 };
      const { sent } = await send(asked, { octets: other, dkim: [key], spool, limits });
      assert.deepEqual([sent, spool.open_], [[{ dkim: [], used }], 0]);
    });

    it('does not sign for a partner with dkim: false', async () => {
      const quiet = configOf(`
partners:
  - { name: acme, addresses: [edi@partner.example], encrypt: false, sign: none, dkim: false }
`).partners[0];
      const { messages, sent } = await send(taken, { octets: from, dkim: [key], settings: quiet });
      const [message] = messages;
      assert.ok(message);
      assert.doesNotMatch((await made(message)).toString(), /DKIM-Signature/);
      assert.deepEqual(sent, [{ reply: '250 ok', used }]);
    });

    it('lets go of what it keeps when the octets end with an error', async () => {
      const spool = new MemorySpool();
      async function* broken() {
        yield large;
        throw new SealpostError('work-limit', 'too much');
      }
      const parts = { keys: [key], spool, now: Date.now, onSigned: () => {} };
      await assert.rejects(Array.fromAsync(signedOctets(broken(), parts)), { code: 'work-limit' });
      assert.deepEqual([spool.open_, spool.aborted, spool.stored.size], [0, 1, 0]);
    });
  });

  it('asks nobody for a message that cannot be protected, and says why', async () => {
    const protection = (): EncodeOptions => {
      throw new SealpostError('encode-signer', 'no identity is in force', { hint: 'renew it' });
    };
    const { outcome, messages } = await send(taken, { protection });
    assert.equal(kindOf(outcome), 'suspend encode-signer');
    assert.equal(messageOf(outcome), 'no identity is in force; renew it');
    assert.deepEqual(messages, []);
    // A key below what the settings ask for: found when the octets are made, which the sender does before it connects.
    const weak = await send(taken, { protection: () => ({ ...encrypting(), minimumRsaBits: 3072 }) });
    const [message] = weak.messages;
    assert.ok(message);
    await assert.rejects(made(message), { code: 'encode-recipient', message: /2048 bits; at least 3072/ });
    const defect = () => {
      throw new TypeError('x');
    };
    await assert.rejects(send(taken, { protection: defect }), TypeError);
  });

  it('weighs what a message becomes by the limits', async () => {
    for (const [work, code] of [
      [1, 'work-limit'],
      [100_000, undefined],
    ] as const) {
      const limits = { ...config.limits, work };
      const { messages } = await send(taken, {
        octets: Buffer.concat([mail, Buffer.alloc(2000, 'x\r\n')]),
        limits,
      });
      const [message] = messages;
      assert.ok(message);
      const error = await made(message).then(
        () => undefined,
        (each: unknown) => each,
      );
      assert.equal(error instanceof SealpostError ? error.code : error, code);
    }
  });

  it('asks nobody when the work was done, or the message has ended or is unknown', async () => {
    for (const state of ['sent', 'terminated', 'suspended', null] as const) {
      const { outcome, messages } = await send(taken, { state });
      assert.deepEqual([outcome, messages], [{ done: true }, []], String(state));
    }
  });

  describe('when a message leaves', () => {
    const now = Date.parse('2026-12-01T12:00:00Z');
    const windows: Windows = { timeZone: 'UTC', open: [{ from: '13:00', to: '14:00' }], closed: [] };
    const hour = 3_600_000;

    it('is not before notBefore: nobody is asked, nothing is fetched, and no attempt counts', async () => {
      const spool = new MemorySpool();
      const early = await send(taken, { delivery: { notBefore: now + 1 }, now, spool });
      assert.deepEqual(early.outcome, { retry: 'not-yet', untried: true, after: 1 });
      assert.deepEqual([early.messages, early.sent, spool.opened], [[], [], 0]);
      const due = await send(taken, { delivery: { notBefore: now }, now });
      assert.deepEqual([due.outcome, due.messages.length], [{ done: true }, 1]);
    });

    it('is not after notAfter: it is suspended, and nobody is asked', async () => {
      const late = await send(taken, { delivery: { notAfter: now - 1 }, now });
      assert.deepEqual(late.outcome, {
        suspend: 'expired',
        facts: { notAfter: '2026-12-01T11:59:59.999Z' },
      });
      assert.deepEqual(late.messages, []);
      const due = await send(taken, { delivery: { notAfter: now }, now });
      assert.deepEqual([due.outcome, due.messages.length], [{ done: true }, 1]);
    });

    it('is in a service window of the partner, also after notBefore, and expires while it waits', async () => {
      const held = (after: number) => ({ retry: 'not-yet', untried: true, after });
      const wait = async (delivery: DeliveryOptions) =>
        (await send(taken, { windows, now, delivery })).outcome;
      assert.deepEqual(await wait({}), held(hour));
      assert.deepEqual(await wait({ notBefore: now + 1.5 * hour }), held(1.5 * hour));
      assert.deepEqual(await wait({ notBefore: now + 2 * hour }), held(25 * hour));
      assert.deepEqual(await wait({ notAfter: now + 500 }), held(501));
      const open = await send(taken, { windows, now: now + hour });
      assert.deepEqual([open.outcome, open.messages.length], [{ done: true }, 1]);
    });

    it('is suspended if no window opens ever again', async () => {
      const past: Windows = { ...windows, open: [{ dates: ['2026-11-30'], from: '00:00', to: '24:00' }] };
      const { outcome, messages } = await send(taken, { windows: past, now });
      assert.deepEqual([kindOf(outcome), messages], ['suspend never-open', []]);
    });
  });

  it('same-name: sends nothing to an address that is none of the partner: another one may have its name by now', async () => {
    for (const to of [['edi@elsewhere.example'], ['edi@partner.example', 'edi@elsewhere.example']]) {
      const { outcome, messages } = await send(taken, { to });
      assert.equal(kindOf(outcome), 'suspend partner-unknown');
      assert.match(JSON.stringify(outcome), /edi@elsewhere\.example is no longer an address of partner acme/);
      assert.deepEqual(messages, []);
    }
    const { outcome } = await send(taken, { to: ['EDI@partner.example'] });
    assert.deepEqual(outcome, { done: true });
  });

  it('suspends for a removed partner', async () => {
    const { outcome, messages } = await send(taken, { partner: 'gone' });
    assert.deepEqual([kindOf(outcome), messages], ['suspend partner-unknown', []]);
  });
});
