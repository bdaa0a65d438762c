/** From whom mail of a client may come: its envelope sender, and the addresses that its header names. */
import type { Client } from '../client/index.ts';
import type { PartnerConfig } from '../config/index.ts';
import { SealpostError } from '../errors.ts';
import { comparableAddress, sameAddress } from '../message/index.ts';

export function notGranted(
  client: Client,
  what: string,
  hint = 'see its grants: sealpost clients show',
): SealpostError {
  return new SealpostError('not-granted', `client ${client.name} is not granted ${what}`, { hint });
}

export const senderNotGranted = (client: Client, address: string): SealpostError =>
  notGranted(client, `sender ${address === '' ? '<>' : address}`);

/**
 * Whether mail of the client to this partner may come from an address. The partner's own setting needs no grant,
 * because an operator wrote it.
 */
export function mayComeFrom(client: Client, { from }: Pick<PartnerConfig, 'from'>, address: string): boolean {
  return client.maySendFrom(address) || (from !== undefined && sameAddress(from, address));
}

/** Which partners have an address as the sender of mail to them. */
export class Senders {
  readonly #partners = new Map<string, PartnerConfig[]>();

  constructor(partners: readonly PartnerConfig[]) {
    for (const partner of partners) {
      const address = partner.from === undefined ? undefined : comparableAddress(partner.from);
      if (address === undefined) continue;
      const known = this.#partners.get(address);
      if (known) known.push(partner);
      else this.#partners.set(address, [partner]);
    }
  }

  /**
   * Before the recipients are known: whether there is a partner at all that the client may send to from this address.
   * The setting of a partner that it may not use counts as none.
   *
   * @throws {SealpostError} `not-granted`
   */
  check(client: Client, address: string): void {
    if (client.maySendFrom(address)) return;
    const named = this.#partners.get(comparableAddress(address) ?? '') ?? [];
    if (!named.some(({ name }) => client.mayUsePartner(name))) throw senderNotGranted(client, address);
  }
}
