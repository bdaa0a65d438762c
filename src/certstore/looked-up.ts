import type { PartnerCertificate } from '../partner/index.ts';
import type { Certificate } from '../pki/index.ts';
import { alsoWithKey, CountingIndex, compare } from './compare.ts';
import { usesOf } from './configured.ts';
import type { Source } from './entry.ts';
import type { CertStore } from './store.ts';
import { storedUses } from './words.ts';

export interface LookedUp {
  partner: string;
  certificate: Certificate;
  source: Extract<Source, 'ldap' | 'dns' | 'folder'>;
  /** Name of the directory. */
  directory: string;
}

/** Made anew only with the certificates that count. */
const indexes = new WeakMap<LookedUpParts['counting']['partners'], CountingIndex>();

function indexOf(partners: LookedUpParts['counting']['partners']): CountingIndex {
  const index = indexes.get(partners) ?? new CountingIndex(partners);
  indexes.set(partners, index);
  return index;
}

export interface LookedUpParts {
  store: Pick<CertStore, 'offer' | 'whyRefused' | 'all'>;
  /** Certificates that count, by partner, and our own. */
  counting: {
    readonly partners: ReadonlyMap<string, readonly PartnerCertificate[]>;
    readonly identities: readonly { readonly name: string; readonly certificate: Certificate }[];
  };
  /** The partner that an address belongs to. */
  ownerOf: (address: string) => string | undefined;
}

/**
 * Puts a certificate that a directory has for a partner into the store, to wait for a person. No rule approves it: a
 * directory says what somebody wrote there, and nothing about who has the key.
 */
export async function offerLookedUp(
  { partner, certificate, source, directory }: LookedUp,
  { store, counting, ownerOf }: LookedUpParts,
): Promise<'waiting' | 'known' | 'full'> {
  const own = counting.partners.get(partner) ?? [];
  const known = own.some(({ thumbprint }) => thumbprint === certificate.thumbprint);
  if (known || store.whyRefused(certificate) !== undefined) return 'known';
  const comparison = compare(certificate, partner, indexOf(counting.partners), ownerOf);
  const findings = [...comparison.findings, ...alsoWithKey(certificate, store.all(), counting.identities)];
  return await store.offer(certificate, {
    ...{ partner, uses: usesOf({ certificate }, storedUses), from: null, until: null, source },
    ...{ findings: [...findings, `found in directory ${directory}`], rule: null },
    ...{ announcedBy: null, message: null },
  });
}
