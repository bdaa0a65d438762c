/** One mail for recipients of every kind of key, with the encoder's defaults. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { encodeSync } from '../../src/smime/encode/encode.ts';
import { missingOpenssl } from '../support/peers/identities.ts';
import type { EncryptionCase, KeyManagement } from '../support/peers/types.ts';
import { content, mail, Setting } from './setting.ts';

const rsa: KeyManagement = { kind: 'rsa-pkcs1' };
const ecdh: KeyManagement = { kind: 'ecdh', kdf: 'SHA-256', cofactor: false, wrap: 'AES-256' };
const dh: KeyManagement = { kind: 'dh', wrap: 'AES-256' };

/**
 * NSS 3.87 and gpgsm 2.2 give up on a mail with key agreement in it. Names of identities, and what the peers have to be
 * asked for. X25519 comes from no peer by its own means.
 */
const kinds: [name: string, how: KeyManagement][] = [
  ['rsa-2048', rsa],
  ['rsa-3072', rsa],
  ['ec-p256', ecdh],
  ['ec-p384', ecdh],
  ['ec-p521', ecdh],
  ['ec-brainpool256', ecdh],
  ['dh-x942', dh],
];
const names = [...kinds.map(([name]) => name), 'x25519', 'x448'];

describe('recipients of mixed kinds', { skip: missingOpenssl() }, () => {
  let setting: Setting;

  before(async () => {
    setting = await Setting.start(['openssl', 'bouncyCastle']);
  });
  after(() => setting.close());

  for (const contentEncryption of ['aes-128-cbc', 'aes-256-cbc', 'aes-256-gcm']) {
    it(`each key opens our ${contentEncryption} mail, here and at each peer that has it`, async (t) => {
      const octets = encodeSync(mail, { ...setting.encryptTo(...names), contentEncryption });
      for (const name of names) {
        const found = await setting.read(octets, name);
        assert.equal(found.verdict.error, null, name);
        assert.deepEqual(found.content, content, name);
        assert.equal(
          found.verdict.layers[0]?.type,
          contentEncryption.endsWith('gcm') ? 'auth-enveloped-data' : 'enveloped-data',
        );
      }
      for (const peer of setting.installed(t))
        for (const [recipient, keyManagement] of kinds) {
          const cipher = contentEncryption === 'aes-256-gcm' ? 'AES-256-GCM' : 'AES-256-CBC';
          const each: EncryptionCase = {
            type: 'encryption',
            id: '',
            stage: 'issue3',
            keyManagement,
            recipient,
            cipher,
          };
          assert.deepEqual(
            await peer.read(each, { form: 'mail', octets }),
            content,
            `${peer.name}, ${recipient}`,
          );
        }
    });
  }

  it('we open what openssl encrypted for all of them', async () => {
    const files = kinds.flatMap(([name]) => ['-recip', setting.identity(name).certFile]);
    for (const cipher of ['-aes128', '-aes-256-gcm']) {
      const octets = await setting.openssl(['cms', '-encrypt', '-binary', cipher, ...files], content);
      for (const [name] of kinds) {
        const found = await setting.read(octets, name);
        assert.equal(found.verdict.error, null, `${name}, ${cipher}`);
        assert.deepEqual(found.content, content);
        const [layer] = found.verdict.layers;
        const recipients = layer !== undefined && 'recipients' in layer ? layer.recipients : [];
        assert.equal(recipients.length, kinds.length);
        assert.deepEqual(
          recipients.flatMap(({ matched }) => (matched === null ? [] : [matched.identity])),
          [name],
        );
      }
    }
  });

  it('a key that is not among them opens nothing', async () => {
    const octets = encodeSync(mail, setting.encryptTo('ec-p256', 'rsa-2048', 'dh-x942'));
    for (const name of ['rsa-3072', 'ec-p384', 'x25519']) {
      const { verdict, content: found } = await setting.read(octets, name);
      assert.equal(verdict.error?.code, 'decrypt-no-key');
      assert.equal(found, undefined);
    }
  });
});
