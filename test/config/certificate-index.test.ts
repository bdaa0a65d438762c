/** The index of partners' certificates: the same as the files say, read once, and parsed when they are used. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, beforeEach, describe, it, mock } from 'node:test';
import { indexCertificates } from '../../src/config/index-certificates.ts';
import { loadKeys, loadPartnerCertificates } from '../../src/config/keys.ts';
import { loadConfig } from '../../src/config/load.ts';
import { restoreConfig, storeConfig } from '../../src/config/origin.ts';
import { pinsOf } from '../../src/partner/index.ts';
import { issuerWord, keyIdentifierWord, pinnedCertificates } from '../../src/pki/index.ts';
import { createTestCa } from '../support/ca.ts';

const root = mkdtempSync(join(tmpdir(), 'sealpost-index-'));
after(() => rmSync(root, { recursive: true }));
const ca = createTestCa('Index CA');
const ago = new Date(Date.now() - 60_000);
let count = 0;

interface Made {
  folder: string;
  target: string;
  file(name: string): string;
  write(name: string, text: string): void;
  index(): Promise<{ read: number; kept: number }>;
  /** The keys as a role loads them. */
  keys(): ReturnType<typeof loadKeys>;
}

/** Two partners with two certificates each, and the authority's in a file of the second. */
function made(): Made & { issued: ReturnType<typeof ca.issue>[] } {
  const folder = join(root, String(++count));
  mkdirSync(join(folder, 'partners'), { recursive: true });
  mkdirSync(join(folder, 'data'));
  const file = (name: string) => join(folder, name);
  const write = (name: string, text: string) => {
    writeFileSync(file(name), text);
    utimesSync(file(name), ago, ago);
  };
  writeFileSync(file('sealpost.yaml'), 'dataDir: data\nmailboxes: []\n');
  const issued = ['a1', 'a2', 'b1', 'b2'].map((name) =>
    ca.issue({ commonName: name, email: `${name}@x.example` }),
  );
  issued.forEach(({ certPem }, at) => {
    write(`partners/${at}.pem`, at === 3 ? `${certPem}${ca.pem}` : certPem);
  });
  const partner = (name: string, files: string) =>
    `name: ${name}\naddresses: [edi@${name}.example]\nsign: none\ncertificates: [${files}]\n`;
  write('partners/a.yaml', partner('a', '0.pem, { file: 1.pem, use: [verify], until: 2100-01-01 }'));
  write('partners/b.yaml', partner('b', '2.pem, 3.pem'));
  const target = file('run/config.certificates');
  const config = () => loadConfig(file('sealpost.yaml'));
  return {
    ...{ folder, target, file, write, issued },
    index: () => indexCertificates(config(), target),
    keys: () => loadKeys(restoreConfig(storeConfig(config(), target))),
  };
}

/** The clock stands still, so that files are new until it is set forward: the index is read by a later process. */
beforeEach(() => mock.timers.enable({ apis: ['Date'], now: Date.now() }));
afterEach(() => mock.timers.reset());
/** Long after the files were written, however slow the machine is: their times are those of the real clock. */
const later = () => mock.timers.tick(60_000);

describe('the index of certificates', () => {
  it('has what the files have, with the same terms, and authorities apart', async () => {
    const { index, keys, file } = made();
    assert.deepEqual(await index(), { read: 4, kept: 0 });
    const [indexed, read] = [await keys(), await loadKeys(loadConfig(file('sealpost.yaml')))];
    for (const name of ['a', 'b']) {
      const shown = (of: typeof read) =>
        of.partners.get(name)?.map((each) => {
          const { certificate, thumbprint, use, from, until, file: at, entry, confirmed } = each;
          return { der: certificate.der.toString('hex'), thumbprint, use, from, until, at, entry, confirmed };
        });
      assert.equal(shown(indexed)?.length, 2);
      assert.deepEqual(shown(indexed), shown(read));
    }
    assert.deepEqual(
      indexed.intermediates.map(({ thumbprint }) => thumbprint),
      [ca.certificate.thumbprint],
    );
    const alone = loadPartnerCertificates(loadConfig(file('sealpost.yaml')));
    assert.equal(alone.get('b')?.length, 2);
  });

  it('parses no certificate before it is used, and refuses octets that are not those of its card', async () => {
    const { index, keys, target } = made();
    await index();
    const octets = readFileSync(target);
    octets.fill(0, octets.length - 2000);
    writeFileSync(target, octets);
    const found = await keys().catch((error: unknown) => error);
    // only the authority's certificate is needed at once, and it is the last one
    assert.match(String(found), /the index of certificates is damaged/);
    rmSync(target);
    await index();
    const whole = readFileSync(target);
    whole.fill(1, whole.indexOf(Buffer.from('x.example')) - 40, whole.indexOf(Buffer.from('x.example')));
    writeFileSync(target, whole);
    const [first, second] = (await keys()).partners.get('a') ?? [];
    assert.ok(first?.thumbprint && first.validity && first.words?.length && first.keyDigest);
    assert.throws(() => first.certificate, { code: 'certificate-malformed' });
    assert.ok(second?.certificate, 'others are not affected');
  });

  it('reads only files that have changed, and forgets those that are gone', async () => {
    const { index, keys, write, issued, file } = made();
    await index();
    later();
    assert.deepEqual(await index(), { read: 4, kept: 0 }, 'they were written right before');
    assert.deepEqual(await index(), { read: 0, kept: 4 });
    const fresh = ca.issue({ commonName: 'fresh', email: 'fresh@x.example' });
    write('partners/2.pem', fresh.certPem);
    assert.deepEqual(await index(), { read: 1, kept: 3 });
    const thumbprints = async () =>
      [...(await keys()).partners.values()].flat().map(({ thumbprint }) => thumbprint);
    assert.ok((await thumbprints()).includes(fresh.certificate.thumbprint));
    assert.ok(!(await thumbprints()).includes(issued[2]?.certificate.thumbprint ?? ''));
    rmSync(file('partners/b.yaml'));
    assert.equal((await index()).read, 0);
    assert.equal((await thumbprints()).length, 2);
  });

  it('is taken as it is if neither partners nor files have changed, and only then', async () => {
    const { index, keys, write, file } = made();
    await index();
    later();
    await index();
    const { ino } = statSync(file('data/certificates.index'));
    assert.deepEqual(await index(), { read: 0, kept: 4 });
    assert.equal(statSync(file('data/certificates.index')).ino, ino, 'the same file');
    assert.equal(statSync(file('run/config.certificates')).ino, ino, 'under another name');
    // one of the partners names its files in another order, so that each has another entry
    const text = readFileSync(file('partners/b.yaml'), 'utf8').replace('2.pem, 3.pem', '3.pem, 2.pem');
    write('partners/b.yaml', text);
    const entries = async () =>
      (await keys()).partners.get('b')?.map(({ entry, certificate }) => [entry, certificate.subject]);
    assert.deepEqual(await index(), { read: 0, kept: 4 });
    assert.notEqual(statSync(file('data/certificates.index')).ino, ino);
    assert.deepEqual(await entries(), [
      [0, 'CN=b2'],
      [1, 'CN=b1'],
    ]);
  });

  it('is made anew if what is kept is cut, of another form, or not there', async () => {
    const { index, keys, file } = made();
    await index();
    later();
    await index();
    const kept = file('data/certificates.index');
    const whole = readFileSync(kept);
    for (const octets of [whole.subarray(0, -1), Buffer.from('{}\n'), Buffer.alloc(0)]) {
      writeFileSync(kept, octets);
      assert.equal((await index()).read, 4);
      assert.equal((await keys()).partners.get('a')?.length, 2);
    }
  });

  it('stays what it was for a process that runs, when another one is made', async () => {
    const { index, keys, write, issued, target } = made();
    await index();
    const running = await keys();
    write('partners/0.pem', ca.issue({ commonName: 'new', email: 'new@x.example' }).certPem);
    await indexCertificates(loadConfig(join(target, '../../sealpost.yaml')), `${target}.2`);
    const [first] = running.partners.get('a') ?? [];
    assert.ok(first?.certificate.equals(issued[0]?.certificate ?? assert.fail()));
  });

  it('says which file is wrong, and where it is named', async () => {
    const { index, write } = made();
    write('partners/1.pem', 'nothing');
    await assert.rejects(index(), /a\.yaml:4:\d+: error: certificates\[1\].*1\.pem/);
  });
});

describe('certificates that are looked up', () => {
  it('are found by issuer and serial number, and by key identifier, as a list is', async () => {
    const { index, keys, issued } = made();
    await index();
    const at = new Date();
    const loaded = await keys();
    const pins = pinsOf(loaded.partners.values())(at);
    const list = pinnedCertificates(issued.map(({ certificate }) => certificate));
    const stranger = ca.issue({ commonName: 'stranger', email: 's@x.example' });
    for (const { certificate } of [...issued, stranger]) {
      const known = certificate !== stranger.certificate;
      assert.equal(pins.has(certificate), known);
      for (const word of [
        issuerWord(certificate.issuerDer, `00${certificate.serialHex}`),
        keyIdentifierWord(certificate.subjectKeyIdentifier?.toString('hex') ?? ''),
      ])
        for (const each of [pins, list])
          assert.deepEqual(
            each.find(word).map(({ thumbprint }) => thumbprint),
            known ? [certificate.thumbprint] : [],
          );
    }
  });
});
