import assert from 'node:assert/strict';
import { createCipheriv, randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import { oids } from '../../src/asn1/index.ts';
import * as der from '../../src/asn1/writer.ts';
import { decode } from '../../src/smime/index.ts';
import {
  aesCbc,
  alice,
  cbc,
  entity,
  enveloped,
  keyTransInfo,
  options,
  padded,
  rsaEncrypt,
  verdictOf,
} from './support.ts';

const key = randomBytes(16);
const recipients = [keyTransInfo(alice.certificate, rsaEncrypt(alice.certificate, key))];

interface Gcm {
  nonce?: Buffer;
  tagOctets?: number;
  /** What the parameters say of the tag, when not the truth. */
  statedOctets?: number | undefined;
  /** Into EnvelopedData, with the tag after the content. */
  inEnveloped?: boolean;
}

function gcm({
  nonce = randomBytes(12),
  tagOctets = 16,
  statedOctets = tagOctets,
  inEnveloped = false,
}: Gcm = {}): Buffer {
  // the full tag, cut: node makes no tags that GCM does not have
  const cipher = createCipheriv(
    'aes-128-gcm',
    key,
    nonce.length === 0 || nonce.length > 128 ? Buffer.alloc(12) : nonce,
  );
  const encrypted = Buffer.concat([cipher.update(entity), cipher.final()]);
  const mac = cipher.getAuthTag().subarray(0, tagOctets);
  const stated = statedOctets === 12 ? [] : [der.integer(statedOctets)];
  const algorithm = der.sequence(
    der.oid(oids['aes-128-gcm']),
    der.sequence(der.octetString(nonce), ...stated),
  );
  if (inEnveloped) return enveloped({ recipients, algorithm, encrypted: Buffer.concat([encrypted, mac]) });
  return enveloped({ recipients, algorithm, encrypted, mac });
}

describe('S4: AuthEnvelopedData', () => {
  it('opens if everything is right, and says so', async () => {
    for (const tagOctets of [12, 13, 14, 15, 16]) {
      const { verdict, content } = await decode(gcm({ tagOctets }), options);
      assert.equal(verdict.error, null, `${tagOctets}`);
      assert.ok(content?.equals(entity));
      assert.equal(verdict.integrity, 'aead');
    }
  });

  it('refuses a cipher that authenticates nothing (CVE-2026-34182)', async () => {
    const iv = randomBytes(16);
    const octets = enveloped({
      recipients,
      algorithm: aesCbc(iv),
      encrypted: cbc(key, iv, padded(entity)),
      mac: Buffer.alloc(16),
    });
    const verdict = await verdictOf(octets);
    assert.equal(verdict.error?.code, 'cms-malformed');
    assert.match(verdict.error.message, /authenticates nothing/);
  });

  it('refuses an authenticating cipher inside EnvelopedData unless it is allowed', async () => {
    const octets = gcm({ inEnveloped: true });
    assert.equal((await verdictOf(octets)).error?.code, 'decrypt-policy');
    const allowed = await decode(octets, { ...options, aeadInEnvelopedData: true });
    assert.ok(allowed.content?.equals(entity));
    assert.equal(allowed.verdict.integrity, 'aead');
    const changed = Buffer.from(octets);
    changed[octets.length - 20] = (changed[octets.length - 20] ?? 0) ^ 1;
    const verdict = await verdictOf(changed, { aeadInEnvelopedData: true });
    assert.equal(verdict.error?.code, 'decrypt-failed');
  });

  it('refuses tags below 12 octets, and tags of another length than stated', async () => {
    for (const tagOctets of [0, 1, 4, 8, 11]) {
      const verdict = await verdictOf(gcm({ tagOctets }));
      assert.equal(verdict.status, 'failed', `${tagOctets}`);
      // a short tag under parameters that promise a long one
      assert.equal((await verdictOf(gcm({ tagOctets, statedOctets: 16 }))).error?.code, 'decrypt-failed');
    }
    assert.equal((await verdictOf(gcm({ tagOctets: 12, statedOctets: 16 }))).error?.code, 'decrypt-failed');
    assert.equal((await verdictOf(gcm({ tagOctets: 16, statedOctets: 17 }))).status, 'failed');
  });

  it('refuses odd nonces', async () => {
    for (const length of [0, 1, 4, 129, 4096]) {
      assert.equal((await verdictOf(gcm({ nonce: Buffer.alloc(length, 1) }))).status, 'failed', `${length}`);
    }
  });

  it('gives out nothing when any octet of nonce, content or tag was changed', async () => {
    const octets = gcm();
    const start = octets.length - entity.length - 40;
    for (let at = start; at < octets.length; at++) {
      const changed = Buffer.from(octets);
      changed[at] = (changed[at] ?? 0) ^ 0x10;
      const { verdict, content } = await decode(changed, options);
      assert.equal(verdict.status, 'failed', `${at}`);
      assert.equal(verdict.integrity, 'none');
      assert.equal(content, undefined);
    }
  });

  it('answers a wrong key like a changed tag', async () => {
    const changed = gcm();
    changed[changed.length - 1] = (changed[changed.length - 1] ?? 0) ^ 1;
    const other = [keyTransInfo(alice.certificate, rsaEncrypt(alice.certificate, randomBytes(16)))];
    const cipher = createCipheriv('aes-128-gcm', key, Buffer.alloc(12));
    const wrong = enveloped({
      recipients: other,
      algorithm: der.sequence(
        der.oid(oids['aes-128-gcm']),
        der.sequence(der.octetString(Buffer.alloc(12)), der.integer(16)),
      ),
      encrypted: Buffer.concat([cipher.update(entity), cipher.final()]),
      mac: cipher.getAuthTag(),
    });
    const [a, b] = [await verdictOf(changed), await verdictOf(wrong)];
    assert.deepEqual(a.error, b.error);
    assert.equal(a.error?.code, 'decrypt-failed');
  });
});
