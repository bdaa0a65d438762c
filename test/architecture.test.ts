import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, it } from 'node:test';

const root = resolve(import.meta.dirname, '..');

/** Leaves: anyone may import them, and they import no room. */
const leaves = ['errors', 'budget', 'domain', 'log', 'metrics', 'printable'];
const anything = '*';
/** Files of data alone, which import nothing but such; anyone may import them. */
const data = [
  'src/asn1/oids.ts',
  'src/pki/algorithms.ts',
  'src/cms/algorithms.ts',
  'src/smime/encode/presets.ts',
];

/** Which rooms a room may import, with the reason where it is a matter of safety. Keep in step with docs/architecture.md. */
const rooms: Record<string, { may: string[] | typeof anything; why: string }> = {
  cli: { may: anything, why: 'the command line composes' },
  commands: { may: anything, why: 'the commands of the command line compose' },
  workers: { may: anything, why: 'a process composes its parts' },
  pipeline: {
    may: ['smime', 'partner', 'handoff', 'smtp', 'message', 'queue', 'config'],
    why: 'a step takes what it works with as arguments; processes are composed above it',
  },
  daemon: { may: ['config', 'queue'], why: 'the supervisor holds no keys and reads no message' },
  handoff: {
    may: ['message', 'queue', 'config', 'net'],
    why: 'a destination gets octets and a verdict; it cannot decrypt',
  },
  smtp: { may: ['message', 'queue', 'config'], why: 'what listens to the network cannot decrypt' },
  imap: { may: ['message', 'queue', 'config'], why: 'what listens to the network cannot decrypt' },
  queue: { may: ['config'], why: 'the queue carries references and sealed octets' },
  partner: {
    may: ['config', 'pki', 'message', 'net', 'smime'],
    why: 'partner rules are about certificates and addresses, and about how mail for a partner is protected',
  },
  config: {
    may: ['pki', 'message'],
    why: 'settings name keys and addresses; both are checked where they are read',
  },
  library: { may: ['smime', 'pki'], why: 'what other programs see of the codec, and nothing of the daemon' },
  smime: { may: ['asn1', 'cms', 'pki', 'message'], why: 'the codec could be published by itself' },
  cms: { may: ['asn1', 'pki', 'message'], why: 'CMS knows certificates and pushes into sinks, and no mail' },
  pki: { may: ['asn1'], why: 'certificates stand alone' },
  net: { may: [], why: 'which addresses may be asked stands alone, so that it is written once' },
  message: { may: [], why: 'mail syntax stands alone' },
  asn1: { may: [], why: 'the lowest room' },
};

/** Entrances of the room of the steps. A door for outbound mail takes `submit` alone, without what decodes and delivers. */
const stepsFrom = ['src/pipeline/index.ts', 'src/pipeline/submit.ts'];
/** Randomness for Message-IDs, and the registry of media types. */
const stepMayImport = /^(node:crypto|mime)$/;

/** Rooms that may do no I/O: no socket, file, clock of the process or logger. */
const pure = ['asn1', 'message', 'pki', 'cms', 'smime'];
const pureMayImport = /^(node:(crypto|buffer|zlib|assert|util|url|punycode|string_decoder)|zod|fflate)$/;

function roomOf(file: string): string {
  const parts = relative(root, file).split('/');
  if (parts[0] === 'workers') return 'workers';
  return (parts[1] ?? '').replace(/\.ts$/, '');
}

function importsOf(file: string): { specifier: string; typeOnly: boolean }[] {
  const text = readFileSync(file, 'utf8');
  const found: { specifier: string; typeOnly: boolean }[] = [];
  for (const match of text.matchAll(
    /^\s*(?:import|export)\s+(type\s+)?[^'";]*?from\s+'([^']+)'|^\s*import\s+'([^']+)'|import\('([^']+)'\)/gm,
  )) {
    found.push({ specifier: match[2] ?? match[3] ?? match[4] ?? '', typeOnly: match[1] !== undefined });
  }
  return found;
}

const files = globSync(['src/**/*.ts', 'workers/*.ts'], { cwd: root }).map((file) => join(root, file));

describe('architecture', () => {
  it('finds the files of every room in its table', () => {
    assert.ok(files.length > 0);
    for (const file of files) {
      const room = roomOf(file);
      assert.ok(
        leaves.includes(room) || room in rooms,
        `${relative(root, file)}: no such room; add it to the table with a reason`,
      );
    }
  });

  it('imports only downwards', () => {
    const wrong: string[] = [];
    for (const file of files) {
      const room = roomOf(file);
      for (const { specifier } of importsOf(file)) {
        if (!specifier.startsWith('.')) continue;
        const target = roomOf(resolve(dirname(file), specifier));
        if (data.includes(relative(root, resolve(dirname(file), specifier)))) continue;
        if (target === room || leaves.includes(target)) continue;
        if (leaves.includes(room)) {
          wrong.push(`${relative(root, file)} imports ${target}: a leaf imports no room`);
          continue;
        }
        const rule = rooms[room];
        if (rule && rule.may !== anything && !rule.may.includes(target))
          wrong.push(`${relative(root, file)} imports ${target}: ${rule.why}`);
      }
    }
    assert.deepEqual(wrong, []);
  });

  it('has files of data that import nothing but such', () => {
    for (const file of data)
      for (const { specifier } of importsOf(join(root, file)))
        assert.ok(
          data.includes(relative(root, resolve(dirname(join(root, file)), specifier))),
          `${file}: ${specifier}`,
        );
  });

  it('keeps I/O out of the pure rooms', () => {
    const wrong: string[] = [];
    for (const file of files.filter((each) => pure.includes(roomOf(each)))) {
      for (const { specifier } of importsOf(file)) {
        if (specifier.startsWith('.')) {
          const target = roomOf(resolve(dirname(file), specifier));
          if (target === 'log' || target === 'metrics')
            wrong.push(`${relative(root, file)} imports ${target}`);
        } else if (!pureMayImport.test(specifier)) wrong.push(`${relative(root, file)} imports ${specifier}`);
      }
      if (/\bDate\.now\(\)|\bnew Date\(\)|\bprocess\.env\b/.test(readFileSync(file, 'utf8')))
        wrong.push(
          `${relative(root, file)} reads the clock or the environment; time comes in as an argument`,
        );
    }
    assert.deepEqual(wrong, []);
  });

  it('has steps of a message that open nothing and take the time as an argument', () => {
    const wrong: string[] = [];
    for (const file of files.filter((each) => roomOf(each) === 'pipeline')) {
      const name = relative(root, file);
      for (const { specifier } of importsOf(file))
        if (!specifier.startsWith('.') && !stepMayImport.test(specifier))
          wrong.push(`${name} imports ${specifier}`);
      if (
        /\bDate\.now\b|\bnew Date\(\)|\bprocess\.|\b(?:loadKeys|readSecret|openQueue)\(/.test(
          readFileSync(file, 'utf8'),
        )
      )
        wrong.push(`${name} reads the clock, or opens what it should be given`);
    }
    assert.deepEqual(wrong, []);
  });

  it('enters the steps of a message by the index, or by what takes mail in', () => {
    const wrong = files
      .filter((file) => roomOf(file) !== 'pipeline')
      .flatMap((file) =>
        importsOf(file)
          .map(({ specifier }) => relative(root, resolve(dirname(file), specifier)))
          .filter((target) => target.startsWith('src/pipeline/') && !stepsFrom.includes(target))
          .map((target) => `${relative(root, file)} imports ${target}`),
      );
    assert.deepEqual(wrong, []);
  });

  it('keeps node-forge at the trusted edge', () => {
    const users = files.filter((file) => importsOf(file).some(({ specifier }) => specifier === 'node-forge'));
    const allowed = ['src/commands/demo/keys.ts'];
    assert.deepEqual(
      users.map((file) => relative(root, file)).filter((file) => !allowed.includes(file)),
      [],
    );
  });

  it('has no file above 500 lines', () => {
    const long = files.filter((file) => readFileSync(file, 'utf8').split('\n').length > 501);
    assert.deepEqual(
      long.map((file) => relative(root, file)),
      [],
    );
  });
});
