import { execFile } from 'node:child_process';
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

const worker = join(import.meta.dirname, '..', 'codec-worker.ts');

/** One process of the codec; several may run at once. */
export async function runWorker(
  parties: Parties,
  { task, recipient, cipher }: Row,
  file: string,
  seconds: number,
  flags: readonly string[] = [],
): Promise<OwnRate> {
  const { keyFile, certFile } = parties.of(recipient);
  const { signer } = parties;
  const args = ['--openssl-legacy-provider', worker, ...flags, task, keyFile, certFile];
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
