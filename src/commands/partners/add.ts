/** `partners add`: writes the file of a new partner, and shows what was understood. */
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join, relative } from 'node:path';
import { Command } from 'commander';
import { stringify } from 'yaml';
import {
  AddressBook,
  type Config,
  ConfigError,
  formatProblem,
  loadConfig,
  loadKeys,
  refuses,
} from '../../config/index.ts';
import { SealpostError, toErrorInfo } from '../../errors.ts';
import { makeFolder } from '../../files.ts';
import { type Certificate, unusableFor } from '../../pki/index.ts';
import { comparable } from '../../printable.ts';
import { packageFile, readFile } from '../files.ts';
import { certificatesOf } from '../keys.ts';
import { collect, configOption } from '../options.ts';
import { printError, printJson, printLine } from '../output.ts';
import { type CertificateFacts, factsOf, factsText } from './certificate.ts';
import { withLookedUp } from './from-directory.ts';
import { certificatesOfMail } from './from-mail.ts';
import { partnerProblems, undone } from './show.ts';

interface AddOptions {
  config: string;
  address: string[];
  cert?: string[];
  fromMail?: string;
  ldap?: boolean;
  dns?: boolean;
  identity?: string;
  from?: string;
  host?: string;
  json?: boolean;
}

/** Where the certificates of a partner come from, with what is to be said of it. */
interface Source {
  certificates: Certificate[];
  /** Completes "certificates ...". */
  origin: string;
  /** What the operator should know. */
  notes: string[];
  /** Directories that they were found in: they are not written into the file, and wait for approval. */
  lookup?: string[];
  /** Has them wait, once the file is there; returns what a person does next. */
  keep?(partner: string): Promise<string[]>;
}

export function addCommand(): Command {
  return new Command('add')
    .description(
      'write the file of a new partner, and show what was understood; it counts after sealpost reload',
    )
    .argument('<name>')
    .requiredOption('--address <address>', 'an address, or @domain (repeatable)', collect)
    .option('--cert <file>', 'its certificate, PEM or DER (repeatable)', collect)
    .option(
      '--from-mail <file>',
      'a signed mail of the partner: the certificate that signed, and the one that it wants mail encrypted for',
    )
    .option(
      '--ldap',
      'its certificates in the LDAP directories of lookup.directories; they wait for approval',
    )
    .option('--dns', 'its certificates in DNS, as lookup.directories says; they wait for approval')
    .option('--identity <name>', 'your key that signs mail to the partner; default: the only one there is')
    .option('--from <address>', 'sender of mail that has none')
    .option('--host <host>', "host of the partner's mail server, instead of its MX records")
    .addOption(configOption())
    .option('--json', 'print what was understood as JSON')
    .action(add);
}

async function add(name: string, options: AddOptions): Promise<void> {
  const config = await loadConfig(options.config);
  refuseKnown(config, name);
  const { ldap, dns, address } = options;
  if (!ldap && !dns) return await addFrom(await sourceOf(options, config), name, options, config);
  refuseTwoSources(options);
  const wanted = { ...(ldap && { ldap }), ...(dns && { dns }) };
  await withLookedUp(options.config, address, wanted, (source) => addFrom(source, name, options, config));
}

async function addFrom(source: Source, name: string, options: AddOptions, config: Config): Promise<void> {
  const folder = config.partnerFiles;
  const file = join(folder, `${name}.yaml`);
  const bundle = join(folder, `${name}.pem`);
  const isWritten = source.lookup === undefined;
  for (const each of [file, ...(isWritten ? [bundle] : [])])
    if (existsSync(each))
      throw new SealpostError('file-access', `${each}: is there already`, {
        hint: 'remove it, or give the partner another name',
      });
  const now = new Date();
  const found = source.certificates.map((each) => factsOf(each, now));
  const notes = [...source.notes, ...notesOn(source.certificates, found, options.address)];
  await makeFolder(folder);
  const written: string[] = [];
  const write = (path: string, text: string) => {
    writeFileSync(path, text, { flag: 'wx' });
    written.push(path);
  };
  try {
    if (isWritten) write(bundle, bundleText(source, found));
    write(file, partnerText({ name, options, config, source, found, now }));
    const problems = await partnerProblems(options.config, name);
    // what waits for approval is not there yet, and mail to the partner waits for it
    const errors = problems.filter(isWritten ? ({ severity }) => severity === 'error' : refuses);
    if (errors.length > 0) throw new ConfigError(options.config, errors);
    writeFileSync(join(folder, schemaName), readFile(packageFile('docs/partner.schema.json')));
    const warnings = problems.filter((each) => !refuses(each)).map(formatProblem);
    const waiting = (await source.keep?.(name)) ?? [];
    if (options.json) return printJson({ name, file, certificates: found, waiting, notes, warnings }, 2);
    show(found, notes, warnings);
    for (const each of waiting) printLine(each);
    printLine(`written: ${relative(process.cwd(), file) || basename(file)}; it counts after sealpost reload`);
  } catch (error) {
    for (const each of written) rmSync(each, { force: true });
    if (error instanceof SealpostError) throw undone(error, options.config, `partner ${name} is not added`);
    throw new SealpostError('file-access', `cannot write ${file}: ${toErrorInfo(error).message}`, {
      cause: error,
    });
  }
}

function show(
  found: readonly CertificateFacts[],
  notes: readonly string[],
  warnings: readonly string[],
): void {
  for (const facts of found) {
    for (const line of factsText(facts)) printLine(line);
    printLine('');
  }
  for (const note of [...notes, ...warnings]) printError(`note: ${comparable(note)}`);
}

function refuseKnown({ partners }: Config, name: string): void {
  const lower = name.toLowerCase();
  const known = partners.find((each) =>
    [each.name, ...each.formerNames].some((one) => one.toLowerCase() === lower),
  );
  if (known === undefined) return;
  const how = known.name.toLowerCase() === lower ? 'there already' : `the former name of ${known.name}`;
  throw new SealpostError('usage', `partner ${name} is ${how}`, { hint: 'see sealpost partners show' });
}

/** Errors: `usage`. What is looked up waits for approval, and what is given counts: one partner has one of them. */
function refuseTwoSources({ cert = [], fromMail, ldap, dns }: AddOptions): void {
  const given = [
    ...(cert.length > 0 ? ['--cert'] : []),
    ...(fromMail !== undefined ? ['--from-mail'] : []),
    ...(ldap ? ['--ldap'] : []),
    ...(dns ? ['--dns'] : []),
  ];
  if (given.length < 2 || given.join() === '--ldap,--dns') return;
  throw new SealpostError('usage', `${given.join(' and ')} are two sources`, { hint: 'give one of them' });
}

/** The certificates of the files that the options name. */
async function sourceOf(options: AddOptions, config: Config): Promise<Source> {
  refuseTwoSources(options);
  const { cert = [], fromMail } = options;
  if (fromMail !== undefined) {
    const { certificates, notes } = await certificatesOfMail(fromMail, (await loadKeys(config)).identities);
    return { certificates, origin: `of the signed mail ${basename(fromMail)}`, notes };
  }
  if (cert.length === 0)
    throw new SealpostError('usage', 'the partner would have no certificate', {
      hint: 'give --cert FILE, --from-mail FILE with a signed mail of the partner, --ldap, or --dns',
    });
  const certificates = cert.flatMap(certificatesOf);
  return {
    certificates: distinct(certificates),
    origin: `from ${cert.map((each) => basename(each)).join(', ')}`,
    notes: [],
  };
}

const distinct = (all: readonly Certificate[]) =>
  all.filter((each, index) => all.findIndex((other) => other.equals(each)) === index);

/** What a person should look at before the partner is used. */
function notesOn(
  certificates: readonly Certificate[],
  found: readonly CertificateFacts[],
  addresses: readonly string[],
): string[] {
  const notes: string[] = [];
  const book = new AddressBook<true>();
  book.addAll(addresses, true);
  const covers = (email: string) => book.findText(email) === true;
  found.forEach(({ subject, emails, state }, index) => {
    const isIssuer = certificates[index]?.basicConstraints?.ca === true;
    if (!isIssuer && !emails.some(covers))
      notes.push(
        `${subject ?? 'a certificate'} names ${emails.length === 0 ? 'no address' : emails.join(', ')}, and not ${addresses.join(', ')}: compare its thumbprint with the partner`,
      );
    if (state !== null) notes.push(`${subject ?? 'a certificate'} ${state}`);
  });
  const may = (use: 'encrypt' | 'sign') => certificates.some((each) => unusableFor(each, use) === undefined);
  if (!may('encrypt')) notes.push('none of them can be encrypted for: ask the partner for another one');
  if (!may('sign'))
    notes.push('none of them can verify signatures: ask the partner for the one that it signs with');
  return notes;
}

/** The JSON Schema of a partner file is put beside them, so that an editor finds it on any machine. */
const schemaName = '.partner.schema.json';

function bundleText({ certificates, origin }: Source, found: readonly CertificateFacts[]): string {
  const blocks = certificates.map((each, index) => {
    const lines = found[index] === undefined ? [] : factsText(found[index]);
    return `${lines.map((line) => `# ${line.replace(/[^\x20-\x7e]/g, '?')}\n`).join('')}${each.toPem()}`;
  });
  return `# Certificates ${origin.replace(/[^\x20-\x7e]/g, '?')}\n\n${blocks.join('\n')}`;
}

interface PartnerText {
  name: string;
  options: AddOptions;
  config: Config;
  source: Source;
  found: readonly CertificateFacts[];
  now: Date;
}

/** The commented file. Errors: `usage` if it is not clear which key signs. */
function partnerText({ name, options, config, source, found, now }: PartnerText): string {
  const { address, from, host } = options;
  const value = (text: string) => stringify(text).trim();
  const encrypts = found.some(({ uses }) => uses.includes('encrypt'));
  const identity = identityOf(options.identity, config);
  const comment = (text: string) => text.replace(/[^\x20-\x7e]/g, '?');
  return [
    `# yaml-language-server: $schema=./${schemaName}`,
    `# Written by sealpost partners add on ${now.toISOString().slice(0, 10)}. All settings: docs/settings.md, partners[].`,
    `name: ${value(name)}`,
    'addresses:',
    ...address.map((each) => `  - ${value(each)}`),
    '',
    `# ${comment(`Certificates ${source.origin}:`)}`,
    ...found.map(
      ({ subject, serialNumber, notAfter, uses }) =>
        `# ${comment(`${subject}, serial ${serialNumber}, until ${notAfter.slice(0, 10)}, for ${uses.join(' and ') || 'paths'}`)}`,
    ),
    ...(source.lookup === undefined
      ? ['certificates:', `  - ${value(`${name}.pem`)}`]
      : [
          '# They wait for approval (sealpost certs list --state waiting), and count from then on.',
          'lookup:',
          ...source.lookup.map((each) => `  - ${value(each)}`),
        ]),
    '',
    '# How mail to the partner is protected. profile: smime-4.0 (AES-GCM) if the partner can read it.',
    ...(identity === undefined
      ? ['# There is no key of yours yet that could sign.', 'sign: none']
      : [`identity: ${value(identity)}`]),
    ...(encrypts ? [] : ['# None of the certificates can be encrypted for.', 'encrypt: false']),
    '# What mail from the partner must have: encrypted, signed, strong, aead.',
    '#require: [encrypted, signed]',
    '',
    from === undefined ? '#from: orders@example.com' : `from: ${value(from)}`,
    ...(host === undefined
      ? ['#route:', '#  host: mail.partner.example']
      : ['route:', `  host: ${value(host)}`]),
    '',
  ].join('\n');
}

/** Undefined if there is none. Errors: `usage` if there are several. */
function identityOf(wanted: string | undefined, { identities }: Config): string | undefined {
  const names = [...new Set(identities.map(({ name }) => name))];
  if (wanted !== undefined || names.length <= 1) return wanted ?? names[0];
  throw new SealpostError('usage', 'it is not clear which key signs mail to the partner', {
    hint: `give --identity; there are ${names.join(', ')}`,
  });
}
