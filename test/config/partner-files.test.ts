/** Partners in files of their own: read as an entry of `partners`, each problem at its file and line. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { checkConfig } from '../../src/config/check.ts';
import { KeptPartners, lacksKept, saveKept } from '../../src/config/kept-partners.ts';
import { loadConfig, openConfig, readConfig } from '../../src/config/load.ts';
import { formatProblem } from '../../src/config/problem.ts';

const root = mkdtempSync(join(tmpdir(), 'sealpost-partner-files-'));
after(() => rmSync(root, { recursive: true }));
let count = 0;

/** A folder with a configuration and partner files. */
function made(main: string, files: Record<string, string>): string {
  const folder = join(root, String(++count));
  mkdirSync(join(folder, 'partners'), { recursive: true });
  mkdirSync(join(folder, 'data'));
  writeFileSync(join(folder, 'sealpost.yaml'), `dataDir: data\n${main}`);
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, 'partners', name), text);
  return folder;
}

const read = (folder: string) => {
  const file = join(folder, 'sealpost.yaml');
  return readConfig(readFileSync(file, 'utf8'), file);
};
const said = (folder: string) =>
  read(folder).problems.map((problem) => formatProblem(problem).replaceAll(`${folder}/`, ''));

const plain = (name: string, more = '') =>
  `name: ${name}\naddresses: [edi@${name}.example]\nencrypt: false\nsign: none\n${more}`;
const entry = (name: string) =>
  `{ name: ${name}, addresses: [edi@${name}.example], encrypt: false, sign: none }`;
const silent = /neither encrypted nor signed/;

describe('partner files', () => {
  it('come after the partners of the configuration file, in the order of their names', () => {
    const folder = made(`partners: [${entry('own')}]\n`, {
      'b.yaml': plain('first'),
      'a.yaml': plain('second'),
      '.draft.yaml': 'broken: [',
      'notes.txt': 'broken: [',
    });
    assert.deepEqual(
      read(folder).config?.partners.map(({ name }) => name),
      ['own', 'second', 'first'],
    );
  });

  it('need not be there', () => {
    const folder = made(`partners: [${entry('own')}]\n`, {});
    rmSync(join(folder, 'partners'), { recursive: true });
    assert.equal(read(folder).config?.partners.length, 1);
  });

  it('have paths that are relative to them', () => {
    const folder = made('partnerFiles: others\n', {});
    renameSync(join(folder, 'partners'), join(folder, 'others'));
    writeFileSync(
      join(folder, 'others/a.yaml'),
      plain('a', 'certificates: [a.pem, ../b.pem]\nroute: { ca: ca.pem }\n'),
    );
    const [partner] = read(folder).config?.partners ?? [];
    assert.deepEqual(
      partner?.certificates.map(({ file }) => file),
      [join(folder, 'others/a.pem'), join(folder, 'b.pem')],
    );
    assert.equal(partner?.route.ca, join(folder, 'others/ca.pem'));
  });

  it('are named as the configuration file is: relative if that is', () => {
    const folder = made('', { 'a.yaml': 'name: a\n' });
    const at = process.cwd();
    process.chdir(folder);
    try {
      const { problems } = readConfig('dataDir: data\n', 'sealpost.yaml');
      assert.equal(problems[0]?.file, 'partners/a.yaml');
    } finally {
      process.chdir(at);
    }
  });
});

/** What is written, and what is said of it, warnings about mail without protection left out. */
const broken: [what: string, main: string, files: Record<string, string>, said: string[]][] = [
  [
    'an unknown setting',
    '',
    { 'a.yaml': plain('a', 'adresses: []\n') },
    ['partners/a.yaml:5:1: error: adresses: is not a setting (did you mean addresses?)'],
  ],
  [
    'a wrong type, deep down',
    '',
    { 'a.yaml': plain('a', 'route:\n  port: many\n') },
    ['partners/a.yaml:6:9: error: route.port: is text (write a whole number)'],
  ],
  [
    'an empty file',
    '',
    { 'a.yaml': '' },
    [
      'partners/a.yaml:1:1: error: name: is missing (Name of the partner.)',
      'partners/a.yaml:1:1: error: addresses: is missing (Mail addresses of the partner. "@example.com" matches a whole domain; "@*.example.com" matches all domains below it, but not the domain itself. Mail is sent to the first full address. Write a list: [a, b], or one entry per line after "- ")',
    ],
  ],
  [
    'YAML that is none',
    '',
    { 'a.yaml': 'name: a\n\taddresses: []\n' },
    ['partners/a.yaml:2:1: error: a tab is used to indent (use spaces)'],
  ],
  [
    'aliases that expand to too much',
    '',
    {
      'a.yaml': `name: a\nx0: &a0 [x, x, x, x, x, x, x, x, x]\n${Array.from({ length: 9 }, (_, at) => `x${at + 1}: &a${at + 1} [${Array(9).fill(`*a${at}`).join(', ')}]`).join('\n')}\n`,
    },
    ['partners/a.yaml:3:10: error: YAML aliases that expand to too much (write the values out)'],
  ],
  [
    'two partners in one file',
    '',
    { 'a.yaml': `${plain('a')}---\n${plain('b')}` },
    ['partners/a.yaml:5:1: error: the file holds several YAML documents (keep one; remove the line ---)'],
  ],
  [
    'two files with one name',
    '',
    { 'a.yaml': plain('acme'), 'b.yaml': plain('other').replace('other', 'ACME') },
    ['partners/b.yaml:1:7: error: name: a partner ACME is a duplicate (give it another name)'],
  ],
  [
    'the name of a partner of the configuration file',
    `partners: [${entry('acme')}]\n`,
    { 'a.yaml': plain('acme').replace('edi@', 'post@') },
    ['partners/a.yaml:1:7: error: name: a partner acme is a duplicate (give it another name)'],
  ],
  [
    'two files with one address',
    '',
    { 'a.yaml': plain('a'), 'b.yaml': plain('b').replace('edi@b', 'edi@a') },
    [
      'partners/b.yaml:2:13: error: addresses[0]: "edi@a.example" is an address of a already (keep one of them)',
    ],
  ],
  [
    'a rule that is broken',
    '',
    { 'a.yaml': 'name: a\naddresses: [edi@a.example]\nencrypt: false\n' },
    [
      'partners/a.yaml:1:1: error: partner: has no identity that signs (write identity, or sign: none; there is none in the file)',
    ],
  ],
  [
    'a name that another file ending hides',
    '',
    { 'a.yml': plain('a') },
    ['partners/a.yml:1:1: warning: is not read (partner files end in .yaml)'],
  ],
  [
    'a folder that is named and not there',
    'partnerFiles: elsewhere\n',
    {},
    ['elsewhere:1:1: error: there is no such folder (partnerFiles names the folder of partner files)'],
  ],
  [
    'a file in its place',
    'partnerFiles: sealpost.yaml\n',
    {},
    ['sealpost.yaml:1:1: error: is not a folder (partnerFiles names the folder of partner files)'],
  ],
];

describe('broken partner files', () => {
  for (const [what, main, files, expected] of broken)
    it(what, () => {
      const found = said(made(main, files)).filter(
        (each) => !silent.test(each) && !/nothing to do/.test(each),
      );
      assert.deepEqual(found, expected);
    });

  it('each says its own error, in the order of the files, beside those of the configuration file', () => {
    const folder = made('smtp: { port: 1 }\n', { 'b.yaml': 'name: [b]\n', 'a.yaml': 'x: 1\n' });
    assert.deepEqual(
      [...new Set(read(folder).problems.map(({ file }) => file.slice(folder.length + 1)))],
      ['sealpost.yaml', 'partners/a.yaml', 'partners/b.yaml'],
    );
    assert.deepEqual(
      read(folder)
        .problems.map(({ setting }) => setting)
        .sort(),
      ['addresses', 'addresses', 'name', 'name', 'smtp.port', 'x'],
    );
  });

  it('one that is too large', () => {
    const folder = made('', { 'a.yaml': plain('a', `# ${'x'.repeat(256 * 1024)}\n`) });
    assert.deepEqual(said(folder), [
      'partners/a.yaml:1:1: error: has more than 262144 octets, which is the limit for such a file',
    ]);
  });

  it('a FIFO, a folder, and a link to nothing', () => {
    const folder = made('', {});
    execFileSync('mkfifo', [join(folder, 'partners/a.yaml')]);
    mkdirSync(join(folder, 'partners/b.yaml'));
    symlinkSync('nowhere', join(folder, 'partners/c.yaml'));
    assert.deepEqual(said(folder), [
      'partners/a.yaml:1:1: error: is not a regular file (use a regular file: a device or FIFO may block or never end)',
      'partners/b.yaml:1:1: error: is a folder',
      'partners/c.yaml:1:1: error: there is no such file (check the path; a relative path starts at the folder of the configuration file)',
    ]);
  });

  it('a link that leads out of the folder, and none within it, as a mounted volume has them', () => {
    const folder = made('', {});
    mkdirSync(join(folder, 'partners/..2026_11_30'));
    writeFileSync(join(folder, 'partners/..2026_11_30/a.yaml'), plain('a'));
    symlinkSync('..2026_11_30', join(folder, 'partners/..data'));
    symlinkSync('..data/a.yaml', join(folder, 'partners/a.yaml'));
    assert.deepEqual(
      read(folder).config?.partners.map(({ name }) => name),
      ['a'],
    );
    writeFileSync(join(folder, 'outside.yaml'), plain('b'));
    symlinkSync('../outside.yaml', join(folder, 'partners/b.yaml'));
    mkdirSync(join(folder, 'partners-of-others'));
    writeFileSync(join(folder, 'partners-of-others/c.yaml'), plain('c'));
    symlinkSync('../partners-of-others/c.yaml', join(folder, 'partners/c.yaml'));
    const leads = 'is a link that leads out of the folder of partner files (put the file itself there)';
    assert.deepEqual(said(folder), [
      `partners/b.yaml:1:1: error: ${leads}`,
      `partners/c.yaml:1:1: error: ${leads}`,
    ]);
  });

  it('a missing certificate is reported at its line', async () => {
    const folder = made('identities: []\n', {
      'a.yaml': 'name: a\naddresses: [edi@a.example]\nsign: none\ncertificates:\n  - a.pem\n',
    });
    const problems = await checkConfig(join(folder, 'sealpost.yaml'));
    const [problem] = problems.filter(({ severity }) => severity === 'error');
    assert.deepEqual(
      [problem?.file, problem?.line, problem?.setting],
      [join(folder, 'partners/a.yaml'), 5, 'certificates[0]'],
    );
  });

  it('a folder into which everyone may write', async () => {
    const folder = made('', { 'a.yaml': plain('a') });
    const open = async () =>
      (await checkConfig(join(folder, 'sealpost.yaml'))).filter(({ setting }) => setting === 'partnerFiles');
    assert.deepEqual(await open(), []);
    chmodSync(join(folder, 'partners'), 0o777);
    assert.match((await open())[0]?.message ?? '', /everyone may write there/);
  });
});

describe('what is kept of partner files', () => {
  const old = new Date(Date.now() - 60_000);
  /** Three files that were written a while ago, read once. */
  function kept(): { folder: string; path: (name: string) => string; file: string } {
    const files = { 'a.yaml': plain('a'), 'b.yaml': plain('b'), 'c.yaml': plain('c') };
    const folder = made('', files);
    const path = (name: string) => join(folder, 'partners', name);
    const file = join(folder, 'sealpost.yaml');
    openConfig(file);
    return { folder, path, file };
  }
  /** Names of the files whose text is not looked at, as if all were written long before. */
  const program = 'program';
  function unread(folder: string, names: string[], at = Date.now() + 10_000): string[] {
    const first = new KeptPartners(join(folder, 'data'), program, join(folder, 'partners'), at);
    const { config } = read(folder);
    config?.partners.forEach((partner) => {
      const name = `${partner.name}.yaml`;
      const state = first.stateOf(join(folder, 'partners', name)) ?? '';
      first.add(name, { state, digest: 'x', partner });
    });
    first.save();
    return names;
  }
  const known = (folder: string, name: string, by = program) =>
    new KeptPartners(join(folder, 'data'), by, join(folder, 'partners')).unchanged(
      name,
      join(folder, 'partners', name),
    )?.name;

  it('is used for a file that has not changed, and for no other', () => {
    const { folder, path } = kept();
    unread(folder, ['a.yaml']);
    assert.equal(known(folder, 'a.yaml'), 'a');
    writeFileSync(path('a.yaml'), plain('x'));
    utimesSync(path('a.yaml'), old, old);
    assert.equal(known(folder, 'a.yaml'), undefined, 'the same size and an old time');
    renameSync(path('b.yaml'), path('c.yaml'));
    assert.equal(known(folder, 'c.yaml'), undefined, 'another file with the name');
    assert.equal(known(folder, 'b.yaml'), undefined, 'gone');
  });

  it('is not used for a file that was written right before it was read', () => {
    const { folder } = kept();
    unread(folder, ['a.yaml'], Date.now());
    assert.equal(known(folder, 'a.yaml'), undefined);
  });

  it('is not used by another program, for another folder, when it is cut, damaged, or open to others', () => {
    const { folder } = kept();
    unread(folder, ['a.yaml']);
    const place = join(folder, 'data/partners.json');
    assert.equal(known(folder, 'a.yaml', 'another'), undefined);
    const whole = readFileSync(place);
    for (const octets of [
      whole.subarray(0, whole.length - 1),
      Buffer.from(whole.toString().replace('edi@a', 'edi@x')),
      Buffer.alloc(0),
    ]) {
      writeFileSync(place, octets);
      assert.equal(known(folder, 'a.yaml'), undefined);
    }
    writeFileSync(place, whole);
    assert.equal(known(folder, 'a.yaml'), 'a');
    assert.equal(statSync(place).mode & 0o777, 0o600);
    chmodSync(place, 0o644);
    assert.equal(known(folder, 'a.yaml'), undefined);
  });

  it('is written as soon as there is a data folder, once: a first start makes it after it has read the files', async () => {
    const folder = made('', { 'a.yaml': plain('a') });
    rmSync(join(folder, 'data'), { recursive: true, force: true });
    const { config } = openConfig(join(folder, 'sealpost.yaml'));
    assert.ok(!existsSync(join(folder, 'data')), 'who only reads makes no folder');
    assert.ok(lacksKept(config, 1) && !lacksKept(config, 0));
    mkdirSync(join(folder, 'data'));
    saveKept(config);
    assert.ok(!lacksKept(config, 1));
    rmSync(join(folder, 'data/partners.json'));
    saveKept(config);
    assert.ok(lacksKept(config, 1), 'it may be old by now');
  });

  it('never hides a change: each is seen by the next reader', () => {
    const { path, file } = kept();
    const names = () => loadConfig(file).partners.map(({ name }) => name);
    assert.deepEqual(names(), ['a', 'b', 'c']);
    writeFileSync(path('b.yaml'), plain('x'));
    assert.deepEqual(names(), ['a', 'x', 'c'], 'the same size');
    rmSync(path('a.yaml'));
    assert.deepEqual(names(), ['x', 'c']);
    writeFileSync(path('d.yaml'), plain('d'));
    assert.deepEqual(names(), ['x', 'c', 'd']);
    writeFileSync(path('b.yaml'), 'name: 1\n');
    assert.throws(() => loadConfig(file), /b\.yaml:1:7: error: name/);
  });
});
