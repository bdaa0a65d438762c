/**
 * Which partners differ from those in force. The supervisor gives its roles a file with the configuration in force, and
 * an index of the certificates. Whatever is the same there, and in the files that it names, has been checked before.
 */
import { readFileSync, statSync } from 'node:fs';
import { type IndexedPartners, openPartners, unchangedFiles } from './certificate-index.ts';
import { racyMs, stateOf } from './kept-partners.ts';
import { pathsIn } from './named-files.ts';
import { originOf, restoreConfig } from './origin.ts';
import type { Places, ProblemExtra, SettingPath } from './problem.ts';
import type { Config } from './schema.ts';

export interface Changed {
  /** Indexes of the partners that differ. */
  partners: number[];
  /** The certificates in force, among them those of the partners that do not differ. */
  indexed: IndexedPartners;
}

/**
 * @param stored the file with the configuration in force
 * @param program as the index was made with
 * @returns undefined if all partners must be checked, because more than partners differs or nothing can be compared
 */
export function changedPartners(config: Config, stored: string, program: string): Changed | undefined {
  const old = restored(stored);
  const index = old && originOf(old)?.certificates;
  if (old === undefined || index === undefined) return undefined;
  const isIndexed = unchangedFiles(index, program);
  const indexed = openPartners(index, old);
  if (isIndexed === undefined || indexed === undefined) return undefined;
  const since = statSync(stored).mtimeMs - racyMs;
  const isSame = (file: string) => isIndexed(file) ?? isOlder(file, since);
  // settings that mail to all of them is made with
  if (othersOf(config) !== othersOf(old)) return undefined;
  if (!pathsIn([config.identities, config.profiles]).every(isSame)) return undefined;
  const before = new Map(old.partners.map((each) => [each.name, JSON.stringify(each)]));
  const partners = config.partners.flatMap((each, at) =>
    before.get(each.name) === JSON.stringify(each) && pathsIn(each).every(isSame) ? [] : [at],
  );
  return { partners, indexed };
}

function restored(stored: string): Config | undefined {
  try {
    return restoreConfig(readFileSync(stored, 'utf8'));
  } catch {
    // missing or truncated, so everything is checked
    return undefined;
  }
}

const othersOf = (config: Config) => JSON.stringify({ ...config, partners: [] });

/** A folder changes with each file in it, and is used as it is. */
function isOlder(file: string, since: number): boolean {
  const found = stateOf(file);
  return found !== undefined && (found.changed < since || statSync(file).isDirectory());
}

/** Translates places of a configuration that has only some of the partners of another one. */
export class SomePlaces implements Places {
  readonly file: string;
  readonly #all: Places;
  readonly #partners: readonly number[];

  /** @param partners which ones, by their indexes in the whole configuration */
  constructor(all: Places, partners: readonly number[]) {
    this.file = all.file;
    this.#all = all;
    this.#partners = partners;
  }

  problem([top, index, ...rest]: SettingPath, message: string, extra?: ProblemExtra) {
    const whole = top === 'partners' && typeof index === 'number' ? this.#partners[index] : index;
    const path = [top, whole].filter((step) => step !== undefined);
    return this.#all.problem([...path, ...rest], message, extra);
  }
}
