/** Decisions about certificates. Each is in the audit trail, and names what was compared. */
import type { Command } from 'commander';
import {
  approvable,
  approveCertificate,
  type Changes,
  idOf,
  pinCertificate,
  rejectCertificate,
  revokeCertificate,
  storedUses,
} from '../certstore/index.ts';
import { readPublicFile } from '../config/index.ts';
import { SealpostError } from '../errors.ts';
import { type Certificate, readCertificates } from '../pki/index.ts';
import type { AuditEntry } from '../queue/index.ts';
import { type CertsOptions, linesOf, type OpenedCerts, oneOf, withCerts } from './certs-open.ts';
import { timeOf } from './message-filter.ts';
import { operator } from './operator.ts';
import { configOption } from './options.ts';
import { printDone, printLine } from './output.ts';
import { plural } from './when.ts';

interface DecideOptions extends CertsOptions {
  sha256?: string;
  compared?: string;
  why?: string;
}

interface WindowOptions {
  use?: string;
  from?: string;
  until?: string;
}

const usage = (message: string, hint?: string) =>
  new SealpostError('usage', message, hint === undefined ? {} : { hint });

function windowOf({ use, from, until }: WindowOptions): Changes {
  const uses = use?.split(',').map((each) => each.trim());
  const known = storedUses.filter((each) => uses?.includes(each) ?? true);
  if (uses !== undefined && (known.length !== uses.length || known.length === 0))
    throw usage('--use: not a use', `uses are ${storedUses.join(', ')}`);
  return {
    ...(uses !== undefined && { uses: known }),
    ...(from !== undefined && { from: timeOf('--from', from) }),
    ...(until !== undefined && { until: timeOf('--until', until) }),
  };
}

/** Who decides, and what notes it in the audit trail. */
function decisionOf({ queue }: OpenedCerts, what: AuditEntry['what'], why: string) {
  const record = (subject: string) =>
    queue.audit.add({ at: Date.now(), by: operator(), what, subject, ...(why !== '' && { why }) });
  return { decision: { by: operator(), why }, record };
}

async function approve(text: string, options: DecideOptions & WindowOptions): Promise<void> {
  const changes = windowOf(options);
  const { sha256, compared, why = '' } = options;
  if (compared !== undefined && !/^\d{1,9}$/.test(compared)) throw usage('--compared: not a version');
  await withCerts(options.config, async (opened) => {
    const found = oneOf(opened.known, text);
    const { thumbprint, version } = approvable(found);
    const views = await opened.views([found]);
    if (!options.json) for (const view of views) for (const line of linesOf(view)) printLine(line);
    if (sha256 === undefined || compared === undefined)
      throw usage(
        'nothing was decided yet',
        `compare it with what the partner told you, then: sealpost certs approve ${thumbprint.slice(0, 16)} --sha256 ${thumbprint} --compared ${version}`,
      );
    const how = { ...decisionOf(opened, 'certificate-approve', why), changes };
    await approveCertificate(opened.store, found, { sha256, version: Number(compared) }, how);
    printDone(options, { approved: thumbprint }, 'approved; every role knows of it within a second');
  });
}

async function reject(text: string, options: DecideOptions): Promise<void> {
  await withCerts(options.config, async (opened) => {
    const how = decisionOf(opened, 'certificate-reject', options.why ?? '');
    const found = oneOf(opened.known, text);
    await rejectCertificate(opened.store, found, how);
    const said = 'rejected; it counts for nothing from now on, also for mail that waits';
    printDone(options, { rejected: idOf(found.certificate) }, said);
  });
}

async function revoke(text: string, { why = '', config, json = false }: DecideOptions): Promise<void> {
  if (why === '')
    throw usage('--why: say what happened', 'it is kept with the certificate and in the audit trail');
  await withCerts(config, async (opened) => {
    const how = decisionOf(opened, 'certificate-revoke', why);
    const found = oneOf(opened.known, text);
    await revokeCertificate(opened.store, found, how);
    const said = 'revoked; it counts for nothing from now on, nor does another certificate of its key';
    printDone({ json }, { revoked: idOf(found.certificate) }, said);
  });
}

async function pin(
  file: string,
  options: DecideOptions & WindowOptions & { partner: string },
): Promise<void> {
  const { partner, why = '' } = options;
  const certificate = readOne(file);
  const changes = windowOf(options);
  await withCerts(options.config, async (opened) => {
    const owner = opened.config.partners.find((each) => each.name.toLowerCase() === partner.toLowerCase());
    if (owner === undefined) throw new SealpostError('partner-unknown', `there is no partner ${partner}`);
    const how = { ...decisionOf(opened, 'certificate-pin', why), changes };
    await pinCertificate(opened.store, certificate, owner.name, how);
    const said = `certificate ${idOf(certificate)} counts as one of partner ${owner.name} from now on`;
    printDone(options, { pinned: idOf(certificate), partner: owner.name }, said);
  });
}

/** The one certificate of a file. Errors: `usage`, `certificate-malformed`, `file-access`. */
function readOne(file: string): Certificate {
  const found = readCertificates(readPublicFile(file)).filter(
    (each) => each.basicConstraints?.ca !== true || each.isSelfIssued,
  );
  const [first] = found;
  if (first === undefined || found.length > 1)
    throw usage(`${file}: has ${found.length} certificates of an end entity`, 'give a file with one of them');
  return first;
}

async function accept(options: CertsOptions): Promise<void> {
  await withCerts(options.config, async (opened) => {
    const { store, queue } = opened;
    await queue.audit.add({ at: Date.now(), by: operator(), what: 'certs-accept' });
    await store.accept();
    const count = store.all().length;
    const said = `${plural(count, 'certificate')}; what this machine knows to be refused is refused`;
    printDone(options, { certificates: count }, said);
  });
}

const json = ['--json', 'print JSON'] as const;
const why = ['--why <text>', 'the reason, for the certificate and the audit trail'] as const;

function addWindow(command: Command): Command {
  return command
    .option('--use <uses>', `what it is used for: ${storedUses.join(', ')} (default: what it allows)`)
    .option('--from <time>', 'not before that time (ISO 8601)')
    .option('--until <time>', 'not from that time on (ISO 8601)');
}

export function addDecisions(command: Command): void {
  addWindow(
    command
      .command('approve')
      .argument('<certificate>', 'id, serial number or thumbprint')
      .description('show a certificate that waits; with --sha256 and --compared, approve it')
      .addOption(configOption())
      .option('--sha256 <hex>', 'its SHA-256, as the partner has told you')
      .option('--compared <version>', 'its version as it was shown')
      .option(...why)
      .option(...json),
  ).action(approve);
  command
    .command('reject')
    .argument('<certificate>', 'id, serial number or thumbprint')
    .description('refuse a certificate that waits, or that was approved')
    .addOption(configOption())
    .option(...why)
    .option(...json)
    .action(reject);
  command
    .command('revoke')
    .argument('<certificate>', 'id, serial number or thumbprint')
    .description(
      'its key is in wrong hands: nothing is encrypted for it or verified with it, wherever it is configured',
    )
    .addOption(configOption())
    .option(...why)
    .option(...json)
    .action(revoke);
  addWindow(
    command
      .command('pin')
      .argument('<file>', 'a certificate in PEM or DER')
      .description('add a certificate to those of a partner, without a change of the configuration')
      .addOption(configOption())
      .requiredOption('--partner <name>', 'whose it is')
      .option(...why)
      .option(...json),
  ).action(pin);
  command
    .command('accept')
    .description('accept the store of certificates as it is in Redis, after a restore')
    .addOption(configOption())
    .option(...json)
    .action(accept);
}
