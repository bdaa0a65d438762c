/** What follows from settings: every destination and route with its place, our own addresses, and what is left out. */
import { AddressBook } from './addresses.ts';
import type { SettingPath } from './problem.ts';
import type { ServerRoute } from './route-rules.ts';
import type { Config, DestinationConfig, PartnerConfig } from './schema.ts';

/** Every configured destination with its place, for messages and for reports about suspended ones. */
export function allDestinations({ mailboxes, partners }: Config): [SettingPath, DestinationConfig][] {
  const found: [SettingPath, DestinationConfig][] = [];
  mailboxes.forEach(({ destinations, onSuspend }, at) => {
    destinations.forEach((destination, index) => {
      found.push([['mailboxes', at, 'destinations', index], destination]);
    });
    if (onSuspend) found.push([['mailboxes', at, 'onSuspend', 'destination'], onSuspend.destination]);
  });
  partners.forEach(({ onSuspend }, at) => {
    if (onSuspend) found.push([['partners', at, 'onSuspend', 'destination'], onSuspend.destination]);
  });
  return found;
}

/**
 * Every route with its place, whether to a mail server or to a folder in place of one: those to partners, and mail
 * destinations.
 */
export function allRoutes(config: Config): [SettingPath, ServerRoute][] {
  const found: [SettingPath, ServerRoute][] = config.partners.flatMap(({ route, backup }, at) => {
    const first: [SettingPath, ServerRoute] = [['partners', at, 'route'], route];
    return backup ? [first, [['partners', at, 'backup', 'route'], backup.route]] : [first];
  });
  for (const [path, destination] of allDestinations(config))
    if (destination.type === 'smtp' || destination.type === 'lmtp') found.push([path, destination]);
  return found;
}

/**
 * The addresses at which we receive mail: those of the mailboxes, and login names of IMAP folders that are addresses.
 * Each belongs to the mailbox with the name given.
 */
export function ownAddresses({ mailboxes }: Pick<Config, 'mailboxes'>): AddressBook<string> {
  const book = new AddressBook<string>();
  for (const { name, addresses, imap } of mailboxes) {
    book.addAll(addresses, name);
    if (imap !== undefined) book.addAll([imap.user], name);
  }
  return book;
}

/** The settings that name a Redis server. */
type Places = { url?: unknown; sentinel?: unknown; cluster?: unknown };

/** True if the daemon starts its own server. */
export function isPrivateRedis({ url, sentinel, cluster }: Places): boolean {
  return url === undefined && sentinel === undefined && cluster === undefined;
}

/** Whether authorities are asked about certificates that mail for a partner is encrypted for. */
export function revocationModeOf(
  { encrypt, revocation }: Pick<PartnerConfig, 'encrypt' | 'revocation'>,
  trust: Config['trust'],
): 'off' | 'soft' | 'hard' {
  return encrypt ? (revocation ?? trust.revocation.mode) : 'off';
}

/** Names of our identities that sign mail to a partner. */
export function signersOf({
  sign,
  identity,
  coSigners,
}: Pick<PartnerConfig, 'sign' | 'identity' | 'coSigners'>): string[] {
  return sign === 'none' ? [] : [...(identity === undefined ? [] : [identity]), ...coSigners];
}

/** By the list of addresses itself: each configuration has its own. */
const books = new WeakMap<readonly string[], AddressBook<true>>();

/**
 * The first recipient that is no address of a partner; undefined if all are. Mail may wait for years, and its partner
 * may have other addresses by then, or another partner its name.
 */
export function strayOf(
  { addresses }: Pick<PartnerConfig, 'addresses'>,
  recipients: readonly string[],
): string | undefined {
  let book = books.get(addresses);
  if (book === undefined) {
    book = new AddressBook<true>();
    book.addAll(addresses, true);
    books.set(addresses, book);
  }
  const owned = book;
  return recipients.find((each) => owned.findText(each) === undefined);
}
