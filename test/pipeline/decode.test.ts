import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { LocalDestination } from '../../src/handoff/index.ts';
import { PartnerDirectory } from '../../src/partner/directory.ts';
import { decodeStep } from '../../src/pipeline/decode.ts';
import { decoderOptions } from '../../src/pipeline/decoding.ts';
import { Turns } from '../../src/pipeline/index.ts';
import { readResult } from '../../src/pipeline/stored.ts';
import { ProfileBook } from '../../src/profile/index.ts';
import type { Attribution, DecodedOutcome, Facts, InboundJob, MessageState } from '../../src/queue/index.ts';
import { encodeSync } from '../../src/smime/index.ts';
import { alice, bob, ca } from '../attacks/support.ts';
import { configOf, envelope, fetchFrom, kindOf, MemorySpool, never, origin } from './support.ts';

const mail = (text: string) =>
  Buffer.from(`From: a@partner.example\r\nSubject: x\r\nContent-Type: text/plain\r\n\r\n${text}\r\n`);
const sealed = (text: string, to = alice) => encodeSync(mail(text), { recipients: [to.certificate] });

const config = configOf(`
mailboxes:
  - name: open
    addresses: [open@example.net]
    notSmime: pass
    destinations: [{ type: directory, path: /a }, { type: directory, name: second, path: /b }]
  - name: strict
    addresses: [strict@example.net]
    notSmime: pass
    destinations: [{ type: directory, path: /a }]
partners:
  - { name: acme, addresses: [a@partner.example], encrypt: false, sign: none }
`);

/** A step over the message; `outcome` is how the job ends, the rest is what it did. */
async function decode(
  octets: Buffer,
  {
    mailbox = 'open',
    state = 'received' as MessageState | null,
    limit = 1_000_000,
    local = undefined as LocalDestination | undefined,
    unresolved = 'pass' as 'pass' | 'suspend' | 'drop',
    minimumProfile = undefined as string | undefined,
    dates = {} as Record<string, string>,
    spool = new MemorySpool(limit),
  } = {},
) {
  const decoded: (DecodedOutcome & { octets: Buffer })[] = [];
  const atOnce: unknown[] = [];
  const dropped: (Attribution & { facts: Facts })[] = [];
  const job: InboundJob = {
    ...{ id: 'i1', direction: 'inbound', mailbox, origin, envelope, messageId: null, receivedAt: 1 },
    octets: spool.put(octets),
  };
  const step = decodeStep({
    spool,
    flow: {
      fetch: fetchFrom(spool, state),
      async decoded(_job, outcome) {
        const [content] = await outcome.content.finish();
        assert.ok(content);
        decoded.push({ ...outcome, octets: await spool.read(content.ref) });
      },
      async handedOffAtOnce(_job, outcome) {
        atOnce.push(outcome);
      },
      async dropped(_job, outcome) {
        dropped.push(outcome);
      },
    },
    mailboxes: config.mailboxes.map((each) =>
      each.name === 'strict' ? { ...each, require: ['encrypted'] } : { ...each, unresolved },
    ),
    strong: config.strong,
    guards: { first: async () => null },
    explain: async () => ({ not: 'nobody is told here' }),
    trace: (mailbox) => `trace-of-${mailbox}`,
    partners: new PartnerDirectory(config.partners.map((each) => ({ ...each, minimumProfile }))),
    profiles: new ProfileBook(undefined, dates),
    optionsFor: decoderOptions({
      pins: () => [],
      keys: {
        mailboxes: new Map(
          ['open', 'strict'].map((name) => [
            name,
            {
              identities: [alice.identity],
              trust: { anchors: [ca.certificate], intermediates: [] },
            },
          ]),
        ),
      },
      limits: config.limits,
      authorities: undefined,
      now: () => new Date('2026-01-01'),
    }),
    large: new Turns(1),
    local: () => local,
  });
  const outcome = await step(job, { signal: never });
  return { outcome, decoded, atOnce, dropped, spool };
}

describe('a profile as a minimum', () => {
  const old = encodeSync(mail('x'), { recipients: [alice.certificate], contentEncryption: 'des-ede3-cbc' });
  const usual = encodeSync(mail('x'), { recipients: [alice.certificate] });

  it('lets through what meets it, and suspends what does not, with rule and source', async () => {
    const passed = await decode(usual, { minimumProfile: 'direct' });
    assert.equal(kindOf(passed.outcome), 'done');
    const { outcome, decoded } = await decode(old, { minimumProfile: 'direct' });
    assert.equal(kindOf(outcome), 'suspend policy-profile');
    assert.ok('suspend' in outcome);
    assert.match(
      String(outcome.facts?.message),
      /^profile direct, rule content: des-ede3-cbc\. .*\(Direct Project, Java reference/,
    );
    assert.equal(outcome.facts?.used, 'cE3d:p1.r2048');
    assert.deepEqual(decoded, []);
  });

  it('suspends a message without the protection that it demands', async () => {
    const { outcome } = await decode(mail('x'), { minimumProfile: 'edi-energy' });
    assert.ok('suspend' in outcome);
    assert.match(String(outcome.facts?.message), /rule protection: no encryption/);
    assert.equal(outcome.facts?.used, undefined);
  });

  it('suspends by an unverified rule from the day of the settings on, and not before', async () => {
    const unsigned = (dates: Record<string, string>) => decode(usual, { minimumProfile: 'direct', dates });
    const kinds = [{ 'direct/protection': '2026-01-02' }, { 'direct/protection': '2026-01-01' }].map(
      async (dates) => kindOf((await unsigned(dates)).outcome),
    );
    assert.deepEqual(await Promise.all(kinds), ['done', 'suspend policy-profile']);
  });

  it('is that of the partner alone: other mail is not judged by it', async () => {
    const octets = Buffer.from(mail('x').toString().replace('a@partner.example', 'x@unknown.example'));
    const foreign = encodeSync(octets, {
      recipients: [alice.certificate],
      contentEncryption: 'des-ede3-cbc',
    });
    assert.equal(kindOf((await decode(foreign, { minimumProfile: 'direct' })).outcome), 'done');
  });
});

describe('a message that no partner is resolved for', () => {
  const from = (address: string) => Buffer.from(mail('x').toString().replace('a@partner.example', address));
  const to = (address: string) => encodeSync(from(address), { recipients: [alice.certificate] });
  for (const [unresolved, expected] of [
    ['pass', 'done'],
    ['suspend', 'suspend partner-unknown'],
    ['drop', 'done'],
  ] as const)
    it(`${unresolved}: ${expected}`, async () => {
      const { outcome, decoded, dropped, spool } = await decode(to('x@unknown.example'), { unresolved });
      assert.equal(kindOf(outcome), expected);
      assert.equal(decoded.length, unresolved === 'pass' ? 1 : 0);
      const [one] = dropped;
      if (unresolved === 'drop') {
        assert.deepEqual([one?.partner, one?.facts.reason], [null, 'partner-unknown']);
        assert.equal(one?.facts.encrypted, true);
      } else assert.equal(one, undefined);
      assert.equal(spool.open_, 0);
      const known = await decode(to('a@partner.example'), { unresolved });
      assert.deepEqual(
        known.decoded.map(({ partner, partnerBy }) => [partner, partnerBy]),
        [['acme', 'address']],
      );
    });

  it('drop: one that could not be decrypted is kept, because the signer may be inside', async () => {
    const octets = encodeSync(from('x@unknown.example'), { recipients: [bob.certificate] });
    const { outcome, dropped } = await decode(octets, { unresolved: 'drop' });
    assert.deepEqual([kindOf(outcome), dropped.length], ['suspend decrypt-no-key', 0]);
  });

  it('drop: spam without S/MIME is dropped', async () => {
    const { dropped } = await decode(from('x@unknown.example'), { unresolved: 'drop' });
    assert.equal(dropped.length, 1);
  });

  it('drop: a conflict is suspended, with the partner that is concerned in none', async () => {
    const { outcome, dropped } = await decode(to('x@unknown.example, a@partner.example'), {
      unresolved: 'drop',
    });
    assert.deepEqual([kindOf(outcome), dropped.length], ['suspend policy-refused', 0]);
    assert.deepEqual('suspend' in outcome && outcome.from, { partner: null, partnerBy: 'conflict' });
  });
});

describe('decode', () => {
  it('stores content and result of a message, for each destination of its mailbox', async () => {
    const { outcome, decoded, spool } = await decode(sealed('order'));
    assert.deepEqual(outcome, { done: true });
    const [stored] = decoded;
    assert.ok(stored && decoded.length === 1);
    assert.match(stored.octets.toString(), /order/);
    assert.deepEqual(stored.destinations, ['directory', 'second']);
    assert.equal(stored.partner, 'acme');
    const { facts } = stored;
    assert.deepEqual([facts.status, facts.encrypted, facts.layers], ['ok', true, ['enveloped-data']]);
    assert.equal(facts.decryptionThumbprint, alice.certificate.thumbprint);
    const result = readResult(stored.result);
    assert.equal(result.whole, false);
    assert.match(result.header.toString(), /pkcs7-mime/);
    assert.equal(spool.open_, 0);
  });

  it('does the same with one that lies in a file', async () => {
    const octets = sealed('large order '.repeat(2000));
    const small = await decode(octets);
    const large = await decode(octets, { limit: 1000 });
    assert.deepEqual(large.outcome, small.outcome);
    assert.ok(large.spool.opened > 0 && small.spool.opened === 0);
    const [one, other] = [small.decoded[0], large.decoded[0]];
    assert.ok(one && other);
    assert.ok(one.octets.equals(other.octets));
    assert.deepEqual([other.facts, other.partner], [one.facts, one.partner]);
    assert.deepEqual(readResult(other.result), readResult(one.result));
  });

  it('passes on what is not S/MIME where the mailbox says so, as the whole mail', async () => {
    const { outcome, decoded } = await decode(mail('plain'));
    assert.deepEqual(outcome, { done: true });
    const [stored] = decoded;
    assert.ok(stored);
    assert.ok(stored.octets.equals(mail('plain')));
    assert.equal(readResult(stored.result).whole, true);
  });

  it('suspends what was handed on from this mailbox before, and leaves nothing behind', async () => {
    const with_ = (field: string) => Buffer.concat([Buffer.from(`${field}\r\n`), mail('plain')]);
    const hops = (count: number) => with_(Array(count).fill('Received: from a by b; date').join('\r\n'));
    for (const limit of [1_000_000, 10]) {
      for (const [octets, kind] of [
        [with_('X-Sealpost-Trace: trace-of-open'), 'suspend mail-loop'],
        [with_('x-sealpost-trace : trace-of-open'), 'suspend mail-loop'],
        [with_('X-Sealpost-Trace: trace-of-(partners)'), 'suspend mail-loop'],
        [with_('X-Sealpost-Trace: trace-of-strict'), 'done'],
        [hops(101), 'suspend mail-loop'],
        [hops(100), 'done'],
      ] as const) {
        const { outcome, decoded, spool } = await decode(octets, { limit });
        assert.equal(kindOf(outcome), kind);
        if (kind === 'done') continue;
        assert.deepEqual([decoded.length, spool.open_, spool.stored.size], [0, 0, 1]);
        // lists by partner find it all the same
        assert.deepEqual('suspend' in outcome && outcome.from, { partner: 'acme', partnerBy: 'address' });
      }
    }
  });

  it('suspends what the policy refuses, with the verdict, and leaves nothing behind', async () => {
    for (const limit of [1_000_000, 10]) {
      const { outcome, decoded, spool } = await decode(mail('plain'), { mailbox: 'strict', limit });
      assert.equal(kindOf(outcome), 'suspend policy-refused');
      const facts = 'suspend' in outcome ? outcome.facts : undefined;
      assert.match(String(facts?.message), /encryption is required/);
      assert.equal(facts?.encrypted, false);
      assert.deepEqual([decoded.length, spool.open_, spool.stored.size], [0, 0, 1]);
    }
  });

  it('suspends what is for another key, with the detail for the ledger', async () => {
    const { outcome } = await decode(sealed('order', bob));
    assert.equal(kindOf(outcome), 'suspend decrypt-no-key');
  });

  it('does nothing when the work was done, or the message has ended or is unknown', async () => {
    for (const state of ['decoded', 'delivered', 'terminated', 'suspended', null] as const) {
      const { outcome, decoded, atOnce } = await decode(sealed('order'), { state });
      assert.deepEqual([outcome, decoded, atOnce], [{ done: true }, [], []], String(state));
    }
  });

  it('suspends for a removed mailbox', async () => {
    const { outcome } = await decode(mail('x'), { mailbox: 'gone' });
    assert.equal(kindOf(outcome), 'suspend mailbox-unknown');
  });

  it('fails, and leaves nothing behind, when the octets are gone', async () => {
    const spool = new MemorySpool(10);
    const gone = Object.assign(spool, {
      async *open(): AsyncGenerator<Buffer> {
        yield sealed('x'.repeat(5000)).subarray(0, 2000);
        throw new Error('gone');
      },
    });
    await assert.rejects(decode(sealed('x'.repeat(5000)), { spool: gone }), { message: 'gone' });
    assert.equal(spool.open_, 0);
  });

  it('hands a small message off itself, and never one that lies in a file', async () => {
    const local: LocalDestination = { name: 'directory', take: async () => ({ facts: { folder: 'f' } }) };
    const small = await decode(sealed('order'), { local });
    assert.equal(small.atOnce.length, 1);
    assert.deepEqual([small.decoded.length, small.spool.stored.size], [0, 1]);
    const large = await decode(sealed('order '.repeat(1000)), { local, limit: 100 });
    assert.deepEqual([large.atOnce.length, large.decoded.length], [0, 1]);
    const refused = await decode(mail('plain'), { mailbox: 'strict', local });
    assert.deepEqual([refused.atOnce.length, kindOf(refused.outcome)], [0, 'suspend policy-refused']);
  });
});

describe('the options of the decoder', () => {
  const none: [] = [];
  const parts = {
    keys: { mailboxes: new Map() },
    pins: () => none,
    limits: config.limits,
    authorities: undefined,
  };

  it('have the time of each message, and are made once for each mailbox', () => {
    let at = 0;
    const optionsFor = decoderOptions({ ...parts, now: () => new Date(at) });
    const first = optionsFor({ name: 'open' });
    at = 5000;
    const second = optionsFor({ name: 'open' });
    assert.deepEqual([first.at.getTime(), second.at.getTime()], [0, 5000]);
    assert.equal(first.trust, second.trust);
    assert.notEqual(optionsFor({ name: 'strict' }).trust, first.trust);
    assert.equal(optionsFor({ name: 'strict' }).trust.cache, first.trust.cache);
  });

  it('ask authorities as of that time where there are any', () => {
    const asked: Date[] = [];
    const optionsFor = decoderOptions({
      ...parts,
      authorities: (now) => {
        asked.push(now);
        return {};
      },
      now: () => new Date(7),
    });
    optionsFor({ name: 'open' });
    assert.deepEqual(asked, [new Date(7)]);
  });
});
