/**
 * The certificates that count: those of the configuration and those that were approved, without what was refused. All
 * that encrypts, verifies or signs takes them from here.
 */
import type { LoadedKeys } from '../config/index.ts';
import { SealpostError } from '../errors.ts';
import {
  forEncryption,
  type PartnerCertificate,
  pinsOf,
  type RecipientStates,
  withRevoked,
} from '../partner/index.ts';
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

type Keys = Pick<LoadedKeys, 'identities' | 'partners'> & Partial<Pick<LoadedKeys, 'partnerTrust'>>;

/** A certificate that was approved, in the form of those of the configuration. */
export function approvedCertificate(
  entry: StoredCertificate,
  store: Pick<CertStore, 'certificateOf'>,
): PartnerCertificate {
  const { thumbprint, key, uses, from, until, decided } = entry;
  return {
    get certificate() {
      return store.certificateOf(entry);
    },
    keyDigest: key,
    use: uses,
    from: from === null ? undefined : new Date(from),
    until: until === null ? undefined : new Date(until),
    source: 'approved',
    thumbprint,
    confirmed: false,
    approval: { at: new Date(decided?.at ?? entry.addedAt), by: decided?.by ?? '' },
  };
}

const nothingSaid: RecipientStates['of'] = new Map();

/** What is asked of the store. */
export type Decisions = Pick<
  CertStore,
  'decisions' | 'whyRefused' | 'whyRefusedBy' | 'approvedOf' | 'certificateOf' | 'announcedBy'
>;

/** For whoever cannot reach the store: the configuration alone counts. */
export const nothingDecided: Decisions = {
  decisions: '',
  whyRefused: () => undefined,
  whyRefusedBy: () => undefined,
  approvedOf: () => [],
  announcedBy: () => undefined,
  certificateOf: (entry) => {
    throw new SealpostError('certificate-unknown', `nothing is known of ${entry.thumbprint}`);
  },
};

export class CountingCertificates {
  readonly #store: Decisions;
  readonly #keys: Keys;
  readonly #revoked: () => RecipientStates['of'];
  /** What was decided when the rest was made. */
  #decisions: string | undefined;
  #decided: ReadonlyMap<string, readonly PartnerCertificate[]> = new Map();
  /** The same with what authorities said, and when that was. */
  #partners = this.#decided;
  #said = nothingSaid;
  #identities: LoadedKeys['identities'] = [];
  #pins: (at: Date) => PinnedCertificates = () => pinnedCertificates([]);
  #refused: PathOptions['refused'];

  /** @param revoked what authorities have revoked, as `RecipientRevocation`: another object when that has changed */
  constructor(store: Decisions, keys: Keys, revoked = () => nothingSaid) {
    this.#store = store;
    this.#keys = keys;
    this.#revoked = revoked;
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
    const { partners, identities, partnerTrust } = this.#keys;
    this.#decided = new Map(
      [...partners].map(([name, configured]) => {
        const known = new Set(configured.map(({ thumbprint }) => thumbprint));
        const approved = store
          .approvedOf(name)
          .filter(({ thumbprint }) => !known.has(thumbprint))
          .map((entry) => approvedCertificate(entry, store));
        const all = [...configured, ...approved].filter(partnerCounts);
        return [name, partnerTrust?.get(name)?.by === 'anchors' ? forEncryption(all) : all];
      }),
    );
    this.#identities = identities.filter(counts);
    this.#partners = this.#decided;
    this.#said = nothingSaid;
    this.#pins = pinsOf(this.#decided.values());
    this.#refused = { why: (certificate) => store.whyRefused(certificate) };
  }

  /** By name of the partner, with what authorities said of them. */
  get partners(): ReadonlyMap<string, readonly PartnerCertificate[]> {
    this.#renew();
    const said = this.#revoked();
    if (said !== this.#said) {
      const entries = [...this.#decided].map(([name, of]) => [name, withRevoked(of, said)] as const);
      this.#partners = said.size === 0 ? this.#decided : new Map(entries);
      this.#said = said;
    }
    return this.#partners;
  }

  /** The same as configuration and store have them, for whoever asks the authorities. */
  get decided(): ReadonlyMap<string, readonly PartnerCertificate[]> {
    this.#renew();
    return this.#decided;
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
