/** A content cipher or digest is a row of one table: all decisions about algorithms are checked against it. */
import assert from 'node:assert/strict';
import { getCurves } from 'node:crypto';
import { describe, it } from 'node:test';
import * as z from 'zod';
import { contentCiphers, contentEncryptions } from '../../src/cms/algorithms.ts';
import { checkPartners } from '../../src/config/partner-rules.ts';
import { protectionSettings } from '../../src/config/protection-settings.ts';
import { type Config, configSchema } from '../../src/config/schema.ts';
import { SealpostError } from '../../src/errors.ts';
import { weakness, withoutAead } from '../../src/partner/strength.ts';
import { type DigestUse, digestByName, digests } from '../../src/pki/algorithms.ts';
import {
  type ContentEncryption,
  keyAgreementDigests,
  keyTransports,
  signatureDigests,
} from '../../src/smime/encode/presets.ts';
import { decodeSync, encodeSync, isEncryptionLayer, presetNames, presets } from '../../src/smime/index.ts';
import { verdictSchema } from '../../src/smime/verdict/verdict-schema.ts';
import { createTestCa } from '../support/ca.ts';

const settings = protectionSettings(() => z.string());
const { certificate, identity } = createTestCa().issue({ key: 'rsa2048', commonName: 'rows' });
const at = new Date('2026-06-01T00:00:00Z');
const mail = Buffer.from('From: a@a.example\r\nContent-Type: text/plain\r\n\r\ncontent\r\n');

const encrypted = (contentEncryption: ContentEncryption, allowWeak: boolean) =>
  encodeSync(mail, {
    recipients: [certificate],
    contentEncryption,
    keyTransport: 'pkcs1',
    allowWeak,
  });

/** What is said of a partner's settings. */
function problemsOf(partner: { contentEncryption?: ContentEncryption; digest?: string }): string[] {
  const config: Config = configSchema.parse({
    identities: [{ name: 'own', key: 'own.pem' }],
    partners: [
      { name: 'p', addresses: ['p@p.example'], certificates: ['p.pem'], identity: 'own', ...partner },
    ],
  });
  const found: string[] = [];
  checkPartners(config, (path) => found.push(path.join('.')));
  return found;
}

const isPolicy = (error: unknown) => error instanceof SealpostError && error.code === 'encode-policy';

describe('the rows of content ciphers', () => {
  it('say of each whether it is weak, in words, and name it once', () => {
    for (const { name, mode, aead, strength, weak } of contentCiphers) {
      assert.equal(weak !== undefined, strength === 'weak', name);
      assert.equal(aead, mode !== 'cbc', name);
    }
    const oids = contentCiphers.map(({ oid }) => oid);
    const names = contentCiphers.flatMap(({ settable }) => settable);
    assert.equal(new Set(oids).size, oids.length);
    assert.equal(new Set(names).size, names.length);
  });

  it('are what the settings offer', () => {
    const names = contentCiphers.flatMap(({ settable }) => settable);
    assert.deepEqual(settings.contentEncryption.unwrap().options, names);
    assert.deepEqual(contentEncryptions, names);
    assert.ok(names.length > 10);
  });

  it('are what the presets name', () => {
    for (const name of presetNames) {
      const { contentEncryption, digest, keyTransport, curves } = presets[name].protection;
      const row = contentCiphers.find(({ settable }) => settable.includes(contentEncryption));
      assert.ok(row !== undefined, name);
      assert.notEqual(row.strength, 'weak', name);
      assert.ok(
        signatureDigests.some((each) => each === digest),
        name,
      );
      assert.ok(keyTransports.includes(keyTransport), name);
      for (const curve of curves ?? []) assert.ok(getCurves().includes(curve), curve);
    }
  });

  for (const row of contentCiphers)
    for (const setting of row.settable) {
      const name = contentEncryptions.find((each) => each === setting);
      assert.ok(name !== undefined);
      it(`${name}: encoder, verdict, require and the check of the settings agree`, () => {
        const message = encrypted(name, true);
        const head = message.toString('latin1', 0, 200);
        assert.match(head, row.aead ? /smime-type=authEnveloped-data/ : /smime-type=enveloped-data/);

        const { verdict } = decodeSync(message, { identities: [identity], trust: { anchors: [] }, at });
        verdictSchema.parse(verdict);
        assert.equal(verdict.status, 'ok');
        const [layer] = verdict.layers.filter(isEncryptionLayer);
        assert.equal(layer?.contentEncryption?.algorithm, row.name);
        assert.deepEqual(layer.weak, row.weak === undefined ? [] : [row.weak]);
        assert.equal(verdict.integrity, row.aead ? 'aead' : 'none');

        const strong = { minimumRsaBits: 2048, minimumCurveBits: 224 };
        assert.equal(withoutAead(verdict.layers) === undefined, row.aead);
        assert.equal(weakness(verdict.layers, strong) === undefined, row.strength === 'strong');

        const needsWord = row.strength === 'weak';
        if (needsWord) assert.throws(() => encrypted(name, false), isPolicy);
        else encrypted(name, false);
        assert.deepEqual(
          problemsOf({ contentEncryption: name }),
          needsWord ? ['partners.0.contentEncryption'] : [],
        );
      });
    }
});

describe('the rows of digests', () => {
  const namesFor = (use: DigestUse) =>
    digests.filter(({ settable }) => settable.includes(use)).map(({ name }) => name);

  it('are what the settings offer', () => {
    assert.deepEqual(settings.digest.unwrap().options, namesFor('signature'));
    assert.deepEqual(settings.keyAgreementDigest.unwrap().options, namesFor('key-agreement'));
    assert.deepEqual(keyAgreementDigests, namesFor('key-agreement'));
    assert.deepEqual(settings.keyTransport.unwrap().options, [
      'pkcs1',
      ...namesFor('oaep').map((name) => `oaep-${name}`),
      'by-key-size',
    ]);
  });

  for (const digest of signatureDigests)
    it(`${digest}: a signature with it needs a word where it is weak`, () => {
      const weak = digestByName.get(digest)?.weak;
      const signed = (allowWeak: boolean) =>
        encodeSync(mail, { identity, sign: 'opaque', signatureScheme: 'pkcs1', digest, allowWeak, at });
      const { verdict } = decodeSync(signed(true), { identities: [], trust: { anchors: [] }, at });
      const [layer] = verdict.layers;
      assert.deepEqual(layer?.weak, weak === undefined ? [] : [weak]);
      if (weak === undefined) signed(false);
      else assert.throws(() => signed(false), isPolicy);
      assert.deepEqual(problemsOf({ digest }), weak === undefined ? [] : ['partners.0.digest']);
    });
});
