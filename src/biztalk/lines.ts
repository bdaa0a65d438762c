/**
 * Settings with comments, as lines of YAML. Values and comments come from somebody else, and neither can break out of
 * its line.
 */
import { stringify } from 'yaml';
import { printable } from '../printable.ts';
import type { Pipeline, Properties } from './bindings.ts';

export type Value = string | number | boolean | readonly Value[] | { readonly [name: string]: Value };

/** What was not carried over, or has to be checked. */
export type Note = (text: string) => void;

/** A boolean as adapters and components write it. */
export const isOn = (text: string) => /^(?:true|1|-1)$/i.test(text);

/** One line. Nothing in it can end it early. */
export function oneLine(text: string, most = 300): string {
  const line = printable(text);
  return line.length > most ? `${line.slice(0, most)}...` : line;
}

/** Says which settings nobody has asked for, and which components of the pipeline your systems replace. */
export function noteOthers(
  { settings, pipeline: { mime, others } }: { settings: Properties; pipeline: Pipeline },
  note: Note,
): void {
  for (const [what, names] of [
    ['settings of its adapter', settings.others],
    ['settings of its MIME/SMIME component', mime?.others ?? []],
  ] as const)
    if (names.length > 0) note(`${what} that are not known here were left out: ${oneLine(names.join(', '))}`);
  const components = others.map((name) => name.split(',', 1)[0]?.replace(/^.*\./, '') ?? '');
  if (components.length > 0)
    note(`further components of its pipeline have no counterpart: ${oneLine(components.join(', '))}`);
}

export class Lines {
  readonly #lines: string[] = [];
  readonly #indent: string;

  constructor(indent = '') {
    this.#indent = indent;
  }

  comment(text: string): this {
    this.#lines.push(`${this.#indent}# ${oneLine(text, 1000)}`);
    return this;
  }

  /** @param why a comment above it */
  set(name: string, value: Value | undefined, why?: string): this {
    if (value === undefined) return this;
    if (why !== undefined) this.comment(why);
    const text = stringify({ [name]: value }, { lineWidth: 0 }).trimEnd();
    for (const line of text.split('\n')) this.#lines.push(this.#indent + line);
    return this;
  }

  /** A setting that is commented out, because a person has to fill it in. */
  todo(name: string, value: Value, why: string): this {
    this.comment(why);
    for (const line of stringify({ [name]: value }, { lineWidth: 0 })
      .trimEnd()
      .split('\n'))
      this.comment(line);
    return this;
  }

  get text(): string {
    return this.#lines.map((line) => `${line.trimEnd()}\n`).join('');
  }
}
