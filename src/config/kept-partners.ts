/**
 * What was read from partner files, kept in the data folder. Reading and checking 10,000 files takes many seconds;
 * seeing that none has changed takes a fraction of one. Only this user can write to the data folder, and whoever can
 * write there can replace the spool key, so no seal is needed. But the content is never trusted blindly: it counts only
 * for the same program and the same files, and is made anew if it is truncated or damaged.
 */
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { removeDraft } from '../files.ts';
import type { Config, PartnerConfig } from './schema.ts';

/** A file as it was when it was read. */
interface Kept {
  /** Changes whenever the file is written: its inode, size, and times in nanoseconds. */
  state: string;
  /** SHA-256 of its text in base64. */
  digest: string;
  partner: PartnerConfig;
}

interface Stored {
  /** When the files were looked at, in milliseconds since the epoch. */
  at: number;
  folder: string;
  files: Record<string, Kept>;
}

/** Milliseconds between a write and our reading within which the file may change again without a new time. */
export const racyMs = 2000;

/** State of a file, and when it was last written, in milliseconds. Undefined if it does not exist. */
export function stateOf(path: string): { state: string; changed: number } | undefined {
  const found = statSync(path, { bigint: true, throwIfNoEntry: false });
  if (found === undefined) return undefined;
  const { dev, ino, size, mtimeNs, ctimeNs } = found;
  const changed = Math.max(Number(mtimeNs / 1_000_000n), Number(ctimeNs / 1_000_000n));
  return { state: [dev, ino, size, mtimeNs, ctimeNs].join(' '), changed };
}

/** Reads a file that `writeKept` wrote; undefined if it is missing, not ours, truncated, or from another program. */
export function readKept(path: string, program: string): unknown {
  try {
    const { uid, mode } = statSync(path);
    if (uid !== process.geteuid?.() || (mode & 0o077) !== 0) return undefined;
    const text = readFileSync(path);
    const end = text.indexOf(0x0a);
    const body = text.subarray(end + 1);
    return text.toString('latin1', 0, end) === sealOf(program, body)
      ? JSON.parse(body.toString())
      : undefined;
  } catch {
    return undefined;
  }
}

/** Writes nothing and returns false without space or permission. The folder must exist and belong to this user. */
export function writeKept(path: string, folder: string, program: string, value: unknown): boolean {
  const draft = `${path}.${process.pid}-${randomBytes(4).toString('hex')}`;
  try {
    if (statSync(folder).uid !== process.geteuid?.()) return false;
    const body = Buffer.from(JSON.stringify(value));
    writeFileSync(draft, Buffer.concat([Buffer.from(`${sealOf(program, body)}\n`), body]), { mode: 0o600 });
    renameSync(draft, path);
    return true;
  } catch {
    removeDraft(draft);
    return false;
  }
}

/** Detects truncation or damage. It is no protection against anyone who can write here. */
function sealOf(program: string, body: Buffer): string {
  return createHash('sha256').update(program).update('\0').update(body).digest('hex');
}

export class KeptPartners {
  readonly #dataDir: string;
  readonly #program: string;
  readonly #old: Stored;
  readonly #new: Stored;
  #changed = false;

  /**
   * @param dataDir the file is `partners.json` in this folder
   * @param program changes with everything that reads and checks
   * @param folder absolute path of the partner files
   */
  constructor(dataDir: string, program: string, folder: string, now = Date.now()) {
    this.#dataDir = dataDir;
    this.#program = program;
    const stored = readKept(join(dataDir, 'partners.json'), program);
    this.#old = isStored(stored) && stored.folder === folder ? stored : { at: 0, folder, files: {} };
    this.#new = { at: now, folder, files: {} };
  }

  /** The partner of a file that has not been written since. Its text is not read. */
  unchanged(name: string, path: string): PartnerConfig | undefined {
    const kept = this.#of(name);
    const found = kept && stateOf(path);
    if (found?.state !== kept?.state || kept === undefined || found === undefined) return undefined;
    // it may have been written again within one tick of the clock
    if (found.changed > this.#old.at - racyMs) return undefined;
    this.#new.files[name] = kept;
    return kept.partner;
  }

  stateOf(path: string): string | undefined {
    return stateOf(path)?.state;
  }

  /** The partner of a file that was written again with the same text. */
  sameText(name: string, state: string, digest: string): PartnerConfig | undefined {
    const kept = this.#of(name);
    if (kept?.digest !== digest) return undefined;
    this.add(name, { ...kept, state });
    return kept.partner;
  }

  add(name: string, kept: Kept): void {
    const before = this.#of(name)?.state;
    this.#new.files[name] = kept;
    // One that was only just written is read again anyway, so it is no reason to write the file with all of them.
    const settled = (stateOf(join(this.#new.folder, name))?.changed ?? 0) <= this.#new.at - racyMs;
    if (settled || before !== kept.state) this.#changed = true;
  }

  #of(name: string): Kept | undefined {
    return Object.hasOwn(this.#old.files, name) ? this.#old.files[name] : undefined;
  }

  /** Writes what has changed. False if that was not possible. */
  save(): boolean {
    const gone = Object.keys(this.#old.files).length !== Object.keys(this.#new.files).length;
    if (!this.#changed && !gone) return true;
    return writeKept(join(this.#dataDir, 'partners.json'), this.#dataDir, this.#program, this.#new);
  }
}

const unsaved = new WeakMap<object, KeptPartners>();

/**
 * Remembers what could not be written when a configuration was read: before the first start, there is no data folder.
 */
export function keepLater(config: Config, kept: KeptPartners): void {
  unsaved.set(config, kept);
}

/** Writes what is kept of a configuration's partner files, once its data folder exists. */
export function saveKept(config: Config): void {
  unsaved.get(config)?.save();
  unsaved.delete(config);
}

/** Whether there are partner files of which nothing is kept. */
export function lacksKept({ dataDir }: Config, partnerFiles: number): boolean {
  return partnerFiles > 0 && !existsSync(join(dataDir, 'partners.json'));
}

function isStored(value: unknown): value is Stored {
  return (
    typeof value === 'object' &&
    value !== null &&
    'at' in value &&
    typeof value.at === 'number' &&
    'folder' in value &&
    'files' in value &&
    typeof value.files === 'object' &&
    value.files !== null
  );
}
