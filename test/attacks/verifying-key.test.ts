import assert from 'node:assert/strict';
import { createPublicKey, type KeyObject } from 'node:crypto';
import { test } from 'node:test';
import { oids } from '../../src/asn1/index.ts';
import * as der from '../../src/asn1/writer.ts';
import { Budget } from '../../src/budget.ts';
import { writeIssuerAndSerial } from '../../src/cms/certificate-identifier.ts';
import { type Certificate, sameKey } from '../../src/pki/index.ts';
import { judgeSigner } from '../../src/smime/verdict/trust.ts';
import { type DsaKey, dsaCertificate, dsaKey, dsaSignature, forgedKey, newDsaKey } from './dsa.ts';
import { cmsMail, entity, verdictOf } from './support.ts';

/** SignedData of one signer, who signs the content without attributes. */
function signedBy(key: DsaKey, sid: Buffer, certificates: Certificate[]): Buffer {
  const sha256 = der.sequence(der.oid(oids.sha256));
  const signer = der.sequence(
    der.integer(sid[0] === 0x30 ? 1 : 3),
    sid,
    sha256,
    der.sequence(der.oid(oids.dsaWithSha256)),
    der.octetString(dsaSignature(entity, key)),
  );
  const body = der.sequence(
    der.integer(1),
    der.set(sha256),
    der.sequence(der.oid(oids.data), der.explicit(0, der.octetString(entity))),
    der.implicit(0, true, Buffer.concat(certificates.map((each) => each.der))),
    der.set(signer),
  );
  return cmsMail(der.sequence(der.oid(oids.signedData), der.explicit(0, body)));
}

const authority = newDsaKey();
const { p, q, g } = authority;
const leafKey = dsaKey(p, q, g, 0x1234_5678_9abc_def0n);
const root = dsaCertificate({ subject: 'CA', issuer: 'CA', key: authority, signer: authority, ca: true });
const leaf = dsaCertificate({
  subject: 'partner',
  issuer: 'CA',
  key: leafKey,
  inherits: true,
  signer: authority,
});
const trust = { anchors: [root] };
const at = new Date('2026-01-01T00:00:00Z');

/** What somebody without any key of the partner's or the authority's makes. */
const forged = forgedKey(leafKey);
const namesake = dsaCertificate({ subject: 'CA', issuer: 'CA', key: forged, signer: forged, ca: true });

test('a signature with the parameters of the validated issuer is valid and trusted', async () => {
  for (const bag of [[leaf], [leaf, root], [namesake, leaf]]) {
    const { signature, layers } = await verdictOf(signedBy(leafKey, writeIssuerAndSerial(leaf), bag), {
      trust,
      at,
    });
    assert.equal(signature, 'valid', JSON.stringify(layers));
  }
});

test("DSA parameters of a namesake in the message make nobody's signature valid", async () => {
  for (const bag of [
    [leaf, namesake],
    [namesake, leaf],
    [namesake, leaf, root],
  ]) {
    const verdict = await verdictOf(signedBy(forged, writeIssuerAndSerial(leaf), bag), { trust, at });
    assert.equal(verdict.signature, 'invalid');
    assert.equal(verdict.integrity, 'none');
  }
});

test('without a validated issuer a key without parameters verifies nothing', async () => {
  for (const [key, bag] of [
    [leafKey, [leaf, root]],
    [forged, [leaf, namesake]],
  ] as const) {
    const verdict = await verdictOf(signedBy(key, writeIssuerAndSerial(leaf), [...bag]), {
      trust: { anchors: [] },
      at,
    });
    assert.equal(verdict.signature, 'invalid');
  }
});

const other = newDsaKey();
const keyId = Buffer.alloc(20, 7);
const withKeyId = der.sequence(der.oid(oids.subjectKeyIdentifier), der.octetString(der.octetString(keyId)));
const byKeyId = der.implicit(0, false, keyId);
const certified = (key: DsaKey, issuer: string, signer: DsaKey) =>
  dsaCertificate({ subject: 'partner', issuer, key, signer, extensions: [withKeyId] });

test('of several certificates with one key identifier the one whose key verifies is the signer', async () => {
  const real = certified(leafKey, 'CA', authority);
  const impostor = certified(other, 'Somebody', other);
  for (const bag of [
    [impostor, real],
    [real, impostor],
  ]) {
    const verdict = await verdictOf(signedBy(leafKey, byKeyId, bag), { trust, at });
    assert.equal(verdict.signature, 'valid');
    const fromImpostor = await verdictOf(signedBy(other, byKeyId, bag), { trust, at });
    assert.equal(fromImpostor.signature, 'untrusted');
  }
});

test('of several certificates for the key that verified a trusted one counts', async () => {
  const real = certified(leafKey, 'CA', authority);
  const crossed = certified(leafKey, 'Somebody', other);
  for (const bag of [
    [crossed, real],
    [real, crossed],
  ]) {
    const { signature, layers } = await verdictOf(signedBy(leafKey, byKeyId, bag), { trust, at });
    assert.equal(signature, 'valid');
    const [signer] = layers[0]?.type === 'signed-data' ? layers[0].signers : [];
    assert.equal(signer?.thumbprint, real.thumbprint);
  }
});

test('a path that ends with another key than the one that verified trusts nobody', () => {
  const real = certified(leafKey, 'CA', authority);
  const bag = { certificates: [], crls: [] };
  const verdictUnder = (key: KeyObject) => judgeSigner(real, key, bag, trust, at, new Budget());
  assert.equal(verdictUnder(real.publicKey).trusted, true);
  const stranger = verdictUnder(createPublicKey(forged.privateKey));
  assert.equal(stranger.trusted, false);
  assert.equal(stranger.reason, 'signature-invalid');
  assert.deepEqual(stranger.chain, []);
});

test('a DSA key is another one with other parameters', () => {
  assert.equal(leafKey.y, forged.y);
  assert.equal(sameKey(createPublicKey(leafKey.privateKey), createPublicKey(forged.privateKey)), false);
});
