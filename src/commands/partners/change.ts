/** `partners rename` and `remove`: what waits for a partner is not lost. */
import { readFileSync, rmSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { Command } from 'commander';
import { isSeq, parseDocument } from 'yaml';
import { type Config, ConfigError, loadConfig, type PartnerConfig } from '../../config/index.ts';
import { SealpostError } from '../../errors.ts';
import { replaceFile } from '../../files.ts';
import { operator } from '../operator.ts';
import { configOption } from '../options.ts';
import { printJson, printLine } from '../output.ts';
import { withQueue } from '../queue.ts';
import { ownFileOf, partnerNamed } from './find.ts';
import { partnerProblems, undone } from './show.ts';

interface Options {
  config: string;
  force?: boolean;
  json?: boolean;
}

export function renameCommand(): Command {
  return new Command('rename')
    .description(
      'give a partner another name; mail that waits, records and grants of clients go on; it counts after sealpost reload',
    )
    .argument('<old>')
    .argument('<new>')
    .addOption(configOption())
    .option('--json', 'print what was done as JSON')
    .action(rename);
}

async function rename(old: string, name: string, { config: configFile, json }: Options): Promise<void> {
  const config = await loadConfig(configFile);
  const partner = partnerNamed(config, old);
  const file = ownFileOf(config, partner, configFile);
  const before = readFileSync(file, 'utf8');
  const formerNames = formerNamesOf(partner, name);
  replaceFile(file, renamed(before, name, formerNames));
  try {
    const errors = (await partnerProblems(configFile, name)).filter(({ severity }) => severity === 'error');
    // what was wrong before is no reason against another name
    const own = errors.filter(({ setting }) => /^(?:name|formerNames)/.test(setting));
    if (own.length > 0) throw new ConfigError(configFile, own);
    // What cannot be noted is not done.
    await withQueue(config, ({ audit }) =>
      audit.add({
        ...{ at: Date.now(), by: operator(), what: 'partner-rename' as const },
        ...{ subject: partner.name, why: `to ${name}` },
      }),
    );
  } catch (error) {
    replaceFile(file, before);
    throw undone(error, configFile, `partner ${partner.name} keeps its name`);
  }
  const shown = relative(process.cwd(), file);
  if (json) return printJson({ name, formerNames, file }, 2);
  printLine(`partner ${partner.name} is called ${name} after sealpost reload (${shown})`);
}

/**
 * The first name stays the first one, also if the partner gets it back, because its mail and records are kept under it.
 * Any other name that it gets back is no former one.
 */
function formerNamesOf(partner: PartnerConfig, name: string): string[] {
  const same = (a: string, b: string) => a.toLowerCase() === b.toLowerCase();
  if (same(partner.name, name) && partner.name === name)
    throw new SealpostError('usage', `partner ${name} has that name already`);
  const all = [...partner.formerNames, partner.name];
  return all.filter((each, index) => index === 0 || !same(each, name));
}

/** The text with another name. Comments and the order of lines stay. */
function renamed(text: string, name: string, formerNames: readonly string[]): string {
  const document = parseDocument(text);
  document.set('name', name);
  const list = document.createNode([...formerNames]);
  if (isSeq(list)) list.flow = true;
  document.set('formerNames', list);
  return document.toString({ lineWidth: 0 });
}

export function removeCommand(): Command {
  return new Command('remove')
    .description('remove a partner with its file; refused while mail waits for it, unless forced')
    .argument('<name>')
    .option(
      '--force',
      'also with mail that waits: that is suspended as partner-unknown, and goes on when the partner is there again and you resume it',
    )
    .addOption(configOption())
    .option('--json', 'print what was done as JSON')
    .action(remove);
}

async function remove(name: string, { config: configFile, force, json }: Options): Promise<void> {
  const config = await loadConfig(configFile);
  const partner = partnerNamed(config, name);
  const file = ownFileOf(config, partner, configFile);
  const left = await withQueue(config, async ({ ledger, audit }) => {
    const { waiting, suspended } = await ledger.backlog('outbound', partner.name);
    const found = { waiting, suspended };
    if (waiting + suspended > 0 && !force) throw refused(partner, found);
    await audit.add({ at: Date.now(), by: operator(), what: 'partner-remove', subject: partner.name });
    return found;
  });
  rmSync(file);
  const kept = filesLeft(config, partner, file);
  if (json) return printJson({ name: partner.name, file, ...left, kept }, 2);
  printLine(`partner ${partner.name} is removed; it counts after sealpost reload`);
  if (left.waiting > 0)
    printLine(`${left.waiting} messages that wait for it will be suspended (partner-unknown)`);
  if (left.suspended > 0) printLine(`${left.suspended} suspended messages stay: sealpost messages list`);
  if (kept.length > 0) printLine(`its certificates stay: ${kept.join(', ')}`);
}

function refused({ name }: PartnerConfig, { waiting, suspended }: { waiting: number; suspended: number }) {
  const counted = [
    ...(waiting > 0 ? [`${waiting} waiting`] : []),
    ...(suspended > 0 ? [`${suspended} suspended`] : []),
  ].join(' and ');
  return new SealpostError('partner-busy', `there is mail for partner ${name}: ${counted}`, {
    hint: `see sealpost messages list --partner ${name}; to give it another name, sealpost partners rename`,
  });
}

/** Files beside its own that only it named: certificates are worth keeping, and a person may remove them. */
function filesLeft(config: Config, partner: PartnerConfig, file: string): string[] {
  const beside = join(dirname(file), `${partner.name}.pem`);
  const named = (each: PartnerConfig) => each.certificates.map(({ file }) => file);
  const others = new Set(config.partners.filter((each) => each !== partner).flatMap(named));
  return named(partner).filter((each) => each === beside && !others.has(each));
}
