import { mkdir, open } from 'node:fs/promises';
import { join } from 'node:path';
import { syncFolder } from '../files.ts';
import { fileMode, folderMode } from './folder.ts';
import { pieceFileName } from './names.ts';
import type { DeliveryPiece } from './types.ts';

/** Writes the content of each piece as a file of its own into `<folder>/pieces/`, on disk when it resolves. */
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
