/**
 * The certificates that count: those of the configuration and those that were approved, without what was refused. All
 * that encrypts, verifies or signs takes them from here.
 */
import type { LoadedKeys } from '../config/index.ts';
import { type PartnerCertificate, pinsOf } from '../partner/index.ts';
import {
  type Certificate,
  keyDigest,
  type PathOptions,
  type PinnedCertificates,
  pinnedCertificates,
} from '../pki/index.ts';
import type { Announcement } from './announcement.ts';
import type { StoredCertificate } from './entry.ts';
import type { CertStore } from './store.ts';

type Keys = Pick<LoadedKeys, 'identities' | 'partners'>;

/** A certificate that was approved, in the form of those of the configuration. */
export function approvedCertificate(
  entry: StoredCertificate,
  store: Pick<CertStore, 'certificateOf'>,
): PartnerCertificate {
  const { thumbprint, uses, from, until, decided } = entry;
  return {
    certificate: store.certificateOf(entry),
    use: uses,
    from: from === null ? undefined : new Date(from),
    until: until === null ? undefined : new Date(until),
    source: 'approved',
    thumbprint,
    confirmed: false,
    approval: { at: new Date(decided?.at ?? entry.addedAt), by: decided?.by ?? '' },
  };
}

export class CountingCertificates {
  readonly #store: CertStore;
  readonly #keys: Keys;
  /** What was decided when the rest was made. */
  #decisions: string | undefined;
  #partners: ReadonlyMap<string, readonly PartnerCertificate[]> = new Map();
  #identities: LoadedKeys['identities'] = [];
  #pins: (at: Date) => PinnedCertificates = () => pinnedCertificates([]);
  #refused: PathOptions['refused'];

  constructor(store: CertStore, keys: Keys) {
    this.#store = store;
    this.#keys = keys;
  }

  /** Made anew when something was decided, and only then: what is remembered of paths hangs on these objects. */
  #renew(): void {
    const { decisions } = this.#store;
    if (decisions === this.#decisions) return;
    this.#decisions = decisions;
    const store = this.#store;
    const counts = (each: { certificate: Certificate }) => store.whyRefused(each.certificate) === undefined;
    const partnerCounts = (each: PartnerCertificate) =>
      store.whyRefusedBy(each.thumbprint, () => each.keyDigest ?? keyDigest(each.certificate)) === undefined;
    const { partners, identities } = this.#keys;
    this.#partners = new Map(
      [...partners].map(([name, configured]) => {
        const known = new Set(configured.map(({ thumbprint }) => thumbprint));
        const approved = store
          .approvedOf(name)
          .filter(({ thumbprint }) => !known.has(thumbprint))
          .map((entry) => approvedCertificate(entry, store));
        return [name, [...configured, ...approved].filter(partnerCounts)];
      }),
    );
    this.#identities = identities.filter(counts);
    this.#pins = pinsOf(this.#partners.values());
    this.#refused = { why: (certificate) => store.whyRefused(certificate) };
  }

  /** By name of the partner. */
  get partners(): ReadonlyMap<string, readonly PartnerCertificate[]> {
    this.#renew();
    return this.#partners;
  }

  /** Our own keys that may sign; all of them decrypt, because old mail is encrypted for old ones. */
  get identities(): LoadedKeys['identities'] {
    this.#renew();
    return this.#identities;
  }

  /** The certificates that signatures are verified with, as `pinsOf` gives them. */
  readonly pins = (at: Date): PinnedCertificates => {
    this.#renew();
    return this.#pins(at);
  };

  /** What a partner said last that it can read, with a certificate that counts now. */
  announcement(partner: string): Announcement | undefined {
    const counting = new Set((this.partners.get(partner) ?? []).map(({ thumbprint }) => thumbprint));
    return this.#store.announcedBy(partner, (thumbprint) => counting.has(thumbprint));
  }

  /** Ciphers that it said it can read, the preferred one first. */
  announced(partner: string): readonly string[] | undefined {
    return this.announcement(partner)?.ciphers;
  }

  /** What no path may lead through. */
  get refused(): PathOptions['refused'] {
    this.#renew();
    return this.#refused;
  }
}
