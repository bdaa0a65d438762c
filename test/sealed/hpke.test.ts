import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { describe, it } from 'node:test';
import { open, privateKeyOf, publicKeyOf, publicOctets, seal } from '../../src/sealed/hpke.ts';
import { openRequest, sealRequest } from '../../src/sealed/index.ts';

const hex = (text: string) => Buffer.from(text, 'hex');

describe('HPKE', () => {
  it('seals what the vector of RFC 9180, appendix A.1.1, has', () => {
    const info = hex('4f6465206f6e2061204772656369616e2055726e');
    const aad = hex('436f756e742d30');
    const recipient = privateKeyOf(hex('4612c550263fc8ad58375df3f557aac531d26850903e55a9f23f21d8534e8ac8'));
    const ephemeral = privateKeyOf(hex('52c4a758a802cd8b936eceea314432798d5baf2d7e9235dc084ab1b9cfa2f736'));
    const publicKey = '3948cfe0ad1ddb695d780e59077195da6c56506b027329794ab02bca80815c4d';
    assert.equal(publicOctets(recipient).toString('hex'), publicKey);
    const text = hex('4265617574792069732074727574682c20747275746820626561757479');
    const how = { info, aad, aead: 'aes-128-gcm' } as const;
    const sealed = seal(publicKeyOf(hex(publicKey)), [text], how, ephemeral);
    assert.equal(
      sealed.toString('hex'),
      '37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431' +
        'f938558b5d72f1a23810b4be2ab4f84331acc02fc97babc53a52ae8218a355a96d8770ac83d07bea87e13c512a',
    );
    assert.deepEqual(open(recipient, sealed, how), text);
  });

  it('opens with nothing but the right key, purpose, client and octets', () => {
    const { privateKey, publicKey } = generateKeyPairSync('x25519');
    const how = { info: Buffer.from('a'), aad: Buffer.from('b') };
    const sealed = seal(publicKey, [Buffer.from('te'), Buffer.from('xt')], how);
    assert.equal(open(privateKey, sealed, how).toString(), 'text');
    const refused = { code: 'request-invalid', message: 'the job was not sealed for this queue and client' };
    const other = generateKeyPairSync('x25519').privateKey;
    assert.throws(() => open(other, sealed, how), refused);
    assert.throws(() => open(privateKey, sealed, { ...how, info: Buffer.from('c') }), refused);
    assert.throws(() => open(privateKey, sealed, { ...how, aad: Buffer.from('c') }), refused);
    for (let at = 0; at < sealed.length; at += 7) {
      const broken = Buffer.from(sealed);
      broken[at] = (broken[at] ?? 0) ^ 1;
      assert.throws(() => open(privateKey, broken, how), refused, String(at));
    }
    for (const length of [0, 31, 47, sealed.length - 1])
      assert.throws(() => open(privateKey, sealed.subarray(0, length), how), refused, String(length));
    const smallOrder = Buffer.concat([Buffer.alloc(32), sealed.subarray(32)]);
    assert.throws(() => open(privateKey, smallOrder, how), refused, 'a point of small order');
  });

  it('carries a request of checked fields', () => {
    const { privateKey, publicKey } = generateKeyPairSync('x25519');
    const request = { partner: 'acme', idempotencyKey: 'k', metadata: { a: 'ü' }, priority: 1 };
    const data = sealRequest(publicKey, 'ERP', request, Buffer.from([0, 255]));
    assert.ok(!data.includes('acme'));
    assert.deepEqual(openRequest(privateKey, 'erp', data), { request, octets: Buffer.from([0, 255]) });
    assert.throws(() => openRequest(privateKey, 'shop', data), { code: 'request-invalid' });
    const bad = (more: object, says: RegExp) => {
      const sealed = sealRequest(publicKey, 'erp', { ...request, ...more }, Buffer.alloc(0));
      assert.throws(() => openRequest(privateKey, 'erp', sealed), { code: 'request-invalid', message: says });
    };
    bad({ octets: { kind: 'file', id: 'x' } }, /there is no field "octets"/);
    bad({ client: 'operator' }, /there is no field "client"/);
    bad({ __proto__: null, toString: 'x' }, /there is no field "toString"/);
    bad({ recipients: [1] }, /recipients has the wrong form/);
    bad({ metadata: { a: 1 } }, /metadata has the wrong form/);
    bad({ priority: 1.5 }, /priority has the wrong form/);
    bad({ idempotencyKey: 'k'.repeat(2001) }, /idempotencyKey has the wrong form/);
    for (const text of ['', 'null', '[]', '{}', '{"v":1}', '{"v":2,"sealed":""}', '{"v":1,"sealed":{}}'])
      assert.throws(() => openRequest(privateKey, 'erp', text), { code: 'request-invalid' }, text);
  });
});
