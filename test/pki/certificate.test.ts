import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import fc from 'fast-check';
import { oids } from '../../src/asn1/index.ts';
import * as der from '../../src/asn1/writer.ts';
import { SealpostError } from '../../src/errors.ts';
import { parseCertificate, readCertificates } from '../../src/pki/index.ts';
import { createTestCa } from '../support/ca.ts';

const ca = createTestCa('Root, "the" first');
const sub = ca.issueCa('Sub');
const alice = sub.issue({
  commonName: 'Alice',
  emails: ['Alice@Example.COM', 'alice@example.com'],
  keyUsage: ['digitalSignature', 'keyAgreement'],
});
const folder = mkdtempSync(join(tmpdir(), 'sealpost-pki-'));
after(() => rmSync(folder, { recursive: true }));

function openssl(...args: string[]): Buffer {
  return execFileSync('openssl', args, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
}

describe('certificate', () => {
  it('reads what openssl reads', () => {
    writeFileSync(join(folder, 'alice.pem'), alice.certPem);
    const text = openssl(
      'x509',
      '-in',
      'alice.pem',
      '-noout',
      '-serial',
      '-fingerprint',
      '-sha256',
      '-issuer',
      '-nameopt',
      'RFC2253',
    )
      .toString()
      .trim()
      .split('\n')
      .map((line) => line.slice(line.indexOf('=') + 1));
    const [serial, fingerprint, issuer] = text;
    assert.equal(alice.certificate.serialHex.toUpperCase(), serial);
    assert.equal(alice.certificate.thumbprint.toUpperCase(), fingerprint?.replaceAll(':', ''));
    assert.equal(alice.certificate.issuer, issuer);
  });

  it('escapes names as RFC 4514 has it', () => {
    assert.equal(ca.certificate.subject, 'CN=Root\\, \\"the\\" first');
  });

  it('has addresses with the domain in lower case, without repeats', () => {
    assert.deepEqual(alice.certificate.emails, ['Alice@example.com', 'alice@example.com']);
  });

  it('reads addresses from SmtpUTF8Mailbox and the subject, and names nobody for those that are none', () => {
    const mailbox = der.implicit(
      0,
      true,
      der.oid(oids.smtpUtf8Mailbox),
      der.explicit(0, der.utf8('jürgen@Example.com')),
    );
    const smuggled = der.implicit(1, false, Buffer.from('a@b.example\r\nBcc: x@y.example'));
    const { certificate } = sub.issue({
      subject: [[oids.emailAddress, 'Old@EXAMPLE.org']],
      extensions: [{ oid: oids.subjectAltName, value: der.sequence(mailbox, smuggled) }],
    });
    assert.deepEqual(certificate.emails, ['jürgen@example.com', '…', 'Old@example.org']);
  });

  it('decodes extensions', () => {
    const { certificate } = alice;
    assert.deepEqual([...(certificate.keyUsage ?? [])], ['digitalSignature', 'keyAgreement']);
    assert.deepEqual(certificate.extendedKeyUsage, [oids.emailProtection]);
    assert.equal(certificate.basicConstraints, undefined);
    assert.deepEqual(certificate.authorityKeyIdentifier?.keyIdentifier, sub.certificate.subjectKeyIdentifier);
    assert.deepEqual(sub.certificate.basicConstraints, { ca: true });
    assert.equal(certificate.publicKey.asymmetricKeyType, 'ec');
    assert.equal(certificate.x509.subject, 'CN=Alice');
  });

  it('refuses two extensions of one kind', () => {
    const twice = { oid: oids.extKeyUsage, value: der.sequence(der.oid(oids.codeSigning)) };
    assert.throws(() => sub.issue({ extensions: [twice] }), { code: 'certificate-malformed' });
  });

  it('refuses a signature algorithm that the signed part does not name', () => {
    const octets = Buffer.from(alice.certificate.der);
    // The last octet of the outer object identifier: ecdsa-with-SHA256 becomes -SHA384.
    const at = octets.lastIndexOf(der.oid(oids.ecdsaWithSha256));
    octets[at + 9] = 3;
    assert.throws(() => parseCertificate(octets), { code: 'certificate-malformed', message: /signed part/ });
  });

  it('says what and where for octets that are no certificate, whatever they are', () => {
    const good = alice.certificate.der;
    fc.assert(
      fc.property(fc.nat(good.length - 1), fc.nat(255), fc.nat(good.length), (at, value, length) => {
        const octets = Buffer.from(good.subarray(0, length));
        if (at < octets.length) octets[at] = value;
        try {
          const { subject, emails, keyUsage, authorityInfoAccess, crlDistributionPoints, publicKey } =
            parseCertificate(octets);
          return (
            [subject, emails, keyUsage, authorityInfoAccess, crlDistributionPoints, publicKey].length === 6
          );
        } catch (error) {
          return error instanceof SealpostError && error.code === 'certificate-malformed';
        }
      }),
      { numRuns: Number(process.env.FUZZ_RUNS ?? 500) },
    );
  });
});

describe('certificate files', () => {
  const names = (data: Buffer) => readCertificates(data).map(({ subject }) => subject);
  const both = ['CN=Sub', 'CN=Alice'];

  it('reads a PEM bundle with text and a key in it', () => {
    const bundle = `Bag Attributes\n  x: 1\n${sub.pem}subject=/CN=Alice\r\n${alice.certPem.replaceAll('\n', '\r\n')}\n${alice.keyPem}`;
    assert.deepEqual(names(Buffer.from(bundle)), both);
  });

  it('hidden-in-comment: reads no certificate that stands in the name of another one, in a comment above it', () => {
    const inLine = alice.certPem.trim().replaceAll('\n', '');
    for (const commonName of [inLine, '-----BEGIN CERTIFICATE-----', '-----END CERTIFICATE-----']) {
      const named = ca.issue({ commonName });
      const read = readCertificates(Buffer.from(`# subject   CN=${commonName}\n${named.certPem}`));
      assert.deepEqual(
        read.map(({ thumbprint }) => thumbprint),
        [named.certificate.thumbprint],
      );
    }
  });

  it('reads a PEM bundle without line ends between its files, with blanks before them, or after one without an end', () => {
    const joined = `\ufeff${sub.certPem.trim()}${alice.certPem}`;
    const indented = `certs:\n  ${sub.certPem.replaceAll('\n', '\n  ')}\r \t${alice.certPem}`;
    for (const bundle of [joined, indented]) assert.deepEqual(names(Buffer.from(bundle)), both);
    const cut = sub.certPem.slice(0, -40);
    assert.deepEqual(names(Buffer.from(`${cut}\n${alice.certPem}`)), ['CN=Alice']);
  });

  it('reads DER, one certificate and several', () => {
    assert.deepEqual(names(alice.certificate.der), ['CN=Alice']);
    assert.deepEqual(names(Buffer.concat([sub.certificate.der, alice.certificate.der])), both);
  });

  it('reads PKCS#7 certs-only in PEM and DER as openssl writes it', () => {
    writeFileSync(join(folder, 'both.pem'), sub.pem + alice.certPem);
    for (const form of ['PEM', 'DER']) {
      openssl('crl2pkcs7', '-nocrl', '-certfile', 'both.pem', '-outform', form, '-out', 'both.p7b');
      assert.deepEqual(names(readFileSync(join(folder, 'both.p7b'))).sort(), [...both].sort());
    }
  });

  it('reads trusted certificates of openssl', () => {
    openssl('x509', '-in', 'both.pem', '-trustout', '-setalias', 'x', '-out', 'trusted.pem');
    assert.deepEqual(names(readFileSync(join(folder, 'trusted.pem'))), ['CN=Sub']);
  });

  for (const [what, data] of [
    ['nothing', ''],
    ['text', 'hello'],
    ['a key alone', alice.keyPem],
    ['a block without end', sub.pem.slice(0, -20)],
    ['a block of rubbish', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'],
  ]) {
    it(`refuses ${what}`, () => {
      assert.throws(() => readCertificates(Buffer.from(data ?? '')), { code: 'certificate-malformed' });
    });
  }
});
