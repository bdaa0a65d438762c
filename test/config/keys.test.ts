import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { type CheckProbes, checkConfig } from '../../src/config/check.ts';
import { loadKeys } from '../../src/config/keys.ts';
import { loadConfig } from '../../src/config/load.ts';
import { changedConfig, restoreConfig, storeConfig } from '../../src/config/origin.ts';
import { ConfigError, formatProblem } from '../../src/config/problem.ts';
import { readCertificateAndKey } from '../../src/config/tls.ts';
import { type ErrorCode, SealpostError } from '../../src/errors.ts';
import { createTestCa } from '../support/ca.ts';

const folder = mkdtempSync(join(tmpdir(), 'sealpost-keys-'));
after(() => rmSync(folder, { recursive: true }));

function put(name: string, content: string | Buffer, mode = 0o600): string {
  const file = join(folder, name);
  writeFileSync(file, content);
  chmodSync(file, mode);
  return file;
}

const day = (text: string) => new Date(`${text}T00:00:00Z`);
const now = day('2026-06-01');
const ca = createTestCa('Keys Test');
const own256 = ca.issue({ commonName: 'localhost' });
const between = ca.issueCa('Keys Between');
const own = ca.issue({ commonName: 'own', key: 'rsa2048' });
const renewed = ca.issue({ commonName: 'own', key: 'rsa2048', notBefore: day('2026-05-01') });
const other = ca.issue({ commonName: 'other' });
const partner = between.issue({ commonName: 'partner' });
put('ca.pem', ca.pem, 0o644);
put('own.pem', own.certPem, 0o644);
put('own.key', own.keyPem);
put('both.pem', own.keyPem + renewed.certPem + own.certPem + ca.pem);
put('other.pem', other.certPem, 0o644);
put('partner.pem', partner.certPem + between.pem + ca.pem, 0o644);
const selfSigned = createTestCa('Self-signed partner', { keyUsage: ['digitalSignature', 'keyCertSign'] });
put('self.pem', selfSigned.pem, 0o644);
put('open.key', own.keyPem, 0o644);
put('junk', 'junk');
put('password', 'hunter2\n');
put('wrong', 'hunter3\n');
const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' });
openssl('pkcs8', '-topk8', '-in', 'own.key', '-out', 'encrypted.key', '-passout', 'file:password');
openssl(
  ...['pkcs12', '-export', '-inkey', 'own.key', '-in', 'own.pem', '-certfile', 'ca.pem'],
  ...['-out', 'own.p12', '-passout', 'file:password'],
);
for (const name of ['encrypted.key', 'own.p12']) chmodSync(join(folder, name), 0o600);

let files = 0;
function config(text: string): string {
  return put(`sealpost-${files++}.yaml`, text);
}
const identity = (settings: string) => `identities:\n  - { name: own, ${settings} }\n`;

function keysOf(text: string) {
  return loadKeys(loadConfig(config(text)));
}

/** What is said, without the file's name and with `DIR` for the folder. */
function said(problems: readonly Parameters<typeof formatProblem>[0][]): string[] {
  return problems.map((problem) =>
    formatProblem(problem)
      .slice(problem.file.length + 1)
      .replaceAll(folder, 'DIR'),
  );
}

describe('loadKeys', () => {
  for (const [what, settings] of [
    ['certificate and key', 'certificate: own.pem, key: own.key'],
    ['an encrypted key', 'certificate: own.pem, key: encrypted.key, password: { file: password }'],
    ['PKCS#12', 'pkcs12: own.p12, password: { file: password }'],
  ] as const)
    it(`reads ${what}`, async () => {
      const { identities } = await keysOf(identity(settings));
      assert.equal(identities.length, 1);
      assert.equal(identities[0]?.name, 'own');
      assert.ok(identities[0]?.certificate.equals(own.certificate));
      assert.ok(identities[0]?.privateKey.equals(own.privateKey));
    });

  it('makes an identity of each certificate of one key, with its chain', async () => {
    const { identities } = await keysOf(identity('key: both.pem'));
    assert.deepEqual(
      identities.map(({ certificate }) => certificate.thumbprint),
      [renewed.certificate.thumbprint, own.certificate.thumbprint],
    );
    assert.deepEqual(
      identities[0]?.chain.map(({ subject }) => subject),
      ['CN=Keys Test'],
    );
  });

  it('keeps trust for each mailbox, and certificates for each partner', async () => {
    const keys = await keysOf(`
identities: [{ name: own, key: both.pem }, { name: p12, pkcs12: own.p12, password: { file: password } }]
trust: { anchors: [ca.pem] }
partners: [{ name: acme, addresses: ["@acme.example"], certificates: [partner.pem], sign: none }, { name: self, addresses: [a@self.example], certificates: [self.pem], encrypt: false, sign: none }]
smtp: { listen: [{ port: 2525 }] }
mailboxes:
  - { name: a, addresses: [a@example.com], identities: [p12], trust: { anchors: [other.pem] }, destinations: [{ type: directory, path: in }] }
  - { name: b, addresses: [b@example.com], destinations: [{ type: directory, path: in }] }
`);
    const subjects = (list: readonly { subject: string }[] | undefined) =>
      list?.map(({ subject }) => subject);
    const [a, b] = [keys.mailboxes.get('a'), keys.mailboxes.get('b')];
    assert.deepEqual(
      a?.identities.map(({ name }) => name),
      ['p12'],
    );
    assert.equal(b?.identities.length, 3);
    assert.deepEqual(subjects(a?.trust.anchors), ['CN=Keys Test', 'CN=other']);
    assert.deepEqual(subjects(b?.trust.anchors), ['CN=Keys Test']);
    const own = (partner: string) => subjects(keys.partners.get(partner)?.map((each) => each.certificate));
    assert.deepEqual(own('acme'), ['CN=partner'], 'its CA is not the partner');
    assert.deepEqual(own('self'), ['CN=Self-signed partner']);
    assert.deepEqual(subjects(b?.trust.intermediates), ['CN=Keys Between', 'CN=Keys Test']);
  });

  for (const [settings, expected] of [
    [
      'certificate: none.pem, key: own.key',
      'certificate: DIR/none.pem: there is no such file (check the path; a relative path starts at the folder of the configuration file)',
    ],
    [
      'certificate: own.pem, key: open.key',
      'key: DIR/open.key: mode 0644 lets others read or write it (run: chmod 600 DIR/open.key)',
    ],
    [
      'certificate: own.pem, key: encrypted.key, password: { file: wrong }',
      'key: DIR/encrypted.key: the password does not open the private key (where the password is right, the file is encrypted in a way that is not supported)',
    ],
    [
      'certificate: own.pem, key: encrypted.key',
      'key: DIR/encrypted.key: the private key is encrypted and there is no password (write password: {file: PATH} or {env: NAME} of this identity, and check it)',
    ],
    [
      'pkcs12: own.p12, password: { file: wrong }',
      'pkcs12: DIR/own.p12: the password does not open the PKCS#12 file (write password: {file: PATH} or {env: NAME} of this identity, and check it)',
    ],
    [
      'pkcs12: own.p12, password: { env: SEALPOST_TEST_NOT_SET }',
      'password: the environment variable SEALPOST_TEST_NOT_SET is not set (set it for the process, or name a file in place of env)',
    ],
    ['certificate: junk, key: own.key', 'certificate: DIR/junk: '],
    ['certificate: own.pem, key: junk', 'key: DIR/junk: there is no private key in the file'],
    [
      'certificate: other.pem, key: own.key',
      'certificate: DIR/other.pem: identity own: the private key belongs to none of the certificates (CN=other',
    ],
  ] as const)
    it(`says what is wrong with ${settings}`, async () => {
      await assert.rejects(
        () => keysOf(identity(settings)),
        (error) => {
          assert.ok(error instanceof ConfigError);
          const lines = said(error.problems);
          assert.equal(lines.length, 1, lines.join('\n'));
          const setting = expected.slice(0, expected.indexOf(':'));
          const column =
            `  - { name: own, ${settings}`.search(new RegExp(`\\b${setting}: `)) + setting.length + 3;
          assert.ok(lines[0]?.startsWith(`2:${column}: error: identities[0].${expected}`), lines[0]);
          assert.doesNotMatch(error.message, /hunter/);
          return true;
        },
      );
    });

  it('says all at once', async () => {
    const text = `${identity('certificate: none.pem, key: open.key')}trust: { anchors: [junk, none.pem] }\n`;
    await assert.rejects(
      () => keysOf(text),
      (error) => error instanceof ConfigError && error.problems.length === 4,
    );
  });

  it('says it with its place in a role, which got the configuration checked from the supervisor', async () => {
    const file = config(identity('certificate: none.pem, key: own.key'));
    const restored = restoreConfig(storeConfig(loadConfig(file)));
    for (const each of [restored, changedConfig(restored, { dataDir: folder })])
      await assert.rejects(
        () => loadKeys(each),
        (error) =>
          error instanceof ConfigError &&
          error.message.startsWith(`${file} has an error\n`) &&
          said(error.problems).join().startsWith('2:31: error: identities[0].certificate: DIR/none.pem'),
      );
  });
});

describe('checkConfig', () => {
  const issue = (name: string, from: string, until: string, keyUsage?: string[]) => {
    const issued = ca.issue({
      commonName: name,
      notBefore: day(from),
      notAfter: day(until),
      ...(keyUsage && { keyUsage }),
    });
    put(`${name}.pem`, issued.keyPem + issued.certPem);
    put(`${name}.crt`, issued.certPem, 0o644);
  };
  issue('expired', '2025-01-01', '2026-05-01');
  issue('soon', '2025-01-01', '2026-06-11');
  issue('future', '2026-07-01', '2028-01-01');
  issue('good', '2026-01-01', '2028-01-01');
  issue('signs', '2026-01-01', '2028-01-01', ['digitalSignature']);
  const partners = (identityName: string, ...certificates: string[]) =>
    `partners: [{ name: p, addresses: [p@p.example], identity: ${identityName}, certificates: [${certificates}] }]\n`;
  const own = (...names: string[]) =>
    `dataDir: .\nidentities: [${names.map((name) => `{ name: ${name}, key: ${name}.pem }`).join(', ')}]\n`;
  const check = async (text: string, probes: CheckProbes = {}) =>
    said(await checkConfig(config(text), { now, ...probes }));

  for (const [why, text, expected] of [
    ['nothing is wrong', own('good') + partners('good', 'good.crt'), []],
    [
      'an expired identity that decrypts',
      own('good', 'expired') + partners('good', 'good.crt'),
      [/^2:45: warning: identities\[1\]: CN=expired, serial \w+ expired on 2026-05-01; it still decrypts/],
    ],
    [
      'an expired identity that signs',
      own('expired') + partners('expired', 'good.crt'),
      [
        /^2:14: error: identities\[0\]: signs for partners, but CN=expired, serial \w+ expired on 2026-05-01 \(name a valid identity/,
      ],
    ],
    [
      'an identity that signs and may not yet',
      own('future') + partners('future', 'good.crt'),
      [/error: identities\[0\]: signs for partners, but CN=future, serial \w+ is valid from 2026-07-01 on/],
    ],
    [
      'an identity that expires soon',
      own('soon') + partners('soon', 'good.crt'),
      [
        /warning: identities\[0\]: there will be none to sign with from 2026-06-11 on: CN=soon, serial \w+ ends/,
      ],
    ],
    [
      'a signer that nobody names',
      own('good', 'signs') + partners('good', 'good.crt'),
      [
        /warning: identities\[1\]: CN=signs, serial \w+ may not be encrypted for .*no partner names it to sign/,
      ],
    ],
    [
      'an expired partner',
      own('good') + partners('good', 'expired.crt'),
      [
        /^3:79: error: partners\[0\].certificates: partner p has no certificate in force to encrypt for: CN=expired, serial \w+ expired on 2026-05-01 \(ask the partner/,
        /^3:79: warning: .*partner p has no certificate in force to verify with: CN=expired/,
      ],
    ],
    [
      'a partner that only signs',
      own('good') + partners('good', 'signs.crt'),
      [/error: partners\[0\].certificates: partner p .*: CN=signs, serial \w+ may not be encrypted for/],
    ],
    [
      'a partner that signs and encrypts with two',
      own('good') + partners('good', 'signs.crt', 'good.crt'),
      [],
    ],
    [
      'an old one beside a good one',
      own('good') + partners('good', 'expired.crt', 'good.crt'),
      [/warning: .*expired on 2026-05-01; it is not used/],
    ],
    [
      'two keys of one name that follow each other',
      `dataDir: .\nidentities: [{ name: own, key: soon.pem }, { name: own, key: good.pem, from: 2026-06-10 }]\n${partners('own', 'good.crt')}`,
      [],
    ],
    [
      'a day on which no key signs',
      `dataDir: .\nidentities: [{ name: own, key: soon.pem, until: 2026-06-10 }, { name: own, key: good.pem, from: 2026-06-11 }]\n${partners('own', 'good.crt')}`,
      [
        /warning: identities\[0\]: there will be none to sign with from 2026-06-10 until 2026-06-11: CN=soon, serial \w+ ends, and the next one begins then \(let the two overlap/,
      ],
    ],
    [
      'a day on which a partner has no certificate',
      own('good') +
        partners('good', '{ file: soon.crt, until: 2026-06-10 }', '{ file: good.crt, from: 2026-07-11 }'),
      [
        /warning: partners\[0\].certificates: partner p will have none to encrypt for from 2026-06-10 until 2026-07-11/,
        /warning: partners\[0\].certificates: partner p will have none to verify with from 2026-06-10 until 2026-07-11/,
      ],
    ],
    [
      'a root of a partner that nothing leads to',
      own('good') + partners('good', 'good.crt').replace(' }]', ', trust: { anchors: [soon.crt] } }]'),
      [/error: partners\[0\]\.trust\.anchors: CN=soon, serial \w+ is no anchor of trust or of a mailbox/],
    ],
    [
      'a root of a partner that is one of the anchors',
      `trust: { anchors: [soon.crt] }\n${own('good')}${partners('good', 'good.crt').replace(' }]', ', trust: { anchors: [soon.crt] } }]')}`,
      [],
    ],
    [
      'a term to the days on which the validity begins and ends',
      own('good') + partners('good', '{ file: good.crt, from: 2026-01-01, until: 2028-01-02 }'),
      [],
    ],
    [
      'a term before the validity',
      own('good') + partners('good', '{ file: good.crt, from: 2025-12-31 }'),
      [
        /^3:104: error: partners\[0\].certificates\[0\].from: 2025-12-31 is outside of the certificate's validity: CN=good, serial \w+ is valid from 2026-01-01 until 2028-01-01/,
      ],
    ],
    [
      'a term after the validity',
      own('good') + partners('good', '{ file: good.crt, until: 2028-01-03 }'),
      [/error: partners\[0\].certificates\[0\].until: 2028-01-03 is outside of the certificate's validity/],
    ],
    [
      'a term that ends before it begins',
      own('good') + partners('good', '{ file: good.crt, from: 2026-05-01, until: 2026-05-01 }', 'good.crt'),
      [
        /warning: .*was used until 2026-05-01; it is not used/,
        /error: partners\[0\].certificates\[0\].until: 2026-05-01 is not after from, 2026-05-01/,
      ],
    ],
  ] as const)
    it(why, async () => {
      const found = await check(text);
      assert.equal(found.length, expected.length, found.join('\n'));
      expected.forEach((pattern, index) => {
        assert.match(found[index] ?? '', pattern);
      });
    });

  it('reads every secret, listener, CA file and folder that is named', async () => {
    put('listener.key', own256.keyPem);
    put('listener.pem', own256.certPem, 0o644);
    put('spool.key', 'c2hvcnQ=');
    const found = await check(`dataDir: junk/data
redis: { url: "redis://127.0.0.1:1", password: { file: none } }
spool: { key: { file: spool.key } }
smtp: { listen: [{ port: 2525 }], tls: { cert: other.pem, key: listener.key } }
http: { port: 8025 }
mailboxes:
  - name: a
    addresses: [a@example.com]
    imap: { host: localhost, user: a, password: { env: SEALPOST_TEST_NOT_SET }, ca: junk }
    destinations:
      - { type: webhook, url: "https://x.example", secret: { file: open.key } }
`);
    const settings = found.map((line) => /^[\d:]+ error: ([^:]+):/.exec(line)?.[1]);
    assert.deepEqual(settings, [
      'dataDir',
      'redis.password',
      'spool.key',
      'smtp.tls',
      'mailboxes[0].imap.password',
      'mailboxes[0].imap.ca',
      'mailboxes[0].destinations[0].secret',
    ]);
  });

  it('checks each pair of a listener: its files, its term, and whether one is in force', async () => {
    const issued = (name: string, from: string, until: string) => {
      const pair = ca.issue({ commonName: name, notBefore: day(from), notAfter: day(until) });
      put(`${name}.key`, pair.keyPem);
      put(`${name}.crt`, pair.certPem, 0o644);
      return (term: string) => `{ cert: ${name}.crt, key: ${name}.key${term} }`;
    };
    const past = issued('past', '2025-01-01', '2026-05-01');
    const present = issued('present', '2026-01-01', '2027-01-01');
    const pairs = (first: string, ...next: string[]) =>
      check(`dataDir: .\nsmtp: { tls: ${first.replace(/ \}$/, `, next: [${next}] }`)} }\n`);
    const errors = async (...args: Parameters<typeof pairs>) =>
      (await pairs(...args)).filter((line) => line.includes('error'));
    assert.deepEqual(await errors(past(''), present('')), [], 'the next one is in force');
    const [expired, ...others] = await errors(past(''), present(', from: 2026-06-02'));
    assert.match(expired ?? '', /smtp.tls.cert: expired on 2026-05-01 \(renew it/);
    assert.deepEqual(others, []);
    const early = await errors(present(', from: 2026-06-02'));
    assert.match(early.join(), /smtp.tls: no certificate is in force/);
    const outside = await errors(past(', until: 2027-01-01'), present(''));
    assert.match(outside.join(), /smtp.tls.until: 2027-01-01 is outside of the certificate's validity/);
    const gap = await pairs(present(', until: 2026-07-01'), present(', from: 2026-07-03'));
    assert.match(
      gap.join(),
      /warning: smtp.tls: .* no certificate in force from 2026-07-01 until 2026-07-03/,
    );
    const missing = await errors(present(''), '{ cert: none.crt, key: present.key }');
    assert.match(missing.join(), /smtp.tls.next\[0\]: .*none.crt: there is no such file/);
  });

  it('puts what the probes find at its setting, and lets go of what they hold', async () => {
    const fails = (code: ErrorCode, message: string) => async () => {
      throw new SealpostError(code, message, { hint: 'mend it' });
    };
    let closed = 0;
    const found = await check(
      `dataDir: .
redis: { url: "redis://127.0.0.1:1" }
mailboxes:
  - { name: a, imap: { host: localhost, user: a, password: { file: password } }, destinations: [{ type: directory, path: in }] }
partners:
  - { name: p, addresses: [x@p.example], encrypt: false, sign: none, route: { host: localhost } }
`,
      {
        redis: fails('redis-unreachable', 'Redis does not answer'),
        online: async () => ({
          mailbox: fails('imap-failed', 'login failed'),
          route: fails('send-failed', 'the server does not answer'),
          webhook: async () => [],
          mail: async () => [],
          bucket: async () => [],
          events: async () => [],
          dkim: async () => [],
          clock: async () => [{ message: 'the clock is ahead', hint: 'set it' }],
          close: async () => {
            closed += 1;
          },
        }),
      },
    );
    assert.deepEqual(
      found.filter((line) => !/neither encrypted nor signed|to verify with/.test(line)).sort(),
      [
        '2:15: error: redis.url: Redis does not answer (mend it)',
        '2:15: warning: redis.url: the clock is ahead (set it)',
        '4:22: error: mailboxes[0].imap: login failed (mend it)',
        '6:77: error: partners[0].route: the server does not answer (mend it)',
      ],
    );
    assert.equal(closed, 1);
  });
});

describe('readCertificateAndKey', () => {
  it('takes a pair', () => {
    const read = readCertificateAndKey({
      cert: put('l.pem', own256.certPem),
      key: put('l.key', own256.keyPem),
    });
    assert.deepEqual(read.notAfter, own256.certificate.notAfter);
  });
  for (const [cert, key, code] of [
    ['other.pem', 'own.key', 'key-mismatch'],
    ['junk', 'own.key', 'certificate-malformed'],
    ['own.pem', 'junk', 'key-malformed'],
    ['own.pem', 'encrypted.key', 'key-malformed'],
    ['own.pem', 'open.key', 'file-mode'],
    ['none', 'own.key', 'file-access'],
  ] as const)
    it(`refuses ${cert} with ${key}: ${code}`, () => {
      assert.throws(() => readCertificateAndKey({ cert: join(folder, cert), key: join(folder, key) }), {
        code,
      });
    });

  it('refuses the key that is published with the SMTP library', () => {
    const options: unknown = createRequire(import.meta.url)('smtp-server/lib/tls-options.js').default();
    assert.ok(typeof options === 'object' && options !== null && 'key' in options && 'cert' in options);
    const files = { cert: put('lib.pem', String(options.cert)), key: put('lib.key', String(options.key)) };
    assert.throws(() => readCertificateAndKey(files), { code: 'key-malformed', message: /published key/ });
  });
});
