/**
 * Turns on the cache of compiled code, which halves the next start; loaded before everything else. The folder must be
 * ours alone, because whoever can write there decides what runs. Each installation and version of Node has a folder of
 * its own in it, so that what is no longer used can be told from what is, and goes as a whole. Plain JavaScript: to strip
 * the types of the first file, before there is a cache, would take as long as Node's own start.
 */
const { lstatSync, mkdirSync, utimesSync } = require('node:fs');
const { enableCompileCache } = require('node:module');
const { tmpdir, userInfo } = require('node:os');
const { dirname, join } = require('node:path');

const day = 86_400_000;

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

/** Two installations whose long paths end alike share one: Node tells their files apart. */
function folderOfThis(folder) {
  const installation = encodeURIComponent(dirname(__dirname)).slice(-150);
  return join(folder, `program-${process.version}-${installation}`);
}

/** True unless the file or folder was written, or marked with `utimes`, within the last day. */
function isOld(path, now) {
  try {
    return Math.abs(now - lstatSync(path).mtimeMs) > day;
  } catch {
    return true;
  }
}

/** Marks this program as used, and looks once a day for what is not; both cost a look at a time stamp otherwise. */
function keepHouse(folder, own, now) {
  if (isOld(own, now)) utimesSync(own, now / 1000, now / 1000);
  if (isOld(join(folder, 'pruned'), now)) require('./prune-cache.cjs').pruneCache(folder, { own, now });
}

if (process.env.NODE_COMPILE_CACHE === undefined) {
  const folder = cacheFolders().find(isOurs);
  const own = folder === undefined ? undefined : folderOfThis(folder);
  if (own !== undefined && isOurs(own)) {
    try {
      keepHouse(folder, own, Date.now());
    } catch {
      // a start does not fail because something could not be cleaned up
    }
    enableCompileCache(own);
    // for the roles, which run as separate processes
    process.env.NODE_COMPILE_CACHE = own;
  }
}
