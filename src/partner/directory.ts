import { AddressBook, parseAddressEntry } from '../config/addresses.ts';
import type { PartnerConfig } from '../config/schema.ts';

/** Who a message is from, and what shows it. */
export interface Sender {
  /** Name of the partner. */
  name: string;
  partner: PartnerConfig;
  /** By a signature of one of the partner's certificates, or by the address alone, which anyone can write. */
  by: 'signer' | 'address';
  /** The partner that the address names, when the signer is another one. */
  conflict?: string;
}

/** What is known of the origin of a message. */
export interface Origin {
  /** SHA-256 thumbprints, in hexadecimal, of the signers whose signature is valid; outermost first. */
  signers: readonly string[];
  /** Addresses of the From field, as parsed; any of them may be no address at all. */
  from: readonly string[];
}

/**
 * Who is who. A signer's certificate says more than an address, so it counts first, as in the party
 * resolution of BizTalk. Addresses are looked up as `AddressBook` does it.
 */
export class PartnerDirectory {
  readonly #byName = new Map<string, PartnerConfig>();
  readonly #book = new AddressBook<PartnerConfig>();
  readonly #bySigner = new Map<string, PartnerConfig[]>();

  /** @param certificates Certificates of each partner by its name (`LoadedKeys.partners`). */
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

  byName(name: string): PartnerConfig | undefined {
    return this.#byName.get(name);
  }

  /** The partner that an address belongs to; undefined for none, and for what is not an address. */
  byAddress(address: string): PartnerConfig | undefined {
    return this.#book.findText(address);
  }

  /** The partners that have this certificate, by its SHA-256 thumbprint in hexadecimal; mostly one. */
  bySigner(thumbprint: string): readonly PartnerConfig[] {
    return this.#bySigner.get(thumbprint.toLowerCase()) ?? [];
  }

  /** Who a message is from: by the first signer that is a partner, else by the first address that is one. */
  senderOf({ signers, from }: Origin): Sender | undefined {
    const addressed = from.map((address) => this.byAddress(address)).find((each) => each !== undefined);
    for (const thumbprint of signers) {
      const owners = this.bySigner(thumbprint);
      // One certificate may stand in several entries; the address then tells which.
      const partner = addressed !== undefined && owners.includes(addressed) ? addressed : owners[0];
      if (partner === undefined) continue;
      const conflict = addressed !== undefined && addressed !== partner ? { conflict: addressed.name } : {};
      return { name: partner.name, partner, by: 'signer', ...conflict };
    }
    return addressed && { name: addressed.name, partner: addressed, by: 'address' };
  }
}
