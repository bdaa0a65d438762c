/**
 * Every certificate known, own and partners', from the configuration and from the store, as people and programs see it.
 */

import type { RevocationState } from '../partner/index.ts';
import {
  type Certificate,
  describeTerm,
  keyTraits,
  spanOf,
  unusableFor,
  withoutZeros,
} from '../pki/index.ts';
import { idOf, type StoredCertificate } from './entry.ts';
import type { SeenTimes } from './seen.ts';
import type { CertStore } from './store.ts';
import type { KnownState, KnownUse } from './words.ts';

/** One certificate in one role: two partners, or a partner and the store, may have the same one. */
export interface KnownCertificate {
  certificate: Certificate;
  /** Name of the partner, or of our own identity. */
  partner: string | null;
  identity: string | null;
  uses: KnownUse[];
  source: 'configuration' | StoredCertificate['source'];
  state: KnownState;
  /** Why it is not in force, in words; null if it is. */
  reason: string | null;
  /** What the store says of it; undefined if it says nothing. */
  entry: StoredCertificate | undefined;
  /** What its authority said last; undefined if it was not asked. */
  said: RevocationState | undefined;
}

/** A certificate of the configuration. Times in milliseconds since the epoch; null for no limit of ours. */
export interface Configured {
  certificate: Certificate;
  partner: string | null;
  identity: string | null;
  uses: KnownUse[];
  from: number | null;
  until: number | null;
}

/**
 * All of them: the configuration first, in its order, then what the store has beside it.
 *
 * @param said what authorities said of them, by SHA-256 (`authoritiesSaid`)
 */
export function knownCertificates(
  configured: readonly Configured[],
  store: Pick<CertStore, 'all' | 'of' | 'whyRefused' | 'certificateOf'>,
  now: number,
  said: ReadonlyMap<string, RevocationState> = new Map(),
): KnownCertificate[] {
  const known = configured.map((each): KnownCertificate => {
    const entry = store.of(each.certificate.thumbprint);
    const { certificate, partner, identity, uses } = each;
    return {
      certificate,
      partner,
      identity,
      uses,
      source: 'configuration',
      entry,
      said: said.get(each.certificate.thumbprint),
      ...stateOf(each, store, now, said),
    };
  });
  const named = new Set(known.map(({ certificate }) => certificate.thumbprint));
  for (const entry of store.all()) {
    if (named.has(entry.thumbprint)) continue;
    const certificate = store.certificateOf(entry);
    const { partner, uses, source, state } = entry;
    known.push({
      ...{ certificate, partner: partner || null, identity: null, uses, source, entry },
      said: said.get(entry.thumbprint),
      ...(state === 'waiting'
        ? { state, reason: 'waits for approval' }
        : stateOf({ ...entry, certificate }, store, now, said)),
    });
  }
  return known;
}

function stateOf(
  { certificate, uses, from, until }: Pick<Configured, 'certificate' | 'uses' | 'from' | 'until'>,
  store: Pick<CertStore, 'of' | 'whyRefused'>,
  now: number,
  said: ReadonlyMap<string, RevocationState>,
): Pick<KnownCertificate, 'state' | 'reason'> {
  const refused = store.whyRefused(certificate);
  if (refused !== undefined)
    return {
      state: store.of(certificate.thumbprint)?.state === 'rejected' ? 'rejected' : 'revoked',
      reason: refused,
    };
  const word = said.get(certificate.thumbprint);
  if (word?.status === 'revoked') return { state: 'revoked', reason: `its authority says: ${word.why}` };
  const term = { from: dateOf(from), until: dateOf(until) };
  const reason = describeTerm(certificate, term, new Date(now)) ?? null;
  if (reason !== null)
    return { state: now < spanOf(certificate, term).from.getTime() ? 'next' : 'expired', reason };
  const faults = uses.map((use) => unusableFor(certificate, keyUseOf[use]));
  const usable = faults.length === 0 || faults.some((fault) => fault === undefined);
  return { state: 'in-force', reason: usable ? null : (faults[0] ?? null) };
}

const dateOf = (time: number | null) => (time === null ? undefined : new Date(time));

/** The use of the key that a use of a certificate is. */
export const keyUseOf = { sign: 'sign', verify: 'sign', encrypt: 'encrypt', decrypt: 'encrypt' } as const;

const isoOf = (time: number) => new Date(time).toISOString();

/** Which certificates are asked for. Words in hex may have colons and blanks, as tools print them. */
export interface CertificateQuery {
  partner?: string;
  use?: KnownUse;
  state?: KnownState;
  /** Days within which it expires. */
  expiring?: number;
}

export function matching(
  known: readonly KnownCertificate[],
  { partner, use, state, expiring }: CertificateQuery,
  now: number,
): KnownCertificate[] {
  const until = expiring === undefined ? undefined : now + expiring * 86_400_000;
  return known.filter((each) => {
    if (partner !== undefined && each.partner?.toLowerCase() !== partner.toLowerCase()) return false;
    if (use !== undefined && !each.uses.includes(use)) return false;
    if (state !== undefined && each.state !== state) return false;
    const end = endOf(each);
    return until === undefined || (end >= now && end <= until);
  });
}

/** When it ends: by its own validity, or by our window before that. */
export function endOf({ certificate, entry }: Pick<KnownCertificate, 'certificate' | 'entry'>): number {
  return Math.min(certificate.notAfter.getTime(), entry?.until ?? Number.POSITIVE_INFINITY);
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
  return known.filter(({ certificate }) => {
    const { thumbprint, thumbprintSha1, serialHex } = certificate;
    if (plain.length >= 6 && (thumbprint.startsWith(plain) || thumbprintSha1.startsWith(plain))) return true;
    if (serialHex === '') return false;
    const serial = BigInt(`0x${serialHex}`);
    return serial === BigInt(`0x${plain}`) || (/^\d+$/.test(plain) && serial === BigInt(plain));
  });
}

/** A certificate in words and numbers: the one form for commands and API. */
export function certificateView(
  { certificate, partner, identity, uses, source, state, reason, entry, said }: KnownCertificate,
  seen: SeenTimes | undefined,
) {
  const { thumbprint, thumbprintSha1, notBefore, notAfter } = certificate;
  const { family, bits } = keyTraits(certificate.publicKeyInfo);
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
    key: bits === undefined ? family : `${family} ${bits}`,
    notBefore: notBefore.toISOString(),
    notAfter: notAfter.toISOString(),
    from: time(entry?.from),
    until: time(entry?.until),
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
