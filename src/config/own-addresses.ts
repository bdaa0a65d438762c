import { AddressBook } from './addresses.ts';
import type { Config } from './schema.ts';

/**
 * The addresses at which we receive mail: those of the mailboxes, and the login names of IMAP folders that are
 * addresses. The owner is the name of the mailbox.
 */
export function ownAddresses({ mailboxes }: Pick<Config, 'mailboxes'>): AddressBook<string> {
  const book = new AddressBook<string>();
  for (const { name, addresses, imap } of mailboxes) {
    book.addAll(addresses, name);
    if (imap !== undefined) book.addAll([imap.user], name);
  }
  return book;
}
