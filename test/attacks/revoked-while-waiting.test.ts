/**
 * A certificate that its authority has revoked counts for encryption nowhere: what waits for a certificate is not put
 * back to work for it, it follows no other one, and what is said of it is the same in all places.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CountingCertificates } from '../../src/certstore/counting.ts';
import { CertStore, type Waiting } from '../../src/certstore/index.ts';
import { KeyStanding } from '../../src/certstore/standing.ts';
import { createLog } from '../../src/log.ts';
import {
  encryptionCertificates,
  expiriesAt,
  outboundProtection,
  type PartnerCertificate,
  pinsOf,
  RecipientRevocation,
} from '../../src/partner/index.ts';
import type { Held, QueueRoom } from '../../src/queue/index.ts';
import { sealedValues } from '../../src/redis/index.ts';
import { decideReplay } from '../../src/replay/replay.ts';
import { entryOf, ownOf } from '../partner/support.ts';
import { createTestCa } from '../support/ca.ts';
import { testConfig, useTestQueue } from '../support/queue.ts';
import type { TestRedis } from '../support/redis.ts';

const hour = 3_600_000;
const day = 24 * hour;
const log = createLog('silent', 'test');
const ca = createTestCa('Root');
const own = ca.issue({ commonName: 'own', email: 'us@own.example' });

describe('a certificate that its authority has revoked', () => {
  let server: TestRedis;
  let queue: QueueRoom;
  let clock = Date.now();
  const now = () => clock;
  useTestQueue((opened) => {
    ({ server, queue } = opened);
  });

  const issued = (days = 100) =>
    ca.issue({
      ...{ commonName: 'acme', email: 'edi@acme.example', freshKey: true },
      ...{ notBefore: new Date(clock - day), notAfter: new Date(clock + days * day) },
    }).certificate;

  /** One process, with what authorities said in Redis. */
  async function process(mode: 'soft' | 'hard', certificates: PartnerCertificate[]) {
    const config = testConfig(server, {
      trust: { revocation: { mode, hosts: ['pki.example'] } },
      partners: [{ name: 'acme', addresses: ['edi@acme.example'], identity: 'own' }],
    });
    const store = await CertStore.open({ ...queue, folder: `${server.dataDir}/none`, log, now });
    const keys = {
      identities: [ownOf(own.identity, { name: 'own' })],
      partners: new Map([['acme', certificates]]) as never,
      mailboxes: new Map(),
    };
    const revocation = new RecipientRevocation({
      ...{ trust: config.trust, values: sealedValues(queue, 'revocation'), log, now },
      keys: { anchors: [ca.certificate], intermediates: [], approvalAnchors: new Map() },
      refused: () => undefined,
    });
    const counting = new CountingCertificates(store, keys, () => revocation.revoked);
    const standing = new KeyStanding({
      ...{ config, keys, counting },
      states: async (...of) => await revocation.statesOf(...of, { waits: false, fresh: true }),
    });
    const [partner] = config.partners;
    assert.ok(partner);
    return { config, partner, revocation, counting, standing };
  }

  const says = async ({ thumbprint }: { thumbprint: string }, status: string, why = 'keyCompromise') =>
    await sealedValues(queue, 'revocation').put(thumbprint, { status, why, at: clock }, day);

  const waiting: Waiting = {
    ...{ direction: 'outbound', reason: 'encode-recipient', mailbox: null, partner: 'acme' },
  };
  const held = (keys: string): Held => ({ ...waiting, id: 'o1', receivedAt: clock, keys, times: 0 });

  for (const mode of ['soft', 'hard'] as const)
    it(`releases nothing, and says why (${mode}); a good one does, and so does the old one when it is good again`, async () => {
      const [first, second, third] = [issued(), issued(), issued()];
      await says(first, 'revoked');
      const before = await process(mode, [entryOf(first)]);
      // as the step that suspends it does
      const certificates = before.counting.decided.get('acme') ?? [];
      const states = await before.revocation.statesOf(before.partner, certificates, new Date(clock));
      assert.throws(
        () => outboundProtection(before.partner, before.counting, new Date(clock), undefined, states),
        { code: 'encode-recipient', message: /was revoked \(keyCompromise\)/ },
      );
      const judged = before.standing.digest(waiting, new Date(clock));
      const stands = await before.standing.of(waiting, new Date(clock));
      assert.match(decideReplay(held(judged), stands, false).why, /was revoked \(keyCompromise\)/);

      await says(second, 'revoked', 'cessationOfOperation');
      const more = await process(mode, [entryOf(first), entryOf(second)]);
      for (const person of [false, true]) {
        const decided = decideReplay(held(judged), await more.standing.of(waiting, new Date(clock)), person);
        assert.equal(decided.keys, undefined);
        assert.match(decided.why, /was revoked \(cessationOfOperation\)/);
      }

      await says(third, 'good', '');
      const good = await process(mode, [entryOf(first), entryOf(third)]);
      const released = decideReplay(held(judged), await good.standing.of(waiting, new Date(clock)), false);
      assert.equal(released.why, 'mail to partner acme can be protected');

      // a hold that is lifted, in a process that runs
      clock += 1000;
      await says(first, 'good', '');
      const lifted = decideReplay(held(judged), await before.standing.of(waiting, new Date(clock)), false);
      assert.equal(lifted.why, 'mail to partner acme can be protected');
      assert.ok(lifted.keys);
    });

  it('hard: one of which nothing is known releases nothing until it is', async () => {
    const [first, second] = [issued(), issued()];
    await says(first, 'revoked');
    const { standing } = await process('hard', [entryOf(first)]);
    const judged = standing.digest(waiting, new Date(clock));
    await says(second, 'unknown', 'the responder is away');
    const more = await process('hard', [entryOf(first), entryOf(second)]);
    const waits = decideReplay(held(judged), await more.standing.of(waiting, new Date(clock)), false);
    assert.match(waits.why, /it is not known whether .*the responder is away/);
    clock += 1000;
    await says(second, 'good', '');
    const goes = decideReplay(held(judged), await more.standing.of(waiting, new Date(clock)), false);
    assert.equal(goes.why, 'mail to partner acme can be protected');
  });

  it('follows no other certificate, provides for no mail, and still verifies what its key signs', async () => {
    const [ending, successor] = [issued(10), issued(300)];
    await says(successor, 'revoked');
    const { config, partner, revocation, counting, standing } = await process('soft', [
      entryOf(ending),
      // as the index of certificates has it, which need not be parsed
      entryOf(successor, { fits: ['encrypt', 'sign'] }),
    ]);
    const at = new Date(clock);
    const ends = () => {
      const parts = { config, identities: [], partners: counting.partners, authorities: [], tls: [] };
      const found = expiriesAt(parts, at);
      return found.map(({ uses, id }) => [uses, id]);
    };
    assert.deepEqual(ends(), [[['encrypt', 'verify'], successor.thumbprint]], 'nobody has asked so far');
    await standing.of(waiting, at);
    assert.deepEqual(ends(), [
      [['encrypt'], ending.thumbprint],
      [['verify'], successor.thumbprint],
    ]);
    const then = new Date(clock + 20 * day);
    assert.throws(() => encryptionCertificates('acme', counting.partners.get('acme') ?? [], then), {
      code: 'encode-recipient',
    });
    assert.ok(counting.pins(at).has(successor) && pinsOf(counting.partners.values())(at).has(successor));
    // who asks the authorities still asks for it
    const states = await revocation.statesOf(partner, counting.decided.get('acme') ?? [], at);
    assert.equal(states?.of.get(successor.thumbprint)?.status, 'revoked');
  });
});
