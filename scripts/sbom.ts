/**
 * Prints the bill of materials of a release (CycloneDX): what is installed with the package. `npm sbom --omit dev` of
 * the checkout leaves out what tools for development need too, so npm gets a manifest and a lock file without those
 * tools.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const read = (name: string) => JSON.parse(readFileSync(join(root, name), 'utf8'));

const { devDependencies: _, scripts: __, ...manifest } = read('package.json');
const lock: { packages: Record<string, { dev?: boolean; devDependencies?: unknown }> } =
  read('package-lock.json');
const packages = Object.fromEntries(Object.entries(lock.packages).filter(([, { dev }]) => dev !== true));
delete packages['']?.devDependencies;

const parent = mkdtempSync(join(tmpdir(), 'sealpost-sbom-'));
try {
  // npm names the product after the folder
  const folder = join(parent, manifest.name);
  mkdirSync(folder);
  writeFileSync(join(folder, 'package.json'), JSON.stringify(manifest));
  writeFileSync(join(folder, 'package-lock.json'), JSON.stringify({ ...lock, packages }));
  const args = ['sbom', '--package-lock-only', '--sbom-format', 'cyclonedx', '--sbom-type', 'application'];
  const { status, error } = spawnSync('npm', args, { cwd: folder, stdio: ['ignore', 'inherit', 'inherit'] });
  if (error) throw error;
  process.exitCode = status ?? 1;
} finally {
  rmSync(parent, { recursive: true });
}
