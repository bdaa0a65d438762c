/**
 * When our own certificates for TLS are used, and when they end. Where each role sees its own files alone, nobody sees
 * all of them: so each tells the others what it has, and whoever asks takes that where it cannot read the files.
 */
import { X509Certificate } from 'node:crypto';
import { spanOf, type Term } from '../pki/span.ts';
import { allDestinations } from './facts.ts';
import type { Config } from './schema.ts';
import { readPublicFile } from './secrets.ts';
import { type PairFiles, type TlsFiles, termOf } from './tls.ts';

/** A pair by its certificate alone: nobody needs the key to know when it ends. */
export interface TlsSpan {
  /** Path of the certificate. */
  name: string;
  /** SHA-256 of the certificate. */
  id: string;
  /** Within the validity and `term`, which is what we wrote. */
  from: Date;
  until: Date;
  term: Term;
  der: Buffer;
}

/** The pairs of one setting. */
export interface TlsSpans {
  /** As in `smtp.tls`. */
  setting: string;
  /** Name of the partner whose route it is; '' for others. */
  partner: string;
  spans: TlsSpan[];
}

/** As `SealedValues` of the room `redis`. */
export interface TlsValues {
  get(name: string): Promise<unknown>;
  put(name: string, value: unknown, life: number): Promise<void>;
}

interface TlsSetting {
  setting: string;
  partner: string;
  /** Which sees its files, wherever the others do not. */
  role: 'receive' | 'api' | 'console' | 'outbound' | 'handoff';
  files: TlsFiles;
}

/** All settings with TLS certificates of our own. */
function settingsOf(config: Config): TlsSetting[] {
  const { smtp, api, console, partners, mailboxes } = config;
  const found: TlsSetting[] = [];
  const add = (setting: string, role: TlsSetting['role'], files: TlsFiles | undefined, partner = '') => {
    if (files !== undefined) found.push({ setting, partner, role, files });
  };
  add('smtp.tls', 'receive', smtp.tls);
  add('api.tls', 'api', api.tls);
  add('console.tls', 'console', console.tls);
  for (const { name, route, backup } of partners) {
    add(`route of partner ${name}`, 'outbound', route.clientCertificate, name);
    add(`backup of partner ${name}`, 'outbound', backup?.route.clientCertificate, name);
  }
  for (const [[room, at, kind, index], destination] of allDestinations(config)) {
    if (destination.type !== 'smtp' && destination.type !== 'lmtp') continue;
    const owner = typeof at !== 'number' ? undefined : room === 'partners' ? partners[at] : mailboxes[at];
    const name = kind === 'onSuspend' ? 'onSuspend' : (destination.name ?? `destinations[${index}]`);
    const whose = `${room === 'partners' ? 'partner' : 'mailbox'} ${owner?.name}`;
    add(`${name} of ${whose}`, 'handoff', destination.clientCertificate);
  }
  return found;
}

const pairsOf = ({ next = [], ...first }: TlsFiles): PairFiles[] => [first, ...next];

/** What can be read; `check` names the rest. */
const spansOf = (files: TlsFiles) => pairsOf(files).flatMap(readSpan);

function readSpan(pair: PairFiles): TlsSpan[] {
  try {
    return [spanOfPair(pair, new X509Certificate(readPublicFile(pair.cert)))];
  } catch {
    return [];
  }
}

function spanOfPair(pair: PairFiles, { validFromDate, validToDate, fingerprint256, raw }: X509Certificate) {
  const term = termOf(pair);
  const span = spanOf({ notBefore: validFromDate, notAfter: validToDate }, term);
  return { name: pair.cert, id: fingerprint256, ...span, term, der: raw };
}

/** As far as this process can read their files. */
export function tlsSpans(config: Config): TlsSpans[] {
  return settingsOf(config).map(({ setting, partner, files }) => ({
    setting,
    partner,
    spans: spansOf(files),
  }));
}

/** Milliseconds for which it is kept: roles say it every hour. */
const kept = 30 * 86_400_000;

/** What a role says: of which files, and their certificates in base64. */
interface Said {
  of: string;
  certificates: string[];
}

/** Says which certificates for TLS a role sees. Errors: `redis-unreachable`. */
export async function publishTls(values: TlsValues, config: Config, role: string): Promise<void> {
  for (const { setting, files, role: sees } of settingsOf(config)) {
    if (sees !== role) continue;
    const spans = spansOf(files);
    if (spans.length < pairsOf(files).length) continue;
    const certificates = spans.map(({ der }) => der.toString('base64'));
    const said: Said = { of: JSON.stringify(files), certificates };
    await values.put(setting, said, kept);
  }
}

/**
 * As `tlsSpans`; where this process cannot read the files, what the role with them said. Errors: `redis-unreachable`.
 */
export async function knownTls(values: TlsValues, config: Config): Promise<TlsSpans[]> {
  const found: TlsSpans[] = [];
  for (const { setting, partner, files } of settingsOf(config)) {
    const pairs = pairsOf(files);
    const own = spansOf(files);
    const told = own.length === pairs.length ? undefined : readSaid(await values.get(setting), files);
    const spans = told?.flatMap((certificate, at) => {
      const pair = pairs[at];
      return pair === undefined ? [] : [spanOfPair(pair, certificate)];
    });
    found.push({ setting, partner, spans: spans ?? own });
  }
  return found;
}

/** Undefined for what was said of other files. */
function readSaid(value: unknown, files: TlsFiles): X509Certificate[] | undefined {
  const said = { of: '', certificates: [], ...(typeof value === 'object' ? value : null) };
  if (said.of !== JSON.stringify(files) || !Array.isArray(said.certificates)) return undefined;
  return said.certificates.map((each) => new X509Certificate(Buffer.from(String(each), 'base64')));
}
