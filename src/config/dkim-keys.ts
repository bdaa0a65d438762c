/** Loads the private keys for DKIM. Code that listens on the network never imports this file. */
import type { KeyObject } from 'node:crypto';
import { type Domain, toDomain } from '../domain.ts';
import { SealpostError } from '../errors.ts';
import { readPrivateKey } from '../pki/index.ts';
import type { KeyReader } from './key-reader.ts';
import type { Config, DkimConfig } from './schema.ts';
import { readPrivateFile } from './secrets.ts';

/** An entry of `dkim` with its key. */
export interface LoadedDkimKey extends Omit<DkimConfig, 'domain' | 'key'> {
  domain: Domain;
  privateKey: KeyObject;
}

/** RFC 8301 section 3.2: signers must use at least 1024 bits and should use 2048; verifiers must accept up to 4096. */
const leastBits = 1024;
const soundBits = 2048;
const mostBits = 4096;

/**
 * The key of an entry.
 *
 * @throws {SealpostError} `file-access`, `file-mode`, `key-malformed`, `password`
 */
export function readDkimKey(entry: DkimConfig): LoadedDkimKey {
  const { key: file, ...rest } = entry;
  const domain = toDomain(entry.domain);
  if (domain === undefined) throw new SealpostError('config-invalid', `${entry.domain} is not a domain`);
  const data = readPrivateFile(file);
  let privateKey: KeyObject;
  try {
    privateKey = readPrivateKey(data);
  } catch (error) {
    if (!(error instanceof SealpostError)) throw error;
    const hint = error.code === 'password' ? 'write the key without a password' : error.hint;
    throw new SealpostError(error.code, `${file}: ${error.message}`, { cause: error, ...(hint && { hint }) });
  }
  const type = privateKey.asymmetricKeyType;
  if (type !== 'rsa' && type !== 'ed25519')
    throw new SealpostError('key-malformed', `${file}: a key of the type ${type} cannot sign with DKIM`, {
      hint: 'make one: openssl genrsa 2048, or openssl genpkey -algorithm ed25519',
    });
  const bits = bitsOf(privateKey);
  if (bits !== undefined && bits < leastBits)
    throw new SealpostError(
      'key-malformed',
      `${file}: an RSA key of ${bits} bits is too short, and refused`,
      {
        hint: 'make one of 2048 bits: openssl genrsa 2048',
      },
    );
  return {
    ...rest,
    domain,
    headers: entry.headers.map((name) => name.toLowerCase()),
    privateKey,
  };
}

function bitsOf(key: KeyObject): number | undefined {
  return key.asymmetricKeyType === 'rsa' ? key.asymmetricKeyDetails?.modulusLength : undefined;
}

/** The keys, for the process that sends. Errors: those of `readDkimKey`. */
export function loadDkimKeys({ dkim }: Pick<Config, 'dkim'>): LoadedDkimKey[] {
  return dkim.map(readDkimKey);
}

/** What is wrong with the keys, with places. */
export function checkDkimKeys({ dkim }: Config, reader: KeyReader): void {
  dkim.forEach((entry, index) => {
    if (toDomain(entry.domain) === undefined) return;
    const path = ['dkim', index, 'key'];
    const bits = reader.try(path, () => bitsOf(readDkimKey(entry).privateKey));
    if (bits === undefined || (bits >= soundBits && bits <= mostBits)) return;
    const short = bits < soundBits;
    reader.report(
      path,
      `an RSA key of ${bits} bits is ${short ? 'weak' : 'longer than verifiers must take'}`,
      {
        severity: 'warning',
        hint: `write one of ${short ? 2048 : '2048 to 4096'} bits, with a new selector`,
      },
    );
  });
}
