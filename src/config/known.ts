/**
 * Configurations that this program has already found valid. Most of the time that a command takes goes into loading
 * YAML, the schema and its library, and into checking again what the last command checked. So the result is kept beside
 * the compiled code, in a folder that only this user can write to. It is used only for the same octets of the same
 * file, with partner files that have not been written since, checked by the same program. Whoever can write to that
 * folder decides what runs anyway.
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { extname, join, resolve } from 'node:path';
import { removeDraft } from '../files.ts';
import { stateOf } from './kept-partners.ts';
import { originOf, restoreConfig, storeConfig } from './origin.ts';
import { listPartnerFiles } from './partner-files.ts';
import type { Config } from './schema.ts';

/**
 * What a configuration is checked with: the version of the program and of its libraries; when run from source, also the
 * present state of its files. Published files change only with the version, and have no times of their own.
 *
 * @param root folder of `src`; the manifest is there, or one level above for the compiled program
 */
export function programStamp(root: string, fromSource: boolean): string {
  const manifest = readFileSync(join(root, fromSource ? '.' : '..', 'package.json'), 'utf8');
  if (!fromSource) return manifest;
  const files = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' }).sort();
  const states = files.map((name) => {
    const { mtimeMs, size } = statSync(join(root, 'src', name));
    return `${name} ${mtimeMs} ${size}`;
  });
  return [manifest, ...states].join('\n');
}

/** What checks configurations. */
export interface Program {
  /** Where it is installed: another installation keeps its results beside those of this one. */
  root: string;
  /** Changes with everything that checks a configuration. */
  stamp: string;
}

/** The most that is kept, whoever keeps it: octets, and configurations. The least used ones go first. */
export const keptMost = { octets: 32 * 1024 * 1024, files: 256 };

/** How often a configuration that is used gets a new time, in milliseconds. */
const markEvery = 86_400_000;

/** The folder of a configuration's partner files, and their state. */
interface KnownHead {
  setting?: string;
  state: string;
}

export class KnownConfigs {
  readonly #folder: string;
  readonly #program: Program;

  /** @param folder writable for this user only */
  constructor(folder: string, program: Program) {
    this.#folder = folder;
    this.#program = program;
  }

  /** Undefined unless this text, with the present partner files, was found valid before. */
  recall(file: string, text: string): Config | undefined {
    return this.#recall(file, text, ({ setting, state }) => partnersState(file, setting)?.state === state);
  }

  /** Like `recall`, but whatever the state of the partner files, so the partners may be out of date. */
  recallSettings(file: string, text: string): Config | undefined {
    return this.#recall(file, text, () => true);
  }

  #recall(file: string, text: string, isMeant: (head: KnownHead) => boolean): Config | undefined {
    const place = this.#place(file);
    try {
      const kept = readFileSync(place, 'utf8');
      const ends = [kept.indexOf('\n')];
      ends.push(kept.indexOf('\n', (ends[0] ?? 0) + 1));
      const [first = 0, second = 0] = ends;
      if (kept.slice(0, first) !== this.#key(file, text)) return undefined;
      const head: KnownHead = JSON.parse(kept.slice(first + 1, second));
      if (!isMeant(head)) return undefined;
      const now = Date.now();
      if (statSync(place).mtimeMs < now - markEvery) utimesSync(place, now / 1000, now / 1000);
      return restoreConfig(kept.slice(second + 1));
    } catch {
      // missing or truncated, so the configuration is checked again
      return undefined;
    }
  }

  /**
   * Keeps a configuration that was found valid. Does nothing if the folder or space in it is missing, or if a partner
   * file has just been written, because it may be written again without its time changing.
   *
   * @param now milliseconds since the epoch
   */
  remember(file: string, text: string, config: Config, now = Date.now()): void {
    // files of profiles may change while the text does not
    if (config.profiles.folder !== undefined) return;
    const setting = originOf(config)?.setting;
    const partners = partnersState(file, setting);
    const read = originOf(config)?.folder.names.length ?? 0;
    if (partners === undefined || partners.count !== read || partners.changed > now - 2000) return;
    const place = this.#place(file);
    const draft = `${place}.${process.pid}`;
    const head = JSON.stringify({ setting, state: partners.state });
    try {
      writeFileSync(draft, `${this.#key(file, text)}\n${head}\n${storeConfig(config)}`, { mode: 0o600 });
      renameSync(draft, place);
      prune(this.#folder, place);
    } catch {
      removeDraft(draft);
    }
  }

  #key(file: string, text: string): string {
    return digest(JSON.stringify([this.#program.stamp, file, resolve(file), text]));
  }

  /** One for each file and installation: a checkout and a package do not replace each other's results. */
  #place(file: string): string {
    const name = digest(JSON.stringify([this.#program.root, resolve(file)])).slice(0, 16);
    return join(this.#folder, `config-${name}.json`);
  }
}

/** Removes the least used configurations above the limits, and drafts of processes that were killed. */
function prune(folder: string, latest: string): void {
  const found = readdirSync(folder)
    .filter((name) => /^config-[0-9a-f]+\.json(?:\.\d+)?$/.test(name))
    .map((name) => {
      const path = join(folder, name);
      const { mtimeMs, size } = statSync(path);
      return { path, size, used: path === latest ? Number.POSITIVE_INFINITY : mtimeMs };
    })
    .toSorted((one, other) => other.used - one.used);
  let octets = 0;
  for (const [at, { path, size }] of found.entries()) {
    octets += size;
    if (path !== latest && (at >= keptMost.files || octets > keptMost.octets)) rmSync(path, { force: true });
  }
}

/**
 * The present state of the partner files, found without reading them; undefined if there is any problem with their
 * folder.
 */
function partnersState(
  file: string,
  setting: string | undefined,
): { state: string; count: number; changed: number } | undefined {
  const { folder, problems } = listPartnerFiles(file, setting);
  if (problems.length > 0) return undefined;
  const hash = createHash('sha256').update(folder.path);
  let last = 0;
  for (const name of folder.names) {
    const found = stateOf(join(folder.path, name));
    if (found === undefined) return undefined;
    hash.update(`\n${name} ${found.state}`);
    last = Math.max(last, found.changed);
  }
  return { state: hash.digest('hex'), count: folder.names.length, changed: last };
}

const digest = (text: string) => createHash('sha256').update(text).digest('hex');

let ofThis: string | undefined;
const rootOfThis = join(import.meta.dirname, '../..');

/** Identifies the running program. */
export function programOfThis(): string {
  ofThis ??= programStamp(rootOfThis, extname(import.meta.filename) === '.ts');
  return ofThis;
}

/** The one of this user; undefined without a cache of compiled code (`bin/compile-cache.cjs` chooses the folder). */
export function knownConfigs(env: NodeJS.ProcessEnv = process.env): KnownConfigs | undefined {
  const folder = env.NODE_COMPILE_CACHE;
  if (folder === undefined || folder === '' || env.NODE_DISABLE_COMPILE_CACHE !== undefined) return undefined;
  return new KnownConfigs(folder, { root: rootOfThis, stamp: programOfThis() });
}
