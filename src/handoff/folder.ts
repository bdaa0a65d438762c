/** The hidden folder in which a message or report is written until its name is published. */
import { fsync } from 'node:fs';
import { chmod, mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { MailboxConfig } from '../config/index.ts';
import { hasCode } from '../errors.ts';
import { syncFolder, writeNewFile } from '../files.ts';
import type { MessageLimits } from '../message/index.ts';
import { draftPath, type FolderSync } from '../volume.ts';
import { extensionFor, partFileName, pieceFileName } from './names.ts';
import type { DeliveryPiece, FailureReport } from './types.ts';
import type { PartFacts } from './walk.ts';

export const syncFile = promisify(fsync);

/** Readable by the group, so that the operator's programs can run as another user. The umask applies. */
export const fileMode = 0o640;
export const folderMode = 0o750;

/** What the folder writers need to know. */
export interface FolderSettings {
  bodyPart: MailboxConfig['bodyPart'];
  limits: MessageLimits;
  sync: FolderSync;
}

/** A part of the message as a file: its description and its decoded octets. */
export interface PartFile extends PartFacts {
  octets: number;
  file: string;
}

/** Parts are written only if they say more than the body file. */
export function showParts(parts: readonly PartFacts[]): boolean {
  return parts.length > 1 || parts.some((part) => part.originalFileName !== '');
}

export function partFile(facts: PartFacts, octets: number): PartFile {
  return { ...facts, octets, file: partFileName(facts.number, facts.contentType, facts.fileName) };
}

export function bodyFileName(part: PartFacts): string {
  return `body.${extensionFor(part.contentType, part.fileName)}`;
}

export function partsJson(parts: readonly PartFile[], body: number | undefined): string {
  return `${JSON.stringify({ body: body ?? null, parts }, undefined, 2)}\n`;
}

/** A folder that is being written. Its leading dot hides it from programs that list the parent. */
export class TemporaryFolder {
  readonly path: string;
  readonly #final: string;
  /** The mode that it will get, if nobody else may look into it yet. */
  #mode: number | undefined;

  private constructor(path: string, final: string) {
    this.path = path;
    this.#final = final;
  }

  static async create(parent: string, name: string): Promise<TemporaryFolder> {
    const path = draftPath(parent);
    await mkdir(path, { mode: folderMode });
    return new TemporaryFolder(path, join(parent, name));
  }

  /** For content that has not been judged yet: until `unlock`, only the user of the daemon can look into the folder. */
  async lock(): Promise<void> {
    // with the umask, and with what the parent passes on
    this.#mode = (await stat(this.path)).mode & 0o7777;
    await chmod(this.path, this.#mode & 0o7700);
  }

  async unlock(): Promise<void> {
    if (this.#mode !== undefined) await chmod(this.path, this.#mode);
  }

  /**
   * Renames the folder, which the caller has completed and synced, to its final name. Another process may have been
   * faster with the same message, if a job lost its lock. Then that folder stays, and this one is removed.
   */
  async publish(sync: FolderSync): Promise<void> {
    try {
      await rename(this.path, this.#final);
    } catch (error) {
      if (!hasCode(error, 'ENOTEMPTY', 'EEXIST')) throw error;
      await this.remove();
    }
    await sync.sync();
  }

  async remove(): Promise<void> {
    await rm(this.path, { recursive: true, force: true });
  }
}

/** Writes the folder of a report: `report.json`, and `original.eml` if it is requested and still kept. */
export async function writeFailure(
  parent: string,
  name: string,
  { document, original }: FailureReport,
  sync: FolderSync,
  signal: AbortSignal,
): Promise<void> {
  const folder = await TemporaryFolder.create(parent, name);
  const put = async (file: string, pieces: AsyncIterable<Buffer> | Iterable<Buffer>) => ({
    ...(await writeNewFile(join(folder.path, file), pieces, { mode: fileMode, signal })),
    file,
  });
  try {
    const written = original ? await put('original.eml', original.open()) : original;
    const json = written === undefined ? document : { ...document, original: written };
    await put('report.json', [Buffer.from(`${JSON.stringify(json, undefined, 2)}\n`)]);
    await syncFolder(folder.path);
    await folder.publish(sync);
  } catch (error) {
    await folder.remove();
    throw error;
  }
}

/** Writes the content of each piece as a separate file into `<folder>/pieces/`. It is on disk when this resolves. */
export async function writePieces(
  folder: string,
  pieces: readonly DeliveryPiece[],
  signal: AbortSignal,
): Promise<void> {
  if (pieces.length === 0) return;
  const path = join(folder, 'pieces');
  await mkdir(path, { mode: folderMode });
  for (const piece of pieces) {
    const file = pieceFileName(piece.path, piece.contentType);
    const handle = await open(join(path, file), 'wx', fileMode);
    try {
      for await (const chunk of piece.content()) {
        signal.throwIfAborted();
        await handle.writeFile(chunk);
      }
      await handle.sync();
    } finally {
      await handle.close();
    }
  }
  await syncFolder(path);
}
