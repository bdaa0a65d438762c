#!/usr/bin/env node
/**
 * The program. What has been compiled once is kept for the next start, which halves it; the folder must be ours alone,
 * since whoever writes there decides what runs. Nothing but this is loaded before.
 */
import { lstatSync, mkdirSync } from 'node:fs';
import { enableCompileCache } from 'node:module';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';

/** In the home of the user that runs (not of $HOME, which sudo may leave to another), else in the temporary folder. */
function cacheFolders(): string[] {
  const own = join(tmpdir(), `sealpost-cache-${process.geteuid?.() ?? 'user'}`);
  try {
    return [join(userInfo().homedir, '.cache', 'sealpost'), own];
  } catch {
    // a container's user need not have an entry
    return [own];
  }
}

function isOurs(folder: string): boolean {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const found = lstatSync(folder);
    return found.isDirectory() && found.uid === process.geteuid?.() && (found.mode & 0o022) === 0;
  } catch {
    return false;
  }
}

if (process.env.NODE_COMPILE_CACHE === undefined) {
  const folder = cacheFolders().find(isOurs);
  if (folder !== undefined) {
    enableCompileCache(folder);
    // for the roles, which are started as processes of their own
    process.env.NODE_COMPILE_CACHE = folder;
  }
}

await import('./commands/main.ts');
