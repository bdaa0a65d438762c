import { closeSync, linkSync, mkdirSync, openSync, writeFileSync } from 'node:fs';
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
  writePieces,
} from './folder.ts';
import { composeMessage } from './message.ts';
import type { Delivery } from './types.ts';
import { createWalker, type PartFacts } from './walk.ts';

/** Files of one message that are open at a time. */
const maxOpen = 16;

/**
 * Writes the folder of a small message from memory, on a local disk that has just answered (`volume.ts`). Calls that
 * only touch the page cache are synchronous, because they cost less than a trip to the thread pool. fsync waits for the
 * disk, so it is asynchronous.
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
  const put = (file: string, octets: Buffer | string) => {
    const fd = openSync(join(folder.path, file), 'wx', fileMode);
    open.push(fd);
    writeFileSync(fd, octets);
  };
  /** All at once, so that they share one commit of the file system's journal. */
  const flush = async () => {
    await Promise.all(open.map((fd) => syncFile(fd)));
    for (const fd of open.splice(0)) closeSync(fd);
  };
  try {
    put('message.eml', message.prefix.length === 0 ? content : Buffer.concat([message.prefix, content]));
    put('verdict.json', `${JSON.stringify(delivery.verdict, undefined, 2)}\n`);
    const bodyFile = body === undefined ? '' : bodyFileName(body.facts);
    if (body !== undefined) put(bodyFile, body.sink.toBuffer());
    if (showParts(list)) {
      mkdirSync(join(folder.path, 'parts'), { mode: folderMode });
      const files = parts.map(({ facts, sink }) => partFile(facts, sink.length));
      for (const [index, { file }] of files.entries()) {
        const part = parts[index];
        if (part === undefined) continue;
        const path = join('parts', file);
        if (part === body) linkSync(join(folder.path, bodyFile), join(folder.path, path));
        else put(path, part.sink.toBuffer());
        if (open.length >= maxOpen) await flush();
      }
      put('parts.json', partsJson(files, body?.facts.number));
      open.push(openSync(join(folder.path, 'parts'), 'r'));
    }
    await writePieces(folder.path, delivery.pieces, signal);
    open.push(openSync(folder.path, 'r'));
    await flush();
    await folder.publish(settings.sync);
  } catch (error) {
    await folder.remove();
    throw error;
  } finally {
    for (const fd of open) closeSync(fd);
  }
}
