/** What is made from the tree of commands: completions for three shells, and manual pages. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { wholeTree } from '../../src/commands/program.ts';
import { allOf } from '../../src/commands/tree.ts';
import { command } from '../support/command.ts';
import { skipWithout } from '../support/world.ts';

const folder = mkdtempSync(join(tmpdir(), 'sealpost-completion-'));
after(() => rmSync(folder, { recursive: true }));

async function scriptFor(shell: string): Promise<string> {
  const { code, stdout, stderr } = await command(['completion', shell]);
  assert.deepEqual([code, stderr], [0, '']);
  const file = join(folder, `sealpost.${shell}`);
  writeFileSync(file, stdout);
  return file;
}

function run(program: string, args: string[]): string {
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8', cwd: folder });
  assert.deepEqual([status, stderr], [0, ''], args.join(' '));
  return stdout;
}

/** Line before the cursor, and what bash and fish offer; files of the folder where the word is one. */
const cases: [string, string[]][] = [
  ['mess', ['messages']],
  ['messages re', ['replay', 'resume', 'retry']],
  ['messages list --dire', ['--direction']],
  ['messages list --direction in', ['inbound']],
  // the value of an option is no command
  ['--help messages --help list --mailbox show --direc', ['--direction']],
  ['completion ', ['bash', 'fish', 'zsh']],
  ['nonsense mes', ['messages']],
  ['messages list --limit 5 --js', ['--json']],
];

describe('completion', () => {
  it('offers in bash what may follow', { skip: skipWithout('bash') }, async () => {
    const file = await scriptFor('bash');
    const offered = (line: string) =>
      run('bash', [
        '--norc',
        '-c',
        `source ${file}; IFS=' ' read -ra COMP_WORDS <<<"$1"; [[ $1 == *' ' ]] && COMP_WORDS+=(''); ` +
          `COMP_CWORD=$(( \${#COMP_WORDS[@]} - 1 )); _sealpost; printf '%s\\n' "\${COMPREPLY[@]}"`,
        'bash',
        `sealpost ${line}`,
      ])
        .split('\n')
        .filter(Boolean)
        .sort();
    for (const [line, wanted] of cases) assert.deepEqual(offered(line), wanted, line);
    assert.ok(offered('check --config ').includes('sealpost.bash'), 'files for the value of an option');
  });

  it('offers in fish what may follow', { skip: skipWithout('fish') }, async () => {
    const file = await scriptFor('fish');
    for (const [line, wanted] of cases) {
      const text = run('fish', ['--no-config', '-c', `source ${file}; complete -C "sealpost ${line}"`]);
      const offered = text.split('\n').map((each) => each.split('\t')[0] ?? '');
      assert.deepEqual(offered.filter(Boolean).sort(), wanted, line);
    }
  });

  it('is read by zsh', { skip: skipWithout('zsh') }, async () => {
    run('zsh', ['-f', '-n', await scriptFor('zsh')]);
  });

  it('has every command and every option, in each shell', async () => {
    const nodes = allOf(await wholeTree());
    assert.ok(nodes.length > 40);
    for (const shell of ['bash', 'zsh', 'fish']) {
      const text = readFileSync(await scriptFor(shell), 'utf8');
      for (const { path, name, options } of nodes) {
        if (path !== '') assert.ok(text.includes(name), `${shell}: ${path}`);
        for (const { long } of options)
          assert.ok(
            text.includes(shell === 'fish' ? `-l ${long.slice(2)} ` : long),
            `${shell}: ${path} ${long}`,
          );
      }
    }
  });

  it('knows three shells', async () => {
    const { code, stderr } = await command(['completion', 'tcsh']);
    assert.equal(code, 2);
    assert.match(stderr, /Allowed choices are bash, zsh, fish/);
  });
});

describe('manual pages', () => {
  it('are one for the program and one for each command, without a complaint of mandoc or man', async () => {
    const out = join(folder, 'man1');
    const { code, stdout } = await command(['man', '--out', out], {
      env: { SOURCE_DATE_EPOCH: '1796000000' },
    });
    const tree = await wholeTree();
    const pages = readdirSync(out).sort();
    assert.deepEqual([code, stdout.toString()], [0, `${pages.length} pages in ${out}\n`]);
    assert.deepEqual(pages, ['sealpost.1', ...tree.commands.map(({ name }) => `sealpost-${name}.1`)].sort());
    const files = pages.map((name) => join(out, name));
    if (!skipWithout('mandoc'))
      assert.equal(
        spawnSync('mandoc', ['-T', 'lint', '-W', 'warning', ...files], { encoding: 'utf8' }).stdout,
        '',
      );
    for (const node of tree.commands) {
      const text = readFileSync(join(out, `sealpost-${node.name}.1`), 'utf8');
      assert.match(text, /^\.TH SEALPOST\\-\S+ 1 "2026-11-30"/);
      for (const { path, options } of allOf(node)) {
        const title = ['sealpost', ...path.split(' ')].map(
          (word) => `\\fB${word.replaceAll('-', '\\-')}\\fR`,
        );
        assert.ok(
          text.includes(title.join(' ')) || text.includes(`.SS sealpost ${path.replaceAll('-', '\\-')}`),
          path,
        );
        for (const { long } of options)
          assert.ok(text.includes(long.replaceAll('-', '\\-')), `${path} ${long}`);
      }
    }
  });

  it('show what the text says, with its hyphens and backslashes', {
    skip: skipWithout('mandoc'),
  }, async () => {
    const file = join(folder, 'send.1');
    writeFileSync(file, (await command(['man', 'send'])).stdout);
    const shown = run('mandoc', ['-T', 'ascii', file]).replaceAll(/.[\b]/g, '');
    assert.match(shown, /sealpost send \[options\] \[files \.\.\.\]/);
    assert.match(shown, /--files-from0 file\n +Further files: names that end in a NUL/);
    const none = await command(['man', 'nonsense']);
    assert.deepEqual([none.code, none.stdout.length], [2, 0]);
  });
});
