/** The licences of what is installed and of what is shipped, and the bill of materials of a release. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import * as z from 'zod';

const root = join(import.meta.dirname, '../..');
const locked = z
  .object({
    packages: z.record(
      z.string(),
      z.object({
        name: z.string().optional(),
        version: z.string(),
        license: z.string().optional(),
        dev: z.boolean().default(false),
        integrity: z.string().optional(),
      }),
    ),
  })
  .parse(JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')));
const packages = Object.entries(locked.packages)
  .filter(([path]) => path !== '')
  .map(([path, entry]) => ({ ...entry, name: entry.name ?? path.replace(/^.*node_modules\//, '') }));

/** Permissive ones, which ask for their text and no more. */
const shipped = new Set([
  ...['0BSD', 'Apache-2.0', 'BlueOak-1.0.0', 'BSD-2-Clause', 'BSD-3-Clause', 'ISC', 'MIT', 'MIT-0'],
]);
/** Further ones of tools for development. */
const tools = new Set([...shipped, 'CC0-1.0', 'MPL-2.0', 'Python-2.0']);

/** Whether a licence, or one of several to choose from, is among those allowed. Anything else than OR is refused. */
function isAllowed(licence: string | undefined, allowed: ReadonlySet<string>): boolean {
  const choices = (licence ?? '').replace(/^\((.*)\)$/, '$1').split(' OR ');
  return choices.some((each) => allowed.has(each));
}

describe('licences of the packages', () => {
  it('are permissive, with a choice of one that is', () => {
    const refused = packages
      .filter(({ dev, license }) => !isAllowed(license, dev ? tools : shipped))
      .map(({ name, version, license }) => `${name}@${version}: ${license}`);
    assert.deepEqual(refused, []);
    assert.ok(packages.some(({ dev }) => dev) && packages.some(({ dev }) => !dev));
  });

  it('would be refused: copyleft, both of two, a text of its own, none', () => {
    const refused = ['GPL-3.0-only', 'AGPL-3.0', '(MIT AND GPL-2.0)', 'SEE LICENSE IN LICENSE', undefined];
    for (const licence of refused) assert.equal(isAllowed(licence, tools), false, licence);
    assert.equal(isAllowed('(BSD-3-Clause OR GPL-2.0)', shipped), true);
  });
});

describe('npm run sbom', () => {
  it('lists each package that is shipped, with licence and digest, and no tool for development', () => {
    const { status, stdout, stderr } = spawnSync('npm', ['run', '--silent', 'sbom'], {
      cwd: root,
      encoding: 'utf8',
      maxBuffer: 16 * 1024 * 1024,
    });
    assert.equal(status, 0, stderr);
    const { bomFormat, components } = z
      .object({
        bomFormat: z.string(),
        components: z.array(
          z.object({
            name: z.string(),
            version: z.string(),
            licenses: z.array(z.unknown()).min(1),
            hashes: z.array(z.object({ alg: z.string(), content: z.string() })).default([]),
          }),
        ),
      })
      .parse(JSON.parse(stdout));
    assert.equal(bomFormat, 'CycloneDX');
    const listed = new Set(components.map(({ name, version }) => `${name}@${version}`));
    const expected = packages.filter(({ dev }) => !dev);
    assert.deepEqual(
      [...listed].toSorted(),
      [...new Set(expected.map(({ name, version }) => `${name}@${version}`))].toSorted(),
    );
    // those for other systems have no digest in the lock file
    const pinned = expected.filter(({ integrity }) => integrity !== undefined);
    assert.ok(pinned.length > expected.length / 2);
    for (const { name, version, integrity } of pinned) {
      const found = components.filter((each) => each.name === name && each.version === version);
      const digests = found.flatMap(({ hashes }) => hashes.map(({ content }) => content));
      const locked = Buffer.from(integrity?.replace('sha512-', '') ?? '', 'base64').toString('hex');
      assert.ok(locked.length === 128 && digests.includes(locked), `${name}: ${integrity}`);
    }
  });
});
