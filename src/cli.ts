#!/usr/bin/env node
/**
 * The entry point. Compiled code is cached, which halves the next start. The folder must be ours alone, because whoever
 * can write there decides what runs. Nothing else is loaded before this.
 */
import { lstatSync, mkdirSync } from 'node:fs';
import { enableCompileCache } from 'node:module';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';

/**
 * In the home of the current user (not $HOME, which may be another user's under sudo), else in the temporary folder.
 */
function cacheFolders(): string[] {
  const own = join(tmpdir(), `sealpost-cache-${process.geteuid?.() ?? 'user'}`);
  try {
    return [join(userInfo().homedir, '.cache', 'sealpost'), own];
  } catch {
    // a container's user may have no entry
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
    // for the roles, which run as separate processes
    process.env.NODE_COMPILE_CACHE = folder;
  }
}

await import('./commands/main.ts');
