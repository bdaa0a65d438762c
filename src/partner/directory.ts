import { AddressBook, type AddressKey, type PartnerConfig } from '../config/index.ts';

/** Who is who, by address (as `AddressBook` looks it up) and by certificate. */
export class PartnerDirectory {
  readonly #book = new AddressBook<PartnerConfig>();
  readonly #bySigner = new Map<string, PartnerConfig[]>();

  /** Whether any partner has requirements of its own. If so, it matters who else a message could be from. */
  readonly anyRequires: boolean;

  /** @param certificates Certificates of each partner by name (`LoadedKeys.partners`). */
  constructor(
    partners: readonly PartnerConfig[],
    certificates: ReadonlyMap<string, readonly { thumbprint: string }[]> = new Map(),
  ) {
    this.anyRequires = partners.some((partner) => partner.require.length > 0);
    for (const partner of partners) {
      this.#book.addAll(partner.addresses, partner);
      for (const { thumbprint } of certificates.get(partner.name) ?? []) {
        const owners = this.#bySigner.get(thumbprint.toLowerCase());
        if (owners === undefined) this.#bySigner.set(thumbprint.toLowerCase(), [partner]);
        else if (!owners.includes(partner)) owners.push(partner);
      }
    }
  }

  /** The partner that an address of a header or an envelope belongs to. */
  find(address: AddressKey): PartnerConfig | undefined {
    return this.#book.find(address);
  }

  /** The partner that an address in text form belongs to; undefined for none, and for text that is not an address. */
  byAddress(address: string): PartnerConfig | undefined {
    return this.#book.findText(address);
  }

  /** The partners with this certificate, by its SHA-256 thumbprint in hexadecimal. Usually there is one. */
  bySigner(thumbprint: string): readonly PartnerConfig[] {
    return this.#bySigner.get(thumbprint.toLowerCase()) ?? [];
  }
}
