/** Where each setting is written: in the configuration file, or in the file of a partner. */
import { join } from 'node:path';
import { SealpostError } from '../errors.ts';
import { type PartnerFolder, readPartnerText } from './partner-files.ts';
import type { Places, Problem, ProblemExtra, SettingPath } from './problem.ts';
import { valueAt } from './shape.ts';
import { ConfigSource } from './source.ts';

/** Like `ConfigSource`, for all files together. A partner file is read again when a place in it is asked for. */
export class Sources implements Places {
  readonly main: ConfigSource;
  readonly #own: number;
  readonly #folder: PartnerFolder;
  readonly #read = new Map<number, ConfigSource>();
  readonly #indexes: ReadonlyMap<string, number>;

  /** @param own how many partners the configuration file itself has; they come before those with files */
  constructor(main: ConfigSource, own: number, folder: PartnerFolder) {
    this.main = main;
    this.#own = own;
    this.#folder = folder;
    this.#indexes = new Map(this.#shown().map((file, at) => [file, own + at]));
  }

  get file(): string {
    return this.main.file;
  }

  /** Names of the files for messages, in order. */
  get names(): string[] {
    return [this.main.file, ...this.#shown()];
  }

  #shown(): string[] {
    return this.#folder.names.map((name) => join(this.#folder.shown, name));
  }

  /** Remembers a partner file that has just been read, by the index of its partner. */
  add(index: number, source: ConfigSource): void {
    this.#read.set(index, source);
  }

  /** What is written for a partner, by its index; undefined if it cannot be read. */
  writtenPartner(index: number): unknown {
    return this.#sourceOf(index)?.value ?? valueAt(this.main.value, ['partners', index]);
  }

  problem(path: SettingPath, message: string, extra?: ProblemExtra): Problem {
    const [top, index, ...rest] = path;
    const source = top === 'partners' && typeof index === 'number' ? this.#sourceOf(index) : undefined;
    if (source === undefined) return this.main.problem(path, message, extra);
    const problem = source.problem(rest, message, extra);
    return rest.length === 0 ? { ...problem, setting: 'partner' } : problem;
  }

  /** The partner that a problem is about, by its index in the configuration; undefined if none. */
  partnerOf({ file, setting }: Problem): number | undefined {
    const index = /^partners\[(\d+)\]/.exec(setting)?.[1];
    return this.#indexes.get(file) ?? (index === undefined ? undefined : Number(index));
  }

  #sourceOf(index: number): ConfigSource | undefined {
    const name = this.#folder.names[index - this.#own];
    if (name === undefined) return undefined;
    let source = this.#read.get(index);
    if (source === undefined) {
      const { path, shown } = this.#folder;
      source = new ConfigSource(textOf(path, join(path, name)), join(shown, name));
      this.#read.set(index, source);
    }
    return source;
  }
}

/** Empty for a file that has since disappeared. The message then has no line. */
function textOf(folder: string, path: string): string {
  try {
    return readPartnerText(folder, path);
  } catch (error) {
    if (error instanceof SealpostError) return '';
    throw error;
  }
}
