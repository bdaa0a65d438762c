import {
  accessSync,
  constants,
  existsSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  rmdirSync,
  statSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { coverageOfSpans, dayText } from '../pki/index.ts';
import { changedPartners, SomePlaces } from './changed-partners.ts';
import { checkDkimKeys } from './dkim-keys.ts';
import { allDestinations, allRoutes } from './facts.ts';
import { KeyReader } from './key-reader.ts';
import { checkKeys, checkTerm, mailTo } from './key-rules.ts';
import { type LoadedKeys, partnersOf, readKeys } from './keys.ts';
import { programOfThis } from './known.ts';
import { type LoadedConfig, type Rejected, readConfig } from './load.ts';
import { isOpenToAll } from './partner-files.ts';
import { type Problem, type Report, type SettingPath, sortProblems } from './problem.ts';
import type { Config, DestinationConfig, DkimConfig, MailboxConfig, PartnerConfig } from './schema.ts';
import { readBy, secretsOf } from './secret-places.ts';
import { readConfigText } from './secrets.ts';
import type { Sources } from './sources.ts';
import { readTlsPairs, termOf } from './tls.ts';

/** What works, but not as well as it could. */
export interface ProbeNote {
  message: string;
  hint: string;
}

type OfType<T extends DestinationConfig['type']> = Extract<DestinationConfig, { type: T }>;

/** Each one tries one thing, and returns warnings. Errors: a `SealpostError`, in one sentence with what to do. */
export interface OnlineProbes {
  mailbox(imap: NonNullable<MailboxConfig['imap']>): Promise<readonly ProbeNote[]>;
  /** A route to a partner: its first one, or the backup. */
  route(partner: PartnerConfig, route: PartnerConfig['route']): Promise<readonly ProbeNote[]>;
  webhook(destination: OfType<'webhook'>): Promise<readonly ProbeNote[]>;
  mail(destination: OfType<'smtp' | 'lmtp'>): Promise<readonly ProbeNote[]>;
  bucket(destination: OfType<'s3'>): Promise<readonly ProbeNote[]>;
  events(events: NonNullable<Config['events']>): Promise<readonly ProbeNote[]>;
  /** What DNS says about a DKIM key. */
  dkim(entry: DkimConfig): Promise<readonly ProbeNote[]>;
  /** Compares the clock of this machine with that of Redis. */
  clock(): Promise<readonly ProbeNote[]>;
  close(): Promise<void>;
}

/** What `sealpost check` tests besides the files. Each probe throws a `SealpostError` if something is wrong. */
export interface CheckProbes {
  /** The day for which certificates are checked. Default: now. */
  now?: Date;
  /** Check only what concerns partners: the one with this name, or all of them for `*`. */
  partners?: string;
  /** The file with the configuration in force. What is the same there is not checked again. */
  inForce?: string;
  /** Check only what these roles read. A container of one role does not have the files of the others. */
  roles?: readonly string[] | undefined;
  /** Protects a test message as for a partner. Not called for a partner with a known error. */
  protection?: (partner: PartnerConfig, keys: LoadedKeys, now: Date) => void;
  /** Connects to Redis and checks its durability. Not called for the private server. */
  redis?: (config: Config) => Promise<void>;
  /** Stores something in the object store. */
  objectStore?: (s3: NonNullable<Config['spool']['s3']>) => Promise<void>;
  /** Called with the configuration before the files that it names are checked, if the settings themselves are valid. */
  readable?: (config: Config) => void;
  /** What is tried over the network (`--online`). */
  online?: (config: Config) => Promise<OnlineProbes>;
}

/**
 * All problems of a configuration and of what it names: syntax, settings, keys and certificates, secrets and their
 * modes, folders. With probes, also Redis and mailboxes. In the order of the file.
 *
 * @throws {SealpostError} `file-access` if the file itself cannot be read
 */
export async function checkConfig(file: string, probes: CheckProbes = {}): Promise<Problem[]> {
  const read = readConfig(readConfigText(file), file, true);
  if (read.config === undefined) {
    const { problems, rejected } = read;
    if (rejected?.config !== undefined)
      return await checkNamed(rejected.config, rejected.source, problems, probes.now ?? new Date(), {
        roles: probes.roles,
      });
    const missing = missingFiles(rejected, readBy(probes.roles));
    return sortProblems([...problems, ...missing], rejected?.source.names);
  }
  const now = probes.now ?? new Date();
  probes.readable?.(read.config);
  if (probes.partners !== undefined) return checkPartnersOnly(read, probes.partners, now, probes);
  return await checkNamed(read.config, read.source, read.problems, now, probes);
}

/** Checks one partner or all of them: settings, certificates, and whether mail can be made. */
function checkPartnersOnly(
  { config, source, problems }: LoadedConfig,
  wanted: string,
  now: Date,
  { protection }: CheckProbes,
): Problem[] {
  const isMeant = (index: number | undefined) =>
    index !== undefined && (wanted === '*' || config.partners[index]?.name === wanted);
  // the files of other partners are not even read
  const partners = config.partners.map((each, index) =>
    isMeant(index) ? each : { ...each, certificates: [], encrypt: false },
  );
  const reader = new KeyReader(source);
  const part = { ...config, partners, mailboxes: [] };
  const loaded = readKeys(part, source);
  const found = [...problems, ...loaded.problems];
  if (loaded.keys !== undefined) {
    found.push(...checkKeys(part, loaded.keys, source, now));
    const meant = config.partners.map((each, index) => (isMeant(index) ? each : undefined));
    if (protection !== undefined)
      checkProtection(meant, loaded.keys, { problems: found, source }, reader, protection, now);
  }
  const all = [...found, ...reader.problems].filter((each) => isMeant(source.partnerOf(each)));
  return sortProblems(all, source.names);
}

/** For a configuration with invalid settings: at least the missing files. */
function missingFiles(rejected: Rejected | undefined, reads: KeyReader['reads']): Problem[] {
  const made = ['dataDir', 'directory', 'path', 'failed', 'folder', 'partnerFiles'];
  return (rejected?.paths ?? [])
    .filter(([at, path]) => reads(at) && !made.includes(String(at.at(-1))) && !existsSync(path))
    .flatMap(([at, path]) => rejected?.source.problem(at, `${path}: there is no such file`) ?? []);
}

/** Checks what the configuration names. The probes run only if the configuration has no errors of its own. */
async function checkNamed(
  config: Config,
  source: Sources,
  problems: Problem[],
  now: Date,
  probes: CheckProbes = {},
): Promise<Problem[]> {
  const { inForce } = probes;
  const changed = inForce === undefined ? undefined : changedPartners(config, inForce, programOfThis());
  const meant = changed?.partners ?? config.partners.map((_, at) => at);
  const part = { ...config, partners: meant.flatMap((at) => config.partners[at] ?? []) };
  const reads = readBy(probes.roles, config);
  const reader = new KeyReader(new SomePlaces(source, meant), reads);

  const loaded = reads(['identities', 0]) ? readKeys(part, new SomePlaces(source, meant)) : undefined;
  // a process without keys may still have certificates
  if (loaded === undefined) partnersOf(part, reader);
  problems.push(...(loaded?.problems ?? []));
  if (loaded?.keys !== undefined) {
    const partners = new Map([...(changed?.indexed.partners ?? []), ...loaded.keys.partners]);
    const keys = { ...loaded.keys, partners };
    const isMeant = new Set(meant);
    problems.push(...checkKeys(config, keys, source, now, (at) => isMeant.has(at)));
    const trial = config.partners.map((each, at) => (isMeant.has(at) ? each : undefined));
    const all = new KeyReader(source);
    if (probes.protection !== undefined)
      checkProtection(trial, keys, { problems, source }, all, probes.protection, now);
    problems.push(...all.problems);
  }
  checkFiles(part, reader, now);
  await probeAll(part, reader, probes);
  return sortProblems([...problems, ...reader.problems], source.names);
}

/** What the configuration names apart from the keys for mail. */
function checkFiles(config: Config, reader: KeyReader, now: Date): void {
  for (const [path, secret] of secretsOf(config)) {
    // the passwords of identities have been read with their keys
    if (path[0] === 'identities' || !reader.reads(path)) continue;
    const text = reader.secret(path, secret);
    if (text === undefined) continue;
    if (path[0] === 'spool' && path[1] === 'key') checkSpoolKey(path, text, reader);
    if (path.at(-1) === 'secret' && text.length < 16)
      reader.report(path, 'is too short for a signing key', {
        severity: 'warning',
        hint: 'generate one: openssl rand -hex 32',
      });
  }
  checkDkimKeys(config, reader);
  checkTls(config, reader, now);
  checkCaFiles(config, reader);
  checkFolders(config, reader);
}

/** Runs all at the same time, so that one that hangs does not delay the others. */
async function probeAll(
  config: Config,
  reader: KeyReader,
  { redis, objectStore, online }: CheckProbes,
): Promise<void> {
  const running: Promise<void>[] = [];
  const probe = (path: SettingPath, run: () => Promise<readonly ProbeNote[]>) =>
    void running.push(
      reader.tryAsync(path, async () => {
        for (const { message, hint } of await run())
          reader.report(path, message, { severity: 'warning', hint });
      }),
    );
  const { s3 } = config.spool;
  if (objectStore !== undefined && config.spool.store === 's3' && s3 !== undefined)
    probe(['spool', 's3'], () => objectStore(s3).then(() => []));
  const store = (['url', 'sentinel', 'cluster'] as const).find((name) => config.redis[name] !== undefined);
  if (redis !== undefined && store !== undefined) probe(['redis', store], () => redis(config).then(() => []));
  const probes = await online?.(config);
  if (probes !== undefined) {
    if (store !== undefined) probe(['redis', store], () => probes.clock());
    config.mailboxes.forEach(({ imap }, index) => {
      if (imap !== undefined) probe(['mailboxes', index, 'imap'], () => probes.mailbox(imap));
    });
    config.partners.forEach((partner, index) => {
      const { route, backup } = partner;
      probe(['partners', index, 'route'], () => probes.route(partner, route));
      if (backup) probe(['partners', index, 'backup', 'route'], () => probes.route(partner, backup.route));
    });
    config.dkim.forEach((entry, index) => {
      probe(['dkim', index], () => probes.dkim(entry));
    });
    for (const [path, destination] of allDestinations(config)) {
      const run = probeOf(destination, probes);
      if (run !== undefined) probe(path, run);
    }
    const { events } = config;
    if (events !== undefined) probe(['events'], () => probes.events(events));
    const { webhook } = config.alerts;
    if (webhook !== undefined) probe(['alerts', 'webhook'], () => probes.events(webhook));
  }
  await Promise.all(running);
  await probes?.close();
}

/**
 * What is tried for a destination. Folders have been checked already, and a queue is on the same Redis as everything
 * else.
 */
function probeOf(
  destination: DestinationConfig,
  probes: OnlineProbes,
): (() => Promise<readonly ProbeNote[]>) | undefined {
  switch (destination.type) {
    case 'webhook':
      return () => probes.webhook(destination);
    case 'smtp':
    case 'lmtp':
      return () => probes.mail(destination);
    case 's3':
      return () => probes.bucket(destination);
    case 'directory':
    case 'queue':
      return undefined;
  }
}

/** What prevents mail to a partner and is not covered by a rule, such as a key that is too small for its preset. */
function checkProtection(
  partners: readonly (PartnerConfig | undefined)[],
  keys: LoadedKeys,
  found: { problems: readonly Problem[]; source: Sources },
  reader: KeyReader,
  protect: NonNullable<CheckProbes['protection']>,
  now: Date,
): void {
  const { problems, source } = found;
  const failing = new Set(
    problems.filter(({ severity }) => severity === 'error').map((each) => source.partnerOf(each)),
  );
  const identityFails = problems.some(
    ({ severity, setting }) => severity === 'error' && setting.startsWith('identities'),
  );
  partners.forEach((partner, index) => {
    const path = ['partners', index];
    if (partner === undefined || identityFails || failing.has(index)) return;
    const mail = mailTo(partner.name);
    reader.try(path, () => protect(partner, keys, now), `${mail} would fail: `, mail);
  });
}

function checkSpoolKey(path: SettingPath, text: string, reader: KeyReader): void {
  if (!/^[A-Za-z0-9+/]{43}=?$/.test(text.trim()))
    reader.report(path, 'is not 32 octets in base64', { hint: 'generate one: openssl rand -base64 32' });
}

function checkTls(config: Config, reader: KeyReader, now: Date): void {
  const { smtp, api, console } = config;
  const listener = 'renew it; peers that verify it cannot connect';
  checkOwnTls(smtp.tls, ['smtp', 'tls'], { hint: listener, only: 'peers that verify it' }, reader, now);
  checkOwnTls(api.tls, ['api', 'tls'], { hint: listener, only: 'peers that verify it' }, reader, now);
  const browsers = { hint: 'renew it; browsers will refuse it', only: 'the console' };
  checkOwnTls(console.tls, ['console', 'tls'], browsers, reader, now);
  for (const [path, { clientCertificate }] of allRoutes(config)) {
    const [top, index] = path;
    const partner = top === 'partners' ? config.partners[Number(index)] : undefined;
    const only = partner ? mailTo(partner.name) : 'mail to that server';
    const hint = 'renew it; the server will refuse it';
    checkOwnTls(clientCertificate, [...path, 'clientCertificate'], { hint, only }, reader, now);
  }
}

function checkOwnTls(
  files: Config['smtp']['tls'],
  path: SettingPath,
  ended: { hint: string; only: string },
  reader: KeyReader,
  now: Date,
): void {
  if (files === undefined) return;
  // one by one, so that all problems are named
  const { next = [], ...first } = files;
  const pairs = [first, ...next].map((pair, index) => {
    const at = index === 0 ? path : [...path, 'next', index - 1];
    return { at, read: reader.try(at, () => readTlsPairs(pair)[0]), pair };
  });
  const readable = pairs.flatMap(({ at, read, pair }) => (read ? [{ at, read, pair }] : []));
  const report: Report = (where, message, extra) => reader.report(where, message, extra);
  for (const { at, read, pair } of readable)
    checkTerm({ name: pair.cert, ...read, ...termOf(pair) }, at, report);
  const { until, again, last } = coverageOfSpans(
    readable.map(({ read }) => read),
    now,
  );
  if (last === undefined) {
    const expired = readable.filter(({ read }) => read.notAfter < now);
    for (const { at, read } of expired)
      report([...at, 'cert'], `expired on ${read.notAfter.toISOString().slice(0, 10)}`, ended);
    if (expired.length === 0 && readable.length > 0) report(path, 'no certificate is in force', ended);
  } else if (again !== undefined)
    report(path, `there will be no certificate in force from ${dayText(until)} until ${dayText(again)}`, {
      severity: 'warning',
      hint: 'let the two overlap: change from or until',
    });
}

function checkCaFiles(config: Config, reader: KeyReader): void {
  const { mailboxes, redis, dns } = config;
  if (config.events?.ca !== undefined) reader.certificates(['events', 'ca'], config.events.ca);
  const { webhook } = config.alerts;
  if (webhook?.ca !== undefined) reader.certificates(['alerts', 'webhook', 'ca'], webhook.ca);
  if (redis.ca !== undefined) reader.certificates(['redis', 'ca'], redis.ca);
  mailboxes.forEach(({ imap }, index) => {
    if (imap?.ca !== undefined) reader.certificates(['mailboxes', index, 'imap', 'ca'], imap.ca);
  });
  for (const [path, destination] of allDestinations(config))
    if (destination.type === 'webhook' || destination.type === 's3')
      if (destination.ca !== undefined) reader.certificates([...path, 'ca'], destination.ca);
  for (const [path, { ca }] of allRoutes(config))
    if (ca !== undefined) reader.certificates([...path, 'ca'], ca);
  if (dns?.ca !== undefined) reader.certificates(['dns', 'ca'], dns.ca);
}

function checkFolders(config: Config, reader: KeyReader): void {
  checkFolder(['dataDir'], config.dataDir, reader);
  if (isOpenToAll(config.partnerFiles))
    reader.report(
      ['partnerFiles'],
      `${config.partnerFiles}: everyone may write there, and decide who is trusted`,
      {
        hint: `run: chmod o-w ${config.partnerFiles}`,
      },
    );
  if (config.spool.directory !== undefined)
    checkFolder(['spool', 'directory'], config.spool.directory, reader);
  for (const [path, destination] of allDestinations(config))
    if (destination.type === 'directory') checkFolder([...path, 'path'], destination.path, reader);
  for (const [path, { folder }] of allRoutes(config))
    if (folder !== undefined) checkFolder([...path, 'folder'], folder, reader);
  config.folders.forEach(({ path, failed }, index) => {
    checkDropFolder(['folders', index, 'path'], path, failed, reader);
  });
}

/**
 * If everyone can write to the folder, everyone can send from it; and a link could be redirected to a folder whose
 * files nobody may send.
 */
function checkDropFolder(
  path: SettingPath,
  folder: string,
  failed: string | undefined,
  reader: KeyReader,
): void {
  if (!reader.reads(path)) return;
  checkFolder(path, folder, reader);
  if (!existsSync(folder))
    reader.report(path, `${folder} does not exist, so nothing is read from it`, {
      severity: 'warning',
      hint: 'make it, or mount it; Sealpost makes only the folders of partners in it',
    });
  const inner = existsSync(folder) ? readdirSync(folder, { withFileTypes: true }) : [];
  const names = inner.filter((each) => each.isDirectory() || each.isSymbolicLink());
  for (const each of [folder, ...names.map(({ name }) => join(folder, name)), failed ?? []].flat()) {
    if (!existsSync(each)) continue;
    const found = lstatSync(each);
    if (found.isSymbolicLink())
      reader.report(path, `${each} is a link`, { hint: 'name the folder itself; links are not followed' });
    else if ((found.mode & 0o002) !== 0)
      reader.report(path, `${each}: everyone may write there`, { hint: `run: chmod o-w ${each}` });
  }
}

/** A missing folder is created when the daemon starts, so its parent must be writable. */
function checkFolder(path: SettingPath, folder: string, reader: KeyReader): void {
  if (!reader.reads(path)) return;
  let existing = folder;
  while (!existsSync(existing) && dirname(existing) !== existing) existing = dirname(existing);
  const what = existing === folder ? '' : `does not exist, and ${existing} `;
  if (!isWritable(existing))
    reader.report(path, `${what}cannot be written by this user`, {
      hint: `create it for the user that runs Sealpost`,
    });
  const mode = existing === folder ? statSync(folder).mode & 0o777 : 0;
  // the data is sealed, but anyone who can write there can remove it, or replace the spool key
  if (path.at(-1) !== 'path' && (mode & 0o002) !== 0)
    reader.report(path, `mode ${mode.toString(8).padStart(4, '0')} lets everyone write there`, {
      hint: `run: chmod 700 ${folder}`,
    });
}

/** Found out by trying, because permissions say nothing about read-only file systems and /proc. */
function isWritable(folder: string): boolean {
  try {
    accessSync(folder, constants.W_OK | constants.X_OK);
    rmdirSync(mkdtempSync(join(folder, '.sealpost-check-')));
    return true;
  } catch {
    return false;
  }
}
