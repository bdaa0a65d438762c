/** The bridge to Bouncy Castle that tests and benches share. */
import assert from 'node:assert/strict';
import { createPrivateKey } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { createIdentity, readCertificates } from '../../src/pki/index.ts';
import { decodeSync } from '../../src/smime/index.ts';
import { type JavaProcess, startJava } from '../support/peers/bouncy-castle.ts';
import { missingOpenssl } from '../support/peers/identities.ts';
import { PeerError } from '../support/peers/types.ts';
import { content, Setting } from './setting.ts';

describe('the JVM of the peers', { skip: missingOpenssl() }, () => {
  let setting: Setting;
  let java: JavaProcess | undefined;

  before(async () => {
    setting = await Setting.start(['openssl']);
    java = await startJava();
  });
  after(async () => {
    await java?.close();
    await setting.close();
  });

  const values = () => {
    const { der, keyPem } = setting.identity('rsa-2048');
    const key = createPrivateKey(keyPem).export({ type: 'pkcs8', format: 'der' });
    return { kind: 'rsa-pkcs1', cipher: 'AES-256-CBC', cert: der, key, content };
  };

  it('answers in order, and says no without ending', async (t) => {
    if (java === undefined) {
      assert.notEqual(process.env.CI, 'true', 'java or libbcmail-java is not installed');
      return t.skip('java or libbcmail-java is not installed');
    }
    const [message, no, version] = await Promise.allSettled([
      java.ask('encrypt', values()),
      java.ask('encrypt', { ...values(), cipher: 'ROT13' }),
      java.ask('version'),
    ]);
    assert.equal(message.status, 'fulfilled');
    assert.ok(no.status === 'rejected' && no.reason instanceof PeerError);
    assert.ok(version.status === 'fulfilled' && /^1\.\d+/.test(version.value.toString()));
    if (message.status === 'fulfilled')
      assert.deepEqual(await java.ask('decrypt', { ...values(), message: message.value }), content);
  });

  it('repeats an operation and tells its rate, or why it failed', async (t) => {
    if (java === undefined) return t.skip('java or libbcmail-java is not installed');
    const message = await java.ask('encrypt', values());
    const { rate, cpuRate } = await java.loop('decrypt', 0.05, { ...values(), message });
    assert.ok(rate > 0 && cpuRate > 0);
    await assert.rejects(java.loop('decrypt', 0.05, { ...values(), message: content }), PeerError);
  });

  it("writes whole mails, which is what the codec's encoder is measured against", async (t) => {
    if (java === undefined) return t.skip('java or libbcmail-java is not installed');
    const { der, keyPem, certPem } = setting.identity('rsa-2048');
    const key = createPrivateKey(keyPem);
    const identity = createIdentity('recipient', readCertificates(Buffer.from(certPem)), key);
    const entity = Buffer.from('Content-Type: text/plain\r\n\r\nGr\u00fc\u00dfe\r\n');
    const signer = { signerCert: der, signerKey: values().key, algorithm: 'SHA256WITHRSA' };
    for (const [inner, cipher] of [
      ['base64', 'AES-256-CBC'],
      ['binary', '3DES'],
      ['base64', 'AES-256-GCM'],
    ] as const) {
      const mail = await java.ask('protect', { ...values(), ...signer, content: entity, inner, cipher });
      const options = { identities: [identity], trust: { anchors: [] }, at: new Date() };
      const { verdict, content: found } = decodeSync(mail, options);
      assert.deepEqual(
        verdict.layers.map(({ type }) => type),
        [cipher.endsWith('GCM') ? 'auth-enveloped-data' : 'enveloped-data', 'signed-data'],
      );
      assert.ok(found?.toString().endsWith('Gr\u00fc\u00dfe\r\n'));
      const opened = await java.ask('decrypt', { ...values(), mail });
      assert.match(opened.toString('latin1'), /^Content-Type: application\/pkcs7-mime/);
    }
  });
});
