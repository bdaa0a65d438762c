/**
 * Manual pages in the macros of man(7), made from the commands themselves: one for the program, one for each command.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { SealpostError } from '../errors.ts';
import { printLine, writeText } from './output.ts';
import { type ArgumentNode, allOf, type CommandNode, type OptionNode } from './tree.ts';
import { plural } from './when.ts';

/** Text as roff shows it unchanged: backslashes, hyphens that are minus signs, and controls at the start of a line. */
function roff(text: string): string {
  return text.replaceAll('\\', '\\e').replaceAll('-', '\\-').replaceAll(/^[.']/gm, '\\&$&');
}

/** One sentence per line, as pages are written. */
const prose = (text: string) =>
  roff(text.replaceAll(/\s+/g, ' ').replace(/^./, (first) => first.toUpperCase()));

function argumentText({ name, required, variadic }: ArgumentNode): string {
  const shown = `\\fI${roff(name)}\\fR${variadic ? '\\ ...' : ''}`;
  return required ? shown : `[${shown}]`;
}

function synopsis(node: CommandNode): string {
  const words = ['sealpost', ...node.path.split(' ').filter(Boolean)].map((word) => `\\fB${roff(word)}\\fR`);
  const rest = [
    ...(node.options.length > 0 ? ['[\\fIoptions\\fR]'] : []),
    ...(node.commands.length > 0 ? ['\\fIcommand\\fR'] : []),
    ...node.arguments.map(argumentText),
  ];
  return [...words, ...rest].join(' ');
}

function optionText({ flags, description, choices, fallback, variable, mandatory }: OptionNode): string[] {
  const notes = [
    ...(mandatory ? ['required'] : []),
    ...(choices.length > 0 ? [`one of ${choices.join(', ')}`] : []),
    ...(fallback === undefined ? [] : [`default ${fallback}`]),
    ...(variable === undefined ? [] : [`environment variable ${variable}`]),
  ];
  const [first = '', value = ''] = flags.split(/ (?=[<[])/);
  const tag = `\\fB${roff(first)}\\fR${value === '' ? '' : ` \\fI${roff(value.replace(/[<>]/g, ''))}\\fR`}`;
  return ['.TP', tag, `${prose(description)}${notes.length > 0 ? ` (${roff(notes.join('; '))})` : ''}.`];
}

function argumentLines({ arguments: args }: CommandNode): string[] {
  return args
    .filter(({ description }) => description !== '')
    .flatMap(({ name, description }) => ['.TP', `\\fI${roff(name)}\\fR`, `${prose(description)}.`]);
}

/** Exit codes of all commands, with their meaning. */
const exitCodes = [
  ['0', 'done'],
  ['1', 'it could not be done, or a part of it; the message on standard error says why'],
  ['2', 'usage error: nothing was done'],
] as const;

const pageName = ({ path }: CommandNode) => ['sealpost', ...path.split(' ').filter(Boolean)].join('-');

export interface Edition {
  /** Of Sealpost. */
  version: string;
  /** Such as `2026-11-30`. */
  date: string;
}

/** @param node the program, or one of its commands: what is below that is on the same page */
export function manPage(node: CommandNode, { version, date }: Edition): string {
  const isProgram = node.path === '';
  const below = isProgram ? [] : allOf(node).slice(1);
  const section = (title: string, lines: string[]) => (lines.length === 0 ? [] : [`.SH ${title}`, ...lines]);
  const summary = roff(node.description.split(/[:;]\s/)[0] ?? '');
  const lines = [
    `.TH ${pageName(node).toUpperCase().replaceAll('-', '\\-')} 1 "${date}" "Sealpost ${version}" "Sealpost"`,
    '.SH NAME',
    `${roff(pageName(node))} \\- ${summary}`,
    '.SH SYNOPSIS',
    synopsis(node),
    ...below.filter(({ commands }) => commands.length === 0).flatMap((each) => ['.br', synopsis(each)]),
    '.SH DESCRIPTION',
    `${prose(node.description)}.`,
    ...section('ARGUMENTS', argumentLines(node)),
    ...section('OPTIONS', node.options.flatMap(optionText)),
    ...section(
      'COMMANDS',
      isProgram
        ? node.commands.flatMap((each) => [
            '.TP',
            `\\fB${roff(pageName(each))}\\fR(1)`,
            `${prose(each.description)}.`,
          ])
        : below.flatMap((each) => [
            `.SS ${roff(`sealpost ${each.path}`)}`,
            `${prose(each.description)}.`,
            ...argumentLines(each),
            ...each.options.filter(({ long }) => long !== '--help').flatMap(optionText),
          ]),
    ),
    '.SH EXIT STATUS',
    ...exitCodes.flatMap(([code, means]) => ['.TP', `\\fB${code}\\fR`, `${prose(means)}.`]),
    '.SH ENVIRONMENT',
    ...['.TP', '\\fBSEALPOST_CONFIG\\fR', 'The configuration file, where no \\fB\\-\\-config\\fR is given.'],
    ...['.TP', '\\fBNO_COLOR\\fR', 'If set, terminals get no colours.'],
    ...['.TP', '\\fBTZ\\fR', 'Time zone of the times in text; JSON has UTC.'],
    '.SH SEE ALSO',
    isProgram
      ? node.commands.map((each) => `\\fB${roff(pageName(each))}\\fR(1)`).join(',\n')
      : '\\fBsealpost\\fR(1)',
  ];
  return `${lines.join('\n')}\n`;
}

/** The pages by file name. */
export function manPages(tree: CommandNode, edition: Edition): Map<string, string> {
  return new Map([tree, ...tree.commands].map((node) => [`${pageName(node)}.1`, manPage(node, edition)]));
}

/** A build that has to be the same again sets SOURCE_DATE_EPOCH, in seconds. */
function today(): string {
  const { SOURCE_DATE_EPOCH: epoch } = process.env;
  return new Date(epoch ? Number(epoch) * 1000 : Date.now()).toISOString().slice(0, 10);
}

/** @param whole all commands, loaded */
export function manCommand(whole: () => Promise<CommandNode>, version: string): Command {
  return new Command('man')
    .argument('[command]', 'its page is printed; without one, that of the program')
    .option('--out <folder>', 'write all pages into this folder instead')
    .action(async (name: string | undefined, { out }: { out?: string }) => {
      const tree = await whole();
      if (out !== undefined) {
        mkdirSync(out, { recursive: true });
        const pages = manPages(tree, { version, date: today() });
        for (const [file, text] of pages) writeFileSync(join(out, file), text);
        printLine(`${plural(pages.size, 'page')} in ${out}`);
        return;
      }
      const node = name === undefined ? tree : tree.commands.find((each) => each.name === name);
      if (node === undefined)
        throw new SealpostError('usage', `there is no command ${JSON.stringify(name)}`, {
          hint: 'sealpost --help lists the commands',
        });
      writeText(manPage(node, { version, date: today() }));
    });
}
