import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, it } from 'node:test';

const root = resolve(import.meta.dirname, '..');

/** Leaves: anyone may import them, and they import no room. */
const leaves = [
  'errors',
  'error-table',
  'error-doors',
  'error-backup',
  'error-policy',
  'budget',
  'domain',
  'files',
  'log',
  'metrics',
  'printable',
  'rounds',
  'spans',
  'volume',
];
const anything = '*';
/** Files of data alone, which import nothing but such; anyone may import them. */
const data = [
  'src/asn1/oids.ts',
  'src/pki/algorithms.ts',
  'src/cms/algorithms.ts',
  'src/smime/encode/presets.ts',
  'src/config/alert-conditions.ts',
];

/** Profiles are data as well, for the codec and for whoever judges by their rules. */
const isData = (name: string) => data.includes(name) || /^profiles\/[a-z0-9.-]+\.json$/.test(name);

/** Files that another room imports besides the index. Each needs a reason. */
const doors: Record<string, { may: string[]; why: string }> = {
  'src/message/mailbox.ts': {
    may: ['config'],
    why: 'every command reads addresses in settings, and hardly one reads mail',
  },
  'src/pki/span.ts': {
    may: ['config'],
    why: 'processes without keys choose the certificate of a listener by its date, and load no X.509 for that',
  },
  'src/certstore/words.ts': {
    may: ['api'],
    why: 'the schemas of the API name states and uses; X.509 is loaded with the first request about certificates',
  },
  'src/smime/verdict/verdict-schema.ts': {
    may: ['documents'],
    why: 'the schema of the verdict is part of what other programs see; the index takes the codec along',
  },
  'src/queue/types.ts': {
    may: ['pipeline'],
    why: 'what a door submits is compared with the usual priority; the index takes Redis along, which encode does not use',
  },
  'src/pipeline/submit.ts': {
    may: ['commands', 'api'],
    why: 'encode and send take the codec along, and no destination, BullMQ or reader of mail; a door only submits',
  },
  'src/profile/profiles.ts': {
    may: ['config'],
    why: 'every process knows the names of profiles; the index takes along what judges certificates',
  },
  'src/pki/certificate.ts': {
    may: ['smtp'],
    why: 'a server is judged by its certificate (DANE); the index takes along what reads private keys',
  },
  'src/pki/path.ts': { may: ['smtp'], why: 'as certificate.ts' },
  'src/config/alert-rules.ts': {
    may: ['alert', 'commands'],
    why: 'one process of an installation looks at the rules of alerts; the others do not load them',
  },
  'src/config/problem.ts': {
    may: ['commands'],
    why: 'any command may have to print a problem; the schema and its libraries take longer than most commands',
  },
  'src/commands/main.ts': {
    may: ['cli'],
    why: 'cli.ts is the name of the program, and main.ts its first file',
  },
};
/**
 * Which rooms a room may import, with the reason if it is a matter of safety. Keep in step with docs/architecture.md.
 */
const rooms: Record<string, { may: string[] | typeof anything; why: string }> = {
  cli: { may: anything, why: 'the command line composes' },
  commands: { may: anything, why: 'the commands of the command line compose' },
  workers: { may: anything, why: 'a process composes its parts' },
  pipeline: {
    may: [
      'client',
      'certstore',
      'smime',
      'partner',
      'profile',
      'handoff',
      'smtp',
      'dkim',
      'message',
      'queue',
      'spool',
      'config',
      'sealed',
    ],
    why: 'a step takes what it works with as arguments; processes are composed above it',
  },
  api: {
    may: [
      'user',
      'alert',
      'documents',
      'client',
      'certstore',
      'pipeline',
      'replay',
      'partner',
      'profile',
      'daemon',
      'handoff',
      'message',
      'smime',
      'queue',
      'spool',
      'redis',
      'config',
      'net',
      'pki',
    ],
    why: 'a door has no keys: it hands mail to submit, and shows what is stored',
  },
  alert: {
    may: ['documents', 'daemon', 'handoff', 'queue', 'redis', 'config'],
    why: 'it looks at what is stored, and tells; mail goes by the function it was given',
  },
  client: { may: ['redis', 'config'], why: 'who may do what is known without any message' },
  console: {
    may: ['user', 'api', 'client', 'queue', 'redis', 'config', 'net'],
    why: 'it calls the operations of the API as a person, and shows what they answer',
  },
  user: {
    may: ['client', 'oauth', 'queue', 'redis', 'config'],
    why: 'who a person is and what it may do is known without any message',
  },
  lookup: {
    may: ['redis', 'config', 'net', 'message', 'pki'],
    why: 'what it finds counts for nothing by itself',
  },
  certstore: {
    may: ['partner', 'redis', 'config', 'pki'],
    why: 'what is known of certificates is known without any message',
  },
  biztalk: { may: [], why: 'a file of another program is turned into text, and nothing else' },
  backup: {
    may: ['client', 'user', 'queue', 'redis', 'spool', 'sealed', 'config'],
    why: 'a backup copies what is sealed, and opens none of it',
  },
  replay: {
    may: ['certstore', 'queue', 'redis', 'config'],
    why: 'what goes on again is judged by its own step, not here',
  },
  daemon: { may: ['config', 'queue', 'redis'], why: 'the supervisor holds no keys and reads no message' },
  handoff: {
    may: ['documents', 'smtp', 'message', 'queue', 'spool', 'config', 'net'],
    why: 'a destination gets octets and a verdict; it cannot decrypt',
  },
  smtp: {
    may: ['client', 'message', 'oauth', 'queue', 'spool', 'config', 'net', 'pki'],
    why: 'what listens to the network cannot decrypt',
  },
  imap: {
    may: ['message', 'oauth', 'queue', 'redis', 'spool', 'config'],
    why: 'what listens to the network cannot decrypt',
  },
  documents: {
    may: ['smime'],
    why: 'what other programs get of messages, as schemas: who makes the documents takes the types alone',
  },
  oauth: { may: ['redis', 'config'], why: 'a token is asked for and kept the same way for every protocol' },
  sealed: { may: [], why: 'both sides of a queue have it, and nothing else in common' },
  producer: { may: ['sealed'], why: 'what other programs see of the queue, and nothing of the daemon' },
  consumer: { may: ['sealed', 'redis'], why: 'it hands on what it opened, and knows no message' },
  drop: {
    may: ['redis', 'config'],
    why: 'a folder gives octets to the function it was given, and knows no message',
  },
  queue: { may: ['spool', 'redis', 'config'], why: 'the queue carries references and sealed octets' },
  spool: { may: ['redis', 'config'], why: 'the spool seals octets and knows nothing of what they are' },
  redis: { may: ['config'], why: 'connections and scripts know nothing of messages' },
  partner: {
    may: ['config', 'pki', 'message', 'net', 'smime', 'profile'],
    why: 'partner rules are about certificates and addresses, and about how mail for a partner is protected',
  },
  profile: {
    may: ['smime', 'pki'],
    why: 'a profile judges what a message used and what a certificate is, by rules that are data',
  },
  config: {
    may: ['pki', 'message', 'profile'],
    why: 'settings name keys and addresses; both are checked where they are read',
  },
  library: { may: ['smime', 'pki'], why: 'what other programs see of the codec, and nothing of the daemon' },
  smime: { may: ['asn1', 'cms', 'pki', 'message'], why: 'the codec could be published by itself' },
  cms: { may: ['asn1', 'pki', 'message'], why: 'CMS knows certificates and pushes into sinks, and no mail' },
  pki: { may: ['asn1'], why: 'certificates stand alone' },
  dkim: { may: ['message'], why: 'a signature is about octets; who has the key, others know' },
  net: { may: [], why: 'which addresses may be asked stands alone, so that it is written once' },
  message: { may: [], why: 'mail syntax stands alone' },
  asn1: { may: [], why: 'the lowest room' },
};

/** Randomness for Message-IDs, and the registry of media types. */
const stepMayImport = /^(node:crypto|mime)$/;

/** Rooms that may do no I/O: no socket, file, clock of the process or logger. */
const pure = ['asn1', 'message', 'pki', 'cms', 'smime', 'profile', 'dkim'];
const pureMayImport =
  /^(node:(crypto|buffer|zlib|assert|util|url|punycode|string_decoder)|zod|fflate|lru-cache)$/;

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

const nameOf = (file: string) => relative(root, file);

/** The project's own files that a file imports. */
function targetsOf(file: string): string[] {
  return importsOf(file)
    .filter(({ specifier }) => specifier.startsWith('.'))
    .map(({ specifier }) => resolve(dirname(file), specifier));
}

/** Groups of files that import each other in a circle (Tarjan's strongly connected components of two and more). */
function circlesOf(graph: ReadonlyMap<string, readonly string[]>): string[][] {
  const order = new Map<string, number>();
  const low = new Map<string, number>();
  const stack: string[] = [];
  const circles: string[][] = [];
  const visit = (node: string) => {
    order.set(node, order.size);
    low.set(node, order.size - 1);
    stack.push(node);
    for (const next of graph.get(node) ?? []) {
      if (!order.has(next)) visit(next);
      if (stack.includes(next)) low.set(node, Math.min(low.get(node) ?? 0, low.get(next) ?? 0));
    }
    if (low.get(node) !== order.get(node)) return;
    const circle = stack.splice(stack.indexOf(node));
    if (circle.length > 1) circles.push(circle.toSorted());
  };
  for (const node of graph.keys()) if (!order.has(node)) visit(node);
  return circles;
}

const files = globSync(['src/**/*.ts', 'workers/*.ts'], { cwd: root, exclude: ['**/*.d.ts'] }).map((file) =>
  join(root, file),
);

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
        if (isData(nameOf(resolve(dirname(file), specifier)))) continue;
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

  it('enters a room by its index alone', () => {
    const wrong: string[] = [];
    const used = new Set<string>();
    for (const file of files) {
      const room = roomOf(file);
      for (const target of targetsOf(file)) {
        const other = roomOf(target);
        if (other === room || leaves.includes(other) || isData(nameOf(target))) continue;
        if (nameOf(target) === `src/${other}/index.ts`) continue;
        if (doors[nameOf(target)]?.may.includes(room)) used.add(nameOf(target));
        else wrong.push(`${nameOf(file)} imports ${nameOf(target)}: past src/${other}/index.ts`);
      }
    }
    assert.deepEqual(wrong, []);
    assert.deepEqual([...used].sort(), Object.keys(doors).sort(), 'doors that nobody uses are walls again');
  });

  it('has no circle of imports within a room', () => {
    const graph = new Map(
      files.map((file) => [file, targetsOf(file).filter((each) => files.includes(each))]),
    );
    const circles = circlesOf(graph).map((circle) => circle.map(nameOf));
    assert.deepEqual(circles, []);
  });

  it('has files of data that import nothing but such', () => {
    for (const file of data)
      for (const { specifier } of importsOf(join(root, file)))
        assert.ok(isData(nameOf(resolve(dirname(join(root, file)), specifier))), `${file}: ${specifier}`);
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

  it('keeps node-forge at the trusted edge', () => {
    const users = files.filter((file) => importsOf(file).some(({ specifier }) => specifier === 'node-forge'));
    const allowed = ['src/commands/demo/keys.ts'];
    assert.deepEqual(
      users.map((file) => relative(root, file)).filter((file) => !allowed.includes(file)),
      [],
    );
  });

  it('assigns no function literal to a property on the way of a message', () => {
    // V8 creates it in the old generation, with all that it refers to: src/redis/commands.ts
    const rooms =
      /^src\/(?:asn1|cms|dkim|handoff|message|partner|pipeline|pki|queue|redis|smime|smtp|spool)\//;
    const literal = /^\s*[\w.]*\.#?\w+ (?:\?\?)?=\s+(?:async )?(?:\([^()]*\)(?:: [^=]+)?|\w+) =>/gm;
    const found = files
      .filter((file) => rooms.test(nameOf(file)))
      .flatMap((file) =>
        [...readFileSync(file, 'utf8').matchAll(literal)].map(([text]) => `${nameOf(file)}: ${text.trim()}`),
      );
    assert.deepEqual(found, []);
  });

  it('has no file above 500 lines', () => {
    const long = files.filter((file) => readFileSync(file, 'utf8').split('\n').length > 501);
    assert.deepEqual(
      long.map((file) => relative(root, file)),
      [],
    );
  });
});

describe('docs/architecture.md', () => {
  const text = readFileSync(join(root, 'docs/architecture.md'), 'utf8');
  const places = ['', 'src', 'workers', ...globSync('src/**/', { cwd: root })];
  const isThere = (name: string) => places.some((place) => existsSync(join(root, place, name)));

  it('names files and folders that exist', () => {
    const names = [...text.matchAll(/`([A-Za-z0-9_./-]+(?:\.[a-z]{2,4}|\/))`/g)].map(([, name = '']) => name);
    const files = names.filter((name) => /\.(?:ts|json|md|cjs)$|\/$/.test(name) && !name.includes('NAME'));
    assert.ok(files.length > 100, `${files.length} names`);
    assert.deepEqual(
      files.filter((name) => !isThere(name)),
      [],
    );
  });

  it('has each room in its table, with what it may import', () => {
    const rows = [...text.matchAll(/^\| (`(?:src\/|workers)[^|]*) \| [^|]* \| ([^|]*) \|$/gm)];
    const documented = new Map(
      rows.flatMap(([, where = '', may = '']) =>
        [...where.matchAll(/`(?:src\/)?([a-z0-9]+)(?:\.ts|\/)?`/g)].map(
          ([, room = '']) => [room, may] as const,
        ),
      ),
    );
    assert.deepEqual([...documented.keys()].sort(), Object.keys(rooms).sort());
    const wrong = Object.entries(rooms).flatMap(([room, { may }]) => {
      const written = documented.get(room) ?? '';
      if (may === anything) return /^anything/.test(written) ? [] : [`${room}: ${written}`];
      const said = written
        .replaceAll(/\([^)]*\)|;.*$/g, '')
        .split(/[, ]+/)
        .filter((word) => word in rooms);
      return said.toSorted().join() === may.toSorted().join() ? [] : [`${room}: ${said} against ${may}`];
    });
    assert.deepEqual(wrong, []);
  });
});
