/** The attribute of RFC 6211 in what we sign: each peer reads it, and an exchanged algorithm is detected. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { decodeSync, type EncodeOptions, encodeSync, isSignatureLayer } from '../../src/smime/index.ts';
import { missingOpenssl } from '../support/peers/identities.ts';
import type { SignatureCase, SignatureScheme } from '../support/peers/types.ts';
import { content, mail, Setting } from './setting.ts';

const kinds: [signer: string, scheme: SignatureScheme][] = [
  ['rsa-2048', 'pkcs1'],
  ['rsa-2048', 'pss'],
  ['ec-p256', 'ecdsa'],
];
const attributeOid = Buffer.from('06092a864886f70d010934', 'hex');

describe('algorithm protection', { skip: missingOpenssl() }, () => {
  let setting: Setting;

  before(async () => {
    setting = await Setting.start();
  });
  after(() => setting.close());

  const signAs = (signer: string, scheme: SignatureScheme, form: 'opaque' | 'detached'): EncodeOptions => ({
    ...setting.signAs(signer, form),
    signatureScheme: scheme === 'pss' ? 'pss' : 'pkcs1',
    algorithmProtection: true,
  });

  for (const [signer, scheme] of kinds)
    for (const form of ['opaque', 'detached'] as const)
      it(`is read by every peer: ${signer}, ${scheme}, ${form}`, async (t) => {
        const octets = encodeSync(mail, signAs(signer, scheme, form));
        const [own] = (await setting.read(octets)).verdict.layers.filter(isSignatureLayer);
        assert.equal(own?.signers[0]?.valid, true);
        const each: SignatureCase = {
          ...({ type: 'signature', id: '', stage: 'issue2', signer, scheme, form } as const),
          ...{ digest: 'SHA-256', attributes: true },
        };
        for (const peer of setting.installed(t)) {
          if (peer.can(each, 'read') !== true) continue;
          // a peer that cannot read the case at all says nothing about the attribute
          const plain = { ...signAs(signer, scheme, form), algorithmProtection: false };
          const readable = await peer
            .read(each, { form: 'mail', octets: encodeSync(mail, plain) })
            .then(() => true)
            .catch(() => false);
          if (!readable) t.diagnostic(`${peer.name} does not read ${signer}, ${scheme}`);
          else assert.deepEqual(await peer.read(each, { form: 'mail', octets }), content, peer.name);
        }
      });

  it('finds another parameter of the signature algorithm, which nothing else protects', async () => {
    const reasonOf = async (algorithmProtection: boolean) => {
      const sign = { ...signAs('rsa-2048', 'pss', 'opaque'), algorithmProtection };
      const octets = encodeSync(mail, sign).toString('latin1');
      const der = Buffer.from(octets.slice(octets.indexOf('\r\n\r\n')), 'base64');
      assert.equal(der.includes(attributeOid), algorithmProtection);
      // the salt length of the last RSASSA-PSS-params, which is the SignerInfo's own
      const salt = der.lastIndexOf(Buffer.from('a203020120', 'hex'));
      assert.ok(salt > 0);
      der[salt + 4] = 31;
      const { verdict } = decodeSync(der, { identities: [], trust: { anchors: [] }, at: new Date() });
      const [layer] = verdict.layers.filter(isSignatureLayer);
      return [verdict.signature, layer?.signers[0]?.reason];
    };
    assert.deepEqual(await reasonOf(true), ['invalid', 'algorithm-mismatch']);
    assert.deepEqual(await reasonOf(false), ['invalid', 'signature-mismatch']);
  });
});
