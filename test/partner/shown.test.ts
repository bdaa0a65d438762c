/** What partners have shown they can read, and for which certificates mail is encrypted then. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  type EncryptTo,
  encryptionCertificates,
  type PartnerCertificate,
} from '../../src/partner/certificates.ts';
import { Shown, type ShownFact, shownBy } from '../../src/partner/index.ts';
import { keyDigest } from '../../src/pki/index.ts';
import type { QueueRoom } from '../../src/queue/index.ts';
import { sealedValues } from '../../src/redis/index.ts';
import { decodeSync, encodeSync, isSignatureLayer } from '../../src/smime/index.ts';
import { createTestCa, type Issued } from '../support/ca.ts';
import { useTestQueue } from '../support/queue.ts';
import { entryOf, partnersOf } from './support.ts';

const ca = createTestCa('Shown Test');
const day = (text: string) => new Date(`${text}T00:00:00Z`);
const now = day('2026-06-10');
const issue = (commonName: string, from: string, more = {}) =>
  ca.issue({ commonName, notBefore: day(from), notAfter: day('2028-01-01'), ...more });
const [oldest, old, fresh] = [
  issue('oldest', '2026-01-01'),
  issue('old', '2026-02-01'),
  issue('new', '2026-06-01'),
];
const signs = issue('signs', '2026-06-01', { keyUsage: ['digitalSignature'] });
const [acme] = partnersOf(`
  - { name: acme, addresses: ["@acme.example"] }
  - { name: other, addresses: ["@other.example"] }
`);
const own = new Map<string, PartnerCertificate[]>([
  ['acme', [old, fresh, signs].map(({ certificate }) => entryOf(certificate))],
  ['other', [entryOf(oldest.certificate)]],
]);

/** What a mail of a partner shows that was signed on a day and arrived on another. */
function shownWith(
  signer: Issued,
  {
    arrived = now,
    at = arrived,
    anchors = [ca.certificate],
    by = 'signature' as 'signature' | 'address',
    ...more
  }: {
    arrived?: Date;
    at?: Date;
    anchors?: (typeof ca.certificate)[];
    by?: 'signature' | 'address';
  } & Partial<Parameters<typeof encodeSync>[1]> = {},
): ShownFact[] {
  const mail = Buffer.from('Content-Type: text/plain\r\n\r\nx\r\n');
  const octets = encodeSync(mail, { sign: 'opaque', identity: signer.identity, at, ...more });
  const { verdict } = decodeSync(octets, { identities: [], trust: { anchors }, at: now, form: 'mail' });
  const signers = verdict.layers.filter(isSignatureLayer).flatMap((layer) => layer.signers);
  return shownBy(
    { sender: { partner: acme, by }, signers, receivedAt: arrived.getTime() },
    (name) => own.get(name) ?? [],
  );
}

describe('what a mail shows', () => {
  it('is the key that it is signed with, at the time of signing', () => {
    assert.deepEqual(shownWith(fresh, { at: day('2026-06-05') }), [
      { partner: 'acme', key: keyDigest(fresh.certificate), at: day('2026-06-05').getTime() },
    ]);
  });
  it('stays shown when the partner gets another name', () => {
    const signers = [
      { thumbprint: fresh.certificate.thumbprint, emails: [], valid: true, trusted: true, signingTime: null },
    ];
    const partner = acme && { ...acme, name: 'acme-new', formerNames: ['acme'] };
    const facts = shownBy({ sender: { partner, by: 'signature' }, signers, receivedAt: 1 }, (name) =>
      name === 'acme-new' ? (own.get('acme') ?? []) : [],
    );
    assert.deepEqual(facts, [{ partner: 'acme', key: keyDigest(fresh.certificate), at: 1 }]);
  });
  it('is never later than its arrival', () => {
    const [fact] = shownWith(fresh, { at: day('2027-01-01'), arrived: day('2026-06-09') });
    assert.equal(fact?.at, day('2026-06-09').getTime());
  });
  it('is also the certificate that the signer wants', () => {
    const keys = shownWith(signs, { encryptionCertificate: fresh.certificate }).map(({ key }) => key);
    assert.deepEqual(keys, [keyDigest(signs.certificate), keyDigest(fresh.certificate)]);
    assert.equal(
      shownWith(signs, { encryptionCertificate: oldest.certificate }).length,
      1,
      'of another partner',
    );
  });
  it('is nothing where it is not certain who it is from', () => {
    assert.deepEqual(shownWith(fresh, { anchors: [] }), [], 'nobody trusts the signer');
    assert.deepEqual(shownWith(fresh, { by: 'address' }), []);
    assert.deepEqual(shownWith(oldest), [], 'a certificate of another partner');
    const signers = [{ thumbprint: fresh.certificate.thumbprint, emails: [], valid: false, trusted: true }];
    const unsigned = signers.map((each) => ({ ...each, signingTime: null }));
    const sender = { partner: acme, by: 'signature' } as const;
    assert.deepEqual(
      shownBy({ sender, signers: unsigned, receivedAt: 1 }, (name) => own.get(name) ?? []),
      [],
    );
  });
});

describe('mail is encrypted', () => {
  const last = (entries: [Issued, string][]) =>
    new Map(
      entries.map(([{ certificate }, at]) => {
        const time = day(at).getTime();
        return [keyDigest(certificate), { first: time, last: time }];
      }),
    );
  const chosen = (encryptTo: EncryptTo, seen: [Issued, string][] = [], confirmed: Issued[] = []) =>
    encryptionCertificates(
      'acme',
      [oldest, old, fresh].map((each) => entryOf(each.certificate, { confirmed: confirmed.includes(each) })),
      now,
      encryptTo,
      last(seen),
    ).map(({ certificate }) => certificate.subject.slice(3));

  it('for all in force, whatever is shown, unless the operator confirms one', () => {
    assert.deepEqual(chosen('all', [[fresh, '2026-06-09']]), ['new', 'old', 'oldest']);
    assert.deepEqual(chosen('all', [], [fresh]), ['new']);
    assert.deepEqual(chosen('all', [], [old]), ['new', 'old']);
  });
  it('for the old one until the new one is shown', () => {
    assert.deepEqual(chosen('shown'), ['oldest']);
    assert.deepEqual(chosen('shown', [[old, '2026-06-01']]), ['old']);
    assert.deepEqual(
      chosen('shown', [
        [old, '2026-06-01'],
        [fresh, '2026-06-01'],
      ]),
      ['new'],
    );
    assert.deepEqual(chosen('shown', [], [fresh]), ['new']);
  });
  it('for all from the shown one on until the new one is shown', () => {
    assert.deepEqual(chosen('shown-or-all'), ['new', 'old', 'oldest']);
    assert.deepEqual(chosen('shown-or-all', [[old, '2026-06-01']]), ['new', 'old']);
    assert.deepEqual(
      chosen('shown-or-all', [
        [old, '2026-06-01'],
        [fresh, '2026-06-02'],
      ]),
      ['new'],
    );
  });
  it('for the old one again when the partner goes back to it', () => {
    const back: [Issued, string][] = [
      [fresh, '2026-06-03'],
      [old, '2026-06-04'],
    ];
    assert.deepEqual(chosen('shown', back), ['old']);
    assert.deepEqual(chosen('shown-or-all', back), ['new', 'old']);
    assert.deepEqual(chosen('shown', back, [fresh]), ['new'], "the operator's word counts more");
  });
});

describe('what was shown', () => {
  let queue: QueueRoom;
  useTestQueue((opened) => {
    queue = opened.queue;
  });
  const fact = (partner: string, key: string, at: number): ShownFact => ({ partner, key, at });

  it('is kept for all processes, with the first and the last time', async () => {
    let time = 0;
    const values = sealedValues(queue, 'shown');
    const [writer, reader] = [new Shown(values, () => time), new Shown(values, () => time)];
    for (const each of [fact('acme', 'a', 5000), fact('acme', 'b', 6000), fact('other', 'c', 1)])
      writer.note(each);
    await writer.flush();
    assert.deepEqual(
      [...(await reader.of('acme'))],
      [
        ['b', { first: 6000, last: 6000 }],
        ['a', { first: 5000, last: 5000 }],
      ],
    );
    writer.note(fact('acme', 'a', 90_000));
    writer.note(fact('acme', 'a', 4000));
    await writer.flush();
    time = 5000;
    assert.deepEqual((await reader.of('acme')).get('a'), { first: 5000, last: 90_000 });
    assert.deepEqual([...(await reader.of('other')).keys()], ['c']);
    assert.equal((await reader.of('nobody')).size, 0);
  });

  it('is written once a minute for the key in use, and at once for a change', async () => {
    let writes = 0;
    const { get, put } = sealedValues(queue, 'shown');
    const counted = {
      get,
      put(name: string, value: unknown, life: number) {
        writes++;
        return put(name, value, life);
      },
    };
    const shown = new Shown(counted, () => 0);
    const times: number[] = [];
    for (const [key, at] of [
      ['x', 0],
      ['x', 59_999],
      ['x', 60_000],
      ['y', 60_001],
      ['x', 60_002],
      ['x', 60_003],
    ] as const) {
      shown.note(fact('busy', key, at));
      await shown.flush();
      times.push(writes);
    }
    assert.deepEqual(times, [1, 1, 2, 3, 4, 4]);
  });

  it('is nothing that anyone else could write', async () => {
    const shown = new Shown(sealedValues(queue, 'shown'), () => 0);
    shown.note(fact('acme', 'z', 1));
    await shown.flush();
    const keys = await queue.redis.keys(`${queue.prefix}:shown:*`);
    assert.ok(keys.length > 0);
    for (const key of keys) await queue.redis.set(key, JSON.stringify([['z', 1, 2]]));
    assert.equal((await new Shown(sealedValues(queue, 'shown'), () => 0).of('acme')).size, 0);
  });
});
