import { createSecretKey, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { link, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type Config, readPrivateFile, readSecret } from '../config/index.ts';
import { hasCode, SealpostError } from '../errors.ts';
import { makeDataFolder, syncFolder } from '../files.ts';
import type { SpoolKey } from './seal.ts';

function parse(text: string, where: string): SpoolKey {
  const octets = Buffer.from(text.trim(), 'base64');
  if (octets.length === 32 && /^[A-Za-z0-9+/_-]{43}=?$/.test(text.trim())) return createSecretKey(octets);
  throw new SealpostError('config-invalid', `${where} does not contain 32 octets in base64`, {
    hint: 'make one with: openssl rand -base64 32',
  });
}

/**
 * The key that seals everything at rest: from the configuration, or made at the first start and kept as `spool.key` in
 * the data folder. Several processes may start at the same time. One of them makes the file, which is complete and on
 * disk before it gets its name. Errors: `config-invalid`, `file-access`, `file-mode`.
 */
export async function loadSpoolKey(config: Config['spool'], dataDir: string): Promise<SpoolKey> {
  if (config.key) return parse(readSecret(config.key), 'spool.key');
  const file = join(dataDir, 'spool.key');
  if (!existsSync(file)) await makeKeyFile(file, dataDir);
  return parse(readPrivateFile(file).toString('utf8'), file);
}

async function makeKeyFile(file: string, dataDir: string): Promise<void> {
  const draft = `${file}.${process.pid}.${randomBytes(6).toString('hex')}`;
  try {
    await makeDataFolder(dataDir, 0o700);
    const handle = await open(draft, 'wx', 0o600);
    try {
      await handle.writeFile(`${randomBytes(32).toString('base64')}\n`);
      await handle.sync();
    } finally {
      await handle.close();
    }
    // `link` does not replace an existing file, so the first process has made the key
    await link(draft, file).catch((error: unknown) => {
      if (!hasCode(error, 'EEXIST')) throw error;
    });
    await syncFolder(dataDir);
  } catch (cause) {
    throw new SealpostError('file-access', `cannot make the spool key ${file}`, {
      hint: 'give the user that runs Sealpost the right to write into the data folder',
      cause,
    });
  } finally {
    await rm(draft, { force: true });
  }
}
