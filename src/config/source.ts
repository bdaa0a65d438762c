import {
  type Document,
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  parseDocument,
  visit,
} from 'yaml';
import {
  formatSetting,
  type Places,
  type Position,
  type Problem,
  type ProblemExtra,
  type SettingPath,
} from './problem.ts';

/** The YAML library's error in an operator's words, or the library's own message if that is good enough. */
const syntaxMessages: Record<string, [message: string, hint?: string]> = {
  TAB_AS_INDENT: ['a tab is used to indent', 'use spaces'],
  MULTIPLE_DOCS: ['the file holds several YAML documents', 'keep one; remove the line ---'],
  BAD_SCALAR_START: ['a value cannot start with this character', 'write the value in quotes: "@example.com"'],
  BLOCK_AS_IMPLICIT_KEY: ['a second colon on this line', 'write the value in quotes, or on lines of its own'],
  TAG_RESOLVE_FAILED: ['a YAML tag (!...) that is not known', 'remove it, or write the value in quotes'],
  BAD_ALIAS: ['a YAML alias that cannot be used here', 'write values that start with * or & in quotes'],
  MISSING_CHAR: ['a closing quote, bracket or colon is missing here or before'],
  BAD_INDENT: ['is not indented as the lines before ask for'],
};

/** Duplicate keys that are reported for one file, at most. */
const mostDuplicates = 100;

/** The text of a configuration, with the place of each setting. */
export class ConfigSource implements Places {
  readonly file: string;
  readonly syntaxProblems: readonly Problem[];
  /** What was written, as plain values; undefined if the syntax is wrong. */
  readonly value: unknown;
  readonly #document: Document;
  readonly #lines = new LineCounter();

  /** @param file Name for messages. */
  constructor(text: string, file: string) {
    this.file = file;
    this.#document = parseDocument(text, {
      lineCounter: this.#lines,
      prettyErrors: false,
      // the library compares each key with every other one, which takes it half a minute for 20,000 of them
      uniqueKeys: false,
      stringKeys: true,
    });
    const problems: Problem[] = [];
    for (const { code, message, pos } of [...this.#document.errors, ...this.#document.warnings]) {
      const [ours, hint] = syntaxMessages[code] ?? [`not YAML: ${message}`];
      problems.push({
        severity: 'error',
        ...this.#position(pos[0]),
        setting: '',
        message: ours,
        ...(hint && { hint }),
      });
    }
    if (problems.length === 0) problems.push(...this.#duplicateKeys());
    if (problems.length === 0) {
      try {
        // A few kilobytes of nested aliases can expand to gigabytes. The library counts them and refuses.
        this.value = this.#document.toJS({ maxAliasCount: 100 }) ?? {};
      } catch (error) {
        if (!(error instanceof ReferenceError)) throw error;
        const bomb = error.message.includes('Excessive alias count');
        problems.push({
          severity: 'error',
          ...this.#position(Math.max(0, text.search(/[*][^\s,\]}]/))),
          setting: '',
          message: bomb ? 'YAML aliases that expand to too much' : 'a YAML alias without its anchor',
          hint: bomb ? 'write the values out' : 'write values that start with * in quotes',
        });
      }
    }
    this.syntaxProblems = problems;
  }

  #duplicateKeys(): Problem[] {
    const problems: Problem[] = [];
    visit(this.#document, {
      Map: (_, { items }) => {
        const seen = new Set<unknown>();
        for (const { key } of items) {
          if (!isScalar(key)) continue;
          if (seen.has(key.value) && problems.length < mostDuplicates)
            problems.push({
              severity: 'error',
              ...this.#position(key.range?.[0] ?? 0),
              setting: String(key.value),
              message: 'is written twice',
              hint: 'keep one of them',
            });
          seen.add(key.value);
        }
      },
    });
    return problems;
  }

  #position(offset: number): Position {
    const { line, col } = this.#lines.linePos(offset);
    return { file: this.file, line: Math.max(1, line), column: Math.max(1, col) };
  }

  /**
   * The place of a setting's value, or of its key (`'key'`). If the setting is not written, that of the nearest setting
   * above it.
   */
  locate(path: SettingPath, what: 'key' | 'value' = 'value'): Position {
    let node: unknown = this.#document.contents;
    let offset = 0;
    let last: 'found' | 'missing' = 'found';
    path.forEach((step, index) => {
      if (last === 'missing') return;
      const container = isAlias(node) ? node.resolve(this.#document) : node;
      const isEnd = index === path.length - 1;
      if (isMap(container)) {
        const pair = container.items.find((item) => isScalar(item.key) && item.key.value === step);
        const key = pair?.key;
        if (pair === undefined || !isNode(key)) last = 'missing';
        else {
          node = pair.value;
          offset = key.range?.[0] ?? offset;
          const empty = !isNode(node) || (isScalar(node) && node.source === '');
          if (isEnd && what === 'value' && !empty && isNode(node)) offset = node.range?.[0] ?? offset;
        }
      } else if (isSeq(container) && typeof step === 'number' && isNode(container.items[step])) {
        node = container.items[step];
        if (isNode(node)) offset = node.range?.[0] ?? offset;
      } else last = 'missing';
    });
    return this.#position(offset);
  }

  /** A problem with one setting, with its place. */
  problem(
    path: SettingPath,
    message: string,
    { severity = 'error', hint, only, at }: ProblemExtra = {},
  ): Problem {
    return {
      severity,
      ...this.locate(path, at),
      setting: formatSetting(path),
      message,
      ...(hint !== undefined && { hint }),
      ...(only !== undefined && { only }),
    };
  }
}
