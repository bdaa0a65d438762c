/** What the commands of certificates share: the store beside the configuration, and how a certificate is shown. */
import {
  type CertificateView,
  CertStore,
  certificateView,
  configuredCertificates,
  hearAuthorities,
  type KnownCertificate,
  knownCertificates,
  named,
  seenTimes,
  tlsCertificates,
} from '../certstore/index.ts';
import { type Config, knownTls, loadConfig, loadKeys } from '../config/index.ts';
import { SealpostError } from '../errors.ts';
import { createLog } from '../log.ts';
import { comparable } from '../printable.ts';
import type { QueueRoom } from '../queue/index.ts';
import { sealedValues } from '../redis/index.ts';
import { printError } from './output.ts';
import { withQueue } from './queue.ts';

export interface CertsOptions {
  config: string;
  json?: boolean;
}

export interface OpenedCerts {
  config: Config;
  queue: QueueRoom;
  store: CertStore;
  known: KnownCertificate[];
  /** Each as people and programs see it. */
  views(wanted: readonly KnownCertificate[]): Promise<CertificateView[]>;
}

/** Opens store and configuration. Errors: those of the configuration, and `redis-unreachable`. */
export async function withCerts(file: string, work: (opened: OpenedCerts) => Promise<void>): Promise<void> {
  const config = await loadConfig(file);
  const forMail = configuredCertificates(await loadKeys(config));
  await withQueue(config, async (queue) => {
    const log = createLog('silent', 'command');
    const store = await CertStore.open({ ...queue, log, folder: config.dataDir, now: Date.now });
    if (store.trouble) printError(`sealpost: ${store.trouble.message} [${store.trouble.code}]`);
    const views = async (wanted: readonly KnownCertificate[]) => {
      const seen = await seenTimes(
        queue,
        wanted.map(({ thumbprint }) => thumbprint),
      );
      return wanted.map((each) => certificateView(each, seen.get(each.thumbprint)));
    };
    const tls = await knownTls(sealedValues(queue, 'tls'), config);
    const configured = [...forMail, ...tlsCertificates(tls)];
    const said = new Map();
    const known = knownCertificates(configured, store, Date.now(), said);
    await hearAuthorities(said, queue, config, known);
    await work({ config, queue, store, views, known });
  });
}

/** The one certificate that is meant. Errors: `certificate-unknown`, `usage` if it could be several. */
export function oneOf(known: readonly KnownCertificate[], text: string): KnownCertificate {
  const found = named(known, text);
  const [first] = found;
  if (first === undefined)
    throw new SealpostError('certificate-unknown', `no certificate ${JSON.stringify(text)} is known`);
  const others = new Set(found.map(({ thumbprint }) => thumbprint));
  if (others.size > 1)
    throw new SealpostError('usage', `${text} could be ${others.size} certificates`, {
      hint: `write more of one of ${[...others].join(', ')}`,
    });
  return first;
}

export const ownerOf = ({ partner, identity }: CertificateView) =>
  partner === null ? `own ${identity ?? '-'}` : `partner ${partner}`;

/** What is known of a certificate, line by line. */
export function linesOf(view: CertificateView): string[] {
  const rows: [string, string | null][] = [
    ['id', view.id],
    ['of', ownerOf(view)],
    ['state', view.reason === null ? view.state : `${view.state}: ${view.reason}`],
    ['uses', view.uses.join(', ') || 'none'],
    ['subject', view.subject],
    ['addresses', view.emails.join(', ') || 'none'],
    ['issuer', view.issuer],
    ['serial', `${view.serialNumber} (OpenSSL), ${view.serialNumberWindows} (Windows)`],
    ['SHA-1', view.sha1],
    ['SHA-256', view.sha256],
    ['key', view.key],
    ['validity', `${view.notBefore} to ${view.notAfter}`],
    ['used', view.from === null && view.until === null ? null : `${view.from ?? ''} to ${view.until ?? ''}`],
    ['source', view.source],
    ['seen', view.firstSeen === null ? 'never' : `first ${view.firstSeen}, last ${view.lastSeen}`],
    [
      'authority',
      view.revocation && `${view.revocation.status}, asked ${view.revocation.at}: ${view.revocation.why}`,
    ],
    ['version', view.version === null ? null : String(view.version)],
    ['rule', view.rule && `${view.rule.name}: approves it at ${view.rule.due}`],
    ['decided', view.decided && `by ${view.decided.by} at ${view.decided.at}: ${view.decided.why}`],
    ...view.findings.map((finding): [string, string] => ['found', finding]),
  ];
  return rows.flatMap(([name, text]) => (text === null ? [] : [`${name.padEnd(10)}  ${comparable(text)}`]));
}
