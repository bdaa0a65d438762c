/**
 * What is known of certificates beside the configuration: those that wait for approval, and what was decided. One
 * sealed document in Redis (`SealedDocument`), with the certificates of some partners in each of its parts.
 */
import { PartnerNames } from '../config/index.ts';
import { SealpostError } from '../errors.ts';
import { type Certificate, keyDigest, parseCertificate } from '../pki/index.ts';
import { type Adopted, type DocumentKind, type SealedDocumentParts, SealedStore } from '../redis/index.ts';
import {
  type Announcement,
  isNews,
  type Keeping,
  readAnnouncements,
  withAnnouncement,
} from './announcement.ts';
import { bindingOf, isBoundTo } from './binding.ts';
import { emailsOf } from './compare.ts';
import { idOf, partOf, readEntries, type StoredCertificate } from './entry.ts';
import { RefusedFile } from './refused.ts';

export interface CertStoreParts extends SealedDocumentParts {
  /** Partners may have other names than when a certificate came: entries have their keys. */
  partnerNames?: Pick<PartnerNames, 'key' | 'present' | 'addresses'> | undefined;
  /** Milliseconds since the epoch. */
  now(): number;
}

/** The document itself; the certificates are in its parts. */
interface Totals {
  /** How many wait for approval. */
  waiting: number;
}

/**
 * Certificates that wait: of one partner, and in all. Their number is bounded. Those that anybody may make have few of
 * the places, and those of directories half of them, so that they keep nobody out.
 */
export const mostWaiting = {
  ...{ partner: 10, all: 1000 },
  ...{ unproven: { partner: 3, all: 500 }, lookedUp: { partner: 5, all: 500 } },
};

/** Begins the names of parts with what partners announced. */
const announcedPart = 'announced.';

/** What comes into the store; the rest of an entry is made here. */
export type NewCertificate = Pick<
  StoredCertificate,
  | 'partner'
  | 'uses'
  | 'from'
  | 'until'
  | 'source'
  | 'findings'
  | 'rule'
  | 'announcedBy'
  | 'message'
  | 'unproven'
>;

/** Who decides, and what was compared. */
export interface Decision {
  by: string;
  why: string;
}

const kind: DocumentKind<Totals> = {
  name: 'certs',
  title: 'the store of certificates',
  code: 'certs-changed',
  consequence: 'no certificate counts as approved until this is mended; those of the configuration do',
  empty: { waiting: 0 },
  parse: totalsOf,
};

export class CertStore extends SealedStore<Totals> {
  readonly #parts: CertStoreParts;
  readonly #names: Pick<PartnerNames, 'key' | 'present' | 'addresses'>;
  readonly #refusedFile: RefusedFile;
  /** Entries by part, and indices over all of them. */
  #byPart = new Map<string, StoredCertificate[]>();
  readonly #byThumbprint = new Map<string, StoredCertificate>();
  readonly #byPartner = new Map<string, StoredCertificate[]>();
  /** What partners announced, by part. */
  #announced = new Map<string, Announcement[]>();
  #decisions = '';
  /** Milliseconds since the epoch; 0 without a trouble. */
  #troubleSince = 0;
  /** Revoked ones by their key. */
  #revokedKeys = new Map<string, StoredCertificate>();
  readonly #certificates = new WeakMap<StoredCertificate, Certificate>();
  /** Whether an approval is for the partner that has the name now. */
  readonly #bound = new WeakMap<StoredCertificate, boolean>();

  private constructor(parts: CertStoreParts) {
    super(parts, kind);
    this.#parts = parts;
    this.#names = parts.partnerNames ?? new PartnerNames([]);
    this.#refusedFile = new RefusedFile(parts);
    this.#index();
  }

  /** Reads the store. Errors: `redis-unreachable`; one that is not ours is a trouble, and approves nothing. */
  static async open(parts: CertStoreParts): Promise<CertStore> {
    const store = new CertStore(parts);
    await store.refresh();
    return store;
  }

  /** Goes up with each change. */
  get version(): number {
    return this.stored.version;
  }

  /** What fails, as a role reports it. */
  troubles(): { what: string; since: number; why: string }[] {
    const { trouble } = this;
    if (trouble) return [{ what: 'store of certificates', since: this.#troubleSince, why: trouble.message }];
    const [first, ...others] = this.ofOthers();
    if (first === undefined) return [];
    const { partner, decided, addedAt } = first.entry;
    const more = others.length === 0 ? '' : `; and ${others.length} more`;
    const why = `certificate ${idOf(first.entry)} of partner ${partner} ${first.why}${more}`;
    return [{ what: 'approved certificates', since: decided?.at ?? addedAt, why }];
  }

  /** What was approved for partners that were removed, and others have their names now: it does not count. */
  ofOthers(): { entry: StoredCertificate; why: string }[] {
    return this.all().flatMap((entry) => {
      const why = this.whyOfAnother(entry);
      return why === undefined ? [] : [{ entry, why }];
    });
  }

  protected override adopt({ parts, names }: Adopted<Totals>): void {
    if (this.trouble === undefined) this.#troubleSince = 0;
    else this.#troubleSince ||= this.#parts.now();
    for (const name of [...this.#announced.keys()]) if (!names.has(name)) this.#announced.delete(name);
    for (const [name, value] of parts)
      if (name.startsWith(announcedPart)) this.#announced.set(name, readAnnouncements(value));
    const kept = [...this.#byPart].filter(([name]) => names.has(name));
    const present = (entry: StoredCertificate) => ({ ...entry, partner: this.#names.present(entry.partner) });
    const read = [...parts]
      .filter(([name]) => !name.startsWith(announcedPart))
      .map(([name, value]) => [name, readEntries(value).map(present)] as const);
    this.#byPart = new Map([...kept, ...read]);
    this.#refusedFile.keep(read.flatMap(([, entries]) => entries));
    this.#index();
  }

  #index(): void {
    this.#byThumbprint.clear();
    this.#byPartner.clear();
    for (const entries of this.#byPart.values())
      for (const entry of entries) {
        this.#byThumbprint.set(entry.thumbprint, entry);
        const name = entry.partner.toLowerCase();
        const own = this.#byPartner.get(name);
        if (own) own.push(entry);
        else this.#byPartner.set(name, [entry]);
      }
    // What this machine knows to be refused stays refused, even if the store does not say so.
    for (const entry of this.#refusedFile.entries.values()) this.#byThumbprint.set(entry.thumbprint, entry);
    const revoked = [...this.#byThumbprint.values()].filter(({ state }) => state === 'revoked');
    this.#revokedKeys = new Map(revoked.map((entry) => [entry.key, entry]));
    const decided = [...this.#byThumbprint.values()].filter(({ state }) => state !== 'waiting');
    this.#decisions = decided.map(({ thumbprint, version }) => `${thumbprint} ${version}`).join('\n');
  }

  /** Another text whenever something else was decided: not when something merely waits. */
  get decisions(): string {
    return this.#decisions;
  }

  /** All of them. */
  all(): StoredCertificate[] {
    return [...this.#byThumbprint.values()];
  }

  /** @param thumbprint SHA-256 in hex, in lower case */
  of(thumbprint: string): StoredCertificate | undefined {
    return this.#byThumbprint.get(thumbprint);
  }

  /** Those that a person or a rule approved for a partner, and nobody revoked since then. */
  approvedOf(partner: string): StoredCertificate[] {
    const own = this.#byPartner.get(partner.toLowerCase()) ?? [];
    return own.filter(
      (entry) => this.#isApproved(entry) && this.#byThumbprint.get(entry.thumbprint) === entry,
    );
  }

  /** Whether it was approved for the partner that has the name now. */
  isApproved(thumbprint: string): boolean {
    const entry = this.of(thumbprint);
    return entry !== undefined && this.#isApproved(entry);
  }

  #isApproved(entry: StoredCertificate): boolean {
    return entry.state === 'approved' && this.whyOfAnother(entry) === undefined;
  }

  /**
   * Why an approval does not count: it was for a partner that was removed, and another one has its name. Undefined if
   * it is that of the partner, or the partner is not there. Completes "the certificate ...".
   */
  whyOfAnother(entry: StoredCertificate): string | undefined {
    const { state, partner, addresses: before } = entry;
    const addresses = this.#names.addresses(partner);
    if (state !== 'approved' || before === undefined || addresses === undefined) return undefined;
    let bound = this.#bound.get(entry);
    if (bound === undefined) {
      bound = isBoundTo(addresses, before, () => emailsOf(this.certificateOf(entry)));
      this.#bound.set(entry, bound);
    }
    if (bound) return undefined;
    const had =
      before.length === 0 ? 'was not configured' : `had the addresses ${before.slice(0, 3).join(', ')}`;
    return `was approved when partner ${partner} ${had}: approve it again if it is still the same partner's`;
  }

  /** What an approval of now is bound to: to nothing, if the partner is not there. */
  #binding(partner: string): Pick<StoredCertificate, 'addresses'> {
    if (this.#parts.partnerNames === undefined) return {};
    return { addresses: bindingOf(this.#names.addresses(partner) ?? []) ?? [] };
  }

  /**
   * Binds approvals to the addresses that their partners have now, as far as they are the same partners. Errors:
   * `redis-unreachable`, `certs-changed`.
   */
  async bind(): Promise<void> {
    const next = (entry: StoredCertificate) =>
      this.#isApproved(entry)
        ? bindingOf(this.#names.addresses(entry.partner) ?? [], entry.addresses)
        : undefined;
    for (const [name, known] of this.#byPart) {
      if (known.every((entry) => next(entry) === undefined)) continue;
      await this.stored.change(async (document, part) => {
        const entries = readEntries(await part(name));
        let changed = false;
        for (const entry of entries) {
          const addresses = next(entry);
          if (addresses === undefined) continue;
          entry.addresses = addresses;
          changed = true;
        }
        return changed ? { document, parts: new Map([[name, entries]]) } : undefined;
      });
    }
  }

  waitingOf(partner: string): StoredCertificate[] {
    return (this.#byPartner.get(partner.toLowerCase()) ?? []).filter(({ state }) => state === 'waiting');
  }

  /** Read when it is first asked for. */
  certificateOf(entry: StoredCertificate): Certificate {
    let certificate = this.#certificates.get(entry);
    if (certificate === undefined) {
      certificate = parseCertificate(Buffer.from(entry.der, 'base64'));
      this.#certificates.set(entry, certificate);
    }
    return certificate;
  }

  /**
   * Why a certificate counts for nothing, wherever it is configured and whatever issuers say; undefined if nobody
   * refused it. Completes "the certificate ...".
   */
  whyRefused(certificate: Certificate): string | undefined {
    return this.whyRefusedBy(certificate.thumbprint, () => keyDigest(certificate));
  }

  /** As `whyRefused`, by what is known of a certificate without parsing it. */
  whyRefusedBy(thumbprint: string, key: () => string): string | undefined {
    if (this.#byThumbprint.size === 0) return undefined;
    const entry = this.#byThumbprint.get(thumbprint);
    if (entry?.state === 'rejected') return `was rejected by ${entry.decided?.by ?? 'a person'}`;
    if (entry?.state === 'revoked') return `was revoked by ${entry.decided?.by ?? 'a person'}`;
    if (this.#revokedKeys.size === 0) return undefined;
    const other = this.#revokedKeys.get(key());
    return other && `has the key of certificate ${other.thumbprint}, which was revoked`;
  }

  /**
   * Puts a certificate into the store, to wait for approval. Nothing happens to one that is known.
   *
   * @returns what became of it; `full` if so many wait already
   */
  async offer(certificate: Certificate, facts: NewCertificate): Promise<'waiting' | 'known' | 'full'> {
    let result: 'waiting' | 'known' | 'full' = 'waiting';
    await this.#edit(facts.partner, (entries, totals) => {
      result = 'waiting';
      // What has expired while it waited makes room.
      const { now } = this.#parts;
      const expired = (each: StoredCertificate) =>
        each.state === 'waiting' && this.certificateOf(each).notAfter.getTime() < now();
      entries.splice(0, entries.length, ...entries.filter((each) => !expired(each)));
      const own = entries.filter(
        ({ partner, state }) =>
          state === 'waiting' && partner.toLowerCase() === this.#names.key(facts.partner).toLowerCase(),
      );
      if (
        this.of(certificate.thumbprint) ||
        entries.some(({ thumbprint }) => thumbprint === certificate.thumbprint)
      )
        result = 'known';
      else if (isFull(own, totals, facts)) result = 'full';
      if (result !== 'waiting') return false;
      entries.push({ ...this.#made(certificate, facts), state: 'waiting' });
      return true;
    });
    return result;
  }

  #made(certificate: Certificate, facts: NewCertificate): StoredCertificate {
    return {
      thumbprint: certificate.thumbprint,
      key: keyDigest(certificate),
      state: 'waiting',
      der: certificate.der.toString('base64'),
      addedAt: this.#parts.now(),
      version: (this.of(certificate.thumbprint)?.version ?? 0) + 1,
      decided: null,
      ...facts,
      partner: this.#names.key(facts.partner),
    };
  }

  /**
   * Decides about a certificate that is in the store.
   *
   * @param version of the entry that was compared
   * @throws {SealpostError} `certificate-unknown`, `certificate-conflict` if it is another one by now
   */
  async decide(
    thumbprint: string,
    version: number,
    state: 'approved' | 'rejected' | 'revoked',
    decision: Decision,
    changes: Partial<Pick<StoredCertificate, 'uses' | 'from' | 'until'>> = {},
  ): Promise<void> {
    const known = this.of(thumbprint);
    if (known === undefined) throw unknown(thumbprint);
    await this.#edit(known.partner, (entries) => {
      const at = entries.findIndex((each) => each.thumbprint === thumbprint);
      const entry = entries[at] ?? known;
      if (entry.version !== version)
        throw new SealpostError(
          'certificate-conflict',
          `certificate ${thumbprint.slice(0, 16)} has version ${entry.version} by now; version ${version} was compared`,
        );
      const decided = { ...decision, at: this.#parts.now() };
      const next = {
        ...{ ...entry, ...changes, state, decided, rule: null, version: version + 1 },
        ...(state === 'approved' && this.#binding(entry.partner)),
      };
      if (at < 0) entries.push(next);
      else entries[at] = next;
      return true;
    });
  }

  /**
   * Says of one that waits that no rule approves it any more. Nothing happens to one that was decided about meanwhile.
   */
  async withoutRule({ thumbprint, partner, version }: StoredCertificate, finding: string): Promise<void> {
    await this.#edit(partner, (entries) => {
      const entry = entries.find((each) => each.thumbprint === thumbprint);
      if (entry?.state !== 'waiting' || entry.version !== version) return false;
      entry.rule = null;
      entry.findings.push(finding);
      entry.version += 1;
      return true;
    });
  }

  /**
   * Puts a certificate into the store as decided: a person pins one from a file, or revokes one of the configuration.
   *
   * @throws {SealpostError} `certificate-conflict` if it is there already
   */
  async put(
    certificate: Certificate,
    facts: NewCertificate,
    state: 'approved' | 'rejected' | 'revoked',
    decision: Decision,
  ): Promise<void> {
    await this.#edit(facts.partner, (entries) => {
      if (
        this.of(certificate.thumbprint) ||
        entries.some(({ thumbprint }) => thumbprint === certificate.thumbprint)
      )
        throw new SealpostError(
          'certificate-conflict',
          `certificate ${certificate.thumbprint.slice(0, 16)} is in the store`,
        );
      const decided = { ...decision, at: this.#parts.now() };
      const made = { ...this.#made(certificate, facts), state, decided };
      entries.push({ ...made, ...(state === 'approved' && this.#binding(facts.partner)) });
      return true;
    });
  }

  /** What a partner announced last, with any of its certificates that count. */
  announcedBy(partner: string, counts: (thumbprint: string) => boolean): Announcement | undefined {
    const key = this.#names.key(partner);
    const own = (this.#announced.get(announcedPart + partOf(key)) ?? []).filter(
      (each) => each.partner === key && counts(each.thumbprint),
    );
    return own.reduce<Announcement | undefined>(
      (last, each) => (last && last.at >= each.at ? last : each),
      undefined,
    );
  }

  /** Keeps what a partner announced, if it is newer than what is known. */
  async announce(said: Announcement, keeping?: Keeping): Promise<void> {
    const key = this.#names.key(said.partner);
    const name = announcedPart + partOf(key);
    const known = this.#announced
      .get(name)
      ?.find((each) => each.partner === key && each.thumbprint === said.thumbprint);
    if (!isNews(known, said, keeping)) return;
    await this.stored.change(async (document, part) => {
      const list = withAnnouncement(readAnnouncements(await part(name)), { ...said, partner: key }, keeping);
      return list && { document, parts: new Map([[name, list]]) };
    });
  }

  /** Takes the store as it is in Redis, after a restore; what this machine knows to be refused is refused again. */
  async accept(): Promise<void> {
    await this.stored.change((document) => ({ document }), true);
    for (const refused of this.#refusedFile.entries.values())
      await this.#edit(refused.partner, (entries) => {
        const at = entries.findIndex(({ thumbprint }) => thumbprint === refused.thumbprint);
        const old = entries[at];
        if (old?.state === refused.state) return false;
        const next = { ...refused, version: Math.max(refused.version, old?.version ?? 0) + 1 };
        if (at < 0) entries.push(next);
        else entries[at] = next;
        return true;
      });
  }

  /** Changes the entries of the part of a partner. The edit may run several times; false for nothing. */
  async #edit(
    partner: string,
    edit: (entries: StoredCertificate[], totals: Totals) => boolean,
  ): Promise<void> {
    const name = partOf(this.#names.key(partner));
    const waits = (entries: readonly StoredCertificate[]) =>
      entries.filter(({ state }) => state === 'waiting').length;
    await this.stored.change(async (document, part) => {
      const entries = readEntries(await part(name));
      const before = waits(entries);
      if (!edit(entries, document)) return undefined;
      const waiting = document.waiting + waits(entries) - before;
      return { document: { waiting }, parts: new Map([[name, entries]]) };
    });
  }
}

/** @param own those of the partner that wait */
function isFull(own: readonly StoredCertificate[], { waiting }: Totals, offered: NewCertificate): boolean {
  if (own.length >= mostWaiting.partner || waiting >= mostWaiting.all) return true;
  return (['unproven', 'lookedUp'] as const).some((kind) => {
    const { partner, all } = mostWaiting[kind];
    return isOf[kind](offered) && (waiting >= all || own.filter(isOf[kind]).length >= partner);
  });
}

/** Kinds of certificates that have fewer places than others. */
const isOf = {
  unproven: (each: NewCertificate) => each.unproven === true,
  lookedUp: ({ source }: NewCertificate) => source === 'ldap' || source === 'dns' || source === 'folder',
};

function totalsOf(value: unknown): Totals {
  const waiting = typeof value === 'object' && value !== null && 'waiting' in value ? value.waiting : 0;
  return { waiting: typeof waiting === 'number' && Number.isSafeInteger(waiting) ? Math.max(0, waiting) : 0 };
}

export function unknown(what: string): SealpostError {
  return new SealpostError('certificate-unknown', `there is no certificate ${what}`, {
    hint: 'find it with sealpost certs list',
  });
}
