import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  CertStore,
  type CertStoreParts,
  mostWaiting,
  type NewCertificate,
} from '../../src/certstore/index.ts';
import { PartnerNames } from '../../src/config/index.ts';
import { createLog } from '../../src/log.ts';
import { refreshEvery } from '../../src/redis/index.ts';
import { createTestCa } from '../support/ca.ts';
import { useTestQueue } from '../support/queue.ts';

describe('the store of certificates', () => {
  let test: Parameters<Parameters<typeof useTestQueue>[0]>[0];
  useTestQueue((opened) => {
    test = opened;
  });
  const ca = createTestCa('Store Root');
  const clock = { now: Date.parse('2026-11-30T10:00:00Z') };
  const open = (partnerNames?: CertStoreParts['partnerNames']) => {
    const { redis, prefix, seal, unseal } = test.queue;
    const parts = { redis, prefix, seal, unseal, log: createLog('silent', 'test'), now: () => clock.now };
    return CertStore.open({ ...parts, folder: test.server.dataDir, partnerNames });
  };
  const forget = () => {
    for (const name of ['certs.version', 'certs.refused'])
      rmSync(join(test.server.dataDir, name), { force: true });
  };
  const anew = async () => {
    forget();
    const { redis, prefix } = test.queue;
    await redis.del(`${prefix}:certs`, `${prefix}:certs:parts`);
    return await open();
  };
  const issue = (name: string, options = {}) =>
    ca.issue({ commonName: name, email: `${name}@acme.example`, ...options }).certificate;
  const facts = (partner = 'acme'): NewCertificate => ({
    ...{ partner, uses: ['encrypt', 'verify'], from: null, until: null },
    ...{ source: 'traffic', findings: [], rule: null, announcedBy: null, message: null },
  });
  const by = { by: 'alice', why: 'compared by telephone' };

  it('keeps what was decided, for every process within five seconds', async () => {
    const [store, other] = [await anew(), await open()];
    other.start();
    try {
      const certificate = issue('new');
      assert.equal(await store.offer(certificate, facts()), 'waiting');
      assert.equal(await store.offer(certificate, facts()), 'known');
      assert.deepEqual(store.approvedOf('acme'), []);
      await store.decide(certificate.thumbprint, 1, 'approved', by);
      for (let waited = 0; other.approvedOf('ACME').length === 0 && waited < 600; waited++)
        await sleep(refreshEvery);
      const [approved] = other.approvedOf('acme');
      assert.ok(approved);
      assert.deepEqual(other.certificateOf(approved).der, certificate.der);
      assert.deepEqual([approved.state, approved.version, approved.decided?.by], ['approved', 2, 'alice']);
      assert.deepEqual(other.approvedOf('other'), []);
    } finally {
      other.stop();
    }
  });

  it('names a version in each decision: a swap is a conflict', async () => {
    const [store, other] = [await anew(), await open()];
    const certificate = issue('swapped');
    await store.offer(certificate, facts());
    await other.refresh();
    await store.decide(certificate.thumbprint, 1, 'rejected', by);
    await assert.rejects(other.decide(certificate.thumbprint, 1, 'approved', by), {
      code: 'certificate-conflict',
    });
    await assert.rejects(store.decide(issue('unknown').thumbprint, 1, 'approved', by), {
      code: 'certificate-unknown',
    });
    await assert.rejects(store.put(certificate, facts(), 'approved', by), { code: 'certificate-conflict' });
    assert.deepEqual((await open()).approvedOf('acme'), []);
  });

  it('bounds what waits, of one partner and in all', async () => {
    const store = await anew();
    for (let count = 0; count < mostWaiting.partner; count++)
      assert.equal(await store.offer(issue(`w${count}`), facts()), 'waiting');
    assert.equal(await store.offer(issue('more'), facts()), 'full');
    assert.equal(await store.offer(issue('more'), facts('other')), 'waiting');
    // One that has expired meanwhile makes room.
    const before = clock.now;
    const short = issue('short', { notAfter: new Date(before + 1000) });
    const [first] = store.waitingOf('acme');
    assert.ok(first);
    await store.decide(first.thumbprint, 1, 'rejected', by);
    assert.equal(await store.offer(short, facts()), 'waiting');
    assert.equal(await store.offer(issue('last'), facts()), 'full');
    clock.now += 2000;
    assert.equal(await store.offer(issue('last'), facts()), 'waiting');
    assert.equal(store.of(short.thumbprint), undefined);
    clock.now = before;
  });

  it('bounds what waits in all', async () => {
    const { redis, prefix, seal } = test.queue;
    for (const [waiting, result] of [
      [mostWaiting.all - 1, 'waiting'],
      [mostWaiting.all, 'full'],
    ] as const) {
      await anew();
      await redis.set(`${prefix}:certs`, seal('certs', { version: 1, waiting }).toString('base64'));
      const store = await open();
      assert.equal(await store.offer(issue('one'), facts()), result, `${waiting}`);
    }
  });

  it('is accepted after a restore that brought only a part of it', async () => {
    const { redis, prefix } = test.queue;
    const store = await anew();
    const [good, revoked] = [issue('good'), issue('bad')];
    await store.put(good, facts(), 'approved', by);
    await store.put(revoked, facts('other'), 'revoked', by);
    await redis.del(`${prefix}:certs:parts`);
    const restored = await open();
    assert.equal(restored.trouble?.code, 'certs-changed');
    assert.ok(restored.whyRefused(revoked));
    await restored.accept();
    for (const each of [restored, await open()]) {
      assert.equal(each.trouble, undefined);
      assert.deepEqual(each.approvedOf('acme'), []);
      assert.equal(each.of(revoked.thumbprint)?.state, 'revoked');
    }
  });

  it('loses no change of two processes at once', async () => {
    const [one, two] = [await anew(), await open()];
    const some = [...'abcdef'].map((name) => issue(name));
    await Promise.all(some.map((each, at) => (at % 2 ? one : two).offer(each, facts())));
    assert.equal((await open()).waitingOf('acme').length, some.length);
  });

  it('keeps what is stored of a partner that is renamed', async () => {
    const store = await anew();
    const certificate = issue('renamed');
    await store.put(certificate, facts(), 'approved', by);
    const later = await open(new PartnerNames([{ name: 'apex', formerNames: ['acme'] }]));
    assert.deepEqual(
      later.approvedOf('apex').map(({ thumbprint, partner }) => [thumbprint, partner]),
      [[certificate.thumbprint, 'apex']],
    );
    await later.decide(certificate.thumbprint, 1, 'revoked', by);
    assert.deepEqual((await open()).approvedOf('acme'), []);
    assert.equal((await open()).of(certificate.thumbprint)?.state, 'revoked');
  });

  describe('of a partner that was removed, when another one gets its name', () => {
    const named = (...addresses: string[]) =>
      open(new PartnerNames([{ name: 'acme', formerNames: [], addresses }]));
    const nameless = ca.issue({ commonName: 'no address' }).certificate;
    const approved = async (...addresses: string[]) =>
      (await named(...addresses)).approvedOf('acme').map(({ thumbprint }) => thumbprint);

    it('same-name: counts for nobody else, as long as the partner keeps an address', async () => {
      await anew();
      await (await named('edi@acme.example')).put(nameless, facts(), 'approved', by);
      const kept = [
        ['edi@acme.example'],
        ['EDI@acme.example'],
        ['@acme.example'],
        ['x@y.example', '@acme.example'],
      ];
      for (const addresses of kept)
        assert.deepEqual(await approved(...addresses), [nameless.thumbprint], addresses.join());
      const others = [
        'edi@other.example',
        'x@acme.example',
        '@other.example',
        '@*.acme.example',
        '\u212a@y.example',
      ];
      for (const address of others) assert.deepEqual(await approved(address), [], address);
    });

    it('same-name: counts where it names an address of the partner, and says what does not', async () => {
      await anew();
      const naming = issue('new');
      const before = await named('edi@acme.example');
      for (const each of [nameless, naming]) await before.put(each, facts(), 'approved', by);
      const later = await named('new@acme.example');
      assert.deepEqual(
        later.approvedOf('acme').map(({ thumbprint }) => thumbprint),
        [naming.thumbprint],
      );
      assert.deepEqual(
        [later.isApproved(naming.thumbprint), later.isApproved(nameless.thumbprint)],
        [true, false],
      );
      const [trouble, ...more] = later.troubles();
      assert.equal(trouble?.what, 'approved certificates');
      assert.match(trouble?.why ?? '', /approved when partner acme had the addresses edi@acme\.example/);
      assert.deepEqual([more, before.troubles()], [[], []]);
      // A person looks again, and then it is bound to the partner of now.
      await later.decide(nameless.thumbprint, 1, 'approved', by);
      assert.deepEqual(later.troubles(), []);
      assert.ok(later.isApproved(nameless.thumbprint));
      assert.deepEqual(await approved('edi@acme.example'), [naming.thumbprint]);
    });

    it('same-name: follows a partner that changes its addresses one after the other', async () => {
      await anew();
      await (await named('old@acme.example')).put(nameless, facts(), 'approved', by);
      await (await named('old@acme.example', 'new@acme.example')).bind();
      assert.deepEqual(await approved('new@acme.example'), [nameless.thumbprint]);
      // What does not count is not bound anew, whatever is started.
      await (await named('edi@other.example')).bind();
      assert.deepEqual(await approved('edi@other.example'), []);
      const store = await named('new@acme.example');
      await store.bind();
      const { version } = store;
      await store.bind();
      assert.equal(store.version, version, 'nothing is written that is there');
    });

    it('same-name: binds what older versions have approved, to nothing where the partner is gone', async () => {
      for (const [present, expected] of [
        [[{ name: 'acme', formerNames: [], addresses: ['edi@acme.example'] }], [nameless.thumbprint]],
        [[], []],
      ] as const) {
        await (await anew()).put(nameless, facts(), 'approved', by);
        await (await open(new PartnerNames(present))).bind();
        assert.deepEqual(await approved('edi@acme.example'), expected);
        assert.deepEqual(await approved('edi@other.example'), []);
      }
    });
  });

  it('refuses every certificate of a revoked key', async () => {
    const store = await anew();
    const { certificate, privateKey } = ca.issue({ commonName: 'first', email: 'first@acme.example' });
    const { createPublicKey } = await import('node:crypto');
    const renewed = issue('renewed', { key: { privateKey, publicKey: createPublicKey(privateKey) } });
    await store.put(certificate, facts(), 'approved', by);
    await store.put(renewed, facts(), 'approved', by);
    assert.equal(store.whyRefused(renewed), undefined);
    await store.decide(certificate.thumbprint, 1, 'revoked', by);
    assert.match(store.whyRefused(certificate) ?? '', /revoked by alice/);
    assert.match(store.whyRefused(renewed) ?? '', /has the key of certificate/);
    assert.equal(store.whyRefused(issue('another')), undefined);
  });

  describe('against somebody who writes into Redis', () => {
    const key = () => `${test.queue.prefix}:certs`;
    const part = async () => {
      const [name = '', text = ''] =
        Object.entries(await test.queue.redis.hgetall(`${key()}:parts`))[0] ?? [];
      return { name, text };
    };

    it('takes no document and no part that is forged, older or gone', async () => {
      const { redis, seal } = test.queue;
      const store = await anew();
      const certificate = issue('approved');
      await store.put(certificate, facts(), 'approved', by);
      const [firstText, firstPart] = [(await redis.get(key())) ?? '', await part()];
      await store.decide(certificate.thumbprint, 1, 'revoked', by);
      const [secondText, secondPart] = [(await redis.get(key())) ?? '', await part()];
      const forged = JSON.stringify({ version: 99, waiting: 0, parts: {} });
      const attacks: [string, string][] = [
        // The list from before the revocation, as a whole and the part of it.
        [firstText, firstPart.text],
        [secondText, firstPart.text],
        [secondText, ''],
        [secondText, seal(`certs:${secondPart.name}`, []).toString('base64')],
        [forged, secondPart.text],
        ['', secondPart.text],
        [seal('clients', { version: 99 }).toString('base64'), secondPart.text],
      ];
      for (const [text, partText] of attacks) {
        await redis.set(key(), text);
        await redis.hset(`${key()}:parts`, secondPart.name, partText);
        // Also for a process that has read nothing so far, and for one that has.
        const fresh = await open();
        await store.refresh();
        for (const each of text === secondText ? [fresh] : [fresh, store]) {
          assert.equal(each.trouble?.code, 'certs-changed', text.slice(0, 30));
          assert.deepEqual(each.approvedOf('acme'), []);
          assert.match(each.whyRefused(certificate) ?? '', /revoked/);
          await assert.rejects(each.put(issue('evil'), facts(), 'approved', by), { code: 'certs-changed' });
        }
      }
      await redis.set(key(), secondText);
      await redis.hset(`${key()}:parts`, secondPart.name, secondPart.text);
      await store.refresh();
      assert.equal(store.trouble, undefined);
      assert.equal(store.of(certificate.thumbprint)?.state, 'revoked');
    });
  });

  it('keeps rejections and revocations over a restore and a clock set back', async () => {
    const { redis, prefix } = test.queue;
    const store = await anew();
    const [rejected, revoked, good] = [issue('rejected'), issue('revoked'), issue('good')];
    await store.offer(rejected, facts());
    await store.put(revoked, facts(), 'approved', by);
    await store.put(good, facts(), 'approved', by);
    const [document, parts] = [
      (await redis.get(`${prefix}:certs`)) ?? '',
      await redis.hgetall(`${prefix}:certs:parts`),
    ];
    await store.decide(rejected.thumbprint, 1, 'rejected', by);
    await store.decide(revoked.thumbprint, 1, 'revoked', by);

    clock.now -= 400 * 86_400_000;
    await redis.set(`${prefix}:certs`, document);
    await redis.hset(`${prefix}:certs:parts`, parts);
    const restored = await open();
    assert.equal(restored.trouble?.code, 'certs-changed');
    assert.ok(restored.whyRefused(rejected));
    assert.ok(restored.whyRefused(revoked));
    await restored.accept();
    for (const each of [restored, await open()]) {
      assert.equal(each.trouble, undefined);
      assert.equal(each.of(rejected.thumbprint)?.state, 'rejected');
      assert.equal(each.of(revoked.thumbprint)?.state, 'revoked');
      assert.deepEqual(
        each.approvedOf('acme').map(({ thumbprint }) => thumbprint),
        [good.thumbprint],
      );
    }
    // Another machine, which has no file of its own, reads the same.
    forget();
    assert.equal((await open()).of(revoked.thumbprint)?.state, 'revoked');
    clock.now += 400 * 86_400_000;
  });
});
