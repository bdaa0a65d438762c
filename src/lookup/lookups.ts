import { createHash } from 'node:crypto';
import type { Config } from '../config/index.ts';
import { SealpostError, toErrorInfo } from '../errors.ts';
import { parseMailbox, sameAddress } from '../message/index.ts';
import type { Dns } from '../net/index.ts';
import { type Certificate, describeValidity, parseCertificate, unusableFor } from '../pki/index.ts';
import { type SealedValues, type SealedValuesParts, sealedValues } from '../redis/index.ts';
import { dnsCert, smimea } from './dns.ts';
import { folder } from './folder.ts';
import { ldap } from './ldap.ts';
import { answerLimits, type Directory } from './types.ts';

export type DirectorySettings = Config['lookup']['directories'][number];

export interface LookupsParts {
  directories: readonly DirectorySettings[];
  /** The resolver that validates; undefined if the operator names none. */
  dns: Dns | undefined;
  /** Remembered answers. */
  kept: SealedValues;
  /** Milliseconds for which an answer is kept. */
  life: number;
  /** Milliseconds since the epoch. */
  now(): number;
}

/** What a directory gave for an address. */
export interface Found {
  directory: string;
  source: 'ldap' | 'dns' | 'folder';
  certificate: Certificate;
}

export interface Asked {
  found: Found[];
  /** What was refused, and why, a line for each. */
  refused: string[];
  /** Directories that could not be asked. The answers of the others are used. */
  failed: { directory: string; error: SealpostError }[];
  /** Milliseconds since the epoch of the oldest answer that was used; undefined if no directory answered. */
  at: number | undefined;
}

interface Kept {
  at: number;
  certificates: string[];
  refused: string[];
}

/** Milliseconds for all that one directory does for one address. */
const patience = 30_000;

const sourceOf = { ldap: 'ldap', smimea: 'dns', cert: 'dns', folder: 'folder' } as const;

/** Lookups as the configuration has them; what directories said is kept in Redis for all. */
export function lookupsOf(
  { lookup: { directories, remember: life } }: Pick<Config, 'lookup'>,
  { queue, dns, now = Date.now }: { queue: SealedValuesParts; dns: Dns | undefined; now?: () => number },
): Lookups {
  return new Lookups({ directories, dns, kept: sealedValues(queue, 'lookup'), life, now });
}

export class Lookups {
  readonly #parts: LookupsParts;

  constructor(parts: LookupsParts) {
    this.#parts = parts;
  }

  /**
   * Asks directories about one address of a partner. A directory that fails does not affect the answers of the others.
   *
   * @param names of directories
   * @param fresh ask again, even if an answer is remembered
   * @throws {SealpostError} `address-invalid`
   */
  async ask(address: string, names: readonly string[], { fresh = false } = {}): Promise<Asked> {
    const { directories } = this.#parts;
    const mailbox = parseMailbox(address, { utf8: true });
    const asked: Asked = { found: [], refused: [], failed: [], at: undefined };
    const seen = new Set<string>();
    for (const settings of directories) {
      const { name, kind } = settings;
      if (!names.includes(name)) continue;
      try {
        const kept = await this.#answer(settings, mailbox, fresh);
        asked.at = Math.min(asked.at ?? kept.at, kept.at);
        asked.refused.push(...kept.refused.map((each) => `${name}: ${each}`));
        for (const der of kept.certificates) {
          const certificate = parseCertificate(Buffer.from(der, 'base64'));
          if (seen.has(certificate.thumbprint)) continue;
          seen.add(certificate.thumbprint);
          asked.found.push({ directory: name, source: sourceOf[kind], certificate });
        }
      } catch (error) {
        if (!(error instanceof SealpostError)) throw error;
        asked.failed.push({ directory: name, error });
      }
    }
    return asked;
  }

  async #answer(
    settings: DirectorySettings,
    mailbox: ReturnType<typeof parseMailbox>,
    fresh: boolean,
  ): Promise<Kept> {
    const { kept, life, now } = this.#parts;
    // With other settings, it is another question.
    const digest = createHash('sha256')
      .update(JSON.stringify([settings, mailbox.key]))
      .digest('hex');
    const before = fresh ? undefined : keptOf(await kept.get(digest));
    if (before !== undefined && now() - before.at < life) return before;
    const signal = AbortSignal.timeout(patience);
    const work = this.#open(settings).find(mailbox, signal);
    const { certificates, beside } = await within(work, signal);
    const judged = certificates.map((certificate) => ({
      certificate,
      why: unfit(certificate, mailbox, settings.kind, new Date(now())),
    }));
    const answer: Kept = {
      at: now(),
      certificates: judged.flatMap(({ certificate, why }) =>
        why === undefined ? [certificate.der.toString('base64')] : [],
      ),
      refused: [
        ...beside.slice(0, answerLimits.certificates),
        ...judged.flatMap(({ certificate, why }) =>
          why === undefined ? [] : [`certificate ${certificate.thumbprint.slice(0, 16)} ${why}`],
        ),
      ],
    };
    await kept.put(digest, answer, life);
    return answer;
  }

  #open(settings: DirectorySettings): Directory {
    if (settings.kind === 'ldap') return ldap(settings);
    if (settings.kind === 'folder') return folder(settings.path);
    const { dns } = this.#parts;
    if (dns === undefined)
      throw new SealpostError('lookup-failed', 'there is no resolver that validates DNSSEC', {
        hint: 'write dns.resolver',
      });
    return settings.kind === 'smimea' ? smimea(dns) : dnsCert(dns);
  }
}

function keptOf(value: unknown): Kept | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { at, certificates, refused } = { at: 0, certificates: [], refused: [], ...value };
  const texts = (list: unknown): list is string[] =>
    Array.isArray(list) && list.every((each) => typeof each === 'string');
  return typeof at === 'number' && texts(certificates) && texts(refused)
    ? { at, certificates, refused }
    : undefined;
}

/** Why a certificate does not fit the address, or is of no use. Completes "the certificate ...". */
function unfit(
  certificate: Certificate,
  { address, host }: { address: string; host: string },
  kind: DirectorySettings['kind'],
  now: Date,
): string | undefined {
  // It would take up room in the store, and in the memory of all processes.
  if (certificate.der.length > answerLimits.certificate) return 'has more octets than a certificate needs';
  try {
    const { emails, subjectAltNames } = certificate;
    // Direct has certificates of a whole domain, which name the domain and no address.
    const domain =
      kind === 'cert' &&
      emails.length === 0 &&
      subjectAltNames.some((name) => name.kind === 'dns' && name.value.toLowerCase() === host);
    if (!domain && !emails.some((each) => sameAddress(each, address))) return 'does not name the address';
    return (
      describeValidity(certificate, now) ??
      (unusableFor(certificate, 'encrypt') === undefined ? undefined : unusableFor(certificate, 'sign'))
    );
  } catch (error) {
    if (!(error instanceof SealpostError)) throw error;
    return `cannot be read: ${error.message}`;
  }
}

async function within<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const late = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () =>
      reject(new SealpostError('lookup-failed', `no answer within ${patience / 1000} seconds`)),
    );
  });
  // An answer after the deadline is ignored.
  work.catch(() => undefined);
  try {
    return await Promise.race([work, late]);
  } catch (error) {
    if (error instanceof SealpostError) throw error;
    throw new SealpostError('lookup-failed', toErrorInfo(error).message, { cause: error });
  }
}
