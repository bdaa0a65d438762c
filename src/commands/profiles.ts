/** Profiles: what they demand, from when, and by which source. */
import { existsSync } from 'node:fs';
import { Command } from 'commander';
import { loadConfig, profileBook } from '../config/index.ts';
import { type HeldRule, ProfileBook, type Rule, rulesAt } from '../profile/index.ts';
import { configOption } from './options.ts';
import { printJson, printLine } from './output.ts';
import { profileCheckCommand } from './profiles-check.ts';
import { dayOf, profileNamed, sourceOf } from './profiles-text.ts';

interface Options {
  config: string;
  json?: boolean;
  at?: string;
}

export function profilesCommand(): Command {
  const command = new Command('profiles');
  command
    .command('list')
    .description('list the profiles of Sealpost and those of your own')
    .addOption(configOption())
    .option('--json', 'print the profiles as JSON')
    .action(list);
  command
    .command('show')
    .description('show the rules of a profile with their levels, dates and sources')
    .argument('<name>')
    .option('--at <date>', 'only the rules that hold on that day, such as 2027-07-01')
    .addOption(configOption())
    .option('--json', 'print the profile as JSON')
    .action(show);
  command.addCommand(profileCheckCommand());
  return command;
}

/** Those of Sealpost alone if there is no configuration in the usual place. */
async function bookOf(file: string, wasNamed: boolean): Promise<ProfileBook> {
  if (!wasNamed && !existsSync(file)) return new ProfileBook();
  return await profileBook(await loadConfig(file));
}

const wasNamed = (command: Command) => command.getOptionValueSource('config') !== 'default';

async function list({ config, json }: Options, command: Command): Promise<void> {
  const { profiles } = await bookOf(config, wasNamed(command));
  if (json) {
    printJson(
      profiles.map(({ name, aliases, version, title, about }) => ({ name, aliases, version, title, about })),
      2,
    );
    return;
  }
  const width = Math.max(...profiles.map(({ name }) => name.length));
  for (const { name, version, title, aliases } of profiles) {
    const also = aliases.length === 0 ? '' : ` (also named ${aliases.join(', ')})`;
    printLine(`${name.padEnd(width)}  ${title}, ${version}${also}`);
  }
}

async function show(name: string, { config, json, at }: Options, command: Command): Promise<void> {
  const book = await bookOf(config, wasNamed(command));
  const profile = profileNamed(book, name);
  const held = at === undefined ? undefined : rulesAt(profile, dayOf(at), book.dates);
  if (json) {
    printJson(held === undefined ? profile : { ...profile, rules: held.map(({ rule }) => rule) }, 2);
    return;
  }
  printLine(`${profile.name}: ${profile.title}, ${profile.version}`);
  printLine(profile.about);
  const settings = Object.entries(profile.outbound).map(([key, value]) => `${key}: ${value}`);
  printLine(`outbound: ${settings.length === 0 ? 'the defaults' : settings.join(', ')}`);
  for (const rule of held === undefined ? profile.rules : held.map(({ rule }) => rule))
    printRule(
      rule,
      held?.find((each) => each.rule === rule)?.level,
      book.dates.get(`${profile.name}/${rule.id}`),
    );
}

function printRule(rule: Rule, held: HeldRule['level'] | undefined, dated: string | undefined): void {
  const { id, level, says, directions, from, until, issuedFrom, unverified } = rule;
  const when = [
    ...(directions === undefined ? [] : [directions.join(' and ')]),
    ...(dated !== undefined
      ? [`from ${dated}, by profiles.dates`]
      : from === undefined
        ? []
        : [`from ${from}`]),
    ...(until === undefined ? [] : [`until ${until}`]),
    ...(issuedFrom === undefined ? [] : [`for certificates issued from ${issuedFrom} on`]),
    ...(unverified === true ? ['unverified'] : []),
  ];
  printLine(`  ${id}: ${held ?? level}${when.length === 0 ? '' : ` (${when.join('; ')})`}`);
  printLine(`    ${says}`);
  printLine(`    ${sourceOf(rule)}`);
}
