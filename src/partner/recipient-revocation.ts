/**
 * Whether certificates that mail is encrypted for were revoked. What is known is kept sealed in Redis, for all
 * processes; who sends reads that, and waits for an authority only where `hard` is asked for and nothing is known yet.
 *
 * An authority can be asked only where it is known: a path must lead from the certificate to one of the configured
 * roots or intermediates, over issuers that are configured or, with `trust.aia`, fetched. Nobody but its owner can
 * revoke a certificate that signed itself, so it passes.
 */
import { LRUCache } from 'lru-cache';
import { type Config, type LoadedKeys, type PartnerConfig, revocationModeOf } from '../config/index.ts';
import { toErrorInfo } from '../errors.ts';
import type { Log } from '../log.ts';
import {
  IssuerSearch,
  isSelfSigned,
  nameOf,
  type PathOptions,
  RevocationCache,
  validatePath,
  validateWithRevocation,
  whyNotInForce,
} from '../pki/index.ts';
import { createRevocationFetcher } from './authorities.ts';
import { inForce, type PartnerCertificate } from './certificates.ts';

/** What the authorities said of a certificate. */
export interface RevocationState {
  readonly status: 'good' | 'revoked' | 'unknown';
  /** One sentence. */
  readonly why: string;
  /** When they were last asked, in milliseconds since the epoch. */
  readonly at: number;
}

/** What is known of the certificates of a partner, by SHA-256; nothing of one that nobody was asked about. */
export interface RecipientStates {
  readonly mode: 'soft' | 'hard';
  readonly of: ReadonlyMap<string, RevocationState>;
}

/** Those of them that were revoked. */
export function revokedAmong(states: RecipientStates['of']): RecipientStates['of'] {
  return new Map([...states].filter(([, { status }]) => status === 'revoked'));
}

export interface RecipientRevocationParts {
  trust: Config['trust'];
  keys: Pick<LoadedKeys, 'anchors' | 'intermediates' | 'approvalAnchors'>;
  /** As `SealedValues` of the room `redis`. Errors: `redis-unreachable`. */
  values: {
    get(name: string): Promise<unknown>;
    put(name: string, value: unknown, life: number): Promise<void>;
  };
  /** What the operator has revoked; no path leads through it. */
  refused: () => PathOptions['refused'];
  log: Log;
  now: () => number;
}

/** Milliseconds. */
const times = {
  /** Between two questions about one certificate, and after one that had no answer. */
  asked: 6 * 3_600_000,
  unanswered: 60_000,
  /** What is older is as good as nothing, unless it says that the certificate was revoked. */
  known: 48 * 3_600_000,
  /** For which a process remembers what it read. */
  read: 30_000,
  /** For which mail waits for an authority. */
  waited: 15_000,
  kept: 400 * 86_400_000,
};
/** Certificates that one process asks about at the same time. */
const mostAsked = 8;
/** Octets of lists that are kept: of a large authority, one may have many. */
const listOctets = 64 * 1024 * 1024;

/** Its certificate is parsed only when somebody is asked. */
type Asked = Pick<PartnerCertificate, 'thumbprint' | 'certificate'>;

export class RecipientRevocation {
  readonly #parts: RecipientRevocationParts;
  readonly #cache = new RevocationCache(listOctets);
  readonly #fetch: ReturnType<typeof createRevocationFetcher>;
  readonly #fetchIssuer: ReturnType<typeof createRevocationFetcher>;
  readonly #known = new LRUCache<string, { state: RevocationState | undefined; read: number }>({
    max: 50_000,
  });
  readonly #asking = new Map<string, Promise<RevocationState | undefined>>();
  #revoked: RecipientStates['of'] = new Map();

  constructor(parts: RecipientRevocationParts) {
    this.#parts = parts;
    this.#fetch = createRevocationFetcher(parts.trust.revocation);
    this.#fetchIssuer = createRevocationFetcher(parts.trust.aia, 'trust.aia');
  }

  /**
   * What is known of the certificates that mail to a partner could be encrypted for; undefined if nobody is to be
   * asked. What is unknown or old is asked for meanwhile. Errors: `redis-unreachable`.
   *
   * @param certificates as they were decided about, without what authorities said of them before
   * @param how `waits`: for what is not known; `hard` does, unless it is said here. `fresh`: not as this process has
   *   remembered it for a while
   */
  async statesOf(
    partner: PartnerConfig,
    certificates: readonly PartnerCertificate[],
    at: Date,
    how: { waits?: boolean; fresh?: boolean } = {},
  ): Promise<RecipientStates | undefined> {
    const mode = revocationModeOf(partner, this.#parts.trust);
    if (mode === 'off') return undefined;
    const { waits = mode === 'hard', fresh = false } = how;
    const { usable } = inForce(certificates, 'encrypt', at);
    const of = new Map<string, RevocationState>();
    await Promise.all(
      usable.map(async (entry) => {
        const state = await this.#stateOf(partner.name, entry, { waits, fresh });
        if (state !== undefined) of.set(entry.thumbprint, state);
      }),
    );
    return { mode, of };
  }

  async #stateOf(
    partner: string,
    entry: PartnerCertificate,
    { waits, fresh }: { waits: boolean; fresh: boolean },
  ): Promise<RevocationState | undefined> {
    const state = await this.#read(entry.thumbprint, fresh);
    if (state !== undefined && !this.#isDue(state)) return state;
    const asking = this.ask(partner, entry);
    const isOld =
      state !== undefined && state.status !== 'revoked' && this.#parts.now() - state.at > times.known;
    if (state !== undefined && !isOld) return state;
    return waits ? await within(asking, times.waited) : undefined;
  }

  #isDue({ status, at }: RevocationState): boolean {
    const age = this.#parts.now() - at;
    // A clock that was set back makes nothing last longer.
    return age < 0 || age >= (status === 'unknown' ? times.unanswered : times.asked);
  }

  /** What is known, by this process or by others: what was asked for last. */
  async #read(thumbprint: string, fresh = false): Promise<RevocationState | undefined> {
    const { now, values } = this.#parts;
    const known = this.#known.get(thumbprint);
    if (!fresh && known !== undefined && Math.abs(now() - known.read) < times.read) return known.state;
    const kept = readRevocationState(await values.get(thumbprint));
    // A value that is gone from Redis, or that is older, takes nothing back.
    const own = this.#known.get(thumbprint)?.state;
    const latest = (own?.at ?? -1) > (kept?.at ?? -1) ? own : kept;
    this.#known.set(thumbprint, { state: latest, read: now() });
    this.#note(thumbprint, latest);
    return latest;
  }

  #note(thumbprint: string, state: RevocationState | undefined): void {
    const isRevoked = state?.status === 'revoked';
    if (isRevoked ? this.#revoked.get(thumbprint)?.why === state.why : !this.#revoked.has(thumbprint)) return;
    const others = [...this.#revoked].filter(([name]) => name !== thumbprint);
    this.#revoked = new Map(isRevoked ? [...others, [thumbprint, state]] : others);
  }

  /** Those that were revoked, by SHA-256, as this process knows; another object when that has changed. */
  get revoked(): RecipientStates['of'] {
    return this.#revoked;
  }

  /** Asks for those in force that are due, some at a time. Errors: `redis-unreachable`. */
  async askDue(
    certificates: readonly { partner: string; entry: PartnerCertificate }[],
    isStopped: () => boolean,
  ): Promise<void> {
    for (let from = 0; from < certificates.length && !isStopped(); from += mostAsked / 2)
      await Promise.all(
        certificates.slice(from, from + mostAsked / 2).map(async ({ partner, entry }) => {
          const state = await this.#read(entry.thumbprint);
          if (state !== undefined && !this.#isDue(state)) return;
          if (whyNotInForce(entry, 'encrypt', new Date(this.#parts.now())) !== undefined) return;
          await this.ask(partner, entry);
        }),
      );
  }

  /** Revocation lists of those it has that end with no newer one in their place. */
  endingLists(): ReturnType<RevocationCache['endingLists']> {
    return this.#cache.endingLists(new Date(this.#parts.now()));
  }

  /** What is known of one certificate. Errors: `redis-unreachable`. */
  async known(thumbprint: string): Promise<RevocationState | undefined> {
    return await this.#read(thumbprint);
  }

  /** Asks the authorities, once for all who ask meanwhile. Undefined if too many are being asked; it never rejects. */
  ask(partner: string, entry: Asked): Promise<RevocationState | undefined> {
    const { thumbprint } = entry;
    const running = this.#asking.get(thumbprint);
    if (running !== undefined) return running;
    if (this.#asking.size >= mostAsked) return Promise.resolve(undefined);
    const asking = this.#ask(partner, entry)
      .then((found) => this.#keep(partner, thumbprint, found))
      .finally(() => this.#asking.delete(thumbprint));
    this.#asking.set(thumbprint, asking);
    return asking;
  }

  async #keep(partner: string, thumbprint: string, found: RevocationState): Promise<RevocationState> {
    const { values, log, now } = this.#parts;
    const before = this.#known.get(thumbprint)?.state;
    // Who keeps an authority from answering takes no revocation back.
    const state =
      found.status === 'unknown' && before?.status === 'revoked' ? { ...before, at: found.at } : found;
    this.#known.set(thumbprint, { state, read: now() });
    this.#note(thumbprint, state);
    const facts = { partner, certificate: thumbprint.slice(0, 16), why: state.why };
    if (state.status === 'revoked' && before?.status !== 'revoked')
      log.warn(facts, 'a certificate of a partner was revoked: mail is not encrypted for it any more');
    else log.debug({ ...facts, status: state.status }, 'asked whether a certificate was revoked');
    try {
      await values.put(thumbprint, state, times.kept);
    } catch {
      // Redis is away: this process knows it, and the others ask themselves.
    }
    return state;
  }

  async #ask(partner: string, entry: Asked): Promise<RevocationState> {
    const { trust, keys, refused, now } = this.#parts;
    const at = now();
    const found = (status: RevocationState['status'], why: string) => ({ status, why, at });
    try {
      const { certificate } = entry;
      if (isSelfSigned(certificate)) return found('good', 'self-signed: there is no authority to ask');
      const date = new Date(at);
      const anchors = [...keys.anchors, ...(keys.approvalAnchors.get(partner) ?? [])];
      const { intermediates } = keys;
      const options: PathOptions = { anchors, intermediates, at: date, purpose: 'any', refused: refused() };
      const search = trust.aia.fetch
        ? new IssuerSearch({ fetch: this.#fetchIssuer, cache: this.#cache, now: date })
        : undefined;
      const { result, fetched = [] } = (await search?.complete(certificate, options)) ?? {
        result: validatePath(certificate, options),
      };
      // An issuer that is configured can be asked, even if the one above it is not.
      const roots = result.trusted ? anchors : [...anchors, ...intermediates];
      const answer = await validateWithRevocation(
        certificate,
        { ...options, anchors: roots, intermediates: [...fetched, ...intermediates], revocation: 'soft' },
        { fetch: this.#fetch, cache: this.#cache, now: date },
      );
      if (answer.reason === 'revoked') return found('revoked', answer.message);
      if (!answer.trusted) return found('unknown', `its issuer is not known: ${answer.message}`);
      if (!answer.weak.includes('revocation-unknown')) return found('good', answer.message);
      const why = answer.failures.map(({ url, message }) => `${url}: ${message}`).join('; ');
      const said = why === '' ? 'no list and no responder that it names says so' : why;
      return found('unknown', `${nameOf(certificate)}: ${said}`);
    } catch (error) {
      return found('unknown', toErrorInfo(error).message);
    }
  }
}

/** What is kept of a certificate in Redis, by its thumbprint; undefined for anything else. */
export function readRevocationState(value: unknown): RevocationState | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { status, why, at } = value as Partial<Record<keyof RevocationState, unknown>>;
  if (status !== 'good' && status !== 'revoked' && status !== 'unknown') return undefined;
  return typeof why === 'string' && typeof at === 'number' ? { status, why, at } : undefined;
}

/** What it resolves to, or undefined after so many milliseconds. */
async function within<T>(work: Promise<T>, ms: number): Promise<T | undefined> {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  const timer = setTimeout(resolve, ms, undefined);
  try {
    return await Promise.race([work, promise]);
  } finally {
    clearTimeout(timer);
  }
}
