import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import {
  decodeSync,
  encodeSync,
  estimateOctets,
  isEncryptionLayer,
  isSignatureLayer,
  type PresetName,
  presetNames,
  presets,
  protectionOf,
  usedBy,
  usedIn,
} from '../../src/smime/index.ts';
import { content, mail, Setting } from '../interop/setting.ts';
import { createTestCa } from '../support/ca.ts';
import { missingOpenssl } from '../support/peers/identities.ts';
import type { EncryptionCase, SignatureCase } from '../support/peers/types.ts';

/** After the certificates were made: Bouncy Castle takes no signature from before. */
let at = new Date();
type Row = [
  preset: PresetName,
  layers: string[],
  contentEncryption: string,
  keyEncryption: string,
  signature: string,
  smimeType: string,
];
const rows: Row[] = [
  [
    'default',
    ['enveloped-data', 'signed-data'],
    'aes-256-cbc',
    'rsa-pkcs1',
    'rsaEncryption',
    'enveloped-data',
  ],
  [
    'smime-3.2',
    ['enveloped-data', 'signed-data'],
    'aes-256-cbc',
    'rsa-pkcs1',
    'rsaEncryption',
    'enveloped-data',
  ],
  [
    'smime-4.0',
    ['auth-enveloped-data', 'signed-data'],
    'aes-256-gcm',
    'rsa-oaep',
    'rsassaPss',
    'authEnveloped-data',
  ],
  [
    'bsi-tr-03116-4',
    ['auth-enveloped-data', 'signed-data'],
    'aes-256-gcm',
    'rsa-oaep',
    'rsassaPss',
    'authEnveloped-data',
  ],
  [
    'bsi-tr-02102',
    ['auth-enveloped-data', 'signed-data'],
    'aes-256-gcm',
    'rsa-oaep',
    'rsassaPss',
    'authEnveloped-data',
  ],
  ['edi-energy', ['enveloped-data', 'signed-data'], 'aes-256-cbc', 'rsa-oaep', 'rsassaPss', 'enveloped-data'],
  [
    'direct',
    ['enveloped-data', 'multipart/signed'],
    'aes-128-cbc',
    'rsa-oaep',
    'rsaEncryption',
    'enveloped-data',
  ],
  [
    'as1',
    ['enveloped-data', 'multipart/signed'],
    'aes-256-cbc',
    'rsa-pkcs1',
    'rsaEncryption',
    'enveloped-data',
  ],
  [
    'kim',
    ['auth-enveloped-data', 'signed-data'],
    'aes-256-gcm',
    'rsa-oaep',
    'rsassaPss',
    'authenticated-enveloped-data',
  ],
  ['secon', ['enveloped-data', 'signed-data'], 'aes-256-cbc', 'rsa-pkcs1', 'rsaEncryption', 'enveloped-data'],
  [
    'biztalk',
    ['enveloped-data', 'signed-data'],
    'des-ede3-cbc',
    'rsa-pkcs1',
    'rsaEncryption',
    'enveloped-data',
  ],
  [
    'biztalk-classic',
    ['enveloped-data', 'signed-data'],
    'des-ede3-cbc',
    'rsa-pkcs1',
    'rsaEncryption',
    'enveloped-data',
  ],
  [
    'cabf-smime-br',
    ['enveloped-data', 'signed-data'],
    'aes-256-cbc',
    'rsa-pkcs1',
    'rsaEncryption',
    'enveloped-data',
  ],
];

describe('presets', { skip: missingOpenssl() }, () => {
  let setting: Setting;
  before(async () => {
    setting = await Setting.start();
    at = new Date();
  });
  after(() => setting.close());

  const options = (preset: PresetName, recipient = 'rsa-3072', signer = 'rsa-3072') => ({
    ...protectionOf(preset),
    identity: setting.own(signer),
    recipients: [setting.own(recipient).certificate],
    allowWeak: preset.startsWith('biztalk'),
    at,
  });
  const encoded = (...parties: Parameters<typeof options>) => encodeSync(mail, options(...parties));

  it('are all in this table', () => {
    assert.deepEqual(
      rows.map(([name]) => name),
      presetNames,
    );
  });

  for (const [preset, layers, contentEncryption, keyEncryption, signature, smimeType] of rows) {
    it(`${preset} writes what it says, and openssl opens it`, async () => {
      const octets = encoded(preset);
      const { verdict, content: found } = await setting.read(octets, 'rsa-3072');
      assert.equal(verdict.error, null);
      assert.deepEqual(
        verdict.layers.map(({ type }) => type),
        layers,
      );
      const [encrypted] = verdict.layers.filter(isEncryptionLayer);
      assert.equal(encrypted?.contentEncryption?.algorithm, contentEncryption);
      assert.deepEqual(
        encrypted?.recipients.map((recipient) => recipient.keyEncryption?.algorithm),
        [keyEncryption],
      );
      const [signed] = verdict.layers.filter(isSignatureLayer);
      assert.equal(signed?.signers[0]?.signatureAlgorithm, signature);
      assert.equal(verdict.signature, 'valid');
      // what is said before it is made is what is found in it
      assert.deepEqual(usedBy(options(preset)), usedIn(verdict));
      assert.ok(octets.includes(`smime-type=${smimeType};`));
      const text = found?.toString() ?? '';
      assert.ok(text.includes(content.subarray(content.indexOf('\r\n\r\n')).toString()));
      assert.equal(/^Content-Disposition: attachment/m.test(text), preset === 'edi-energy');
      const inner = await setting.openssl(
        ['cms', '-decrypt', ...setting.keyOptions('-recip', 'rsa-3072')],
        octets,
      );
      if (preset === 'kim') {
        const cms = inner.subarray(inner.indexOf('\r\n\r\n') + 4);
        const verify = ['cms', '-verify', '-inform', 'DER', '-CAfile', setting.caFile];
        assert.equal((await setting.openssl(verify, cms)).toString(), text);
        return;
      }
      const verified = await setting.openssl(['cms', '-verify', '-CAfile', setting.caFile], inner);
      assert.equal(verified.toString().replaceAll(/\r?\n/g, '\r\n'), text);
    });
  }

  it('default is read by every peer', async (t) => {
    const octets = encoded('default', 'rsa-2048', 'rsa-2048');
    const open: EncryptionCase = {
      type: 'encryption',
      id: '',
      stage: 'issue3',
      keyManagement: { kind: 'rsa-pkcs1' },
      recipient: 'rsa-2048',
      cipher: 'AES-256-CBC',
    };
    const verify: SignatureCase = {
      type: 'signature',
      id: '',
      stage: 'issue3',
      signer: 'rsa-2048',
      scheme: 'pkcs1',
      digest: 'SHA-256',
      form: 'opaque',
      attributes: true,
    };
    for (const peer of setting.installed(t)) {
      const inner = await peer.read(open, { form: 'mail', octets });
      assert.deepEqual(await peer.read(verify, { form: 'mail', octets: inner }), content, peer.name);
    }
  });

  it('biztalk needs the word for SHA-1 alone: 3DES is not asked about', () => {
    const protect = (digest: 'sha1' | 'sha256') =>
      encodeSync(mail, {
        ...protectionOf('biztalk', { digest }),
        identity: setting.own('rsa-2048'),
        recipients: [setting.own('rsa-2048').certificate],
        at,
      });
    assert.throws(() => protect('sha1'), { code: 'encode-policy' });
    assert.ok(protect('sha256').length > 0);
  });

  it('bsi-tr-03116-4 refuses short RSA keys and other curves', () => {
    assert.throws(() => encoded('bsi-tr-03116-4', 'rsa-2048'), { code: 'encode-recipient' });
    // an estimate of the size says nothing of keys: the encoder reports them
    const recipients = [setting.own('rsa-2048').certificate];
    assert.ok(estimateOctets(1000, { ...protectionOf('bsi-tr-03116-4'), recipients }));
    assert.ok(estimateOctets(1000, { recipients: [] }));
    assert.throws(() => encoded('bsi-tr-03116-4', 'rsa-3072', 'rsa-2048'), { code: 'encode-signer' });
    for (const name of ['ec-p256', 'ec-brainpool256', 'ec-p521'])
      assert.ok(encoded('bsi-tr-03116-4', name, name).length > 0, name);
  });

  it('secon takes OAEP for 4096 bits, and PSS for certificates that are signed with it', async () => {
    const found = decodeSync(encoded('secon', 'rsa-4096'), {
      identities: [setting.own('rsa-4096')],
      trust: { anchors: [] },
      at,
    }).verdict;
    assert.equal(
      found.layers.filter(isEncryptionLayer)[0]?.recipients[0]?.keyEncryption?.algorithm,
      'rsa-oaep',
    );
    const pss = createTestCa('PSS', { key: generateKeyPairSync('rsa-pss', { modulusLength: 2048 }) });
    const { identity } = pss.issue({ commonName: 'by-pss', key: 'rsa2048' });
    const octets = encodeSync(mail, { ...protectionOf('secon'), identity, at });
    const { verdict } = decodeSync(octets, { identities: [], trust: { anchors: [pss.certificate] }, at });
    assert.equal(verdict.layers.filter(isSignatureLayer)[0]?.signers[0]?.signatureAlgorithm, 'rsassaPss');
  });

  it('kim encrypts for the sender too', async () => {
    const octets = encoded('kim', 'rsa-3072', 'rsa-2048');
    for (const name of ['rsa-3072', 'rsa-2048'])
      assert.equal((await setting.read(octets, name)).verdict.error, null, name);
  });

  it('say beforehand what a message will use, for every kind of key', async () => {
    for (const name of ['rsa-2048', 'rsa-4096', 'ec-p256', 'ec-brainpool256', 'ec-p521'])
      for (const preset of ['secon', 'smime-4.0', 'direct'] as const) {
        const { verdict } = await setting.read(encoded(preset, name, name), name);
        assert.deepEqual(usedBy(options(preset, name, name)), usedIn(verdict), `${preset} ${name}`);
      }
    const wrapped = { ...options('smime-3.2'), tripleWrap: true, compress: 'before-signing' } as const;
    const { verdict } = await setting.read(encodeSync(mail, wrapped), 'rsa-3072');
    assert.deepEqual(usedBy(wrapped), usedIn(verdict));
    assert.equal(usedBy({}), undefined);
    const plain = Buffer.from('Content-Type: text/plain\r\n\r\nthe order\r\n');
    const signed = encodeSync(plain, { identity: setting.own('rsa-2048'), sign: 'detached', at });
    const changed = Buffer.from(signed.toString('latin1').replace('the order', 'the other'), 'latin1');
    const broken = decodeSync(changed, { identities: [], trust: { anchors: [] }, at }).verdict;
    assert.equal(broken.signature, 'invalid');
    assert.equal(usedIn(broken), undefined, 'what is not valid protects nothing');
    assert.equal(usedIn({ layers: [], headers: verdict.headers }), undefined);
  });

  it('give way to single settings, and only to those that are set', () => {
    const { protection } = presets.kim;
    assert.deepEqual(protectionOf('kim', { digest: undefined }), protection);
    assert.deepEqual(
      protectionOf('kim', { digest: 'sha512', headerProtection: true, encryptToSelf: false }),
      {
        ...protection,
        digest: 'sha512',
        headerProtection: true,
        encryptToSelf: false,
      },
    );
    assert.equal(protectionOf('default', { keyAgreementDigest: 'sha384' }).keyAgreementDigest, 'sha384');
  });
});
