/**
 * Loads the files of the bundle (`scripts/bundle.ts` makes it one of them). Node keeps what V8 compiles when it first
 * sees a file, without the functions in it, and these are most of what a start compiles. Here the code is kept when it
 * has run, one file for each command and role, so the next start has all functions that the last one called. Where
 * there is no folder for it (`bin/compile-cache.cjs` chooses it), or anything is not as it was, files are compiled.
 */
import { createHash } from 'node:crypto';
import { readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, join } from 'node:path';
import { Script } from 'node:vm';

/** Where the code of a file lies, and the file's state when it was compiled. */
interface Kept {
  at: number;
  length: number;
  state: string;
}

interface Head {
  build: string;
  /** SHA-256 of the code: finds what was cut. It is no protection from those who may write here. */
  digest: string;
  files: Record<string, Kept>;
}

interface Loaded {
  script: Script;
  state: string;
  isNew: boolean;
}

/** Milliseconds until the code of a process that goes on is kept. It has started then, and V8 has forgotten nothing. */
const settled = 10_000;
/** V8 reads code at such places without a copy. */
const alignment = 8;

/** Set by `scripts/bundle.ts`: changes with each file. */
declare const BUILD: string;

class CodeCache {
  readonly #path: string;
  readonly #build = `${BUILD} ${process.version} ${process.arch}`;
  #files: Head['files'] = {};
  #code = Buffer.alloc(0);

  constructor(path: string) {
    this.#path = path;
    try {
      const kept = readFileSync(path);
      const end = kept.indexOf(0x0a) + 1;
      const head: Head = JSON.parse(kept.toString('utf8', 0, end));
      const code = kept.subarray(end);
      if (head.build !== this.#build || head.digest !== digestOf(code)) return;
      this.#files = head.files;
      this.#code = code;
    } catch {
      // not there, or cut
    }
  }

  of(name: string, state: string): Buffer | undefined {
    const kept = Object.hasOwn(this.#files, name) ? this.#files[name] : undefined;
    return kept?.state === state ? this.#code.subarray(kept.at, kept.at + kept.length) : undefined;
  }

  /** Without room or permission nothing is kept. */
  keep(loaded: ReadonlyMap<string, Loaded>): void {
    const files: Head['files'] = {};
    const parts: Buffer[] = [];
    let length = 0;
    const add = (name: string, state: string, code: Buffer) => {
      files[name] = { at: length, length: code.length, state };
      const rest = (alignment - (code.length % alignment)) % alignment;
      parts.push(code, Buffer.alloc(rest));
      length += code.length + rest;
    };
    for (const [name, { script, state }] of loaded) add(name, state, script.createCachedData());
    for (const [name, { state }] of Object.entries(this.#files)) {
      const code = this.of(name, state);
      if (!loaded.has(name) && code !== undefined) add(name, state, code);
    }
    const code = Buffer.concat(parts);
    const text = JSON.stringify({ build: this.#build, digest: digestOf(code), files });
    const head = Buffer.from(text);
    const pad = ' '.repeat(alignment - 1 - (head.length % alignment));
    const draft = `${this.#path}.${process.pid}`;
    try {
      writeFileSync(draft, Buffer.concat([head, Buffer.from(`${pad}\n`), code]), { mode: 0o600 });
      renameSync(draft, this.#path);
    } catch {
      remove(draft);
    }
  }
}

/** Also where there is no such folder, which `force` does not cover. */
function remove(draft: string): void {
  try {
    rmSync(draft, { force: true });
  } catch {
    // nothing was made
  }
}

const digestOf = (code: Buffer) => createHash('sha256').update(code).digest('hex');

/**
 * Runs a main of the bundle.
 *
 * @param main name of its file
 * @param name of what it runs: each has code of its own
 */
export function start(main: string, name: string): void {
  const { NODE_COMPILE_CACHE: folder, NODE_DISABLE_COMPILE_CACHE: isOff } = process.env;
  const cache = folder && isOff === undefined ? new CodeCache(join(folder, `code-${name}`)) : undefined;
  const modules = new Map<string, { exports: unknown }>();
  const loaded = new Map<string, Loaded>();
  const others = createRequire(join(__dirname, main));
  let isNew = false;
  const load = (id: string): unknown => {
    if (!id.startsWith('./')) return others(id);
    const known = modules.get(id);
    if (known !== undefined) return known.exports;
    const path = join(__dirname, id);
    const { mtimeMs, size } = statSync(path);
    const state = `${mtimeMs} ${size}`;
    const cachedData = cache?.of(id, state);
    const text = `(function (exports, require, module, __filename, __dirname) {${readFileSync(path, 'utf8')}\n})`;
    const script = new Script(text, { filename: path, ...(cachedData && { cachedData }) });
    const made = { exports: {} };
    modules.set(id, made);
    const isFresh = cachedData === undefined || script.cachedDataRejected === true;
    loaded.set(id, { script, state, isNew: isFresh });
    isNew ||= isFresh;
    script.runInThisContext().call(made.exports, made.exports, load, made, path, __dirname);
    return made.exports;
  };
  if (cache !== undefined) {
    const keep = () => {
      if (isNew) cache.keep(loaded);
      isNew = false;
    };
    setTimeout(keep, settled).unref();
    process.once('exit', (code) => code === 0 && keep());
  }
  load(`./${main}`);
}

/** Of the command line: a name that is none ends with an error, and nothing is kept. */
export function startCommand(main: string): void {
  const [, , command = ''] = process.argv;
  start(
    main,
    /^[a-z]{1,20}$/.test(command) ? `${basename(main, '.cjs')}-${command}` : basename(main, '.cjs'),
  );
}
