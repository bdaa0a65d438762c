/** Which partners a message is for, and at which of their addresses. */
import type { Client } from '../client/index.ts';
import { AddressBook, type PartnerConfig } from '../config/index.ts';
import { SealpostError } from '../errors.ts';
import { comparableAddress, parseMailbox } from '../message/index.ts';

/** A partner, at its first full address or at the given ones; or addresses, each of which belongs to one partner. */
export type To =
  | { partner: string; recipients?: readonly string[] | undefined }
  | { partner?: undefined; recipients: readonly string[] };

export interface Addressed {
  partner: PartnerConfig;
  recipients: string[];
}

/** Names in a message. */
const shownNames = 50;

/**
 * Finds the partner of an address. A partner that the client may not use does not exist for it, and every answer says
 * so in the same way.
 */
export class PartnerBook {
  readonly #partners: readonly PartnerConfig[];
  readonly #book = new AddressBook<PartnerConfig>();
  /** By any of their names, in lower case. */
  readonly #byName = new Map<string, PartnerConfig>();

  constructor(partners: readonly PartnerConfig[]) {
    this.#partners = partners;
    for (const partner of partners) {
      this.#book.addAll(partner.addresses, partner);
      for (const name of [partner.name, ...partner.formerNames])
        this.#byName.set(name.toLowerCase(), partner);
    }
  }

  /** Errors: `partner-unknown`. */
  named(client: Client, name: string): PartnerConfig {
    const partner = this.#byName.get(name.toLowerCase());
    if (partner && client.mayUsePartner(partner.name)) return partner;
    const usable = this.#partners.filter((each) => client.mayUsePartner(each.name));
    const names = usable.slice(0, shownNames).map((each) => each.name);
    const more = usable.length - names.length;
    const known = `partners are ${names.join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
    throw new SealpostError('partner-unknown', `there is no partner ${JSON.stringify(name)}`, {
      hint: names.length > 0 ? known : 'there are no partners to send to',
    });
  }

  /** Errors: `partner-unknown`, `address-invalid`. */
  at(client: Client, address: string): { partner: PartnerConfig; address: string } {
    const mailbox = parseMailbox(address, { utf8: true });
    const partner = this.#book.find(mailbox);
    if (partner && client.mayUsePartner(partner.name)) return { partner, address: mailbox.address };
    throw new SealpostError('partner-unknown', `no partner has the address ${JSON.stringify(address)}`, {
      hint: 'add the address to a partner in the configuration',
    });
  }

  /** Each partner once, in the order of the recipients. Errors: `partner-unknown`, `address-invalid`, `usage`. */
  resolve(client: Client, to: To): Addressed[] {
    if (to.partner !== undefined) {
      const partner = this.named(client, to.partner);
      const given = to.recipients ?? [];
      const recipients = given.map((each) => {
        const found = this.at(client, each);
        if (found.partner === partner) return found.address;
        throw new SealpostError(
          'address-invalid',
          `${JSON.stringify(each)} is not of partner ${partner.name}`,
        );
      });
      return [{ partner, recipients: given.length > 0 ? distinct(recipients) : [firstAddress(partner)] }];
    }
    if (to.recipients.length === 0)
      throw new SealpostError('request-invalid', 'the message has no recipient', {
        hint: 'name a partner, or addresses of partners',
      });
    const found = new Map<PartnerConfig, string[]>();
    for (const each of to.recipients) {
      const { partner, address } = this.at(client, each);
      found.set(partner, [...(found.get(partner) ?? []), address]);
    }
    return [...found].map(([partner, recipients]) => ({ partner, recipients: distinct(recipients) }));
  }
}

/** Each mailbox once, as it was written first: a server gives mail to one that is named twice perhaps twice. */
function distinct(addresses: readonly string[]): string[] {
  const first = new Map<string, string>();
  for (const address of addresses) {
    const key = comparableAddress(address) ?? address;
    if (!first.has(key)) first.set(key, address);
  }
  return [...first.values()];
}

function firstAddress(partner: PartnerConfig): string {
  const address = partner.addresses.find((each) => !each.startsWith('@'));
  if (address !== undefined) return parseMailbox(address, { utf8: true }).address;
  throw new SealpostError(
    'address-invalid',
    `partner ${partner.name} has only domains, and no address to send to`,
    {
      hint: 'put a full address first in its addresses, or name a recipient',
    },
  );
}
