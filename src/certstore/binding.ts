/**
 * For whom an approval is: the partner as it was. One that is removed leaves its name to another, who may be somebody
 * else. So an approval keeps addresses of its partner, and counts while the partner has one of them, or one that the
 * certificate names.
 */
import { AddressBook, parseAddressEntry } from '../config/index.ts';

/** Addresses that an approval keeps. */
const most = 20;

/**
 * What an approval is bound to from now on: entries of `addresses` as they are, then those of before, so that a partner
 * may change all of them one after the other. Undefined if nothing changes.
 */
export function bindingOf(addresses: readonly string[], before?: readonly string[]): string[] | undefined {
  const next = [...new Set([...addresses.slice(0, most), ...(before ?? [])])].slice(0, most);
  const same = next.length === before?.length && next.every((each) => before.includes(each));
  return same ? undefined : next;
}

/**
 * Whether the partner with these addresses is the one that an approval is for.
 *
 * @param emails addresses in the certificate; it is parsed only if need be
 */
export function isBoundTo(
  addresses: readonly string[],
  before: readonly string[],
  emails: () => readonly string[],
): boolean {
  return (
    before.some((each) => addresses.includes(each)) ||
    contain(addresses, before) ||
    contain(before, addresses) ||
    contain(addresses, emails())
  );
}

/** Whether entries contain all addresses that one of the others means. */
function contain(entries: readonly string[], others: readonly string[]): boolean {
  const book = new AddressBook<true>();
  book.addAll(entries, true);
  return others.some((each) => {
    const entry = parseAddressEntry(each);
    return entry !== undefined && book.findEntry(entry) === true;
  });
}
