import { AddressBook, type AddressKey, type PartnerConfig, parseAddressEntry } from '../config/index.ts';

/** Who is who, by address (as `AddressBook` looks it up) and by certificate. */
export class PartnerDirectory {
  readonly #byName = new Map<string, PartnerConfig>();
  readonly #book = new AddressBook<PartnerConfig>();
  readonly #bySigner = new Map<string, PartnerConfig[]>();

  /** @param certificates Certificates of each partner by name (`LoadedKeys.partners`). */
  constructor(
    partners: readonly PartnerConfig[],
    certificates: ReadonlyMap<string, readonly { thumbprint: string }[]> = new Map(),
  ) {
    for (const partner of partners) {
      this.#byName.set(partner.name, partner);
      for (const entry of partner.addresses.map(parseAddressEntry))
        if (entry !== undefined) this.#book.add(entry, partner);
      for (const { thumbprint } of certificates.get(partner.name) ?? []) {
        const owners = this.#bySigner.get(thumbprint.toLowerCase());
        if (owners === undefined) this.#bySigner.set(thumbprint.toLowerCase(), [partner]);
        else if (!owners.includes(partner)) owners.push(partner);
      }
    }
  }

  /** Whether any partner has requirements of its own. If so, it matters who else a message could be from. */
  get anyRequires(): boolean {
    return [...this.#byName.values()].some((partner) => partner.require.length > 0);
  }

  byName(name: string): PartnerConfig | undefined {
    return this.#byName.get(name);
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
