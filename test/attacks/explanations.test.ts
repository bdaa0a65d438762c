/**
 * Attacks on the mail that tells a partner why its message was refused: to get one in another's name, to learn what is
 * in a ciphertext (RFC 8551, section 6; EFAIL), to have something repeated, to flood, and to make two machines talk
 * (RFC 3834).
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { profileBook } from '../../src/config/index.ts';
import { PartnerDirectory } from '../../src/partner/index.ts';
import { decoderOptions } from '../../src/pipeline/decoding.ts';
import { decodeStep, explainer, Turns } from '../../src/pipeline/index.ts';
import type { InboundJob, MessageRecord, QueueRoom } from '../../src/queue/index.ts';
import { type EncodeOptions, encodeSync } from '../../src/smime/index.ts';
import { configOf } from '../pipeline/support.ts';
import type { Issued } from '../support/ca.ts';
import { useTestQueue } from '../support/queue.ts';
import { alice, ca } from './support.ts';

const acme = ca.issue({ commonName: 'acme', email: 'edi@acme.example', key: 'rsa2048' });
const big = ca.issue({ commonName: 'big', email: 'edi@big.example', key: 'rsa2048' });
const now = new Date('2026-01-01T00:00:00Z');

const config = configOf(`
mailboxes:
  - name: outside
    addresses: [outside@own.example]
    notSmime: pass
    policy: { require: [encrypted, aead], attachments: { maximum: 0 }, shortfall: refuse }
    destinations: [{ type: directory, path: /a }]
  - name: inside
    addresses: [inside@own.example]
    notSmime: pass
    policy: { attachments: { maximum: 0 }, shortfall: refuse }
    destinations: [{ type: directory, path: /a }]
  - name: both
    addresses: [both@own.example]
    notSmime: pass
    require: [strong]
    policy: { require: [encrypted], shortfall: refuse }
    destinations: [{ type: directory, path: /a }]
partners:
  - name: acme
    addresses: ["@acme.example"]
    encrypt: false
    sign: none
    from: us@own.example
    explain: { to: help@acme.example, perDay: 3 }
  - name: big
    addresses: ["@big.example"]
    encrypt: false
    sign: none
    explain: { to: help@big.example, perDay: 1000 }
`);

/** A mail with an attachment, which both mailboxes refuse. */
function mailFrom(
  from: string,
  { fields = [] as string[], id = '<1@x.example>', secret = 'payroll.pdf' } = {},
) {
  const header = [`From: ${from}`, 'Subject: the secret merger', `Message-ID: ${id}`, ...fields];
  const type = `Content-Type: application/pdf; name="${secret}"`;
  return Buffer.from(`${[...header, type].join('\r\n')}\r\n\r\nthe secret content ${'x'.repeat(400)}\r\n`);
}

const sign = (mail: Buffer, { identity }: Issued, more: Partial<EncodeOptions> = {}) =>
  encodeSync(mail, { identity, sign: 'opaque', at: now, ...more });
const encrypt = (mail: Buffer, more: Partial<EncodeOptions> = {}) =>
  encodeSync(mail, { recipients: [alice.certificate], contentEncryption: 'aes-256-cbc', ...more });

/** The same mail in another's name, with its protected body as it is. */
const inNameOf = (from: string, mail: Buffer, id = '<2@x.example>') =>
  Buffer.from(
    mail
      .toString('latin1')
      .replace(/^From: .*$/m, `From: ${from}`)
      .replace(/^Message-ID: .*$/m, `Message-ID: ${id}`),
    'latin1',
  );

/** Changes an octet of a CMS object in base64, counted from its end. */
function changed(mail: Buffer, fromEnd: number): Buffer {
  const text = mail.toString('latin1');
  const at = text.indexOf('\r\n\r\n') + 4;
  const octets = Buffer.from(text.slice(at), 'base64');
  const place = octets.length - fromEnd;
  octets[place] = (octets[place] ?? 0) ^ 0x55;
  const body = octets.toString('base64').replace(/.{76}/g, '$&\r\n');
  return Buffer.from(`${text.slice(0, at)}${body}\r\n`, 'latin1');
}

describe('explanations of refused messages', () => {
  let queue: QueueRoom;
  useTestQueue((opened) => ({ queue } = opened));

  const certificates = new Map([
    ['acme', [acme.certificate]],
    ['big', [big.certificate]],
  ]);
  let count = 0;

  interface Came {
    mailbox?: 'outside' | 'inside' | 'both';
    envelopeFrom?: string;
    receivedAt?: number;
  }

  /** Takes a message in as a receiver does, and decodes it. */
  async function arrive(mail: Buffer, came: Came = {}) {
    const { mailbox = 'outside', envelopeFrom = 'a@somewhere.example', receivedAt = now.getTime() } = came;
    const writer = queue.intake.begin();
    await writer.write(mail);
    const messageId = /^Message-ID: (.*)\r$/m.exec(mail.toString('latin1'))?.[1] ?? null;
    const entry = {
      mailbox,
      messageId,
      origin: { kind: 'smtp', detail: {} } as const,
      envelope: { from: envelopeFrom, to: [`${mailbox}@own.example`] },
    };
    const [result] = await queue.intake.commit(writer, [entry]);
    const id = result?.id ?? '';
    const octets = await queue.flow.originalOf(id);
    assert.ok(octets);
    const job: InboundJob = { ...entry, id, direction: 'inbound', receivedAt, octets };
    return await decode(job);
  }

  async function decode(job: InboundJob): Promise<{ job: InboundJob; record: MessageRecord; mails: Mail[] }> {
    const { spool, flow, guards, intake } = queue;
    const step = await decodeStep({
      ...{ spool, flow, guards, mailboxes: config.mailboxes, strong: config.strong },
      profiles: await profileBook(config),
      trace: (name) => `trace-of-${name}`,
      partners: new PartnerDirectory(config.partners, certificates),
      explain: explainer({
        guards,
        partners: config.partners,
        withIntake: (work) => work(intake),
        now: () => now,
      }),
      optionsFor: decoderOptions({
        pins: () => [acme.certificate, big.certificate],
        keys: {
          mailboxes: new Map(
            config.mailboxes.map(({ name }) => [
              name,
              { identities: [alice.identity], trust: { anchors: [], intermediates: [] } },
            ]),
          ),
        },
        limits: config.limits,
        authorities: undefined,
        now: () => now,
      }),
      large: new Turns(1),
      local: () => undefined,
    });
    const outcome = await step(job, { signal: new AbortController().signal });
    if ('suspend' in outcome)
      await queue.flow.suspend('inbound', job, outcome.suspend, outcome.facts, 1, undefined, outcome.from);
    const record = await queue.ledger.get(job.id);
    assert.ok(record);
    return { job, record, mails: await mailsAbout(job.id) };
  }

  interface Mail {
    record: MessageRecord;
    text: string;
  }

  /** What was submitted because of a message. */
  async function mailsAbout(id: string): Promise<Mail[]> {
    const { messages } = await queue.ledger.list({ direction: 'outbound', limit: 1000 });
    const mails: Mail[] = [];
    for (const record of messages.filter(({ origin }) => origin.detail.message === id)) {
      const ref = await queue.flow.originalOf(record.id);
      assert.ok(ref);
      const text: string[] = [];
      for await (const chunk of queue.spool.open(ref)) text.push(chunk.toString());
      mails.push({ record, text: text.join('') });
    }
    return mails;
  }

  const nothing = (mails: Mail[]) =>
    assert.deepEqual(
      mails.map(({ text }) => text),
      [],
    );
  const unique = () => `<${++count}@x.example>`;

  it('go to the contact of the partner that signed, from the null sender, with what to change', async () => {
    const { record, mails } = await arrive(
      sign(mailFrom('edi@big.example', { id: '<p1@big.example>' }), big),
    );
    assert.equal(record.state, 'terminated');
    const last = record.events.at(-1);
    assert.deepEqual([last?.type, last?.facts.reason], ['refused', 'policy-encrypted']);
    const [mail] = mails;
    assert.ok(mail && mails.length === 1);
    assert.equal(last?.facts.explanation, mail.record.id);
    assert.deepEqual(mail.record.envelope, { from: '', to: ['help@big.example'] });
    assert.equal(mail.record.client, 'sealpost');
    assert.match(mail.text, /^Auto-Submitted: auto-replied\r$/m);
    assert.match(mail.text, /^In-Reply-To: <p1@big\.example>\r$/m);
    const [, why] = mail.text.split('before you send it again:\r\n\r\n');
    assert.deepEqual(why?.split('\r\n'), [
      '- It was not encrypted.',
      '  Encrypt it for the certificate that we gave you.',
      '- Its attachments were not as agreed.',
      '  Send it without attachments.',
      '',
    ]);
  });

  it('are sent where require would suspend the message as well', async () => {
    const signed = mailFrom('edi@big.example', { id: unique() });
    const mail = sign(signed, big, { digest: 'sha1', allowWeak: true });
    const { record, mails } = await arrive(mail, { mailbox: 'both' });
    assert.deepEqual([record.state, mails.length], ['terminated', 1]);
  });

  it('tell all of it to the partner whose own signature is inside the encryption', async () => {
    const mail = encrypt(sign(mailFrom('edi@big.example', { id: unique() }), big));
    const { record, mails } = await arrive(mail);
    assert.equal(record.state, 'terminated');
    assert.match(mails[0]?.text ?? '', /AES-GCM/);
    assert.match(mails[0]?.text ?? '', /attachments/);
  });

  it('a forged From causes none', async () => {
    for (const mail of [
      mailFrom('edi@big.example'),
      encrypt(mailFrom('edi@big.example')),
      // signed, but by nobody known
      sign(
        mailFrom('edi@big.example'),
        ca.issue({ commonName: 'm', email: 'm@evil.example', key: 'rsa2048' }),
      ),
      // signed by acme, in the name of big
      sign(mailFrom('edi@big.example'), acme),
      // a signature of big over something else
      changed(sign(mailFrom('edi@big.example'), big), 400),
    ]) {
      const { record, mails } = await arrive(mail);
      assert.equal(record.state, 'suspended');
      nothing(mails);
    }
  });

  it('a ciphertext of another partner in a signature of its own tells no partner what came out of it', async () => {
    // big got hold of what acme sent, and wraps it, as it is and changed, thousands of times if it likes
    for (const mailbox of ['outside', 'inside'] as const)
      for (const contentEncryption of ['aes-256-cbc', 'aes-256-gcm'] as const)
        for (const inner of [mailFrom('edi@acme.example'), sign(mailFrom('edi@acme.example'), acme)]) {
          const ciphertext = encrypt(inner, { contentEncryption });
          const reasons = new Set<string | null>();
          for (const each of [ciphertext, changed(ciphertext, 1), changed(ciphertext, 200)]) {
            const { record, mails } = await arrive(sign(inNameOf('edi@big.example', each), big), { mailbox });
            assert.equal(record.state, 'suspended');
            reasons.add(record.reason);
            nothing(mails);
          }
          assert.ok(reasons.size > 1, 'some could be decrypted, and some could not');
        }
  });

  it('a ciphertext of its own, unsigned, in a signature around it tells no partner either, as it may be changed', async () => {
    const ciphertext = encrypt(mailFrom('edi@big.example'));
    for (const each of [ciphertext, changed(ciphertext, 1)]) {
      const { record, mails } = await arrive(sign(each, big));
      assert.equal(record.state, 'suspended');
      nothing(mails);
    }
  });

  it('a ciphertext that somebody changed on its way causes none, whatever comes of it', async () => {
    const mail = encrypt(sign(mailFrom('edi@acme.example'), acme));
    for (const each of [changed(mail, 1), changed(mail, 40), changed(mail, 600)]) {
      const { record, mails } = await arrive(each);
      assert.equal(record.state, 'suspended');
      nothing(mails);
    }
  });

  it('do not depend on the time that the decryption took', async () => {
    const at = Date.parse('2026-01-01T10:00:30.500Z');
    const { mails } = await arrive(sign(mailFrom('edi@big.example', { id: unique() }), big), {
      receivedAt: at,
    });
    const leaves = Date.parse('2026-01-01T10:02:00Z');
    assert.equal(mails[0]?.record.delivery?.notBefore, leaves);
    assert.match(mails[0]?.text ?? '', /^Date: Thu, 01 Jan 2026 10:02:00 \+0000\r$/m);
  });

  it('quote nothing of the message, and no Message-ID that could mean something', async () => {
    for (const [id, isQuoted] of [
      ['<plain.id-1@x.example>', true],
      ['<<b>click</b>@x.example>', false],
      ['<a"onload=x@x.example>', false],
      ['<a&amp;b@x.example>', false],
      [`<${'a'.repeat(400)}@x.example>`, false],
      ['<\u202eevil@x.example>', false],
    ] as const) {
      const { mails } = await arrive(sign(mailFrom('edi@big.example', { id }), big));
      const [mail] = mails;
      assert.ok(mail);
      assert.equal(mail.text.includes(id), isQuoted, id);
      assert.doesNotMatch(mail.text, /secret|payroll|merger|click|onload|amp;|evil|aaaa/);
    }
  });

  it('are never an answer to a machine, a list or the null sender', async () => {
    for (const field of [
      'Auto-Submitted: auto-replied',
      'Auto-Submitted: auto-generated (rejected)',
      'Auto-submitted:auto-notified; owner-email="x@big.example"',
      'Precedence: bulk',
      'Precedence: list',
      'List-Id: <edi.big.example>',
      'List-Unsubscribe: <mailto:x@big.example>',
      'X-Auto-Response-Suppress: All',
      'Return-Path: <>',
    ]) {
      const signed = sign(mailFrom('edi@big.example', { id: unique() }), big);
      const { record, mails } = await arrive(Buffer.concat([Buffer.from(`${field}\r\n`), signed]));
      assert.equal(record.state, 'suspended', field);
      assert.match(String(record.events.at(-1)?.facts.unexplained), /machine/);
      nothing(mails);
    }
    // hidden where only the partner itself could write it
    const inside = encrypt(sign(mailFrom('edi@big.example', { fields: ['List-Id: <l.big.example>'] }), big));
    nothing((await arrive(inside)).mails);
    const fromNobody = sign(mailFrom('edi@big.example', { id: unique() }), big);
    nothing((await arrive(fromNobody, { envelopeFrom: '' })).mails);
    const person = sign(mailFrom('edi@big.example', { id: unique(), fields: ['Auto-Submitted: no'] }), big);
    assert.equal((await arrive(person)).mails.length, 1);
  });

  it('do not make two of us talk: what one writes, the other does not answer', async () => {
    const { mails } = await arrive(sign(mailFrom('edi@big.example', { id: unique() }), big));
    // as the partner would get it, signed by us, if the partner were we: refused there as well
    const text = Buffer.from((mails[0]?.text ?? '').replace(/^From: .*$/m, 'From: <edi@big.example>'));
    const answer = sign(text, big);
    for (const envelopeFrom of ['', 'edi@big.example']) {
      const { record, mails: more } = await arrive(
        Buffer.concat([Buffer.from(`X-Hop: ${envelopeFrom.length}\r\n`), answer]),
        { envelopeFrom },
      );
      assert.deepEqual([record.state, record.reason], ['suspended', 'policy-encrypted']);
      nothing(more);
    }
  });

  it('come once for a message, however often it is decoded', async () => {
    const { job, mails } = await arrive(sign(mailFrom('edi@big.example', { id: unique() }), big));
    assert.equal(mails.length, 1);
    // its process died before the end was recorded, or it came once more
    const writer = queue.intake.begin();
    await writer.write(sign(mailFrom('edi@big.example', { id: `<${count}@x.example>` }), big));
    const { mailbox, messageId, origin, envelope } = job;
    const [again] = await queue.intake.commit(writer, [{ mailbox, messageId, origin, envelope }]);
    assert.equal(again?.id, job.id, 'the same octets');
    const octets = await queue.flow.originalOf(job.id);
    assert.ok(octets);
    const second = await decode({ ...job, octets });
    assert.equal(second.record.state, 'terminated');
    assert.equal(second.mails.length, 1);
  });

  it('are capped for each partner, and what is refused beyond is kept', async () => {
    const states = [];
    for (let each = 0; each < 5; each++) {
      const { record, mails } = await arrive(sign(mailFrom('edi@acme.example', { id: unique() }), acme));
      states.push(`${record.state} ${mails.length}`);
      if (mails.length === 0)
        assert.match(String(record.events.at(-1)?.facts.unexplained), /3 explanations in 24 hours/);
    }
    assert.deepEqual(states, [
      ...Array.from({ length: 3 }, () => 'terminated 1'),
      ...Array.from({ length: 2 }, () => 'suspended 0'),
    ]);
    const { mails } = await arrive(sign(mailFrom('edi@big.example', { id: unique() }), big));
    assert.equal(mails.length, 1, 'another partner is told all the same');
  });
});
