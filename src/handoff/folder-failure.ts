import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { syncFolder } from '../files.ts';
import type { FolderSync } from '../volume.ts';
import { fileMode, TemporaryFolder } from './folder.ts';
import type { FailureReport } from './types.ts';

/** Writes the folder of a report: `report.json`, and `original.eml` if it is wanted and still kept. */
export async function writeFailure(
  parent: string,
  name: string,
  { document, original }: FailureReport,
  sync: FolderSync,
  signal: AbortSignal,
): Promise<void> {
  const folder = await TemporaryFolder.create(parent, name);
  const put = async (file: string, pieces: AsyncIterable<Buffer> | Iterable<Buffer>) => {
    const handle = await open(join(folder.path, file), 'wx', fileMode);
    const hash = createHash('sha256');
    let octets = 0;
    try {
      for await (const piece of pieces) {
        signal.throwIfAborted();
        await handle.writeFile(piece);
        hash.update(piece);
        octets += piece.length;
      }
      await handle.sync();
    } finally {
      await handle.close();
    }
    return { octets, sha256: hash.digest('hex'), file };
  };
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
