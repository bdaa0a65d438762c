import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHmac, pbkdf2Sync, randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, describe, it } from 'node:test';
import { Cursor, children, octetString, oids, parse, raw } from '../../src/asn1/index.ts';
import * as der from '../../src/asn1/writer.ts';
import { readIdentity } from '../../src/library/index.ts';
import {
  createIdentity,
  isPkcs12,
  readCertificates,
  readPkcs12,
  readPrivateKey,
} from '../../src/pki/index.ts';
import { createTestCa } from '../support/ca.ts';

const corpora = process.env.SEALPOST_CORPORA ?? resolve(import.meta.dirname, '../../../shared/corpora');
const missing = existsSync(corpora) ? false : `no corpora at ${corpora}`;
const folder = mkdtempSync(join(tmpdir(), 'sealpost-pki-'));
after(() => rmSync(folder, { recursive: true }));

const file = (name: string) => join(folder, name);

function openssl(...args: string[]): void {
  execFileSync('openssl', args, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
}

const ca = createTestCa('Root');
const sub = ca.issueCa('Sub');
const rsa = sub.issue({ commonName: 'Rsa', key: 'rsa2048' });
const ec = sub.issue({ commonName: 'Ec', key: 'p384' });
const ed = sub.issue({ commonName: 'Ed', key: 'ed25519' });
for (const [name, { keyPem, certPem }] of Object.entries({ rsa, ec, ed })) {
  writeFileSync(file(`${name}.key`), keyPem);
  writeFileSync(file(`${name}.pem`), certPem + keyPem);
}
writeFileSync(file('chain.pem'), sub.pem + ca.pem);

describe('private key', () => {
  const forms: [string, string[], string?][] = [
    ['PKCS#8 in DER', ['pkcs8', '-topk8', '-nocrypt', '-outform', 'DER']],
    ['encrypted PKCS#8', ['pkcs8', '-topk8', '-passout', 'pass:secret'], 'secret'],
    ['encrypted PKCS#8 in DER', ['pkcs8', '-topk8', '-passout', 'pass:secret', '-outform', 'DER'], 'secret'],
    [
      'encrypted PKCS#8 with Triple DES',
      ['pkcs8', '-topk8', '-v1', 'PBE-SHA1-3DES', '-passout', 'pass:secret'],
      'secret',
    ],
  ];
  const rsaForms: typeof forms = [
    ['PKCS#1', ['rsa', '-traditional']],
    ['PKCS#1 in DER', ['rsa', '-traditional', '-outform', 'DER']],
    ['traditional encrypted PEM', ['rsa', '-traditional', '-aes256', '-passout', 'pass:secret'], 'secret'],
  ];
  const ecForms: typeof forms = [
    ['SEC 1', ['ec']],
    ['SEC 1 in DER', ['ec', '-outform', 'DER']],
  ];
  const cases = [
    ...[...forms, ...rsaForms].map((form) => ({ form, name: 'rsa', key: rsa.privateKey })),
    ...[...forms, ...ecForms].map((form) => ({ form, name: 'ec', key: ec.privateKey })),
    ...forms.slice(0, 3).map((form) => ({ form, name: 'ed', key: ed.privateKey })),
  ];
  for (const { form, name, key } of cases) {
    const [what, args, password] = form;
    it(`reads ${name} as ${what}`, () => {
      openssl(...args, '-in', `${name}.key`, '-out', 'out.key');
      const data = readFileSync(file('out.key'));
      assert.ok(readPrivateKey(data, password).equals(key));
      if (password === undefined) return;
      assert.throws(() => readPrivateKey(data), { code: 'password' });
      assert.throws(() => readPrivateKey(data, 'wrong'), { code: 'password' });
    });
  }

  it('refuses what is not a private key', () => {
    for (const data of [Buffer.from(''), Buffer.from('x'), ca.certificate.der, Buffer.from(ca.pem)]) {
      assert.throws(() => readPrivateKey(data), { code: 'key-malformed' });
    }
  });
});

describe('identity', () => {
  it('reads key, certificate and chain from one PEM file', () => {
    const data = Buffer.from(ca.pem + sub.pem + rsa.keyPem + rsa.certPem);
    const identity = readIdentity(data, { name: 'billing' });
    assert.equal(identity.certificate.subject, 'CN=Rsa');
    assert.deepEqual(
      identity.chain.map(({ subject }) => subject),
      ['CN=Sub', 'CN=Root'],
    );
  });

  it('refuses a key that belongs to none of the certificates', () => {
    assert.throws(() => createIdentity('x', [rsa.certificate, ca.certificate], ec.privateKey), {
      code: 'key-mismatch',
      message: /CN=Rsa/,
    });
    assert.throws(() => createIdentity('x', [], ec.privateKey), { code: 'key-mismatch' });
  });

  it('pairs X9.42 DH keys made by openssl, which node:crypto has no name for', () => {
    openssl('genpkey', '-genparam', '-algorithm', 'DHX', '-pkeyopt', 'group:dh_2048_256', '-out', 'dh.param');
    for (const name of ['dh', 'dh2']) {
      openssl('genpkey', '-paramfile', 'dh.param', '-out', `${name}.key`);
      openssl('pkey', '-in', `${name}.key`, '-pubout', '-out', `${name}.pub`);
      openssl('req', '-new', '-key', 'rsa.key', '-subj', '/CN=Dh', '-out', 'dh.csr');
      openssl(
        'x509',
        '-req',
        '-in',
        'dh.csr',
        '-force_pubkey',
        `${name}.pub`,
        '-signkey',
        'rsa.key',
        '-out',
        `${name}.crt`,
      );
    }
    const key = readPrivateKey(readFileSync(file('dh.key')));
    const [own] = readCertificates(readFileSync(file('dh.crt')));
    const [other] = readCertificates(readFileSync(file('dh2.crt')));
    assert.ok(own !== undefined && other !== undefined);
    assert.equal(createIdentity('dh', [other, own], key).certificate, own);
    assert.throws(() => createIdentity('dh', [other], key), { code: 'key-mismatch' });
  });

  it('reads the identities of openssl and of the corpus', { skip: missing }, () => {
    const folders = ['openssl/test/smime-certs', 'made/ids'];
    for (const path of folders.map((name) => join(corpora, name))) {
      for (const name of readdirSync(path)) {
        const data = readFileSync(join(path, name));
        if (!data.includes('PRIVATE KEY') || !data.includes('BEGIN CERTIFICATE')) continue;
        if (name === 'badrsa.pem')
          assert.throws(() => readIdentity(data, { name }), { code: 'key-malformed' });
        else assert.equal(readIdentity(data, { name }).name, name);
      }
    }
  });
});

describe('PKCS#12', () => {
  const forms: [string, string[]][] = [
    ['as openssl 3 writes it', []],
    ['in the old way with RC2 of 40 bits', ['-legacy']],
    ['with AES and HMAC-SHA-512', ['-keypbe', 'AES-128-CBC', '-certpbe', 'AES-192-CBC', '-macalg', 'sha512']],
    ['without encryption', ['-keypbe', 'NONE', '-certpbe', 'NONE']],
    ['without MAC', ['-nomac']],
  ];
  for (const [what, options] of forms) {
    for (const [name, issued] of Object.entries({ rsa, ec, ed })) {
      for (const password of ['pässwörd', '']) {
        it(`reads ${name} ${what}, password "${password}"`, () => {
          openssl(
            'pkcs12',
            '-export',
            '-in',
            `${name}.pem`,
            '-certfile',
            'chain.pem',
            '-name',
            'Größe',
            '-passout',
            `pass:${password}`,
            '-out',
            'out.p12',
            ...options,
          );
          const data = readFileSync(file('out.p12'));
          assert.ok(isPkcs12(data));
          const { identities, certificates } = readPkcs12(data, password);
          assert.equal(certificates.length, 3);
          const [identity] = identities;
          assert.ok(identity);
          assert.ok(identity.privateKey.equals(issued.privateKey));
          assert.deepEqual(identity.certificate.der, issued.certificate.der);
          assert.equal(identity.name, 'Größe');
          assert.equal(identity.chain.length, 2);
          if (options.includes('-nomac') || password === '') return;
          assert.throws(() => readPkcs12(data, 'wrong'), { code: 'password' });
          assert.throws(() => readPkcs12(data), { code: 'password' });
        });
      }
    }
  }

  it('checks a MAC of the newer kind (RFC 9579), which openssl 3.0 does not write', () => {
    openssl('pkcs12', '-export', '-in', 'rsa.pem', '-passout', 'pass:x', '-nomac', '-out', 'out.p12');
    const [version, contentInfo] = children(parse(readFileSync(file('out.p12'))));
    assert.ok(version && contentInfo);
    const content = new Cursor(contentInfo);
    content.next();
    const authSafe = octetString(new Cursor(content.next()).next());
    const salt = randomBytes(16);
    const macKey = pbkdf2Sync('x', salt, 1000, 32, 'sha256');
    const mac = createHmac('sha256', macKey).update(authSafe).digest();
    const hmac = der.sequence(der.oid(oids.hmacWithSha256), der.nullValue());
    const withLength = (...length: Buffer[]) => {
      const kdf = der.sequence(der.octetString(salt), der.integer(1000), ...length, hmac);
      const parameters = der.sequence(der.sequence(der.oid(oids.pbkdf2), kdf), hmac);
      const digestInfo = der.sequence(
        der.sequence(der.oid('1.2.840.113549.1.5.14'), parameters),
        der.octetString(mac),
      );
      const macData = der.sequence(digestInfo, der.octetString(Buffer.from('unused')), der.integer(1));
      return der.sequence(raw(version), raw(contentInfo), macData);
    };
    const data = withLength(der.integer(32));
    // the length of the key MUST be there, and it is that of the MAC
    for (const other of [withLength(), withLength(der.integer(31))]) {
      assert.throws(() => readPkcs12(other, 'x'), { code: 'key-malformed', message: /length/ });
    }
    assert.equal(readPkcs12(data, 'x').identities.length, 1);
    assert.throws(() => readPkcs12(data, 'y'), { code: 'password', message: /does not open/ });
  });

  for (const [cipher, ...providers] of [
    ['CAMELLIA-128-CBC'],
    ['CAMELLIA-256-CBC'],
    ['CAST5-CBC', '-provider', 'legacy', '-provider', 'default'],
  ] as const) {
    it(`reads keys and certificates under ${cipher}, in DER and in PEM`, () => {
      const out = ['-in', 'rsa.pem', '-passout', 'pass:x', '-keypbe', cipher, '-certpbe', cipher];
      openssl('pkcs12', ...providers, '-export', ...out, '-out', 'out.p12');
      const data = readFileSync(file('out.p12'));
      const lines = data.toString('base64').replace(/.{64}/g, '$&\n');
      const pem = Buffer.from(`a note in front\n-----BEGIN PKCS12-----\n${lines}\n-----END PKCS12-----\n`);
      for (const form of [data, pem]) {
        assert.ok(isPkcs12(form));
        assert.equal(readPkcs12(form, 'x').identities.length, 1);
        assert.throws(() => readPkcs12(form, 'y'), { code: 'password' });
      }
    });
  }

  it('refuses an absurd number of iterations, and files that are not PKCS#12', () => {
    openssl(
      'pkcs12',
      '-export',
      '-in',
      'rsa.pem',
      '-passout',
      'pass:x',
      '-macalg',
      'sha1',
      '-out',
      'out.p12',
    );
    const data = readFileSync(file('out.p12'));
    // INTEGER 2048 ends the file; in its place one of the same length that is negative.
    assert.equal(data.subarray(-4).toString('hex'), '02020800');
    data[data.length - 2] = 0x80;
    assert.throws(() => readPkcs12(data, 'x'), { code: 'key-malformed', message: /iterations/ });
    assert.throws(() => readPkcs12(ca.certificate.der, 'x'), { code: 'key-malformed' });
    assert.ok(!isPkcs12(ca.certificate.der));
  });

  const files: [string, string | undefined, number][] = [
    ['heimdal/test.p12', 'foobar', 1],
    ['heimdal/sub-cert.p12', 'foobar', 1],
    ['heimdal/test-nopw.p12', 'foobar', 1],
    ['bc-java-mail/johndoe.p12', '', 1],
    ['bc-java-mail/johndoe.p12', undefined, 1],
    ['as2-lib/phase2-lib/src/test/resources/localhost/certs.p12', 'test', 2],
    ['as2-lib/phase2-lib/src/test/resources/external/mendelson/key3.pfx', 'test', 1],
  ];
  for (const [name, password, count] of files) {
    it(`reads ${name} with ${password === undefined ? 'no password' : `password "${password}"`}`, {
      skip: missing,
    }, () => {
      assert.equal(readPkcs12(readFileSync(join(corpora, name)), password).identities.length, count);
    });
  }

  it('reads some of the files of PKITS', { skip: missing }, () => {
    const path = join(corpora, 'pkits-nist-2004/pkcs12');
    for (const name of readdirSync(path).filter((_, index) => index % 20 === 0)) {
      const { identities } = readPkcs12(readFileSync(join(path, name)), 'password');
      assert.equal(identities.length, 1, name);
    }
  });
});
