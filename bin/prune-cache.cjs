/**
 * Removes from the cache of compiled code what is no longer used: programs (an installation with a version of Node) that
 * nobody has started for a month, the least used ones of too many or too large ones, and what earlier versions kept
 * beside them. A start pays for a limited number of removals, and the next ones go on. Loaded once a day
 * (`compile-cache.cjs`).
 */
const { lstatSync, opendirSync, readdirSync, rmdirSync, unlinkSync, writeFileSync } = require('node:fs');
const { join } = require('node:path');

/** A program that runs from the sources has 3,000 to 4,500 files of 6 KiB. */
const usual = { unused: 30 * 86_400_000, programs: 8, files: 24_000 };

/** Ours; Node's own folders, which had no folder around them; configurations beside these. Nothing else is touched. */
const isProgram = (name) => name.startsWith('program-') || /^v\d+\.\d+\.\d+-/.test(name);
const isKept = (name) => /^config-[0-9a-f]+\.json/.test(name);

/**
 * @param folder belongs to the current user alone
 * @param options.own folder of the program that runs; it goes only if it is too large by itself
 * @param options.now milliseconds since the epoch
 * @param options.removals most files and folders that this call removes
 * @returns true if nothing is left to remove
 */
function pruneCache(folder, { own, now, removals = 500, limits = usual }) {
  const work = { left: removals };
  const isDone = victims(folder, own, now, limits).every((path) => remove(path, work));
  if (isDone) writeFileSync(join(folder, 'pruned'), `${new Date(now).toISOString()}\n`, { mode: 0o600 });
  return isDone;
}

function victims(folder, own, now, { unused, programs, files }) {
  const found = [];
  const gone = [];
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    const state = lstatSync(path, { throwIfNoEntry: false });
    if (state === undefined || state.uid !== process.geteuid?.()) continue;
    const isFolder = state.isDirectory();
    if (isProgram(name) && isFolder) found.push({ path, used: path === own ? now : state.mtimeMs });
    else if (isProgram(name) || (isKept(name) && !isFolder)) gone.push(path);
  }
  found.sort((one, other) => Number(other.path === own) - Number(one.path === own) || other.used - one.used);
  let left = files;
  for (const [at, { path, used }] of found.entries()) {
    const isUsed = at < programs && used >= now - unused;
    const count = isUsed ? countFiles(path, left) : 0;
    if (isUsed && count <= left) left -= count;
    else gone.push(path);
  }
  return gone;
}

function* entriesOf(path) {
  const entries = opendirSync(path, { bufferSize: 1000 });
  try {
    for (let entry = entries.readSync(); entry !== null; entry = entries.readSync()) yield entry;
  } finally {
    entries.closeSync();
  }
}

/** Stops above the limit. */
function countFiles(path, limit) {
  let count = 0;
  for (const entry of entriesOf(path)) {
    count += entry.isDirectory() ? countFiles(join(path, entry.name), limit - count) : 1;
    if (count > limit) break;
  }
  return count;
}

/** As far as `work.left` allows; a link is removed, and not followed. False if there is more to do. */
function remove(path, work) {
  const isFolder = lstatSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
  if (isFolder) for (const { name } of entriesOf(path)) if (!remove(join(path, name), work)) return false;
  if (work.left <= 0) return false;
  work.left -= 1;
  try {
    if (isFolder) rmdirSync(path);
    else unlinkSync(path);
  } catch {
    // another process has removed it, or added to it: what is left is looked at tomorrow
  }
  return true;
}

module.exports = { pruneCache };
