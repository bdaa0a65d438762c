import { execFile, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Parties } from './parties.ts';
import type { Contestant, Row } from './types.ts';

/** What codec-worker.ts prints. */
export interface OwnRate {
  rate: number;
  cpuRate: number;
  peakMb: number;
}

const repository = join(import.meta.dirname, '..', '..');
const fromSource = join(repository, 'bench', 'codec-worker.ts');

/** The worker compiled, as the codec is installed: loading it from source costs 30 MB for taking the types out. */
export function compiledWorker(): string {
  const compiler = join(repository, 'node_modules', '.bin', 'tsc');
  spawnSync(compiler, ['-p', join(repository, 'bench', 'tsconfig.json')], { stdio: 'ignore' });
  const compiled = join(repository, '.cache', 'bench', 'bench', 'codec-worker.js');
  return existsSync(compiled) ? compiled : fromSource;
}

/** One process of the codec; several may run at once. */
export async function runWorker(
  parties: Parties,
  { task, recipient, cipher, inner }: Row,
  file: string,
  seconds: number,
  { flags = [], worker = fromSource }: { flags?: readonly string[]; worker?: string } = {},
): Promise<OwnRate> {
  const { keyFile, certFile } = parties.of(recipient);
  const { signer } = parties;
  const encoding = inner === undefined ? [] : [`--inner=${inner}`];
  const args = ['--openssl-legacy-provider', worker, ...flags, ...encoding, task, keyFile, certFile];
  const more = [signer.keyFile, signer.certFile, file, String(seconds), cipher.sealpost];
  const { stdout } = await promisify(execFile)(process.execPath, [...args, ...more]);
  return JSON.parse(stdout);
}

export function sealpost(parties: Parties): Contestant {
  return {
    name: 'Sealpost',
    run: (row, seconds) => runWorker(parties, row, parties.input(row), seconds),
  };
}
