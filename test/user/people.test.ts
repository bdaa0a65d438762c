/**
 * Codes by the vectors of their RFC, and what does not need a console: networks, marks, roles, the line before argon2.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { allGranted, verbs } from '../../src/client/index.ts';
import { Places } from '../../src/user/password.ts';
import { grantsOf, hasRole, roles } from '../../src/user/roles.ts';
import { newTotpSecret, totpAt, totpStep, totpUri } from '../../src/user/totp.ts';
import { Devices, networkOfStranger } from '../../src/user/tries.ts';

describe('codes of authenticator apps', () => {
  /** `12345678901234567890` in base32. */
  const secret = 'GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ';

  it('are those of RFC 6238 appendix B', () => {
    for (const [seconds, code] of [
      [59, '94287082'],
      [1111111109, '07081804'],
      [1111111111, '14050471'],
      [1234567890, '89005924'],
      [2000000000, '69279037'],
      [20000000000, '65353130'],
    ] as const)
      assert.equal(totpAt(secret, seconds * 1000, 8), code);
  });

  it('count one step before and after, and no further', () => {
    const now = 1234567890_000;
    const step = Math.floor(now / 30_000);
    for (const [off, found] of [
      [-2, undefined],
      [-1, step - 1],
      [0, step],
      [1, step + 1],
      [2, undefined],
    ] as const)
      assert.equal(totpStep(secret, totpAt(secret, now + off * 30_000), now), found, String(off));
    for (const wrong of ['', '00000', '0000000', 'abcdef', '      ', '٠٠٠٠٠٠'])
      assert.equal(totpStep(secret, wrong, now), undefined);
    const code = totpAt(secret, now);
    assert.equal(totpStep(secret, `${code.slice(0, 3)} ${code.slice(3)}`, now), step);
  });

  it('have secrets of 160 bits, which apps can read', () => {
    const made = newTotpSecret();
    assert.match(made, /^[A-Z2-7]{32}$/);
    assert.notEqual(made, newTotpSecret());
    assert.equal(
      totpUri(made, 'ada & co'),
      `otpauth://totp/Sealpost:ada%20%26%20co?secret=${made}&issuer=Sealpost`,
    );
  });
});

describe('people', () => {
  it('are strangers by their network: one address of IPv4, one /64 of IPv6', () => {
    for (const [address, network] of [
      ['203.0.113.7', '203.0.113.7'],
      ['2001:db8::1', '2001:db8:0:0::/64'],
      ['2001:db8:0:0:ffff::2', '2001:db8:0:0::/64'],
      ['2001:db8:0:1::1', '2001:db8:0:1::/64'],
      ['2001:DB8:a:b:1:2:3:4', '2001:db8:a:b::/64'],
      ['::1', '0:0:0:0::/64'],
      ['fe80::', 'fe80:0:0:0::/64'],
    ] as const)
      assert.equal(networkOfStranger(address), network);
  });

  it('have marks that count for one person, until its password is set anew', () => {
    const devices = new Devices(Buffer.alloc(32, 1));
    const ada = { id: 'a', epoch: 1 };
    const mark = devices.mark(ada);
    assert.equal(devices.known(mark, ada), mark.split('.')[0]);
    assert.equal(devices.known(mark, { ...ada, epoch: 2 }), undefined);
    assert.equal(devices.known(mark, { ...ada, id: 'b' }), undefined);
    assert.equal(new Devices(Buffer.alloc(32, 2)).known(mark, ada), undefined);
    for (const made of ['', '.', mark.slice(0, -1), `x${mark}`])
      assert.equal(devices.known(made, ada), undefined);
  });

  it('have more rights with each role, and content by itself', () => {
    const all = { mailboxes: '*', partners: '*', content: false } as const;
    const of = Object.fromEntries(roles.map((role) => [role, grantsOf({ ...all, role }).verbs]));
    assert.deepEqual(of.viewer?.toSorted(), ['alerts', 'certificates', 'read']);
    for (const verb of of.viewer ?? []) assert.ok(of.operator?.includes(verb));
    for (const verb of of.operator ?? []) assert.ok(of.administrator?.includes(verb));
    assert.ok(!of.administrator?.includes('content'));
    const looking = grantsOf({ ...all, role: 'administrator', content: true });
    assert.deepEqual(looking.verbs.toSorted(), [...verbs].toSorted());
    assert.deepEqual(looking.limits, allGranted.limits);
    assert.ok(hasRole('administrator', 'viewer') && !hasRole('viewer', 'operator'));
  });

  it('wait for a password in two lines: a flood of strangers fills its own, and those who are known go first', async () => {
    const places = new Places();
    const order: string[] = [];
    const gates: (() => void)[] = [];
    const work = (name: string) => async () => {
      order.push(name);
      await new Promise<void>((resolve) => gates.push(resolve));
    };
    const running = [places.within('stranger', work('s1')), places.within('stranger', work('s2'))];
    const waiting = Array.from({ length: 20 }, (_, at) => places.within('stranger', work(`s${at + 3}`)));
    await assert.rejects(places.within('stranger', work('more')), { code: 'login-limited' });
    const known = places.within('known', work('known'));
    assert.deepEqual(order, ['s1', 's2']);
    gates.shift()?.();
    await running[0];
    while (order.length < 3) await new Promise((resolve) => setImmediate(resolve));
    assert.equal(order[2], 'known');
    const all = Promise.all([...running, ...waiting, known]);
    let over = false;
    void all.then(() => {
      over = true;
    });
    while (!over) {
      gates.shift()?.();
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.equal(order.length, 23);
    assert.ok(!order.includes('more'));
  });
});
