/**
 * What partners say they can read: smimeCapabilities of mail that they signed (RFC 8551 section 2.5.2). Only a newer
 * statement replaces one, by the time in the signature, so mail that is sent again changes nothing.
 */

export interface Announcement {
  /** As in entries of the store. */
  partner: string;
  /** Of the signer's certificate. */
  thumbprint: string;
  /** Content ciphers by name, or object identifiers; the preferred one first. */
  ciphers: string[];
  /** Time of signing, in milliseconds since the epoch. */
  at: number;
}

/** Milliseconds by which a partner's clock may be ahead: a time beyond would keep all later statements out. */
const ahead = 5 * 60_000;

/** How much of what one partner says is kept. */
export interface Keeping {
  /** Milliseconds after which a statement that says the same is noted again. */
  readonly every: number;
  /** Signers that are kept: those that spoke last. */
  readonly signers: number;
}

/** What steers the cipher of mail to a partner (`negotiate`), and what is only shown. */
export const keepings = {
  negotiated: { every: 3_600_000, signers: 20 },
  shown: { every: 86_400_000, signers: 1 },
} as const satisfies Record<string, Keeping>;

const mostCiphers = 30;

/** The statement of a signature; undefined if it says nothing, or says it at no time or in the future. */
export function announcementOf(
  partner: string,
  thumbprint: string,
  signer: { readonly signingTime: string | null; readonly smimeCapabilities: readonly string[] },
  now: number,
): Announcement | undefined {
  const at = signer.signingTime === null ? Number.NaN : Date.parse(signer.signingTime);
  if (Number.isNaN(at) || at > now + ahead || signer.smimeCapabilities.length === 0) return undefined;
  return { partner, thumbprint, ciphers: signer.smimeCapabilities.slice(0, mostCiphers), at };
}

/** Whether a statement changes what is known. */
export function isNews(
  old: Announcement | undefined,
  { ciphers, at }: Announcement,
  { every }: Keeping = keepings.negotiated,
): boolean {
  if (old === undefined) return true;
  if (at <= old.at) return false;
  return at >= old.at + every || ciphers.join() !== old.ciphers.join();
}

/** The list with a statement in it; undefined if it changes nothing. */
export function withAnnouncement(
  list: readonly Announcement[],
  said: Announcement,
  keeping: Keeping = keepings.negotiated,
): Announcement[] | undefined {
  const isSame = ({ partner, thumbprint }: Announcement) =>
    partner === said.partner && thumbprint === said.thumbprint;
  if (!isNews(list.find(isSame), said, keeping)) return undefined;
  const all = [...list.filter((each) => !isSame(each)), said];
  const own = all.filter(({ partner }) => partner === said.partner).sort((a, b) => b.at - a.at);
  const kept = new Set(own.slice(0, keeping.signers));
  // an older statement of another signer puts no newer one out
  if (!kept.has(said)) return undefined;
  return all.filter((each) => each.partner !== said.partner || kept.has(each));
}

/** As they were stored by us. */
export function readAnnouncements(value: unknown): Announcement[] {
  return Array.isArray(value) ? value.filter(isAnnouncement) : [];
}

function isAnnouncement(value: unknown): value is Announcement {
  if (typeof value !== 'object' || value === null) return false;
  const { partner, thumbprint, ciphers, at } = {
    ...{ partner: undefined, thumbprint: undefined, ciphers: undefined, at: undefined },
    ...value,
  };
  return (
    typeof partner === 'string' &&
    typeof thumbprint === 'string' &&
    typeof at === 'number' &&
    Array.isArray(ciphers)
  );
}
