import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { checkConfig } from '../../src/config/check.ts';
import { loadKeys } from '../../src/config/keys.ts';
import { loadConfig } from '../../src/config/load.ts';
import { formatProblem } from '../../src/config/problem.ts';
import { encryptionCertificates } from '../../src/partner/certificates.ts';
import { pinsOf } from '../../src/partner/index.ts';
import { readCertificates, validatePath } from '../../src/pki/index.ts';

const folder = mkdtempSync(join(tmpdir(), 'sealpost-rollover-'));
after(() => rmSync(folder, { recursive: true }));

const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' });

/** As the README makes one: basicConstraints say that it is an authority's, and there is no keyUsage. */
function selfSigned(name: string, days: number, ...more: string[]): void {
  openssl(
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj'],
    ...['/CN=partner', '-days', String(days), '-keyout', `${name}.key`, '-out', `${name}.pem`, ...more],
  );
}

selfSigned('old', 10);
selfSigned('new', 400);
openssl('req', '-x509', '-key', 'old.key', '-subj', '/CN=partner', '-days', '400', '-out', 'renewed.pem');
selfSigned('root', 400, '-addext', 'keyUsage=critical,keyCertSign,cRLSign');
openssl('req', '-new', '-key', 'new.key', '-subj', '/CN=leaf', '-out', 'leaf.csr');
openssl(
  ...['x509', '-req', '-in', 'leaf.csr', '-CA', 'old.pem', '-CAkey', 'old.key', '-days', '400'],
  ...['-out', 'leaf.pem'],
);
execFileSync('chmod', ['600', ...['old', 'new', 'root'].map((name) => join(folder, `${name}.key`))]);

let files = 0;
function configFile(certificates: string[], more = ''): string {
  const file = join(folder, `sealpost-${files++}.yaml`);
  writeFileSync(
    file,
    `dataDir: .
identities: [{ name: own, certificate: new.pem, key: new.key }]
partners: [{ name: acme, addresses: [a@acme.example], identity: own, certificates: [${certificates}]${more} }]
`,
  );
  return file;
}

const certificate = (name: string) => {
  const [found] = readCertificates(readFileSync(join(folder, `${name}.pem`)));
  assert.ok(found);
  return found;
};

describe('a self-signed roll-over', () => {
  for (const [what, names, own] of [
    ['two keys under one name', ['old', 'new'], ['old', 'new']],
    ['one key with two certificates', ['old', 'renewed'], ['old', 'renewed']],
    ['an authority and what it signed', ['old', 'leaf'], ['leaf']],
    ['a root that only certifies beside the one of its name', ['root', 'new'], ['new']],
  ] as const)
    it(`keeps the partner's own certificates: ${what}`, async () => {
      const file = configFile(names.map((name) => `${name}.pem`));
      const keys = await loadKeys(loadConfig(file));
      const partner = keys.partners.get('acme') ?? [];
      const thumbprints = (list: readonly string[]) =>
        list.map((name) => certificate(name).thumbprint).sort();
      assert.deepEqual(partner.map(({ thumbprint }) => thumbprint).sort(), thumbprints(own));
      const at = new Date(Date.now() + 60_000);
      assert.equal(encryptionCertificates('acme', partner, at).length, own.length);
      for (const each of partner) {
        const { anchors } = keys;
        const pinned = pinsOf(keys.partners.values())(at);
        assert.equal(validatePath(each.certificate, { anchors, pinned, at, purpose: 'sign' }).trusted, true);
      }
    });
});

describe('check names a partner', () => {
  const at = new Date(Date.now() + 60_000);
  const check = async (certificates: string[], more = '', now = at) =>
    (await checkConfig(configFile(certificates, more), { now })).map((problem) =>
      formatProblem(problem).slice(problem.file.length + 1),
    );

  it('and nothing where a new certificate takes over in time', async () => {
    assert.deepEqual(await check(['old.pem', 'new.pem']), []);
  });

  it('that has no certificate but an authority', async () => {
    const found = await check(['root.pem']);
    assert.match(
      found.join('\n'),
      /error: partners\[0\]\.certificates: partner acme has no certificate in force to encrypt for/,
    );
    assert.match(found.join('\n'), /warning: .*partner acme has no certificate in force to verify with/);
  });

  it('whose certificates end within 30 days, in both directions', async () => {
    const found = await check(['old.pem']);
    assert.equal(found.length, 2, found.join('\n'));
    assert.match(found.join('\n'), /warning: .*partner acme will have none to encrypt for from .*CN=partner/);
    assert.match(found.join('\n'), /warning: .*partner acme will have none to verify with from .*CN=partner/);
  });

  it('whose successor begins too late', async () => {
    const later = new Date(certificate('old').notAfter.getTime() - 86_400_000);
    const past = new Date(certificate('old').notAfter.getTime() + 86_400_000);
    assert.deepEqual(await check(['old.pem', 'new.pem'], '', later), []);
    assert.match((await check(['old.pem'], '', past)).join('\n'), /error: .* expired on /);
  });
});
