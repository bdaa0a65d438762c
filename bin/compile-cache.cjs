/**
 * Turns on the cache of compiled code, which halves the next start; loaded before everything else. The folder must be
 * ours alone, because whoever can write there decides what runs. Plain JavaScript: to strip the types of the first file,
 * before there is a cache, would take as long as Node's own start.
 */
const { lstatSync, mkdirSync } = require('node:fs');
const { enableCompileCache } = require('node:module');
const { tmpdir, userInfo } = require('node:os');
const { join } = require('node:path');

/** In the home of the current user (not $HOME, which may be another user's under sudo), else in the temporary folder. */
function cacheFolders() {
  const own = join(tmpdir(), `sealpost-cache-${process.geteuid?.() ?? 'user'}`);
  try {
    return [join(userInfo().homedir, '.cache', 'sealpost'), own];
  } catch {
    // a container's user may have no entry
    return [own];
  }
}

function isOurs(folder) {
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
