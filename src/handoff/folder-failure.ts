import { join } from 'node:path';
import { syncFolder, writeNewFile } from '../files.ts';
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
