/**
 * Writes docs/settings.md and config/sealpost.example.yaml from the schema in src/config/schema.ts:
 * `npm run docs:settings`. A test fails when a file is not what this writes.
 */
import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { stringify } from 'yaml';
import { z } from 'zod';
import { configSchema } from '../src/config/schema.ts';
import { isSecret, optionsOf, settingsOf, shapeOf } from '../src/config/shape.ts';
import { type Protection, presets, protectionOf } from '../src/smime/encode/presets.ts';
import { foldMarkdown } from './fold.ts';
import { examples, written } from './settings-examples.ts';

type Schema = z.core.$ZodType;

/** What is between a name and its settings: nothing, or `[]` of a list. */
interface Setting {
  /** `mailboxes[].imap.host` */
  path: string;
  name: string;
  schema: Schema;
  type: string;
  /** As a person writes it; undefined when there is none. */
  default: string | undefined;
  required: boolean;
  description: string;
  kind: 'value' | 'group' | 'list';
  /** Settings of a group, or of an entry of a list; several sets when entries are of several types. */
  below: Setting[][];
}

const flow = (value: unknown) =>
  stringify(value, { collectionStyle: 'flow', lineWidth: 0, singleQuote: true }).trim();

function numberType(schema: Schema): string {
  const { type, minimum, maximum = Number.MAX_SAFE_INTEGER } = z.toJSONSchema(schema);
  const kind = type === 'integer' ? 'whole number' : 'number';
  if (minimum === undefined) return kind;
  return maximum < Number.MAX_SAFE_INTEGER
    ? `${kind}, ${minimum} to ${maximum}`
    : `${kind}, at least ${minimum}`;
}

function typeOf(schema: Schema): string {
  const { core, format } = shapeOf(schema);
  if (core instanceof z.core.$ZodDiscriminatedUnion) return 'as an entry of `mailboxes[].destinations`';
  if (isSecret(schema)) return 'secret';
  if (optionsOf(schema) !== undefined) return 'path or group';
  if (core instanceof z.core.$ZodArray) {
    const element = typeOf(core._zod.def.element);
    return element.startsWith('one of') ? `list of ${element.slice(7)}` : `list of ${element}`;
  }
  if (core instanceof z.core.$ZodEnum)
    return `one of ${Object.values(core._zod.def.entries)
      .map((each) => `\`${each}\``)
      .join(', ')}`;
  if (core instanceof z.core.$ZodLiteral) return core._zod.def.values.map((each) => `\`${each}\``).join(', ');
  if (core instanceof z.core.$ZodBoolean) return '`true` or `false`';
  if (core instanceof z.core.$ZodNumber) return numberType(core);
  if (core instanceof z.core.$ZodURL) return 'URL';
  const formats: Record<string, string> = {
    ...{ duration: 'time span', size: 'size', path: 'path', moment: 'day or time' },
  };
  return formats[format ?? ''] ?? 'text';
}

/** The settings of a group with their places. */
function readSettings(schema: Schema, prefix: string): Setting[] {
  return Object.entries(settingsOf(schema) ?? {}).map(([name, each]) => {
    const { core, default: value, description, optional } = shapeOf(each);
    const path = `${prefix}${name}`;
    if (description === undefined) throw new Error(`${path}: has no description in the schema`);
    const base = { path, name, schema: each, description, required: !optional, type: typeOf(each) };
    if (settingsOf(each) !== undefined)
      return {
        ...base,
        type: 'group',
        kind: 'group',
        default: undefined,
        below: [readSettings(each, `${path}.`)],
      };
    const element = core instanceof z.core.$ZodArray ? core._zod.def.element : undefined;
    const entries = element === undefined ? undefined : (optionsOf(element) ?? [element]);
    if (entries?.some((entry) => settingsOf(entry) !== undefined))
      return {
        ...base,
        type: 'list',
        kind: 'list',
        default: value === undefined ? undefined : flow(value),
        below: entries.map((entry) => readSettings(entry, `${path}[].`)),
      };
    return { ...base, kind: 'value', default: value === undefined ? undefined : flow(value), below: [] };
  });
}

// ---- docs/settings.md

const cell = (text: string) => text.replaceAll('|', '\\|');

function row({ path, type, default: value, required, description }: Setting): string {
  const shown = required ? 'required' : value === undefined ? '' : `\`${value}\``;
  return `| \`${path}\` | ${cell(type)} | ${cell(shown)} | ${cell(description)} |`;
}

function rows(settings: readonly Setting[]): string[] {
  return settings.flatMap((setting) => [row(setting), ...setting.below.flatMap(rows)]);
}

const intro = `# Settings

All settings of Sealpost. \`npm run docs:settings\` generates this page from the schema, and also
\`config/sealpost.example.yaml\`, which shows each setting in context. \`sealpost check\` reports all problems of a
configuration file at once, with line and column.

The file is YAML. Unknown settings are errors; they are never ignored. Relative paths are relative to the folder of the
file that they stand in.

A partner may have a file of its own in the folder \`partners\` beside the configuration file (\`partnerFiles\`). It has
the settings of an entry of \`partners\`, without the list around it. \`sealpost.schema.json\` and
\`partner.schema.json\` beside this page are JSON Schemas: editors with a YAML language server complete and check
settings with them.

- **time span**: a number with \`ms\`, \`s\`, \`m\`, \`h\` or \`d\`, such as \`30s\`.
- **size**: a number with \`B\`, \`KiB\`, \`MiB\` or \`GiB\`, such as \`100MiB\`.
- **secret**: \`{ file: PATH }\` or \`{ env: NAME }\`. A secret is never part of the configuration itself. The file, like
  every file with a private key, must not be readable by group or others. A file owned by root may be readable by its
  group, because orchestrators mount secrets that way. A single trailing newline is ignored.
- \`[]\` stands for an entry of a list.
`;

/** The text of docs/settings.md. */
export function settingsPage(): string {
  return foldMarkdown(settingsText());
}

function settingsText(): string {
  const settings = readSettings(configSchema, '');
  const table = (lines: string[]) =>
    ['| setting | type | default | what it is |', '| --- | --- | --- | --- |', ...lines].join('\n');
  const plain = settings.filter(({ kind }) => kind === 'value');
  const groups = settings.filter(({ kind }) => kind !== 'value');
  const sections = groups.map(({ name, description, below }) =>
    [`## ${name}`, description, table(below.flatMap(rows))].join('\n\n'),
  );
  return `${[intro, table(plain.map(row)), ...sections, presetsSection()].join('\n\n').replace(/\n{3,}/g, '\n\n')}\n`;
}

/** What each preset sets, and what it is for. */
function presetsSection(): string {
  const names = Object.entries(presets);
  const facts = Object.keys(presets.default.protection) as (keyof Protection)[];
  const shown = facts.filter((fact) =>
    names.some(([, { protection }]) => protection[fact] !== presets.default.protection[fact]),
  );
  return [
    '## Presets',
    'A partner selects one with `preset`; individual settings override it. `sealpost encode --preset NAME` takes the same names.',
    names.map(([name, { about }]) => `- **${name}**: ${about}`).join('\n'),
    [
      `| preset | ${shown.map((fact) => `\`${fact}\``).join(' | ')} |`,
      `| --- |${' --- |'.repeat(shown.length)}`,
      ...names.map(
        ([name, { protection }]) => `| ${name} | ${shown.map((fact) => protection[fact]).join(' | ')} |`,
      ),
    ].join('\n'),
    `The same in all: ${facts
      .filter((fact) => !shown.includes(fact))
      .map((fact) => `\`${fact}: ${protectionOf('default')[fact]}\``)
      .join(', ')}. \`bsi-tr-03116-4\` also restricts curves to those that its text names.`,
  ].join('\n\n');
}

// ---- config/sealpost.example.yaml

function comment(text: string, indent: string): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && indent.length + line.length + word.length + 3 > 100) {
      lines.push(`${indent}# ${line}`);
      line = '';
    }
    line += line === '' ? word : ` ${word}`;
  }
  return [...lines, `${indent}# ${line}`];
}

/** Whether a setting, or one below it, stands in the example without being commented out. */
function isWritten({ path, required, kind, below }: Setting): boolean {
  if (written.has(path)) return true;
  return kind === 'group' ? !required && below.flat().some(({ path: each }) => written.has(each)) : required;
}

function exampleOf({ path, type, schema, default: value }: Setting): string {
  const { core } = shapeOf(schema);
  if (core instanceof z.core.$ZodLiteral) return core._zod.def.values.map(String).join();
  const example = examples[path] ?? value;
  if (example !== undefined) return example;
  throw new Error(`${path} (${type}): add an example to scripts/settings-examples.ts`);
}

/** Puts `#` before the text of each line that is not a comment yet, so that removing it uncomments the setting. */
function commentOut(lines: readonly string[]): string[] {
  return lines.map((line) => (/^\s*#/.test(line) ? line : line.replace(/\S/, '#$&')));
}

function lines(setting: Setting, indent: string): string[] {
  const { name, description, kind, below } = setting;
  const header = comment(description, indent);
  const shown = isWritten(setting) ? (text: string[]) => text : commentOut;
  if (kind === 'value') return shown([...header, `${indent}${name}: ${exampleOf(setting)}`]);
  const inner = below.flatMap((settings, index) => {
    if (kind === 'group') return settings.flatMap((each) => lines(each, `${indent}  `));
    const entry = settings.flatMap((each) => lines(each, `${indent}    `));
    const dashed = dash(entry, indent);
    // The first type of entry is the example; the others are shown as alternatives.
    return index === 0 ? dashed : commentOut(dashed);
  });
  return shown([...header, `${indent}${name}:`, ...inner]);
}

/** Makes settings an entry of a list: `-` before the first that is not commented out, or `#-` if all are. */
function dash(entry: readonly string[], indent: string): string[] {
  const first = entry.findIndex((line) => !/^\s*#/.test(line));
  if (first < 0) {
    const setting = entry.findIndex((line) => /^\s*#\S/.test(line));
    return entry.map((line, index) =>
      index === setting ? `${indent}  #- ${line.slice(indent.length + 5)}` : line,
    );
  }
  return entry.map((line, index) =>
    index === first ? `${indent}  - ${line.slice(indent.length + 4)}` : line,
  );
}

const head = `# All settings of Sealpost, generated from the schema by \`npm run docs:settings\`.
# Commented settings show the default, or an example if there is none. Relative paths are relative to the folder of
# this file. Check your own file with: sealpost check --config FILE
`;

/** The text of config/sealpost.example.yaml. */
export function exampleFile(): string {
  const blocks = readSettings(configSchema, '').map((setting) => lines(setting, '').join('\n'));
  return `${[head.trimEnd(), ...blocks].join('\n\n')}\n`;
}

if (import.meta.main) {
  const root = resolve(import.meta.dirname, '..');
  writeFileSync(resolve(root, 'docs/settings.md'), settingsPage());
  writeFileSync(resolve(root, 'config/sealpost.example.yaml'), exampleFile());
}
