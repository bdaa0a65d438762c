/** Rules of a policy through the step that decodes: what passes, what waits, what was there before. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { profileBook } from '../../src/config/index.ts';
import { PartnerDirectory } from '../../src/partner/index.ts';
import { decoderOptions } from '../../src/pipeline/decoding.ts';
import { decodeStep, Turns } from '../../src/pipeline/index.ts';
import { readResult } from '../../src/pipeline/stored.ts';
import type { DecodedOutcome, Outcome } from '../../src/queue/index.ts';
import { encodeSync } from '../../src/smime/index.ts';
import { alice, ca } from '../attacks/support.ts';
import { configOf, envelope, fetchFrom, kindOf, MemorySpool, never, origin } from './support.ts';

const acme = ca.issue({ commonName: 'acme', email: 'edi@acme.example', key: 'rsa2048' });
const big = ca.issue({ commonName: 'big', email: 'edi@big.example', key: 'rsa2048' });
const now = Date.parse('2026-01-01T00:00:00Z');

/** As `RedisInboundGuards`, which has a test of its own. */
class Memory {
  readonly #first = new Map<string, string>();
  asked = 0;

  async first(what: string, id: string): Promise<string | null> {
    this.asked += 1;
    const holder = this.#first.get(what) ?? id;
    this.#first.set(what, holder);
    return holder === id ? null : holder;
  }
}

interface Way {
  mailbox?: string;
  partner?: string;
  id?: string;
  /** Octets above which content goes into a file. */
  limit?: number;
  memory?: Memory;
}

/** Decodes a mail under rules in YAML. */
async function decode(mail: Buffer, { mailbox = '{}', partner = '{}', id = 'i1', ...way }: Way) {
  const config = configOf(`
mailboxes:
  - name: edi
    addresses: [edi@own.example]
    notSmime: pass
    policy: ${mailbox}
    destinations: [{ type: directory, path: /a }]
partners:
  - { name: acme, addresses: ["@acme.example"], encrypt: false, sign: none, policy: ${partner} }
  - { name: big, addresses: ["@big.example"], encrypt: false, sign: none }
`);
  const spool = new MemorySpool(way.limit ?? 1_000_000);
  const decoded: DecodedOutcome[] = [];
  const step = await decodeStep({
    spool,
    flow: {
      fetch: fetchFrom(spool, 'received'),
      async decoded(_job, outcome) {
        await outcome.content.finish();
        decoded.push(outcome);
      },
      handedOffAtOnce: async () => undefined,
      dropped: async () => undefined,
    },
    ...{ mailboxes: config.mailboxes, strong: config.strong, guards: way.memory ?? new Memory() },
    profiles: await profileBook(config),
    explain: async () => ({ not: 'nobody is told here' }),
    trace: (name) => `trace-of-${name}`,
    partners: new PartnerDirectory(
      config.partners,
      new Map([
        ['acme', [acme.certificate]],
        ['big', [big.certificate]],
      ]),
    ),
    optionsFor: decoderOptions({
      pins: () => [acme.certificate, big.certificate],
      keys: {
        mailboxes: new Map([
          ['edi', { identities: [alice.identity], trust: { anchors: [], intermediates: [] } }],
        ]),
      },
      limits: config.limits,
      authorities: undefined,
      now: () => new Date(now),
    }),
    large: new Turns(1),
    local: () => undefined,
  });
  const job = { id, direction: 'inbound', mailbox: 'edi', origin, envelope, messageId: null } as const;
  const outcome: Outcome = await step(
    { ...job, receivedAt: now, octets: spool.put(mail) },
    { signal: never },
  );
  assert.equal(spool.open_, 0, 'nothing is left half written');
  const [one] = decoded;
  return {
    kind: kindOf(outcome),
    outcome,
    verdict: one && JSON.parse(JSON.stringify(readResult(one.result).verdict)),
    one,
  };
}

const mailOf = (from: string, { id = '<1@x.example>', body = 'an order', subject = 'x' } = {}) =>
  Buffer.from(
    `From: ${from}\r\nSubject: ${subject}\r\nMessage-ID: ${id}\r\nContent-Type: text/plain\r\n\r\n${body}\r\n`,
  );
const sealed = (
  mail: Buffer,
  signer: typeof acme | null = acme,
  contentEncryption: 'aes-256-cbc' | 'aes-256-gcm' = 'aes-256-cbc',
) =>
  encodeSync(mail, {
    contentEncryption,
    recipients: [alice.certificate],
    ...(signer && { identity: signer.identity, sign: 'opaque', at: new Date(now) }),
  });

describe('a message that falls short of a policy', () => {
  for (const [why, way, kind, codes] of [
    [
      'passes, and its verdict says so',
      { mailbox: '{ require: [aead], shortfall: pass }' },
      'done',
      ['policy-aead'],
    ],
    ['is suspended', { mailbox: '{ require: [aead] }' }, 'suspend policy-aead', []],
    [
      'is suspended by the rules of its partner',
      { partner: '{ require: [aead] }' },
      'suspend policy-aead',
      [],
    ],
    [
      'is suspended where one policy lets it pass and the other does not',
      { mailbox: '{ require: [aead], shortfall: pass }', partner: '{ require: [aead] }' },
      'suspend policy-aead',
      [],
    ],
    [
      'is suspended where nobody may be told why it is refused',
      { mailbox: '{ require: [aead], shortfall: refuse }' },
      'suspend policy-aead',
      [],
    ],
    ['or meets it', { mailbox: '{ require: [encrypted, signed, trusted, bound] }' }, 'done', []],
  ] as const)
    it(why, async () => {
      const { kind: found, verdict, outcome, one } = await decode(sealed(mailOf('edi@acme.example')), way);
      assert.equal(found, kind);
      if (kind !== 'done') {
        assert.equal(verdict, undefined);
        assert.deepEqual('suspend' in outcome && outcome.from, { partner: 'acme', partnerBy: 'signature' });
        return;
      }
      const lacks: { code: string }[] = verdict.policy?.shortfalls ?? [];
      assert.deepEqual(
        lacks.map(({ code }) => code),
        codes,
      );
      assert.deepEqual(one?.facts.shortfalls ?? [], codes);
    });

  it('another partner is not held to its rules', async () => {
    const mail = sealed(mailOf('edi@big.example'), big);
    assert.equal((await decode(mail, { partner: '{ require: [aead] }' })).kind, 'done');
  });

  it('one that could not be decoded keeps its own reason', async () => {
    const mail = encodeSync(mailOf('edi@acme.example'), { recipients: [big.certificate] });
    assert.equal((await decode(mail, { mailbox: '{ require: [aead] }' })).kind, 'suspend decrypt-no-key');
  });
});

describe('attachments', () => {
  const multipart = (...parts: string[]) =>
    Buffer.from(
      `From: edi@acme.example\r\nSubject: orders.txt\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n${parts
        .map((part) => `--b\r\n${part}\r\n`)
        .join('')}--b--\r\n`,
    );
  const text = 'Content-Type: text/plain\r\n\r\nsee below';
  const file = (name: string, type = 'application/octet-stream', size = 10) =>
    `Content-Type: ${type}\r\nContent-Disposition: attachment; filename="${name}"\r\n\r\n${'x'.repeat(size)}`;
  const edi =
    '{ attachments: { minimum: 1, maximum: 1, types: [application/octet-stream], names: ["*.txt"], subjectIsName: true } }';

  for (const [why, mail, kind] of [
    ['one as asked for, beside a text', multipart(text, file('orders.txt')), 'done'],
    ['two', multipart(file('orders.txt'), file('more.txt')), 'suspend policy-attachments'],
    ['none', multipart(text, text), 'suspend policy-attachments'],
    ['another type', multipart(file('orders.txt', 'text/plain')), 'suspend policy-attachments'],
    ['another name', multipart(file('orders.pdf')), 'suspend policy-attachments'],
    ['another name than the subject', multipart(file('order.txt')), 'suspend policy-attachments'],
    ['a large one', multipart(text, file('orders.txt', 'application/octet-stream', 700_000)), 'done'],
    [
      'two, of which one is large',
      multipart(file('a.txt', 'a/b', 700_000), file('b.txt')),
      'suspend policy-attachments',
    ],
  ] as const)
    it(`${why}: ${kind}`, async () => {
      assert.equal((await decode(sealed(mail), { mailbox: edi })).kind, kind);
      // the same in a file, and where the partner asks
      assert.equal((await decode(sealed(mail), { partner: edi, limit: 1000 })).kind, kind);
    });

  it('a mail without S/MIME and MIME is one text', async () => {
    const plain = Buffer.from('From: edi@acme.example\r\nSubject: x\r\n\r\nhello\r\n');
    assert.equal((await decode(plain, { mailbox: '{ attachments: { maximum: 0 } }' })).kind, 'done');
    const rules = { mailbox: '{ attachments: { minimum: 1 } }' };
    assert.equal((await decode(plain, rules)).kind, 'suspend policy-attachments');
  });
});

describe('a message that the partner has sent before', () => {
  const rule = (by: string, action = 'suspend') => `{ duplicates: { by: ${by}, action: ${action} } }`;
  const first = mailOf('edi@acme.example');
  const otherBody = mailOf('edi@acme.example', { body: 'another order' });
  const otherId = mailOf('edi@acme.example', { id: '<2@x.example>' });

  for (const [by, second, kind] of [
    ['message-id', otherBody, 'suspend policy-duplicate'],
    ['message-id', otherId, 'done'],
    ['content', otherBody, 'done'],
    ['content', otherId, 'suspend policy-duplicate'],
    ['both', otherBody, 'done'],
    ['both', otherId, 'done'],
    ['both', first, 'suspend policy-duplicate'],
  ] as const)
    it(`by ${by}, ${second === first ? 'the same' : second === otherId ? 'another Message-ID' : 'another content'}: ${kind}`, async () => {
      const memory = new Memory();
      const way = { mailbox: rule(by), memory };
      assert.equal((await decode(sealed(first), { ...way, id: 'i1' })).kind, 'done');
      // encrypted anew, so that the octets differ
      const { kind: found, outcome } = await decode(sealed(second), { ...way, id: 'i2' });
      assert.equal(found, kind);
      if (kind !== 'done') assert.match(JSON.stringify(outcome), /message i1 of partner acme was the same/);
      assert.equal((await decode(sealed(first), { ...way, id: 'i1' })).kind, 'done', 'itself, once more');
    });

  it('is flagged in the verdict, and only compared where that is asked for', async () => {
    const memory = new Memory();
    await decode(sealed(first), { mailbox: rule('both', 'flag'), memory });
    const { kind, verdict } = await decode(sealed(first), {
      mailbox: rule('both', 'flag'),
      memory,
      id: 'i2',
    });
    assert.deepEqual([kind, verdict.policy.shortfalls.length], ['done', 1]);
    assert.equal(verdict.policy.shortfalls[0].code, 'policy-duplicate');
    const { asked } = memory;
    await decode(sealed(first), { mailbox: rule('both', 'accept'), memory, id: 'i3' });
    await decode(sealed(first), { mailbox: '{ require: [aead] }', memory, id: 'i4' });
    assert.equal(memory.asked, asked);
  });

  it('counts for that partner alone, and a forged From for nobody who signs', async () => {
    const memory = new Memory();
    const way = { mailbox: rule('both'), memory };
    const forged = sealed(first, null);
    assert.equal((await decode(forged, { ...way, id: 'forged' })).kind, 'done');
    assert.equal(
      (await decode(sealed(first), { ...way, id: 'genuine' })).kind,
      'done',
      'the genuine one is not blocked',
    );
    const other = sealed(mailOf('edi@big.example'), big);
    assert.equal((await decode(other, { ...way, id: 'other' })).kind, 'done');
    const stranger = sealed(mailOf('x@unknown.example'), null);
    for (const id of ['s1', 's2']) assert.equal((await decode(stranger, { ...way, id })).kind, 'done');
  });

  it('does not count if it was not accepted: what is sent again mended is no duplicate', async () => {
    const memory = new Memory();
    const mailbox = '{ require: [aead], duplicates: { by: both, action: suspend } }';
    const way = { mailbox, memory };
    assert.equal((await decode(sealed(first), { ...way, id: 'a' })).kind, 'suspend policy-aead');
    assert.equal(memory.asked, 0);
    const mended = sealed(first, acme, 'aes-256-gcm');
    assert.equal((await decode(mended, { ...way, id: 'b' })).kind, 'done');
    assert.equal((await decode(mended, { ...way, id: 'c' })).kind, 'suspend policy-duplicate');
  });
});
