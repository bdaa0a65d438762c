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
  ['messages list --mailbox show --direc', ['--direction']],
  ['completion ', ['bash', 'fish', 'zsh']],
  ['nonsense mes', ['messages']],
  ['messages list --limit 5 --js', ['--json']],
];

/** In an interactive zsh: what completion finds for each line is written to a file of its number. */
const insideZsh = (script: string, out: string) => `
PROMPT= RPROMPT=
autoload -Uz compinit; compinit -u -D
source ${script}
compadd() {
  # asked for matches, and not to offer them
  if [[ \${@[1,(i)(-|--)]} == *-[AOD]' '* ]]; then builtin compadd "$@"; return; fi
  local -a found
  builtin compadd -O found "$@"
  print -rl -- $found >>${out}.part
  builtin compadd "$@"
}
typeset -gi line=0
offered() { : >${out}.part; zle complete-word; mv ${out}.part ${out}.$((++line)); }
zle -N offered
bindkey '^I' offered
: >${out}.0
`;

/** Types each line of a file into a zsh on a terminal. */
const aroundZsh = (inner: string, out: string) => `
zmodload zsh/zpty || exit 3
until_there() {
  repeat 2400; do
    zpty -r -t z shown
    [[ -e $1 ]] && return
    sleep 0.05
  done
  exit 4
}
zpty -b z zsh -f -i
zpty -w z "source ${inner}"
until_there ${out}.0
typeset -i at=0
while IFS= read -r typed; do
  zpty -w -n z $'\\x15'"sealpost $typed"$'\\t'
  until_there ${out}.$((++at))
done <$1
zpty -d z
exit 0
`;

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

  it('offers in zsh what may follow, on a terminal', { skip: skipWithout('zsh') }, async () => {
    const script = await scriptFor('zsh');
    run('zsh', ['-f', '-n', script]);
    // there nothing follows what is no command, or an option before the command
    const typed = cases.filter(([line]) => !/^(?:nonsense|--help) /.test(line));
    const out = join(folder, 'offered');
    writeFileSync(join(folder, 'lines'), typed.map(([line]) => `${line}\n`).join(''));
    writeFileSync(join(folder, 'inner.zsh'), insideZsh(script, out));
    writeFileSync(join(folder, 'outer.zsh'), aroundZsh(join(folder, 'inner.zsh'), out));
    run('zsh', ['-f', join(folder, 'outer.zsh'), join(folder, 'lines')]);
    for (const [at, [line, wanted]] of typed.entries()) {
      const offered = readFileSync(`${out}.${at + 1}`, 'utf8')
        .split('\n')
        .filter(Boolean);
      assert.deepEqual([...new Set(offered)].sort(), wanted, line);
    }
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

  it('has --json for each command but those that give octets, scripts or pages, or go on', async () => {
    const without = allOf(await wholeTree())
      .filter(
        ({ commands, options }) => commands.length === 0 && !options.some(({ long }) => long === '--json'),
      )
      .map(({ path }) => path);
    assert.deepEqual(without.sort(), ['certs export', 'completion', 'demo', 'encode', 'man', 'start']);
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
