/**
 * Folders into which programs put files for partners: `PATH/PARTNER/FILE`. Begin with `folder.ts`, which watches one
 * and takes what stands still; `file.ts` is what becomes of one file. It holds no keys, and hands octets to the
 * function that it was given.
 */
export type { DropDoor, DroppedFile } from './file.ts';
export { DropFolder, type DropFolderParts } from './folder.ts';
