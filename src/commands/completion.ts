/** Scripts for shells that complete commands, options and their choices, made from the commands themselves. */
import { Argument, Command } from 'commander';
import { writeText } from './output.ts';
import { allOf, type CommandNode, type OptionNode } from './tree.ts';

const shells = ['bash', 'zsh', 'fish'] as const;
type Shell = (typeof shells)[number];

const program = 'sealpost';

/** A word in single quotes: nothing in it is special to a shell. */
const quoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;

const wordsOf = (option: OptionNode) => [option.short, option.long].filter((word) => word !== undefined);

/** The first sentence, without what would break a line of a script. */
const brief = (text: string) => (text.split(/[:;]\s/)[0] ?? '').replace(/\s+/g, ' ');

/** What may follow the command: those below it, and the choices of its arguments. */
function nextWords({ commands, arguments: args }: CommandNode): { word: string; says: string }[] {
  return [
    ...commands.map(({ name, description }) => ({ word: name, says: brief(description) })),
    ...args.flatMap(({ choices, description }) =>
      choices.map((word) => ({ word, says: brief(description) })),
    ),
  ];
}

/**
 * The words before the cursor lead to a command, a word at a time; an option that takes a value takes the next word
 * along.
 */
function bash(tree: CommandNode): string {
  const nodes = allOf(tree);
  const cases = (lines: string[]) => lines.map((line) => `    ${line}`).join('\n');
  const commands = nodes
    .filter(({ commands }) => commands.length > 0)
    .flatMap(({ path, commands }) =>
      commands.map(({ name, path: next }) => `${quoted(`${path}/${name}`)}) path=${quoted(next)} ;;`),
    );
  const valued = nodes.map(({ path, options }) => {
    const words = options.filter(({ valued }) => valued).flatMap(wordsOf);
    return `${quoted(path)}) echo ${quoted(words.join(' '))} ;;`;
  });
  const words = nodes.map((node) => {
    const plain = nextWords(node).map(({ word }) => word);
    const options = node.options.flatMap(wordsOf);
    return `${quoted(node.path)}) plain=${quoted(plain.join(' '))} options=${quoted(options.join(' '))} ;;`;
  });
  const choices = nodes.flatMap(({ path, options }) =>
    options
      .filter(({ choices }) => choices.length > 0)
      .flatMap((option) =>
        wordsOf(option).map(
          (word) => `${quoted(`${path}/${word}`)}) plain=${quoted(option.choices.join(' '))} ;;`,
        ),
      ),
  );
  return `# bash completion for ${program}: put it into /etc/bash_completion.d, or: source <(${program} completion bash)
_${program}_valued() {
  case $1 in
${cases(valued)}
  esac
}
_${program}() {
  local word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD-1]} path='' plain='' options='' at each
  for ((at = 1; at < COMP_CWORD; at++)); do
    each=\${COMP_WORDS[at]}
    case " $(_${program}_valued "$path") " in *" $each "*) ((at++)); continue ;; esac
    case "$path/$each" in
${cases(commands)}
    esac
  done
  COMPREPLY=()
  case " $(_${program}_valued "$path") " in
    *" $before "*)
      case "$path/$before" in
${choices.map((line) => `        ${line}`).join('\n')}
        *) COMPREPLY=($(compgen -f -- "$word")); compopt -o filenames 2>/dev/null; return ;;
      esac
      COMPREPLY=($(compgen -W "$plain" -- "$word"))
      return ;;
  esac
  case $path in
${cases(words)}
  esac
  case $word in
    -*) COMPREPLY=($(compgen -W "$options" -- "$word")) ;;
    *)
      COMPREPLY=($(compgen -W "$plain" -- "$word"))
      if [[ -z $plain ]]; then COMPREPLY=($(compgen -f -- "$word")); compopt -o filenames 2>/dev/null; fi ;;
  esac
}
complete -F _${program} ${program}
`;
}

function zsh(tree: CommandNode): string {
  const nodes = allOf(tree);
  /** In _arguments, colons and brackets are special. */
  const plain = (text: string) => text.replace(/[[\]:\\]/g, '\\$&');
  const name = (path: string) =>
    ['_sealpost', ...path.split(' ')].filter(Boolean).join('_').replaceAll('-', '_');
  const functions = nodes.map((node) => {
    const options = node.options.flatMap((option) =>
      wordsOf(option).map((word) => {
        const value = option.choices.length > 0 ? `(${option.choices.join(' ')})` : '_files';
        const rest = option.valued ? `:${plain(option.long.replace(/^-+/, ''))}:${value}` : '';
        return quoted(`*${word}[${plain(brief(option.description))}]${rest}`);
      }),
    );
    const next = nextWords(node);
    const listed = next.map(({ word, says }) => quoted(`${plain(word)}:${says}`)).join(' ');
    const calls = node.commands.map((each) => `      ${each.name}) ${name(each.path)} ;;`);
    const below = node.commands.length > 0;
    const places = below
      ? [quoted('1: :->command'), quoted('*:: :->rest')]
      : next.length > 0
        ? [quoted('1: :->command')]
        : [quoted('*: :_files')];
    return `${name(node.path)}() {
  local line state
  _arguments -C ${[...options, ...places].join(' \\\n    ')}
${
  next.length > 0
    ? `  case $state in
    command) local -a next; next=(${listed}); _describe command next ;;
${below ? `    rest) case $line[1] in\n${calls.join('\n')}\n    esac ;;\n` : ''}  esac
`
    : ''
}}`;
  });
  return `#compdef ${program}
# zsh completion for ${program}: put it into a folder of $fpath under the name _${program}
${functions.join('\n')}
if [ "$funcstack[1]" = "_${program}" ]; then _${program} "$@"; else compdef _${program} ${program}; fi
`;
}

function fish(tree: CommandNode): string {
  const nodes = allOf(tree);
  const lines = nodes.flatMap((node) => {
    const test = `-n ${quoted(`__${program}_at ${quoted(node.path)}`)}`;
    const words = nextWords(node).map(
      ({ word, says }) => `complete -c ${program} -f ${test} -a ${quoted(word)} -d ${quoted(says)}`,
    );
    const options = node.options.map(({ long, short, description, valued, choices }) => {
      const value = choices.length > 0 ? ` -x -a ${quoted(choices.join(' '))}` : valued ? ' -r' : '';
      const letter = short === undefined || short === long ? '' : ` -s ${short.replace(/^-+/, '')}`;
      return `complete -c ${program} ${test}${letter} -l ${long.replace(/^-+/, '')}${value} -d ${quoted(brief(description))}`;
    });
    return [...words, ...options];
  });
  const steps = nodes
    .flatMap(({ path, commands }) =>
      commands.map(
        (each) => `      case ${quoted(`${path}/${each.name}`)}\n        set path ${quoted(each.path)}`,
      ),
    )
    .join('\n');
  return `# fish completion for ${program}: put it into ~/.config/fish/completions/${program}.fish
function __${program}_at
  set -l words (commandline -opc)
  set -l path ''
  for word in $words[2..]
    switch "$path/$word"
${steps}
    end
  end
  test "$path" = "$argv[1]"
end
${lines.join('\n')}
`;
}

const scripts: Record<Shell, (tree: CommandNode) => string> = { bash, zsh, fish };

/** The script of a shell for all commands. */
export function completionScript(shell: Shell, tree: CommandNode): string {
  return scripts[shell](tree);
}

/** @param whole all commands, loaded */
export function completionCommand(whole: () => Promise<CommandNode>): Command {
  return new Command('completion')
    .addArgument(new Argument('<shell>', 'the shell that completes').choices(shells))
    .action(async (shell: Shell) => writeText(completionScript(shell, await whole())));
}
