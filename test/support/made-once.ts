/** What takes long to make and is the same for every test file: made once, kept in `.cache/test` of the checkout. */
import { createHash, createPrivateKey, type KeyObject, randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { hasCode } from '../../src/errors.ts';

const kept = join(import.meta.dirname, '../../.cache/test');

/**
 * The folder of that name; created if it does not exist. Test files that run at the same time may both create it: the
 * first that is ready counts, and nobody sees half a folder.
 *
 * @param name with a hash of everything that the folder is made from
 */
export async function madeOnce(name: string, make: (folder: string) => Promise<void>): Promise<string> {
  const folder = join(kept, name);
  if (existsSync(folder)) return folder;
  const draft = join(kept, `.${name}-${randomUUID()}`);
  await mkdir(draft, { recursive: true });
  try {
    await make(draft);
    await rename(draft, folder);
  } catch (error) {
    if (!hasCode(error, 'ENOTEMPTY', 'EEXIST')) throw error;
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
  return folder;
}

/** The private key of that label, for tests alone: RSA keys take a fifth of a second each to make. */
export function keyMadeOnce(label: string, make: () => KeyObject): KeyObject {
  const folder = join(kept, 'keys');
  const file = join(folder, createHash('sha256').update(label).digest('hex').slice(0, 32));
  if (existsSync(file)) return createPrivateKey(readFileSync(file));
  const key = make();
  mkdirSync(folder, { recursive: true });
  const draft = `${file}.${randomUUID()}`;
  writeFileSync(draft, key.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
  renameSync(draft, file);
  return key;
}
