/**
 * What was rejected and revoked, in a file of the machine as well: a store that is gone, or older than it was, revives
 * none of it. The file is sealed. It only grows, except when a person approves what was refused before.
 */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { hasCode, SealpostError } from '../errors.ts';
import { draftOwner } from '../files.ts';
import type { Log } from '../log.ts';
import { readEntries, type StoredCertificate } from './entry.ts';

export interface RefusedParts {
  seal(context: string, value: unknown): Buffer;
  /** Errors: `spool-corrupt`. */
  unseal(context: string, sealed: Buffer): unknown;
  folder: string;
  log: Log;
}

const context = 'certs:refused';

export class RefusedFile {
  readonly #parts: RefusedParts;
  readonly #file: string;
  #entries: ReadonlyMap<string, StoredCertificate>;

  constructor(parts: RefusedParts) {
    this.#parts = parts;
    this.#file = join(parts.folder, 'certs.refused');
    this.#entries = this.#read();
  }

  /** By thumbprint. */
  get entries(): ReadonlyMap<string, StoredCertificate> {
    return this.#entries;
  }

  #read(): Map<string, StoredCertificate> {
    const { unseal, log } = this.#parts;
    try {
      const sealed = Buffer.from(readFileSync(this.#file, 'latin1'), 'base64');
      return new Map(readEntries(unseal(context, sealed)).map((each) => [each.thumbprint, each]));
    } catch (error) {
      if (error instanceof SealpostError)
        log.error({ err: error }, 'the file of refused certificates is not ours');
      else if (!hasCode(error, 'ENOENT', 'EACCES')) throw error;
      return new Map();
    }
  }

  /** Takes what the store says now. What it says nothing of stays as it was. */
  keep(entries: Iterable<StoredCertificate>): void {
    const next = new Map(this.#entries);
    let changed = false;
    for (const entry of entries) {
      const old = next.get(entry.thumbprint);
      // Only a later decision counts: an older store is no decision.
      if (old !== undefined && old.version >= entry.version) continue;
      const refused = entry.state === 'rejected' || entry.state === 'revoked';
      if (refused) next.set(entry.thumbprint, entry);
      else if (!next.delete(entry.thumbprint)) continue;
      changed = true;
    }
    if (!changed) return;
    this.#entries = next;
    this.#write();
  }

  /** A process that may not write there relies on the others. */
  #write(): void {
    const draft = `${this.#file}.${draftOwner}`;
    try {
      writeFileSync(draft, this.#parts.seal(context, [...this.#entries.values()]).toString('base64'), {
        mode: 0o600,
      });
      renameSync(draft, this.#file);
    } catch (error) {
      if (!hasCode(error, 'EACCES', 'EROFS', 'EPERM', 'ENOENT', 'ENOSPC')) throw error;
    }
  }
}
