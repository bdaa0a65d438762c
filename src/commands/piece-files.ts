/** The contents of S/MIME parts below a message as files of their own in a folder. */
import { join } from 'node:path';
import { SealpostError } from '../errors.ts';
import { makeFolder } from '../files.ts';
import { pieceFileName } from '../handoff/index.ts';
import type { EmbeddedOutput, Verdict } from '../smime/index.ts';
import { OutputFile } from './files.ts';

export class PieceFiles {
  readonly #folder: string;
  readonly #files = new Map<string, Promise<OutputFile>>();

  private constructor(folder: string) {
    this.#folder = folder;
  }

  static async create(folder: string): Promise<PieceFiles> {
    try {
      await makeFolder(folder);
    } catch (cause) {
      throw new SealpostError('file-access', `cannot make the folder ${folder}`, { cause });
    }
    return new PieceFiles(folder);
  }

  /** @param path the path of the piece in the verdict */
  open(path: string): EmbeddedOutput {
    const file = OutputFile.create(join(this.#folder, pieceFileName(path, null)));
    // reported by the first write, or by the commit
    file.catch(() => {});
    this.#files.set(path, file);
    return { write: async (chunk) => (await file).write(chunk) };
  }

  /** Renames the files whose content the verdict accepts, and removes the others. */
  async commit({ pieces }: Verdict): Promise<void> {
    for (const { path, content } of pieces) {
      const file = this.#files.get(path);
      if (content === null || file === undefined) continue;
      this.#files.delete(path);
      await (await file).commit(join(this.#folder, pieceFileName(path, content.contentType)));
    }
    await this.abort();
  }

  async abort(): Promise<void> {
    const files = [...this.#files.values()];
    this.#files.clear();
    for (const file of files) await (await file.catch(() => undefined))?.abort();
  }
}
