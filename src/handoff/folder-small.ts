import { join } from 'node:path';
import { BufferSink } from '../message/index.ts';
import { chooseBodyPart } from './body-part.ts';
import {
  bodyFileName,
  type FolderSettings,
  fileMode,
  folderMode,
  partFile,
  partsJson,
  showParts,
  syncFile,
  TemporaryFolder,
} from './folder.ts';
import { writePieces } from './folder-pieces.ts';
import { composeMessage } from './message.ts';
import type { Delivery } from './types.ts';
import { createWalker, type PartFacts } from './walk.ts';

/** Files of one message that are open at a time. */
const maxOpen = 16;

/**
 * Writes the folder of a small message from memory, on a local disk that has just answered (`volume.ts`). fsync waits
 * for the disk, so it is asynchronous.
 */
export async function writeSmall(
  parent: string,
  name: string,
  delivery: Delivery,
  settings: FolderSettings,
  signal: AbortSignal,
): Promise<void> {
  const content = await delivery.read();
  signal.throwIfAborted();
  const message = composeMessage(delivery, content, settings.limits);
  const parts: { facts: PartFacts; sink: BufferSink }[] = [];
  const walker = createWalker(
    message.kind,
    (facts) => {
      const sink = new BufferSink();
      parts.push({ facts, sink });
      return sink;
    },
    settings.limits,
  );
  walker.write(content);
  walker.end();

  const list = parts.map(({ facts }) => facts);
  const body = parts.find(({ facts }) => facts.number === chooseBodyPart(list, settings.bodyPart));
  const folder = await TemporaryFolder.create(parent, name);
  const open: number[] = [];
  const { files: calls } = settings;
  const put = async (file: string, octets: Buffer | string) => {
    open.push(await calls.create(join(folder.path, file), octets, fileMode));
  };
  /** All at once, so that they share one commit of the file system's journal. */
  const flush = async () => {
    await Promise.all(open.map((fd) => syncFile(fd)));
    for (const fd of open.splice(0)) await calls.close(fd);
  };
  try {
    await put(
      'message.eml',
      message.prefix.length === 0 ? content : Buffer.concat([message.prefix, content]),
    );
    await put('verdict.json', `${JSON.stringify(delivery.verdict, undefined, 2)}\n`);
    const bodyFile = body === undefined ? '' : bodyFileName(body.facts);
    if (body !== undefined) await put(bodyFile, body.sink.toBuffer());
    if (showParts(list)) {
      await calls.makeFolder(join(folder.path, 'parts'), folderMode);
      const files = parts.map(({ facts, sink }) => partFile(facts, sink.length));
      for (const [index, { file }] of files.entries()) {
        const part = parts[index];
        if (part === undefined) continue;
        const path = join('parts', file);
        if (part === body) await calls.link(join(folder.path, bodyFile), join(folder.path, path));
        else await put(path, part.sink.toBuffer());
        if (open.length >= maxOpen) await flush();
      }
      await put('parts.json', partsJson(files, body?.facts.number));
      open.push(await calls.open(join(folder.path, 'parts')));
    }
    await writePieces(folder.path, delivery.pieces, signal);
    open.push(await calls.open(folder.path));
    await flush();
    await folder.publish(settings.sync);
  } catch (error) {
    await folder.remove();
    throw error;
  } finally {
    for (const fd of open) await calls.close(fd);
  }
}
