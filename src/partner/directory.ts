import { AddressBook, type AddressKey, type PartnerConfig, type PartnerTrust } from '../config/index.ts';

type Certificates = ReadonlyMap<string, readonly { thumbprint: string }[]>;

/** Who is who, by address (as `AddressBook` looks it up) and by certificate. */
export class PartnerDirectory {
  readonly #book = new AddressBook<PartnerConfig>();
  readonly #partners: readonly PartnerConfig[];
  readonly #certificates: () => Certificates;
  readonly #trust: ReadonlyMap<string, PartnerTrust>;
  /** Owners by thumbprint, of the certificates that they were made from. */
  #signers: { of: Certificates; owners: ReadonlyMap<string, PartnerConfig[]> } | undefined;

  /** Whether any partner has requirements of its own. If so, it matters who else a message could be from. */
  readonly anyRequires: boolean;
  readonly anyPolicy: boolean;
  readonly anyAttachments: boolean;

  /**
   * @param certificates of each partner by name; another map when they have changed
   * @param trust by name, as `LoadedKeys` has it
   */
  constructor(
    partners: readonly PartnerConfig[],
    certificates: Certificates | (() => Certificates) = new Map(),
    trust: ReadonlyMap<string, PartnerTrust> = new Map(),
  ) {
    this.#partners = partners;
    this.#trust = trust;
    this.#certificates = typeof certificates === 'function' ? certificates : () => certificates;
    this.anyRequires = partners.some(
      ({ require, policy, minimumProfile }) =>
        require.length > 0 || policy !== undefined || minimumProfile !== undefined,
    );
    this.anyPolicy = partners.some(({ policy }) => policy !== undefined);
    this.anyAttachments = partners.some(({ policy }) => policy?.attachments !== undefined);
    for (const partner of partners) {
      this.#book.addAll(partner.addresses, partner);
    }
  }

  #owners(): ReadonlyMap<string, PartnerConfig[]> {
    const certificates = this.#certificates();
    if (this.#signers?.of === certificates) return this.#signers.owners;
    const found = new Map<string, PartnerConfig[]>();
    for (const partner of this.#partners)
      for (const { thumbprint } of certificates.get(partner.name) ?? []) {
        const owners = found.get(thumbprint.toLowerCase());
        if (owners === undefined) found.set(thumbprint.toLowerCase(), [partner]);
        else if (!owners.includes(partner)) owners.push(partner);
      }
    this.#signers = { of: certificates, owners: found };
    return found;
  }

  /** The partner that an address of a header or an envelope belongs to. */
  find(address: AddressKey): PartnerConfig | undefined {
    return this.#book.find(address);
  }

  /** The partner that an address in text form belongs to; undefined for none, and for text that is not an address. */
  byAddress(address: string): PartnerConfig | undefined {
    return this.#book.findText(address);
  }

  /** Which certificates prove that mail is from a partner; undefined if all do that are trusted. */
  trustOf(partner: PartnerConfig | undefined): PartnerTrust | undefined {
    return partner && this.#trust.get(partner.name);
  }

  /** The partners with this certificate, by its SHA-256 thumbprint in hexadecimal. Usually there is one. */
  bySigner(thumbprint: string): readonly PartnerConfig[] {
    return this.#owners().get(thumbprint.toLowerCase()) ?? [];
  }
}
