/**
 * Private keys beside docker-compose.yml, where its notes say to put them, got into a layer of the image (`COPY . .`),
 * into the package (`npm pack`), and into a commit (`git add .`).
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, it } from 'node:test';

const root = join(import.meta.dirname, '../..');
const text = (name: string) => readFileSync(join(root, name), 'utf8');

/** Files of an installation that must stay where they are. */
const secret = [
  'config/keys/own.key',
  'config/keys/own.p12',
  'config/keys/deeper/own.key',
  'config/tls/receive/tls.key',
  'config/env/outbound.env',
  'config/partners/acme.yaml',
  '.env',
  'delivered/i1/message.eml',
  'drop/acme/order.edi',
];
/** And where somebody may have put one by mistake. */
const misplaced = [
  'src/own.key',
  'bin/tls.pem',
  'profiles/own.p12',
  'workers/.env',
  'own.key',
  'data/spool.key',
];

/** A pattern of .dockerignore as an expression: `*` and `?` stay within a name, `**` goes through folders. */
function expression(pattern: string): RegExp {
  const source = pattern.replaceAll(/\*\*\/|\*\*|\*|\?|[.+^${}()|[\]\\]/g, (part) => {
    if (part === '**/') return '(?:.*/)?';
    if (part === '**') return '.*';
    if (part === '*') return '[^/]*';
    return part === '?' ? '[^/]' : `\\${part}`;
  });
  return new RegExp(`^${source}$`);
}

/** Whether a path is in the build context: the last pattern that fits it or a folder above it decides. */
function inContext(path: string, rules: string): boolean {
  const parts = path.split('/');
  const paths = parts.map((_, index) => parts.slice(0, index + 1).join('/'));
  let sent = true;
  for (const line of rules.split('\n').map((each) => each.trim())) {
    if (line === '' || line.startsWith('#')) continue;
    const pattern = expression(line.replace(/^!/, '').replace(/\/$/, ''));
    if (paths.some((each) => pattern.test(each))) sent = line.startsWith('!');
  }
  return sent;
}

describe('keys beside the sources', () => {
  it('do not get into the context of docker build', () => {
    const rules = text('.dockerignore');
    for (const path of [...secret, ...misplaced, 'node_modules/a/index.js', '.git/config'])
      assert.equal(inContext(path, rules), false, path);
  });

  it('would be seen there with the rules of before', () => {
    const before = '.git\n.cache\nnode_modules\ndist\ntest\nbench\nDockerfile\ndocker-compose.yml\n';
    assert.deepEqual(
      secret.filter((path) => inContext(path, before)),
      secret,
    );
    assert.equal(inContext('test/a.ts', before), false);
  });

  it('leave the context with all that the build needs', () => {
    const rules = text('.dockerignore');
    const copied = [...text('Dockerfile').matchAll(/^COPY (?!--)(.+) \S+$/gm)].flatMap(([, from = '']) =>
      from.split(' '),
    );
    assert.ok(copied.length > 5 && !copied.includes('.'));
    const files = copied.flatMap((from) => {
      const inside = globSync(`${from}/**/*.*`, { cwd: root });
      return inside.length > 0 ? inside : [from];
    });
    assert.deepEqual(
      files.filter((path) => !inContext(path, rules)),
      [],
    );
    const { include }: { include: string[] } = JSON.parse(text('tsconfig.build.json'));
    for (const folder of include) assert.ok(copied.includes(folder), folder);
    // what a source imports from outside of these folders
    const imported = globSync('{src,workers}/**/*.ts', { cwd: root })
      .flatMap((file) => [...text(file).matchAll(/from '(\.[^']+\.json)'/g)].map(([, to = '']) => [file, to]))
      .map(([file = '', to = '']) => join(dirname(file), to));
    assert.ok(imported.length > 0);
    for (const path of imported) assert.ok(files.includes(path), path);
  });

  it('do not get into a commit or into the package', () => {
    const folder = mkdtempSync(join(tmpdir(), 'sealpost-keys-'));
    try {
      for (const name of [
        'package.json',
        '.gitignore',
        'config/sealpost.yaml',
        'config/sealpost.example.yaml',
      ])
        cpSync(join(root, name), join(folder, name));
      for (const path of secret) {
        mkdirSync(dirname(join(folder, path)), { recursive: true });
        writeFileSync(join(folder, path), 'secret');
      }
      const run = (program: string, ...args: string[]) => {
        const { status, stdout, stderr } = spawnSync(program, args, { cwd: folder, encoding: 'utf8' });
        assert.equal(status, 0, stderr);
        return stdout;
      };
      run('git', 'init', '--quiet');
      run('git', 'add', '.');
      const added = run('git', 'ls-files').trim().split('\n');
      assert.deepEqual(
        added.filter((path) => secret.includes(path)),
        [],
      );
      const [packed]: { files: { path: string }[] }[] = JSON.parse(
        run('npm', 'pack', '--dry-run', '--json', '--ignore-scripts'),
      );
      const paths = packed?.files.map(({ path }) => path) ?? [];
      assert.deepEqual(paths.toSorted(), [
        'config/sealpost.example.yaml',
        'config/sealpost.yaml',
        'package.json',
      ]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
