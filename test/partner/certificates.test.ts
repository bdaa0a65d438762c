import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { encryptionCertificates, inForce, ownIdentity } from '../../src/partner/certificates.ts';
import { pinsOf } from '../../src/partner/index.ts';
import { coverageOf } from '../../src/pki/index.ts';
import { createTestCa } from '../support/ca.ts';
import { entryOf, ownOf } from './support.ts';

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
      issued.map(({ certificate }) => entryOf(certificate)),
      now,
    ).map(({ certificate }) => certificate.subject);

  it('takes all in force, the newest first, so that a partner can change at leisure', () => {
    assert.deepEqual(names(expired, old, future, current), ['CN=current', 'CN=old']);
  });
  it('passes over a certificate that only signs', () =>
    assert.deepEqual(names(signer, opener), ['CN=opener']));
  it('has the first and the last moment within', () => {
    for (const at of [old.certificate.notBefore, old.certificate.notAfter])
      assert.equal(encryptionCertificates('acme', [entryOf(old.certificate)], at).length, 1);
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

describe('ownIdentity', () => {
  const named = (name: string, ...issued: (typeof old)[]) =>
    issued.map(({ identity }) => ownOf({ ...identity, name }));
  it('takes the newest in force of the name', () => {
    const identities = [...named('own', expired, old, current, future, opener), ...named('other', signer)];
    assert.equal(ownIdentity('acme', 'own', identities, 'sign', now).certificate, current.certificate);
    assert.equal(
      ownIdentity('acme', 'own', identities, 'sign', day('2026-08-01')).certificate,
      future.certificate,
    );
  });
  it('says why none can', () => {
    assert.throws(() => ownIdentity('acme', 'own', named('own', expired, opener), 'sign', now), {
      code: 'encode-signer',
      message: /partner acme: identity own cannot sign: .*expired on 2026-05-31; .*may not sign/,
    });
    assert.throws(() => ownIdentity('acme', 'none', [], 'sign', now), {
      code: 'encode-signer',
      message: /no identity none/,
    });
  });
});

describe('a term', () => {
  const term = { from: day('2026-06-10'), until: new Date('2026-06-20T12:00:00Z') };
  const entry = entryOf(current.certificate, term);
  const at = (time: string) => {
    const { usable, skipped } = inForce([entry], 'verify', new Date(time));
    return usable.length > 0 ? 'in force' : skipped[0]?.reason;
  };
  it('includes its first moment, and not its last', () => {
    assert.equal(at('2026-06-09T23:59:59.999Z'), 'is used from 2026-06-10 on');
    assert.equal(at('2026-06-10T00:00:00Z'), 'in force');
    assert.equal(at('2026-06-20T11:59:59.999Z'), 'in force');
    assert.equal(at('2026-06-20T12:00:00Z'), 'was used until 2026-06-20T12:00:00Z');
  });
  it('never makes a certificate valid', () => {
    const longer = entryOf(old.certificate, { from: day('2024-01-01'), until: day('2027-01-01') });
    const reasons = ['2024-06-01', '2026-08-01'].map(
      (each) => inForce([longer], 'encrypt', day(each)).skipped[0]?.reason,
    );
    assert.deepEqual(reasons, ['is valid from 2025-01-01 on', 'expired on 2026-07-01']);
  });
  it('decides which is the newest', () => {
    const entries = [entryOf(current.certificate), entryOf(old.certificate, { from: day('2026-05-20') })];
    assert.deepEqual(
      inForce(entries, 'encrypt', now).usable.map(({ certificate }) => certificate.subject),
      ['CN=old', 'CN=current'],
    );
  });
  it('is for the uses of its entry only', () => {
    const only = entryOf(current.certificate, { use: ['verify'] });
    assert.equal(inForce([only], 'verify', now).usable.length, 1);
    assert.equal(inForce([only], 'encrypt', now).skipped[0]?.reason, 'is not meant to encrypt');
  });
});

describe('pins', () => {
  it('change when a certificate begins or ends, in either direction of the clock, and not in between', () => {
    const pins = pinsOf([
      [entryOf(old.certificate), entryOf(opener.certificate)],
      [
        entryOf(current.certificate, { from: day('2026-06-10') }),
        entryOf(old.certificate, { use: ['encrypt'] }),
      ],
    ]);
    const all = [current, old, opener].map(({ certificate }) => certificate);
    const subjects = (text: string) =>
      all.filter((each) => pins(new Date(text)).has(each)).map(({ subject }) => subject);
    assert.deepEqual(subjects('2026-06-09T23:59:59Z'), ['CN=old']);
    assert.deepEqual(subjects('2026-06-10T00:00:00Z'), ['CN=current', 'CN=old']);
    assert.equal(pins(day('2026-06-10')), pins(day('2026-06-30')));
    assert.deepEqual(subjects('2026-07-01T00:00:00Z'), ['CN=current', 'CN=old'], 'notAfter is included');
    assert.deepEqual(subjects('2026-07-01T00:00:01Z'), ['CN=current']);
    assert.deepEqual(subjects('2026-06-09T00:00:00Z'), ['CN=old'], 'the clock was set back');
    assert.deepEqual(subjects('2020-01-01T00:00:00Z'), []);
  });
});

describe('coverage', () => {
  const spans = (...terms: [string, string][]) =>
    terms.map(([from, until]) => entryOf(current.certificate, { from: day(from), until: day(until) }));
  const said = (entries: ReturnType<typeof spans>) => {
    const { until, again, last } = coverageOf(entries, 'verify', now);
    return [last && until.toISOString().slice(0, 10), again?.toISOString().slice(0, 10)];
  };
  it('goes on as long as each takes over before the last ends', () => {
    const ends = spans(
      ['2026-05-01', '2026-06-10'],
      ['2026-06-10', '2026-06-20'],
      ['2026-06-15', '2026-06-18'],
    );
    assert.deepEqual(said(ends), ['2026-06-20', undefined]);
  });
  it('ends at a gap', () => {
    assert.deepEqual(said(spans(['2026-05-01', '2026-06-10'], ['2026-06-11', '2026-06-20'])), [
      '2026-06-10',
      '2026-06-11',
    ]);
    assert.deepEqual(said(spans(['2026-06-11', '2026-06-20'])), [undefined, '2026-06-11']);
    assert.deepEqual(said([]), [undefined, undefined]);
  });
});
