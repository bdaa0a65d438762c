import { writeFileSync } from 'node:fs';
import { type FileHandle, link, mkdir, open, rmdir, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { syncFolder } from '../files.ts';
import type { Sink } from '../message/index.ts';
import { chooseBodyPart } from './body-part.ts';
import {
  bodyFileName,
  type FolderSettings,
  fileMode,
  folderMode,
  type PartFile,
  partFile,
  partsJson,
  showParts,
  TemporaryFolder,
  writePieces,
} from './folder.ts';
import { type ContentKind, composeStreamed, type HandoffMessage } from './message.ts';
import type { Delivery } from './types.ts';
import { createWalker, type PartFacts } from './walk.ts';

export interface StreamSettings extends FolderSettings {
  /** The disk is local and has just answered, so it is written to without a thread in between. */
  isLocal: boolean;
  /** Nobody else may look into the folder before it has its name. */
  locked?: boolean;
}

type Step = { part: PartFacts } | { chunk: Buffer } | { end: true };

/**
 * Appends to a file. On a local disk that has just answered, the page cache takes octets at once, which costs less than
 * a trip to a thread (`volume.ts`).
 */
async function append(handle: FileHandle | undefined, octets: Buffer, isLocal: boolean): Promise<void> {
  if (handle === undefined) return;
  if (isLocal) writeFileSync(handle.fd, octets);
  else await handle.writeFile(octets);
}

/** Runs the steps that the synchronous walker has queued: opens, writes and closes files, in order. */
class PartWriter {
  readonly steps: Step[] = [];
  readonly files: PartFile[] = [];
  #held: Buffer[] = [];
  readonly #folder: string;
  readonly #isLocal: boolean;
  #handle: FileHandle | undefined;

  constructor(folder: string, isLocal: boolean) {
    this.#folder = folder;
    this.#isLocal = isLocal;
  }

  /** The sink of one part. */
  sink(part: PartFacts): Sink {
    this.steps.push({ part });
    return {
      write: (chunk) => this.steps.push({ chunk }),
      end: () => this.steps.push({ end: true }),
    };
  }

  async run(): Promise<void> {
    const steps = this.steps.splice(0);
    for (const [index, step] of steps.entries()) {
      if ('part' in step) {
        const file = partFile(step.part, 0);
        this.#handle = await open(join(this.#folder, file.file), 'wx', fileMode);
        this.files.push(file);
      } else if ('chunk' in step) {
        this.#held.push(step.chunk);
        const next = steps[index + 1];
        if (next === undefined || !('chunk' in next)) await this.#flush();
      } else {
        await this.#handle?.sync();
        await this.close();
      }
    }
  }

  /** Octets that came together are written together, because a trip to a thread costs more than the copy. */
  async #flush(): Promise<void> {
    const held = this.#held.splice(0);
    const [first] = held;
    if (first === undefined) return;
    const octets = held.length === 1 ? first : Buffer.concat(held);
    await append(this.#handle, octets, this.#isLocal);
    const file = this.files.at(-1);
    if (file !== undefined) file.octets += octets.length;
  }

  async close(): Promise<void> {
    const handle = this.#handle;
    this.#handle = undefined;
    await handle?.close();
  }
}

async function putSynced(path: string, octets: string): Promise<void> {
  const handle = await open(path, 'wx', fileMode);
  try {
    await handle.writeFile(octets);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** The folder of a large message, written while its content streams by. Memory is bounded by the chunks. */
export class StreamedFolder {
  readonly #folder: TemporaryFolder;
  readonly #settings: StreamSettings;
  readonly #parts: PartWriter;
  readonly #walker: Sink;
  readonly #eml: FileHandle;

  private constructor(
    folder: TemporaryFolder,
    settings: StreamSettings,
    kind: ContentKind,
    parts: PartWriter,
    eml: FileHandle,
  ) {
    this.#folder = folder;
    this.#settings = settings;
    this.#parts = parts;
    this.#eml = eml;
    this.#walker = createWalker(kind, (facts) => parts.sink(facts), settings.limits);
  }

  /** @param name that the folder gets when it is published */
  static async create(
    parent: string,
    name: string,
    { kind, prefix }: Pick<HandoffMessage, 'kind' | 'prefix'>,
    settings: StreamSettings,
  ): Promise<StreamedFolder> {
    const folder = await TemporaryFolder.create(parent, name);
    let eml: FileHandle | undefined;
    try {
      if (settings.locked === true) await folder.lock();
      await mkdir(join(folder.path, 'parts'), { mode: folderMode });
      eml = await open(join(folder.path, 'message.eml'), 'wx', fileMode);
      await eml.writeFile(prefix);
      const parts = new PartWriter(join(folder.path, 'parts'), settings.isLocal);
      return new StreamedFolder(folder, settings, kind, parts, eml);
    } catch (error) {
      await eml?.close().catch(() => {});
      await folder.remove();
      throw error;
    }
  }

  /**
   * Takes the next octets of the content. Calls must not overlap. Errors: those of `createWalker` and of the system.
   */
  async write(octets: Buffer): Promise<void> {
    await append(this.#eml, octets, this.#settings.isLocal);
    this.#walker.write(octets);
    await this.#parts.run();
  }

  /** Writes what comes after the content, and gives the folder its name: it is then complete and on disk. */
  async publish(
    { verdict, pieces }: Pick<Delivery, 'verdict' | 'pieces'>,
    signal: AbortSignal,
  ): Promise<void> {
    const at = (...names: string[]) => join(this.#folder.path, ...names);
    const { files } = this.#parts;
    this.#walker.end();
    await this.#parts.run();
    await this.#eml.sync();
    await putSynced(at('verdict.json'), `${JSON.stringify(verdict, undefined, 2)}\n`);
    const number = chooseBodyPart(files, this.#settings.bodyPart);
    const body = files.find((part) => part.number === number);
    if (body !== undefined) await link(at('parts', body.file), at(bodyFileName(body)));
    if (showParts(files)) {
      await putSynced(at('parts.json'), partsJson(files, number));
      await syncFolder(at('parts'));
    } else await removeParts(at('parts'), files);
    await writePieces(this.#folder.path, pieces, signal);
    await this.#folder.unlock();
    await syncFolder(this.#folder.path);
    signal.throwIfAborted();
    await this.#folder.publish(this.#settings.sync);
  }

  /** Closes the files. Idempotent; does not throw. */
  async close(): Promise<void> {
    await this.#parts.close().catch(() => {});
    await this.#eml.close().catch(() => {});
  }

  /** Removes what was written. Not after `publish`. */
  async remove(): Promise<void> {
    await this.close();
    await this.#folder.remove();
  }
}

/** Writes the folder of a large message from stored content. */
export async function writeStreamed(
  parent: string,
  name: string,
  delivery: Delivery,
  settings: StreamSettings,
  signal: AbortSignal,
): Promise<void> {
  const message = await composeStreamed(delivery, settings.limits);
  const folder = await StreamedFolder.create(parent, name, message, settings);
  try {
    for await (const chunk of delivery.content()) {
      signal.throwIfAborted();
      await folder.write(chunk);
    }
    await folder.publish(delivery, signal);
  } catch (error) {
    await folder.remove();
    throw error;
  }
  await folder.close();
}

/** The only part stays as the body file. */
async function removeParts(path: string, files: readonly PartFile[]): Promise<void> {
  for (const { file } of files) await unlink(join(path, file));
  await rmdir(path);
}
