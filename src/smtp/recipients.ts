import { AddressBook, type MailboxConfig } from '../config/index.ts';
import { SealpostError } from '../errors.ts';
import { parseMailbox } from '../message/index.ts';

/**
 * The recipients that the receiver accepts: addresses and whole domains of the mailboxes. Nothing else is accepted, not
 * even postmaster unless it is configured, so Sealpost is never a relay.
 */
export class Recipients {
  readonly #book = new AddressBook<string>();

  /** @param mailboxes as checked by the configuration reader: each entry is an address, and belongs to one mailbox */
  constructor(mailboxes: readonly Pick<MailboxConfig, 'name' | 'addresses'>[]) {
    for (const { name, addresses } of mailboxes) this.#book.addAll(addresses, name);
  }

  /**
   * The name of the mailbox, as `AddressBook` finds it.
   *
   * Errors: `address-invalid`, `mailbox-unknown`.
   */
  find(address: string): string {
    // RFC 5321 section 4.1.1.3: the only recipient without a domain
    const isPostmaster = address.toLowerCase() === 'postmaster';
    const name = isPostmaster
      ? this.#book.postmaster
      : this.#book.find(parseMailbox(address, { utf8: true }));
    if (name !== undefined) return name;
    throw new SealpostError(
      'mailbox-unknown',
      isPostmaster
        ? 'postmaster is not a configured address'
        : 'the recipient is not an address of a configured mailbox',
    );
  }
}
