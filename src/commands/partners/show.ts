/** `partners list`, `show` and `check`. */
import { Command } from 'commander';
import {
  type Config,
  ConfigError,
  checkConfig,
  formatProblem,
  loadConfig,
  loadPartnerSettings,
  type PartnerConfig,
  partnerFileOf,
  readPublicFile,
} from '../../config/index.ts';
import { SealpostError } from '../../errors.ts';
import { type NamedProfile, namedProfiles, tryProtection } from '../../partner/index.ts';
import { readCertificates } from '../../pki/index.ts';
import { comparable } from '../../printable.ts';
import { type LastError, lastErrors } from '../../queue/index.ts';
import { protectionOf } from '../../smime/index.ts';
import { configOption } from '../options.ts';
import { printJson, printLine } from '../output.ts';
import { mayAnswer, withRecords } from '../queue.ts';
import { type CertificateFacts, factsOf, factsText } from './certificate.ts';
import { partnerNamed } from './find.ts';

interface Options {
  config: string;
  json?: boolean;
}

export function listCommand(): Command {
  return new Command('list')
    .description('list the partners, with the file of each')
    .addOption(configOption())
    .option('--json', 'print them as JSON')
    .action(async ({ config: file, json }: Options) => {
      const config = await loadConfig(file);
      const rows = config.partners.map((partner) => summaryOf(config, partner, file));
      if (json) return printJson(rows, 2);
      for (const { name, addresses, certificates, file: at } of rows)
        printLine([name, shortened(addresses), countOf(certificates), at].join('  '));
      if (rows.length === 0) printLine('there are no partners; see sealpost partners add --help');
    });
}

/** What is known of a partner without reading its certificates. */
function summaryOf(config: Config, partner: PartnerConfig, configFile: string) {
  const { name, formerNames, addresses, certificates, preset, encrypt, identity = null } = partner;
  const { profile = null } = partner;
  const { sign } = protectionOf(preset, partner);
  const own = partnerFileOf(config, partner);
  return {
    name,
    formerNames,
    addresses,
    certificates: certificates.length,
    preset,
    profile,
    sign,
    encrypt,
    identity,
    file: own ?? configFile,
    /** Whether commands may change it: only in a file of its own. */
    editable: own !== undefined,
  };
}

const shownAddresses = 3;

function shortened(addresses: readonly string[]): string {
  const more = addresses.length - shownAddresses;
  return `${addresses.slice(0, shownAddresses).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}

const countOf = (count: number) => `${count} certificate${count === 1 ? '' : 's'}`;

export function showCommand(): Command {
  return new Command('show')
    .description('show a partner and its certificates')
    .argument('<name>')
    .addOption(configOption())
    .option('--json', 'print it as JSON')
    .action(async (name: string, { config: file, json }: Options) => {
      const config = await loadConfig(file);
      const partner = partnerNamed(config, name);
      const summary = summaryOf(config, partner, file);
      const at = new Date();
      const certificates = certificatesOf(partner, at);
      const profiles = await namedProfiles(config, partner, at);
      const errors = await lastErrorsOf(config, partner);
      const known = typeof errors === 'string' ? null : errors;
      if (json) return printJson({ ...summary, certificates, profiles, errors: known, settings: partner }, 2);
      const { formerNames, addresses, file: place, editable } = summary;
      printLine(`${summary.name}`);
      printLine(`  file         ${place}${editable ? '' : ' (edit it there; commands do not change it)'}`);
      if (formerNames.length > 0) printLine(`  formerly     ${formerNames.join(', ')}`);
      printLine(`  addresses    ${addresses.join(', ')}`);
      printLine(`  mail to it   ${protectionText(summary)}`);
      printLine(`  route        ${routeText(partner)}`);
      for (const { path, value } of await writtenSettings(config, partner))
        if (!told.has(path)) printLine(`  setting      ${path}: ${value}`);
      for (const each of profiles) for (const line of profileLines(each)) printLine(line);
      if (typeof errors === 'string') printLine(`  last errors  not known: ${errors}`);
      else for (const each of errors) printLine(`  last error   ${errorText(each)}`);
      for (const each of certificates) {
        printLine('');
        printLine(`  ${each.file}`);
        for (const line of 'error' in each ? [each.error] : factsText(each)) printLine(`    ${line}`);
      }
    });
}

/** What a profile demands, and of which mail. */
function profileLines({ name, title, version, use, rules }: NamedProfile): string[] {
  const of = { outbound: 'mail to it', minimum: 'mail from it' };
  const head = `  profile      ${name}, for ${use.map((each) => of[each]).join(' and ')}: ${title}, ${version}`;
  return [head, ...rules.map(({ id, level, says, source }) => `    ${id} ${level}: ${says} (${source})`)];
}

function errorText({ at, direction, id, state, code, said }: LastError): string {
  const why = said === null ? '' : `: ${said}`;
  return comparable(`${new Date(at).toISOString()} ${direction} ${id} ${state} [${code}]${why}`);
}

/** What failed last in its messages; in words why nobody can say. */
async function lastErrorsOf(config: Config, { name }: PartnerConfig): Promise<LastError[] | string> {
  if (!(await mayAnswer(config))) return 'the daemon does not run';
  try {
    return await withRecords(config, ({ ledger }) =>
      lastErrors((query) => ledger.list({ partner: name, ...query })),
    );
  } catch (error) {
    // What is configured can be shown all the same.
    if (error instanceof SealpostError) return error.message;
    throw error;
  }
}

function routeText({ route, backup }: PartnerConfig): string {
  const text = ({ host, port, folder, tls }: PartnerConfig['route']) =>
    folder === undefined
      ? `${host ?? 'the mail servers of its domain'}, port ${port}, TLS ${tls}`
      : `folder ${folder}`;
  return backup === undefined ? text(route) : `${text(route)}; if that fails, ${text(backup.route)}`;
}

/** What the other lines say. */
const told: ReadonlySet<string> = new Set(['sign', 'encrypt', 'identity', 'preset', 'profile']);

/** What the file says of protection and demands, as the console shows it. */
async function writtenSettings(config: Config, partner: PartnerConfig) {
  const settingsOf = await loadPartnerSettings(config);
  return settingsOf(config.partners.indexOf(partner)).filter(({ origin }) => origin !== null);
}

function protectionText(of: ReturnType<typeof summaryOf>) {
  const signed = of.sign === 'none' ? 'not signed' : `signed (${of.sign}) by ${of.identity ?? 'nobody yet'}`;
  return `${signed}, ${of.encrypt ? 'encrypted' : 'not encrypted'}, ${of.profile === null ? `preset ${of.preset}` : `profile ${of.profile}`}`;
}

/** Its certificates with the files that they are in; a file that cannot be read says why. */
function certificatesOf(
  { certificates }: PartnerConfig,
  at: Date,
): ({ file: string } & (CertificateFacts | { error: string }))[] {
  type Shown = { file: string } & (CertificateFacts | { error: string });
  return certificates.flatMap(({ file }): Shown[] => {
    try {
      return readCertificates(readPublicFile(file)).map((each) => ({ file, ...factsOf(each, at) }));
    } catch (error) {
      if (!(error instanceof SealpostError)) throw error;
      return [{ file, error: error.message }];
    }
  });
}

export function checkCommand(): Command {
  return new Command('check')
    .description(
      'check a partner, or all of them: settings, certificates, and whether mail to it can be made',
    )
    .argument('[name]')
    .addOption(configOption())
    .option('--json', 'print the problems as JSON')
    .action(async (name: string | undefined, { config: file, json }: Options) => {
      const problems = await partnerProblems(file, name);
      if (json) printJson(problems, 2);
      else {
        for (const problem of problems) printLine(formatProblem(problem));
        if (problems.length === 0) printLine(name === undefined ? 'no problems' : `${name}: no problems`);
      }
      if (problems.some(({ severity }) => severity === 'error')) process.exitCode = 1;
    });
}

/** An error of a configuration that was tried and is not there any more, with what was not done. */
export function undone(error: unknown, file: string, what: string): unknown {
  return error instanceof ConfigError ? new ConfigError(file, error.problems, what) : error;
}

/** Problems of one partner, or of all of them. Errors: `partner-unknown`, `config-invalid`, `file-access`. */
export async function partnerProblems(file: string, name: string | undefined) {
  // A name that is not known is no check that finds nothing.
  const only = name === undefined ? '*' : partnerNamed(await loadConfig(file), name).name;
  return await checkConfig(file, { protection: tryProtection, partners: only });
}
