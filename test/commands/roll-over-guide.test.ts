/** The section of docs/partners.md about a roll-over: its files are written and its commands are run as they stand. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { after, describe, it } from 'node:test';
import { createTestCa } from '../support/ca.ts';
import { command } from '../support/command.ts';

const guide = readFileSync(resolve(import.meta.dirname, '../../docs/partners.md'), 'utf8');
const heading = '## A roll-over in both directions';

/** Files and commands in their order. */
function stepsOf(text: string) {
  const start = text.indexOf(`${heading}\n`);
  assert.ok(start >= 0, heading);
  const [section = ''] = text.slice(start + 3).split(/\n(?=## )/, 1);
  return [...section.matchAll(/```(yaml|console)\n(.*?)```/gs)].map(([, kind, block = '']) => {
    const [line = '', ...lines] = block.split('\n');
    const named = line.replace(/^(?:# |\$ sealpost )/, '');
    return { kind, named, rest: lines.join('\n') };
  });
}

describe('a roll-over', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sealpost-guide-'));
  after(() => rmSync(folder, { recursive: true }));
  const day = (text: string) => new Date(`${text}T00:00:00Z`);
  const ca = createTestCa('Guide');
  mkdirSync(join(folder, 'partners'));
  mkdirSync(join(folder, 'data'), { mode: 0o700 });
  const issue = (name: string, from: string, until: string, serial: number, at = folder) => {
    const notAfter = new Date(day(until).getTime() - 1000);
    const { certPem, keyPem } = ca.issue({
      commonName: name.replace('-', ' '),
      notBefore: day(from),
      notAfter,
      serial,
    });
    writeFileSync(join(at, `${name}.pem`), certPem);
    writeFileSync(join(at, `${name}.key`), keyPem, { mode: 0o600 });
  };
  issue('acme-2026', '2026-02-15', '2027-02-15', 10, join(folder, 'partners'));
  issue('acme-2027', '2027-01-01', '2028-01-01', 11, join(folder, 'partners'));
  for (const name of ['own', 'tls']) {
    issue(`${name}-2026`, '2026-03-01', '2027-04-01', 12);
    issue(`${name}-2027`, '2027-01-01', '2028-01-01', 13);
  }
  writeFileSync(
    join(folder, 'sealpost.yaml'),
    'dataDir: data\nidentities: [{ name: orders, certificate: own-2026.pem, key: own-2026.key }]\n',
  );

  it('goes as docs/partners.md says', async () => {
    const steps = stepsOf(guide);
    assert.equal(steps.filter(({ kind }) => kind === 'console').length, 4);
    for (const { kind, named, rest } of steps) {
      const [file = '', ...args] = named.split(' ');
      if (kind === 'yaml') {
        mkdirSync(dirname(join(folder, file)), { recursive: true });
        writeFileSync(join(folder, file), rest);
        continue;
      }
      const { stdout, stderr } = await command([file, ...args, '--config', join(folder, 'sealpost.yaml')]);
      const text = `${stdout}${stderr}`.replaceAll(`${folder}/`, '');
      if (process.env.SEALPOST_SHOW !== undefined) console.log(`--- ${named}\n${text}`);
      else assert.equal(text.trim(), rest.trim(), named);
    }
  });
});
