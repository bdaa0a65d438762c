import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { encryptionCertificates, signingIdentity } from '../../src/partner/certificates.ts';
import { createTestCa } from '../support/ca.ts';

const ca = createTestCa('Partner Test');
const day = (text: string) => new Date(`${text}T00:00:00Z`);
const now = day('2026-06-01');
const issue = (commonName: string, from: string, until: string, keyUsage?: string[]) =>
  ca.issue({
    commonName,
    notBefore: day(from),
    notAfter: day(until),
    ...(keyUsage && { keyUsage }),
  });

const expired = issue('expired', '2024-01-01', '2026-05-31');
const old = issue('old', '2025-01-01', '2026-07-01');
const current = issue('current', '2026-05-01', '2027-05-01');
const future = issue('future', '2026-07-01', '2028-01-01');
const signer = issue('signer', '2025-01-01', '2027-01-01', ['digitalSignature']);
const opener = issue('opener', '2025-01-01', '2027-01-01', ['keyAgreement']);

describe('encryptionCertificates', () => {
  const names = (...issued: (typeof old)[]) =>
    encryptionCertificates(
      'acme',
      issued.map(({ certificate }) => certificate),
      now,
    ).map(({ subject }) => subject);

  it('takes all in force, the newest first, so that a partner can change at leisure', () => {
    assert.deepEqual(names(expired, old, future, current), ['CN=current', 'CN=old']);
  });
  it('passes over a certificate that only signs', () =>
    assert.deepEqual(names(signer, opener), ['CN=opener']));
  it('has the first and the last moment within', () => {
    for (const at of [old.certificate.notBefore, old.certificate.notAfter])
      assert.equal(encryptionCertificates('acme', [old.certificate], at).length, 1);
  });
  it('names partner, certificates, reasons and what to do when there is none', () => {
    assert.throws(
      () => names(expired, future, signer),
      (error: Error & { code?: string; hint?: string }) => {
        assert.equal(error.code, 'encode-recipient');
        assert.match(error.message, /^partner acme has no certificate in force to encrypt for: /);
        assert.match(error.message, /CN=expired, serial [0-9a-f]+, expired on 2026-05-31/);
        assert.match(error.message, /CN=future, serial [0-9a-f]+, is valid from 2026-07-01 on/);
        assert.match(
          error.message,
          /CN=signer, serial [0-9a-f]+, may not be encrypted for \(keyUsage is [a-zA-Z, ]+, without keyAgreement\)/,
        );
        assert.match(error.hint ?? '', /ask the partner/);
        return true;
      },
    );
    assert.throws(() => names(), {
      code: 'encode-recipient',
      message: 'partner acme has no certificate to encrypt for',
    });
  });
  it('tells keys that cannot be encrypted for', () => {
    const ed25519 = ca.issue({ commonName: 'ed', key: 'ed25519', keyUsage: null });
    assert.throws(() => names(ed25519), { message: /key of type ed25519, which cannot encrypt/ });
  });
  it('takes RSA keys with keyEncipherment or without keyUsage', () => {
    const rsa = ca.issue({ commonName: 'rsa', key: 'rsa2048' });
    const bare = ca.issue({ commonName: 'bare', key: 'rsa2048', keyUsage: null });
    assert.deepEqual(names(rsa, bare).sort(), ['CN=bare', 'CN=rsa']);
  });
});

describe('signingIdentity', () => {
  const named = (name: string, ...issued: (typeof old)[]) =>
    issued.map(({ identity }) => ({ ...identity, name }));
  it('takes the newest in force of the name', () => {
    const identities = [...named('own', expired, old, current, future, opener), ...named('other', signer)];
    assert.equal(signingIdentity('acme', 'own', identities, now).certificate, current.certificate);
    assert.equal(
      signingIdentity('acme', 'own', identities, day('2026-08-01')).certificate,
      future.certificate,
    );
  });
  it('says why none can', () => {
    assert.throws(() => signingIdentity('acme', 'own', named('own', expired, opener), now), {
      code: 'encode-signer',
      message: /partner acme: identity own cannot sign: .*expired on 2026-05-31; .*may not sign/,
    });
    assert.throws(() => signingIdentity('acme', 'none', [], now), {
      code: 'encode-signer',
      message: /no identity none/,
    });
  });
});
