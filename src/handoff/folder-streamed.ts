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
import { composeStreamed } from './message.ts';
import type { Delivery } from './types.ts';
import { createWalker, type PartFacts } from './walk.ts';

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

/** Runs the steps that the synchronous walker has queued: opens, writes and closes files in order. */
class PartWriter {
  readonly steps: Step[] = [];
  readonly files: PartFile[] = [];
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
    for (const step of this.steps.splice(0)) {
      if ('part' in step) {
        const file = partFile(step.part, 0);
        this.#handle = await open(join(this.#folder, file.file), 'wx', fileMode);
        this.files.push(file);
      } else if ('chunk' in step) {
        await append(this.#handle, step.chunk, this.#isLocal);
        const file = this.files.at(-1);
        if (file !== undefined) file.octets += step.chunk.length;
      } else {
        await this.#handle?.sync();
        await this.close();
      }
    }
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

/** Writes the folder of a large message while its content streams by; memory is bounded by the chunks. */
export async function writeStreamed(
  parent: string,
  name: string,
  delivery: Delivery,
  settings: FolderSettings & { isLocal: boolean },
  signal: AbortSignal,
): Promise<void> {
  const { isLocal } = settings;
  const message = await composeStreamed(delivery, settings.limits);
  const folder = await TemporaryFolder.create(parent, name);
  const at = (...names: string[]) => join(folder.path, ...names);
  const parts = new PartWriter(at('parts'), isLocal);
  let eml: FileHandle | undefined;
  try {
    await mkdir(at('parts'), { mode: folderMode });
    eml = await open(at('message.eml'), 'wx', fileMode);
    await eml.writeFile(message.prefix);
    const walker = createWalker(message.kind, (facts) => parts.sink(facts), settings.limits);
    for await (const chunk of delivery.content()) {
      signal.throwIfAborted();
      await append(eml, chunk, isLocal);
      walker.write(chunk);
      await parts.run();
    }
    walker.end();
    await parts.run();
    await eml.sync();
    await putSynced(at('verdict.json'), `${JSON.stringify(delivery.verdict, undefined, 2)}\n`);
    const number = chooseBodyPart(parts.files, settings.bodyPart);
    const body = parts.files.find((part) => part.number === number);
    if (body !== undefined) await link(at('parts', body.file), at(bodyFileName(body)));
    if (showParts(parts.files)) {
      await putSynced(at('parts.json'), partsJson(parts.files, number));
      await syncFolder(at('parts'));
    } else await removeParts(at('parts'), parts.files);
    await writePieces(folder.path, delivery.pieces, signal);
    await syncFolder(folder.path);
    await folder.publish(settings.sync);
  } catch (error) {
    await parts.close().catch(() => {});
    await folder.remove();
    throw error;
  } finally {
    await eml?.close();
  }
}

/** The only part stays as the body file. */
async function removeParts(path: string, files: readonly PartFile[]): Promise<void> {
  for (const { file } of files) await unlink(join(path, file));
  await rmdir(path);
}
