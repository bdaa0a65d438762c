/**
 * README and docs: the commands exist with their options, the configuration is what the schema takes, the links lead
 * somewhere.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { parse, stringify } from 'yaml';
import { wholeTree } from '../../src/commands/program.ts';
import { allOf, type CommandNode } from '../../src/commands/tree.ts';
import { loadConfig } from '../../src/config/index.ts';
import { ConfigError } from '../../src/config/problem.ts';
import { configSchema, partnerSchema } from '../../src/config/schema.ts';
import { settingsOf } from '../../src/config/shape.ts';
import { blocksOf, wordsOf } from '../support/doc-blocks.ts';

const root = resolve(import.meta.dirname, '../..');
const files = [
  'README.md',
  'SECURITY.md',
  'CHANGELOG.md',
  ...readdirSync(join(root, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
];
const textOf = (file: string) => readFileSync(join(root, file), 'utf8');

/** Commands in blocks, each on one line, and in running text. */
function commandsOf(file: string): { line: string; place: string }[] {
  const inBlocks = blocksOf(file).flatMap(({ lines, place }) =>
    lines
      .join('\n')
      .replaceAll(/\\\n\s*/g, ' ')
      .replaceAll('$sealpost', 'sealpost')
      .replaceAll('docker compose run --rm cli', 'sealpost')
      .split('\n')
      .filter((line) => !/^\s*[#{"'[<]/.test(line))
      .flatMap((line) => /(?:^|[ $(])(sealpost (?![|=-]*$|-+\+).*)$/.exec(line)?.[1] ?? [])
      .map((line) => ({ line: line.split(/ # | \| | >| <|\)|;| && | \+--/)[0] ?? '', place })),
  );
  const running = textOf(file).replaceAll(/\n(?=\S)/g, ' ');
  const inText = [...running.matchAll(/`(sealpost [^`]+)`/g)].map(([, line = '']) => ({ line, place: file }));
  return [...inBlocks, ...inText].filter(
    ({ line }) => !/^sealpost (?:nonsense|--omit=optional)$/.test(line.trim()),
  );
}

describe('commands in README and docs', () => {
  let nodes: Map<string, CommandNode>;
  before(async () => {
    nodes = new Map(allOf(await wholeTree()).map((node) => [node.path, node]));
  });

  /** Undefined if the command and its options exist. */
  function wrong(line: string): string | undefined {
    const words = wordsOf(line).slice(1);
    let path = '';
    while (words[0] !== undefined && nodes.has(`${path} ${words[0]}`.trim()))
      path = `${path} ${words.shift()}`.trim();
    const node = nodes.get(path);
    if (node === undefined) return 'no such command';
    const [next] = words;
    if (node.commands.length > 0 && next !== undefined && /^[a-z][a-z-]*$/.test(next))
      return `${path}: no command ${next}`;
    const known = new Set(node.options.flatMap(({ long, short }) => [long, short]));
    const option = words.find((word) => /^--?[a-z]/.test(word) && !known.has(word.split('=')[0] ?? ''));
    return option === undefined ? undefined : `${path}: no option ${option}`;
  }

  it('exist, with their options', () => {
    let seen = 0;
    const problems: string[] = [];
    for (const file of files)
      for (const { line, place } of commandsOf(file)) {
        seen += 1;
        const why = wrong(line);
        if (why !== undefined) problems.push(`${place}: ${line}: ${why}`);
      }
    assert.deepEqual(problems, []);
    assert.ok(seen > 150, `${seen} commands`);
  });

  it('would be found if they did not', () => {
    assert.equal(wrong('sealpost messages lists'), 'messages: no command lists');
    assert.equal(wrong('sealpost send --partner acme --urgently x.edi'), 'send: no option --urgently');
    assert.equal(wrong('sealpost send --partner acme x.edi'), undefined);
  });
});

describe('configuration in README and docs', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sealpost-docs-'));
  after(() => rmSync(folder, { recursive: true }));
  const known = (schema: typeof configSchema | typeof partnerSchema) => Object.keys(settingsOf(schema) ?? {});
  const top = known(configSchema);
  const ofPartner = known(partnerSchema);

  /** Whole configurations of the block; a part of one is put where it belongs. */
  function configsOf(text: string): object[] {
    const read = (each: string): unknown => {
      try {
        return parse(each);
      } catch {
        return undefined;
      }
    };
    // JSON is YAML, too, and no configuration of ours
    if (/^\s*[{[]/.test(text)) return [];
    const whole = read(text);
    // alternatives, one after the other
    const values = whole === undefined ? text.split(/\n\n/).map(read) : [whole];
    return values.flatMap((value) => {
      if (typeof value !== 'object' || value === null || Array.isArray(value)) return [];
      const keys = Object.keys(value);
      if (keys.length === 0) return [];
      if (keys.every((key) => top.includes(key))) return [value];
      if (keys.join() === 'destinations')
        return [{ mailboxes: [{ name: 'm', addresses: ['m@example.com'], ...value }] }];
      if (keys.every((key) => ofPartner.includes(key))) return [{ partners: [{ name: 'p', ...value }] }];
      return [];
    });
  }

  /** What is wrong with settings themselves: files and other entries that they name are not here. */
  async function problemsOf(config: object): Promise<string[]> {
    const file = join(folder, 'sealpost.yaml');
    writeFileSync(file, stringify({ dataDir: 'data', ...config }));
    const elsewhere =
      /^(?:is missing|cannot be read|there is no|names? no |needs? |is not here)|ENOENT|not configured|no such|has no |but there are no partners/;
    try {
      await loadConfig(file);
      return [];
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      return error.problems
        .filter(({ severity, message }) => severity === 'error' && !elsewhere.test(message))
        .map(({ setting, message }) => `${setting}: ${message}`);
    }
  }

  it('is what the schema takes', async () => {
    let seen = 0;
    const problems: string[] = [];
    for (const file of files)
      for (const { kind, lines, place } of blocksOf(file)) {
        if (kind !== 'yaml' && kind !== 'indented') continue;
        // what a shell writes into a file
        const here = /<<'END'\n(.*?)\nEND$/ms.exec(lines.join('\n'))?.[1];
        for (const config of configsOf(here ?? lines.join('\n'))) {
          seen += 1;
          for (const each of await problemsOf(config)) problems.push(`${place}: ${each}`);
        }
      }
    assert.deepEqual(problems, []);
    assert.ok(seen >= 20, `${seen} blocks`);
  });

  it('would be found if it were not', async () => {
    const [config = {}] = configsOf('partners:\n  - name: acme\n    rout: { host: mx.acme.example }\n');
    assert.deepEqual(await problemsOf(config), ['partners[0].rout: is not a setting']);
    const [value = {}] = configsOf('retry:\n  attempts: soon\n');
    assert.equal((await problemsOf(value)).length, 1);
  });
});

describe('README and docs', () => {
  /** As GitHub makes them: lower case, without punctuation, hyphens for spaces. */
  const anchorsOf = (file: string) =>
    new Set(
      textOf(file)
        .split('\n')
        .filter((line) => /^#{1,6} /.test(line))
        .map((line) =>
          line
            .replace(/^#+ /, '')
            .toLowerCase()
            .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
            .replaceAll(' ', '-'),
        ),
    );

  it('have links that lead somewhere', () => {
    let seen = 0;
    const dead: string[] = [];
    for (const file of files)
      for (const [, target = ''] of textOf(file).matchAll(/\]\(([^)\s]+)\)/g)) {
        if (/^[a-z]+:/.test(target)) continue;
        seen += 1;
        const [path = '', anchor] = target.split('#');
        const to = path === '' ? file : join(dirname(file), path);
        const leads = existsSync(join(root, to)) && (anchor === undefined || anchorsOf(to).has(anchor));
        if (!leads) dead.push(`${file}: ${target}`);
      }
    assert.deepEqual(dead, []);
    assert.ok(seen > 100, `${seen} links`);
  });

  it('have lines of at most 120 characters, or a few more, but for tables, code and long links', () => {
    // the rule is 120; a word that hangs over is no reason to fail
    const most = 140;
    const long: string[] = [];
    for (const file of files) {
      let code = false;
      textOf(file)
        .split('\n')
        .forEach((line, at) => {
          if (line.startsWith('```')) code = !code;
          const free = code || /^ {4}|^\|/.test(line) || /\]\([^)]{60,}\)|https?:\/\/\S{60,}/.test(line);
          if (!free && line.length > most) long.push(`${file}:${at + 1}`);
        });
    }
    assert.deepEqual(long, []);
  });
});
