/** What a reload checks: partners that differ from those in force, and of all others what comes with time. */
import assert from 'node:assert/strict';
import fs, { mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, it, mock } from 'node:test';
import { checkConfig } from '../../src/config/check.ts';
import { indexCertificates } from '../../src/config/index-certificates.ts';
import { loadConfig } from '../../src/config/load.ts';
import { storeConfig } from '../../src/config/origin.ts';
import { createTestCa } from '../support/ca.ts';

describe('a check against the configuration in force', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sealpost-changed-'));
  after(() => rmSync(folder, { recursive: true }));
  const file = (name: string) => join(folder, name);
  const [main, inForce, index] = ['sealpost.yaml', 'config.json', 'config.certificates'].map(file) as [
    string,
    string,
    string,
  ];
  const names = ['acme', 'globex', 'initech'];
  const ca = createTestCa('Changed CA');
  const day = (text: string) => new Date(`${text}T00:00:00Z`);
  const now = day('2026-06-01');
  const text = (name: string, more = '') =>
    `name: ${name}\naddresses: [edi@${name}.example]\ncertificates: [${name}.pem]\nidentity: own\n${more}`;
  const certificate = (name: string) =>
    ca.issue({
      commonName: name,
      email: `edi@${name}.example`,
      notBefore: day('2026-01-01'),
      notAfter: day(name === 'globex' ? '2027-01-01' : '2028-01-01'),
    });
  const writeMain = (more = '') =>
    writeFileSync(
      main,
      `dataDir: data\nidentities: [{ name: own, certificate: own.pem, key: own.key }]\nmailboxes: []\n${more}`,
    );

  before(() => {
    for (const each of ['partners', 'data']) mkdirSync(file(each));
    const own = ca.issue({ commonName: 'own', email: 'orders@own.example', notAfter: day('2030-01-01') });
    writeFileSync(file('own.pem'), own.certPem);
    writeFileSync(file('own.key'), own.keyPem, { mode: 0o600 });
  });
  beforeEach(async () => {
    writeMain();
    for (const name of names) {
      writeFileSync(file(`partners/${name}.pem`), certificate(name).certPem);
      writeFileSync(file(`partners/${name}.yaml`), text(name));
    }
    // The files are old for whoever reads them from here on.
    mock.timers.enable({ apis: ['Date'], now: Date.now() + 2100 });
    const config = loadConfig(main);
    await indexCertificates(config, index);
    writeFileSync(inForce, storeConfig(config, index));
    const later = new Date(Date.now() + 2100);
    utimesSync(inForce, later, later);
  });
  afterEach(() => mock.timers.reset());

  /** What is read and tried by a check, and what it finds. */
  async function checked(at = now) {
    const read: string[] = [];
    const tried: string[] = [];
    const note = (path: unknown) => {
      if (String(path).startsWith(file('partners/'))) read.push(basename(String(path)));
    };
    const { openSync, readFileSync: readWhole } = fs;
    fs.openSync = (...args) => {
      note(args[0]);
      return openSync(...args);
    };
    // the overloads of readFileSync have no common form
    Object.assign(fs, {
      readFileSync: (...args: Parameters<typeof readWhole>) => {
        note(args[0]);
        return readWhole(...args);
      },
    });
    syncBuiltinESMExports();
    try {
      const protection = ({ name }: { name: string }) => void tried.push(name);
      const problems = await checkConfig(main, { now: at, inForce, protection });
      const errors = problems.filter(({ severity }) => severity === 'error');
      return { read: [...new Set(read)].sort(), tried, errors };
    } finally {
      Object.assign(fs, { openSync, readFileSync: readWhole });
      syncBuiltinESMExports();
    }
  }
  /** From now on, whoever parses a certificate of the index fails. */
  function damage() {
    const octets = readFileSync(index);
    const [, , , length = 0]: number[] = JSON.parse(octets.toString('latin1', 0, octets.indexOf(0x0a)));
    assert.ok(length > 1000);
    writeFileSync(index, octets.fill(0, octets.length - length));
  }

  it('reads and tries nothing if nothing differs', async () => {
    damage();
    assert.deepEqual(await checked(), { read: [], tried: [], errors: [] });
  });

  it('reads the files of one that differs, and parses no certificate of others', async () => {
    damage();
    writeFileSync(file('partners/globex.yaml'), text('globex', 'formerNames: [globex-inc]\n'));
    assert.deepEqual(await checked(), { read: ['globex.pem', 'globex.yaml'], tried: ['globex'], errors: [] });
  });

  it('reads those of one whose certificate was written again, or is gone', async () => {
    damage();
    writeFileSync(file('partners/initech.pem'), certificate('initech').certPem);
    assert.deepEqual(await checked(), { read: ['initech.pem'], tried: ['initech'], errors: [] });
    rmSync(file('partners/initech.pem'));
    const { errors, tried } = await checked();
    assert.deepEqual(tried, []);
    assert.match(errors[0]?.message ?? '', /initech\.pem/);
    assert.equal(basename(errors[0]?.file ?? ''), 'initech.yaml', 'the place in the whole configuration');
    assert.equal(errors[0]?.only, undefined);
  });

  it('still says whose certificates have expired, and what alone that touches', async () => {
    const { errors, tried } = await checked(day('2027-06-01'));
    assert.deepEqual(tried, []);
    assert.deepEqual(
      errors.map(({ file: of, only }) => [basename(of), only]),
      [['globex.yaml', 'mail to partner globex']],
    );
  });

  it('checks all of them if anything else differs, or if nothing can be compared', async () => {
    writeMain('retry: { attempts: 3 }\n');
    assert.deepEqual((await checked()).tried, names);
    writeMain();
    assert.deepEqual((await checked()).tried, []);
    writeFileSync(file('own.key'), readFileSync(file('own.key')));
    utimesSync(file('own.key'), new Date(Date.now() + 60_000), new Date(Date.now() + 60_000));
    assert.deepEqual((await checked()).tried, names, 'the key of all mail was written again');
    utimesSync(file('own.key'), now, now);
    writeFileSync(inForce, '{');
    assert.deepEqual((await checked()).tried, names);
  });
});
