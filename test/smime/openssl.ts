import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import type { DecodeOptions } from '../../src/smime/index.ts';
import { createTestCa, type Issued } from '../support/ca.ts';

const version = spawnSync('openssl', ['version']);

/** Why tests with openssl are skipped, or false. In CI it must be there. */
export const noOpenssl: string | false =
  version.status === 0 || process.env.CI === 'true' ? false : 'openssl is not installed';

const folder = mkdtempSync(join(tmpdir(), 'sealpost-smime-'));
after(() => rmSync(folder, { recursive: true, force: true }));
let files = 0;

/** Writes octets to a file of its own and returns its path. */
export function file(octets: Buffer | string): string {
  const path = join(folder, `f${files++}`);
  writeFileSync(path, octets);
  return path;
}

/** Runs openssl; returns its standard output. Fails the test when it fails. */
export function openssl(args: string[], input: Buffer = Buffer.alloc(0)): Buffer {
  const ran = spawnSync('openssl', args, { input, maxBuffer: 1 << 28 });
  assert.equal(ran.status, 0, `openssl ${args[0]} ${args[1]}: ${ran.stderr}`);
  return ran.stdout;
}

const legacy = ['-provider', 'legacy', '-provider', 'default'];

export const ca = createTestCa('Test CA');
export const caFile = file(ca.pem);

/** An identity with its files for openssl. */
export interface Party extends Issued {
  certFile: string;
  keyFile: string;
}

export function party(email: string, options: Parameters<typeof ca.issue>[0] = {}): Party {
  const issued = ca.issue({ commonName: email, email, key: 'rsa2048', ...options });
  return { ...issued, certFile: file(issued.certPem), keyFile: file(issued.keyPem) };
}

export const alice: Party = party('alice@example.com');
export const bob: Party = party('bob@example.com', { freshKey: true });

/** Options that decode what is for Alice and trust the test CA. */
export const options: DecodeOptions = {
  identities: [alice.identity],
  trust: { anchors: [ca.certificate] },
  at: new Date(),
};

export function encrypt(content: Buffer, args: string[], recipients: Party[] = [alice]): Buffer {
  // with -recip before -keyopt the option belongs to that recipient
  const to = recipients.flatMap(({ certFile }) => ['-recip', certFile]);
  const [cipher = '-aes-256-cbc', ...rest] = args;
  return openssl(['cms', '-encrypt', ...legacy, '-binary', cipher, ...to, ...rest], content);
}

export function decrypt(mail: Buffer, args: string[] = [], by: Party = alice): Buffer {
  return openssl(['cms', '-decrypt', ...legacy, ...args, '-recip', by.certFile, '-inkey', by.keyFile], mail);
}

export function sign(content: Buffer, args: string[] = [], by: Party = alice): Buffer {
  return openssl(['cms', '-sign', '-signer', by.certFile, '-inkey', by.keyFile, ...args], content);
}

export function verify(mail: Buffer, args: string[] = []): Buffer {
  return openssl(['cms', '-verify', '-CAfile', caFile, ...args], mail);
}
