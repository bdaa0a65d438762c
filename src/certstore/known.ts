/**
 * Every certificate known, own and partners', from the configuration and from the store, as people and programs see it.
 */

import type { RevocationState } from '../partner/index.ts';
import {
  type Certificate,
  describeTerm,
  keyDigest,
  spanOf,
  unusableFor,
  withoutZeros,
} from '../pki/index.ts';
import { keyText } from './compare.ts';
import { idOf, type StoredCertificate } from './entry.ts';
import type { SeenTimes } from './seen.ts';
import type { CertStore } from './store.ts';
import type { KnownState, KnownUse } from './words.ts';

/** A certificate, and what is known of it without parsing it: of 30,000, few are shown. */
export interface CertificateFacts {
  /** It may be parsed when it is asked for. */
  readonly certificate: Certificate;
  /** SHA-256 in hexadecimal. */
  readonly thumbprint: string;
  readonly keyDigest?: string | undefined;
  readonly validity?: Pick<Certificate, 'notBefore' | 'notAfter'> | undefined;
  readonly fits?: readonly ('encrypt' | 'sign')[] | undefined;
  /** SHA-1 and serial number in hexadecimal. */
  readonly numbers?: { readonly sha1: string; readonly serial: string } | undefined;
}

/** A certificate of the configuration. Times in milliseconds since the epoch; null for no limit of ours. */
export interface Configured {
  of: CertificateFacts;
  partner: string | null;
  identity: string | null;
  uses: KnownUse[];
  from: number | null;
  until: number | null;
}

type Store = Pick<CertStore, 'of' | 'whyRefusedBy' | 'whyOfAnother' | 'certificateOf'>;

/** What authorities said, by SHA-256 (`hearAuthorities`). What is put there later counts from then on. */
export type Said = ReadonlyMap<string, RevocationState>;

/** One certificate in one role: two partners, or a partner and the store, may have the same one. */
export class KnownCertificate {
  readonly #of: CertificateFacts;
  readonly #in: { store: Store; now: number; said: Said };
  /** Name of the partner, or of our own identity. */
  readonly partner: string | null;
  readonly identity: string | null;
  readonly uses: KnownUse[];
  /** The window in which it is used, in milliseconds since the epoch; null for no limit of ours. */
  readonly from: number | null;
  readonly until: number | null;
  readonly source: 'configuration' | StoredCertificate['source'];
  /** What the store says of it; undefined if it says nothing. */
  readonly entry: StoredCertificate | undefined;

  constructor(
    { of, partner, identity, uses, from, until }: Configured,
    source: KnownCertificate['source'],
    within: { store: Store; now: number; said: Said },
  ) {
    this.#of = of;
    this.#in = within;
    this.partner = partner;
    this.identity = identity;
    this.uses = uses;
    this.from = from;
    this.until = until;
    this.source = source;
    this.entry = within.store.of(of.thumbprint);
  }

  get certificate(): Certificate {
    return this.#of.certificate;
  }

  get thumbprint(): string {
    return this.#of.thumbprint;
  }

  get keyDigest(): string {
    return this.#of.keyDigest ?? keyDigest(this.certificate);
  }

  /** SHA-1 and serial number in hexadecimal. */
  get numbers(): { readonly sha1: string; readonly serial: string } {
    const { numbers } = this.#of;
    if (numbers !== undefined) return numbers;
    return { sha1: this.certificate.thumbprintSha1, serial: this.certificate.serialHex };
  }

  /** The span in which it is used: `until` is the first moment after it. */
  get span(): { from: Date; until: Date } {
    const term = { from: dateOf(this.from), until: dateOf(this.until) };
    return spanOf(this.#of.validity ?? this.certificate, term);
  }

  /** What its authority said last; undefined if it was not asked. */
  get said(): RevocationState | undefined {
    return this.#in.said.get(this.thumbprint);
  }

  get state(): KnownState {
    return this.#judged().state;
  }

  /** Why it is not in force, in words; null if it is. */
  get reason(): string | null {
    return this.#judged().reason;
  }

  #judged(): { state: KnownState; reason: string | null } {
    const { store, now } = this.#in;
    if (this.source !== 'configuration' && this.entry?.state === 'waiting')
      return { state: 'waiting', reason: 'waits for approval' };
    const refused = store.whyRefusedBy(this.thumbprint, () => this.keyDigest);
    if (refused !== undefined)
      return { state: this.entry?.state === 'rejected' ? 'rejected' : 'revoked', reason: refused };
    const ofAnother = this.source !== 'configuration' && this.entry && store.whyOfAnother(this.entry);
    if (ofAnother) return { state: 'waiting', reason: ofAnother };
    const { said } = this;
    if (said?.status === 'revoked') return { state: 'revoked', reason: `its authority says: ${said.why}` };
    const { from, until } = this.span;
    const at = new Date(now);
    if (at < from || at >= until) {
      const term = { from: dateOf(this.from), until: dateOf(this.until) };
      const reason = describeTerm(this.certificate, term, at) ?? null;
      if (reason !== null) return { state: at < from ? 'next' : 'expired', reason };
    }
    const [first] = this.uses;
    const isFit = first === undefined || this.uses.some((use) => isFitFor(this.#of, use));
    return { state: 'in-force', reason: isFit ? null : (whyUnfit(this.certificate, first) ?? null) };
  }
}

/**
 * All of them: the configuration first, in its order, then what the store has beside it.
 *
 * @param said what authorities said of them; more may be put there before a state is asked for
 */
export function knownCertificates(
  configured: readonly Configured[],
  store: Store & Pick<CertStore, 'all'>,
  now: number,
  said: Said = new Map(),
): KnownCertificate[] {
  const within = { store, now, said };
  const known = configured.map((each) => new KnownCertificate(each, 'configuration', within));
  const named = new Set(known.map(({ thumbprint }) => thumbprint));
  for (const entry of store.all()) {
    if (named.has(entry.thumbprint)) continue;
    const { thumbprint, key, partner, uses, from, until, source } = entry;
    const of: CertificateFacts = {
      ...{ thumbprint, keyDigest: key },
      get certificate() {
        return store.certificateOf(entry);
      },
    };
    const facts = { of, partner: partner || null, identity: null, uses, from, until };
    known.push(new KnownCertificate(facts, source, within));
  }
  return known;
}

const dateOf = (time: number | null) => (time === null ? undefined : new Date(time));

/** The use of the key that a use of a certificate is. */
const keyUseOf = { sign: 'sign', verify: 'sign', encrypt: 'encrypt', decrypt: 'encrypt' } as const;

/** What a certificate for TLS must be, the library of TLS says. */
const whyUnfit = (certificate: Certificate, use: KnownUse) =>
  use === 'tls' ? undefined : unusableFor(certificate, keyUseOf[use]);

/** Whether a certificate itself allows a use. It is parsed only if need be. */
export function isFitFor(of: Pick<CertificateFacts, 'certificate' | 'fits'>, use: KnownUse): boolean {
  if (use === 'tls') return true;
  return of.fits?.includes(keyUseOf[use]) ?? whyUnfit(of.certificate, use) === undefined;
}

const isoOf = (time: number) => new Date(time).toISOString();

/** Which certificates are asked for. Words in hex may have colons and blanks, as tools print them. */
export interface CertificateQuery {
  partner?: string;
  use?: KnownUse;
  state?: KnownState;
  /** Days within which it expires. */
  expiring?: number;
  /** Days: those that wait for approval, and those that expire within them. */
  attention?: number;
}

export function matching(
  known: readonly KnownCertificate[],
  { partner, use, state, expiring, attention }: CertificateQuery,
  now: number,
): KnownCertificate[] {
  const endsIn = (each: KnownCertificate, days: number) => {
    const end = each.span.until.getTime();
    return end > now && end <= now + days * 86_400_000;
  };
  return known.filter((each) => {
    if (partner !== undefined && each.partner?.toLowerCase() !== partner.toLowerCase()) return false;
    if (use !== undefined && !each.uses.includes(use)) return false;
    if (state !== undefined && each.state !== state) return false;
    if (attention !== undefined && each.state !== 'waiting' && !endsIn(each, attention)) return false;
    return expiring === undefined || endsIn(each, expiring);
  });
}

/**
 * The certificates that a person means: by id or the beginning of a thumbprint, SHA-256 or SHA-1, or by serial number,
 * as OpenSSL and Windows print it, in hex or as a decimal number.
 */
export function named(known: readonly KnownCertificate[], text: string): KnownCertificate[] {
  const plain = text
    .replace(/^(?:serial=|0x)/i, '')
    .replace(/[\s:.-]/g, '')
    .toLowerCase();
  if (plain === '' || !/^[0-9a-f]+$/.test(plain)) return [];
  const serials = [BigInt(`0x${plain}`)];
  if (/^\d+$/.test(plain)) serials.push(BigInt(plain));
  return known.filter(({ thumbprint, numbers: { sha1, serial } }) => {
    if (plain.length >= 6 && (thumbprint.startsWith(plain) || sha1.startsWith(plain))) return true;
    return serial !== '' && serials.includes(BigInt(`0x${serial}`));
  });
}

/** A certificate in words and numbers: the one form for commands and API. */
export function certificateView(
  { certificate, partner, identity, uses, from, until, source, state, reason, entry, said }: KnownCertificate,
  seen: SeenTimes | undefined,
) {
  const { thumbprint, thumbprintSha1, notBefore, notAfter } = certificate;
  const time = (at: number | null | undefined) => (at === null || at === undefined ? null : isoOf(at));
  return {
    id: idOf(certificate),
    partner,
    identity,
    uses,
    state,
    reason,
    subject: readable(() => certificate.subject),
    issuer: readable(() => certificate.issuer),
    emails: readable(() => [...certificate.emails]) ?? [],
    /** As OpenSSL prints it: without zeros before it, in capitals. */
    serialNumber: withoutZeros(certificate.serialHex).toUpperCase(),
    /** As Windows prints it: all octets, in small letters. */
    serialNumberWindows: certificate.serialHex,
    sha1: thumbprintSha1,
    sha256: thumbprint,
    key: keyText(certificate),
    notBefore: notBefore.toISOString(),
    notAfter: notAfter.toISOString(),
    from: time(from),
    until: time(until),
    source,
    firstSeen: time(seen?.first),
    lastSeen: time(seen?.last),
    revocation: said ? { ...said, at: isoOf(said.at) } : null,
    version: entry?.version ?? null,
    findings: entry?.findings ?? [],
    rule: entry?.rule ? { name: entry.rule.name, due: isoOf(entry.rule.due) } : null,
    decided: entry?.decided ? { ...entry.decided, at: isoOf(entry.decided.at) } : null,
  };
}
export type CertificateView = ReturnType<typeof certificateView>;

/** A part that cannot be read is left out. */
function readable<T>(read: () => T): T | null {
  try {
    return read();
  } catch {
    return null;
  }
}
