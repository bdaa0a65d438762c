import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Parties } from './parties.ts';
import { type Contestant, capSeconds } from './types.ts';

/** A JavaScript library in a process of its own, on bare DER. What it cannot do shows as undefined. */
function library(parties: Parties, name: string, program: string): Contestant {
  const worker = join(import.meta.dirname, program);
  const input = join(parties.material.folder, `${name}-input`);
  return {
    name,
    async run(row, seconds) {
      const { keyFile, certFile } = parties.of(row.recipient);
      const { signer } = parties;
      writeFileSync(input, parties.bareInput(row));
      const files = [keyFile, certFile, signer.keyFile, signer.certFile, input];
      const args = [worker, row.task, ...files, String(seconds), row.cipher.name];
      const timeout = (seconds + capSeconds) * 1000;
      const { stdout } = await promisify(execFile)(process.execPath, args, { timeout });
      return { rate: Number(stdout) };
    },
  };
}

export function nodeForge(parties: Parties): Contestant {
  return library(parties, 'node-forge', 'node-forge-worker.ts');
}

export function pkijs(parties: Parties): Contestant {
  return library(parties, 'pkijs', 'pkijs-worker.ts');
}
