/**
 * What partners have shown: keys that they use, by mail that they signed. Who signs with a key has it, so it can read
 * what is encrypted for it, where the key may also encrypt.
 *
 * The facts are sealed, so nobody who writes into Redis can make one. An older state brings older facts, with which
 * mail is encrypted for more or older certificates in force, and never for one that is not.
 */
import { createHash } from 'node:crypto';
import { partnerKey } from '../config/index.ts';
import { type Certificate, keyDigest } from '../pki/index.ts';
import type { PartnerCertificate, ShownKeys } from './certificates.ts';
import type { Sender, SignerReport } from './sender.ts';

/** As `SealedValues` of the room `redis`. */
export interface ShownValues {
  get(name: string): Promise<unknown>;
  put(name: string, value: unknown, life: number): Promise<void>;
}

/** Milliseconds for which a fact is kept after the last mail. */
const life = 800 * 86_400_000;
/** Milliseconds between two notes of one key, between two writes, and for which a reader remembers what it read. */
const times = { noted: 60_000, written: 5_000, read: 5_000 };
/** Keys kept of one partner: those that were used last. */
const mostKeys = 20;

/** What a message says about the keys of the partner that it is from. */
export interface SignedMail {
  readonly sender: Pick<Sender, 'partner' | 'by'>;
  readonly signers: readonly (SignerReport & {
    readonly signingTime: string | null;
    readonly encryptionKeyPreference?: Preference | null;
  })[];
  /** Milliseconds since the epoch. */
  readonly receivedAt: number;
}

/** The certificate that a signer wants mail encrypted for, as the verdict names it. */
export type Preference =
  | { readonly issuer: string; readonly serialNumber: string }
  | { readonly subjectKeyIdentifier: string }
  | { readonly keyIdentifier: string };

export interface ShownFact {
  /** Its key (`partnerKey`), so that a partner that is renamed has shown the same. */
  readonly partner: string;
  readonly key: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
}

/**
 * The keys that a mail shows: those that its trusted signers use, and those of certificates that they want to be
 * encrypted for. Only mail that is certainly from the partner counts. The time is that of signing, as far as it is not
 * later than the arrival: a mail that is sent once more is no newer.
 */
export function shownBy(
  { sender, signers, receivedAt }: SignedMail,
  certificatesOf: (partner: string) => readonly PartnerCertificate[],
): ShownFact[] {
  const { partner, by } = sender;
  if (partner === undefined || by !== 'signature') return [];
  const own = certificatesOf(partner.name);
  return signers
    .filter(({ valid, trusted }) => valid && trusted)
    .flatMap(({ thumbprint, signingTime, encryptionKeyPreference }) => {
      const signing = own.filter((each) => each.thumbprint === thumbprint?.toLowerCase());
      if (signing.length === 0) return [];
      const signedAt = signingTime === null ? Number.NaN : Date.parse(signingTime);
      const at = Number.isNaN(signedAt) ? receivedAt : Math.min(receivedAt, signedAt);
      const wanted = own.filter(({ certificate }) => isNamed(certificate, encryptionKeyPreference));
      const keys = new Set([...signing, ...wanted].map(({ certificate }) => keyDigest(certificate)));
      return [...keys].map((key) => ({ partner: partnerKey(partner), key, at }));
    });
}

function isNamed(certificate: Certificate, preference: Preference | null | undefined): boolean {
  if (!preference) return false;
  if ('issuer' in preference)
    return preference.issuer === certificate.issuer && preference.serialNumber === certificate.serialHex;
  const named =
    'subjectKeyIdentifier' in preference ? preference.subjectKeyIdentifier : preference.keyIdentifier;
  return named !== '' && named === certificate.subjectKeyIdentifier?.toString('hex');
}

/** Notes and reads what partners have shown. */
export class Shown {
  readonly #values: ShownValues;
  readonly #now: () => number;
  /** What this process knows to be written, by partner and key. */
  readonly #noted = new Map<string, Map<string, number>>();
  readonly #due = new Map<string, Map<string, number>>();
  readonly #read = new Map<string, { at: number; keys: ShownKeys }>();
  #timer: NodeJS.Timeout | undefined;

  constructor(values: ShownValues, now: () => number) {
    this.#values = values;
    this.#now = now;
  }

  /** Remembers a fact, and writes it a little later. */
  note({ partner, key, at }: ShownFact): void {
    const noted = this.#noted.get(partner) ?? new Map<string, number>();
    this.#noted.set(partner, noted);
    const last = noted.get(key);
    const isLatest = [...noted.values()].every((each) => each <= (last ?? 0));
    // A partner that goes back to another key says so at once.
    if (last !== undefined && at < last + (isLatest ? times.noted : 1)) return;
    noted.set(key, at);
    const due = this.#due.get(partner) ?? new Map<string, number>();
    this.#due.set(partner, due.set(key, at));
    this.#timer ??= setTimeout(() => void this.flush(), times.written).unref();
  }

  /** Writes what was noted. Two processes may overwrite each other; the next mail then says it again. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const due = [...this.#due];
    this.#due.clear();
    for (const [partner, keys] of due) {
      try {
        const known = new Map(await this.#load(partner));
        for (const [key, at] of keys) {
          const { first = at, last = at } = known.get(key) ?? {};
          known.set(key, { first: Math.min(first, at), last: Math.max(last, at) });
        }
        const latest = [...known].sort(([, a], [, b]) => b.last - a.last).slice(0, mostKeys);
        const value = latest.map(([key, { first, last }]) => [key, first, last]);
        await this.#values.put(nameOf(partner), value, life);
      } catch {
        // Redis is away: the next mail is noted again.
        this.#noted.delete(partner);
      }
    }
  }

  /** What a partner has shown, by its key (`partnerKey`). Errors: `redis-unreachable`. */
  async of(partner: string): Promise<ShownKeys> {
    const now = this.#now();
    const read = this.#read.get(partner);
    if (read !== undefined && Math.abs(now - read.at) < times.read) return read.keys;
    const keys = await this.#load(partner);
    this.#read.set(partner, { at: now, keys });
    return keys;
  }

  async #load(partner: string): Promise<ShownKeys> {
    const value = await this.#values.get(nameOf(partner));
    const keys = new Map<string, { first: number; last: number }>();
    if (!Array.isArray(value)) return keys;
    for (const each of value) {
      const [key, first, last]: unknown[] = Array.isArray(each) ? each : [];
      if (typeof key === 'string' && typeof first === 'number' && typeof last === 'number')
        keys.set(key, { first, last });
    }
    return keys;
  }
}

const nameOf = (partner: string) =>
  createHash('sha256').update(partner.toLowerCase()).digest('hex').slice(0, 32);
