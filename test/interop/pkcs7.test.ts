/** The old PKCS #7 command of openssl, and forms of SignedData besides the plain one. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { encodeSync } from '../../src/smime/encode/encode.ts';
import { missingOpenssl } from '../support/peers/identities.ts';
import { content, mail, Setting } from './setting.ts';

describe('openssl smime and other forms', { skip: missingOpenssl() }, () => {
  let setting: Setting;

  before(async () => {
    setting = await Setting.start(['openssl']);
  });
  after(() => setting.close());

  const legacy = ['-provider', 'default', '-provider', 'legacy'];

  it('openssl smime opens our mails', async () => {
    for (const contentEncryption of ['aes-256-cbc', 'des-ede3-cbc', 'rc2-40-cbc', 'des-cbc']) {
      const encrypt = { ...setting.encryptTo('rsa-2048'), contentEncryption, allowWeak: true };
      const octets = encodeSync(mail, encrypt);
      const args = ['smime', '-decrypt', ...legacy, '-binary', ...setting.keyOptions('-recip', 'rsa-2048')];
      assert.deepEqual(await setting.openssl(args, octets), content, contentEncryption);
    }
    const signed = encodeSync(mail, setting.signAs('rsa-2048', 'opaque'));
    const verify = ['smime', '-verify', '-binary', '-CAfile', setting.caFile];
    assert.deepEqual(await setting.openssl(verify, signed), content);
  });

  it('we open the mails of openssl smime', async () => {
    for (const cipher of ['-aes256', '-des3', '-rc2-40', '-rc2-64', '-rc2-128', '-des']) {
      const args = ['smime', '-encrypt', ...legacy, '-binary', cipher, setting.identity('rsa-2048').certFile];
      const found = await setting.read(await setting.openssl(args, content), 'rsa-2048');
      assert.deepEqual(found.content, content, cipher);
    }
    for (const how of [['-nodetach'], [], ['-nocerts', '-nodetach']]) {
      const args = [
        'smime',
        '-sign',
        '-binary',
        '-crlfeol',
        ...how,
        ...setting.keyOptions('-signer', 'rsa-2048'),
      ];
      const found = await setting.read(await setting.openssl(args, content));
      const known = !how.includes('-nocerts');
      assert.equal(found.verdict.signature, known ? 'valid' : 'invalid');
      if (!known) {
        const [layer] = found.verdict.layers;
        const signers = layer !== undefined && 'signers' in layer ? layer.signers : [];
        assert.equal(signers[0]?.reason, 'certificate-missing');
      }
    }
  });

  it('attributes that we do not know do not disturb', async () => {
    const extra = ['-cades', '-receipt_request_all', '-receipt_request_to', 'us@example.com', '-nosmimecap'];
    const args = [
      'cms',
      '-sign',
      '-binary',
      '-nodetach',
      ...extra,
      ...setting.keyOptions('-signer', 'ec-p256'),
    ];
    const found = await setting.read(await setting.openssl(args, content));
    assert.equal(found.verdict.signature, 'valid');
    assert.deepEqual(found.content, content);
  });

  it('certificates alone are no signature', async () => {
    const files = ['rsa-2048', 'ec-p256'].flatMap((name) => ['-certfile', setting.identity(name).certFile]);
    const octets = await setting.openssl(['crl2pkcs7', '-nocrl', ...files], Buffer.alloc(0));
    const { verdict } = await setting.read(octets);
    const [layer] = verdict.layers;
    assert.equal(verdict.signature, 'none');
    assert.equal(layer?.type === 'certs-only' ? layer.certificates : 0, 2);
  });
});
