/** All commands as data: what completions and manual pages are made from. */
import type { Command, Option } from 'commander';

export interface OptionNode {
  /** As the help shows it: `--limit <number>`. */
  flags: string;
  long: string;
  short?: string;
  description: string;
  /** It takes a value. */
  valued: boolean;
  choices: readonly string[];
  /** In words; undefined without one. */
  fallback?: string;
  /** Environment variable. */
  variable?: string;
  mandatory: boolean;
}

export interface ArgumentNode {
  name: string;
  description: string;
  required: boolean;
  variadic: boolean;
  choices: readonly string[];
}

export interface CommandNode {
  /** Such as `messages list`; empty for the program. */
  path: string;
  name: string;
  description: string;
  arguments: readonly ArgumentNode[];
  options: readonly OptionNode[];
  commands: readonly CommandNode[];
}

function optionNode(option: Option): OptionNode {
  const { flags, long, short, description, argChoices, defaultValue, envVar, mandatory } = option;
  const text =
    typeof defaultValue === 'string' || typeof defaultValue === 'number' ? String(defaultValue) : undefined;
  return {
    flags,
    long: long ?? short ?? flags,
    ...(short !== undefined && { short }),
    description,
    valued: option.required || option.optional,
    choices: argChoices ?? [],
    ...(text !== undefined && { fallback: text }),
    ...(envVar !== undefined && { variable: envVar }),
    mandatory,
  };
}

const help: OptionNode = {
  flags: '-h, --help',
  long: '--help',
  short: '-h',
  description: 'show the help of the command',
  valued: false,
  choices: [],
  mandatory: false,
};

/** The command below that runs if none is named: its arguments and options are those of the command, too. */
function defaultOf(command: Command): Command | undefined {
  // commander has no other way to ask
  const name: unknown = Reflect.get(command, '_defaultCommandName');
  return command.commands.find((each) => each.name() === name);
}

export function treeOf(command: Command, above = ''): CommandNode {
  const path = command.parent === null ? '' : [above, command.name()].filter(Boolean).join(' ');
  const inner = defaultOf(command);
  return {
    path,
    name: command.name(),
    description: command.description(),
    arguments: [...command.registeredArguments, ...(inner?.registeredArguments ?? [])].map((argument) => ({
      name: argument.name(),
      description: argument.description,
      required: argument.required,
      variadic: argument.variadic,
      choices: argument.argChoices ?? [],
    })),
    options: [
      ...[...command.options, ...(inner?.options ?? [])].filter(({ hidden }) => !hidden).map(optionNode),
      help,
    ],
    commands: command.commands.map((each) => treeOf(each, path)),
  };
}

/** The command and all below it, in the order of the help. */
export function allOf(node: CommandNode): CommandNode[] {
  return [node, ...node.commands.flatMap(allOf)];
}
