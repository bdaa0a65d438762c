import { AddressBook, addressHint, parseAddressEntry } from './addresses.ts';
import { checkDestination } from './destination-rules.ts';
import { allDestinations } from './facts.ts';
import { isLoopback } from './hosts.ts';
import { checkNames, type Report, type SettingPath } from './problem.ts';
import { checkOAuth2 } from './route-rules.ts';
import type { Config, DestinationConfig, MailboxConfig } from './schema.ts';

const quoted = (text: string) => JSON.stringify(text);

export function checkMailboxes(config: Config, report: Report): void {
  const { mailboxes, identities, trust, partners } = config;
  checkNames(mailboxes, ['mailboxes'], 'a mailbox', report);
  checkAddresses(mailboxes, 'mailboxes', report);
  checkFolders(mailboxes, report);
  if (mailboxes.length === 0 && partners.length === 0)
    report([], 'there are no mailboxes and no partners, so there is nothing to do', { severity: 'warning' });

  const known = identities.map(({ name }) => name);
  const pinned = partners.some(({ certificates }) => certificates.length > 0);
  const { mode, hosts } = trust.revocation;
  if (mode !== 'off' && hosts.length === 0)
    report(['trust', 'revocation', 'mode'], `is ${mode}, but no host may be contacted`, {
      hint: 'write trust.revocation.hosts',
    });
  if (trust.aia.fetch && trust.aia.hosts.length === 0)
    report(['trust', 'aia', 'fetch'], 'is true, but no host may be contacted', {
      hint: 'write trust.aia.hosts',
    });
  mailboxes.forEach((mailbox, index) => {
    const at: SettingPath = ['mailboxes', index];
    mailbox.identities?.forEach((name, entry) => {
      if (!known.includes(name))
        report([...at, 'identities', entry], `there is no identity ${name}`, { hint: knownNames(known) });
    });
    if (mailbox.addresses.length === 0 && mailbox.imap === undefined)
      report(at, 'has neither addresses nor imap, so nothing can arrive', {
        hint: 'write addresses for the SMTP listener, or imap',
      });
    if (
      mailbox.require.includes('signed') &&
      !pinned &&
      trust.anchors.length + mailbox.trust.anchors.length === 0
    )
      report([...at, 'require'], 'requires a trusted signature, but nothing is trusted', {
        // Everybody begins without partners. Mail then waits until the first one is added.
        ...(partners.length === 0 && { severity: 'warning' as const }),
        hint: 'write trust.anchors, or the certificates of partners',
      });
    if (mailbox.require.includes('partner') && partners.length === 0)
      report([...at, 'require'], 'requires a known partner, but there is none; all mail is suspended', {
        severity: 'warning',
        hint: 'sealpost partners add adds one',
      });
    if (mailbox.require.some((each) => each === 'encrypted' || each === 'aead') && known.length === 0)
      report([...at, 'require'], 'requires encryption, but there is no identity to decrypt with', {
        hint: 'write identities',
      });
    if (
      mailbox.notSmime === 'pass' &&
      mailbox.require.some((each) => each !== 'partner' && each !== 'strong')
    )
      report([...at, 'notSmime'], 'is pass, but require suspends such mail anyway', {
        severity: 'warning',
        hint: 'remove one of the two',
      });
    checkImap(mailbox, [...at, 'imap'], report);
    checkDestinations(mailbox.destinations, [...at, 'destinations'], config, report);
  });
  for (const [path, destination] of allDestinations(config))
    checkDestination(destination, path, config, report);
}

/** `known: a, b`, as a hint for an unknown name. */
export function knownNames(known: readonly string[]): string {
  return known.length === 0 ? 'there is none in the file' : `known: ${known.join(', ')}`;
}

/** Each address must be valid and belong to one entry. If two differ only in case, that is a warning. */
export function checkAddresses(
  owners: readonly { name: string; addresses: readonly string[] }[],
  where: 'mailboxes' | 'partners',
  report: Report,
): void {
  const book = new AddressBook<string>();
  owners.forEach(({ name, addresses }, index) => {
    addresses.forEach((address, entry) => {
      const at = [where, index, 'addresses', entry];
      const parsed = parseAddressEntry(address);
      if (parsed === undefined || (where === 'partners' && parsed.kind === 'postmaster')) {
        report(at, `${quoted(address)} is not an address`, { hint: addressHint(address) });
        return;
      }
      const { same, alike } = book.add(parsed, name);
      if (same !== undefined)
        report(at, `${quoted(address)} is an address of ${same === name ? 'this entry' : same} already`, {
          hint: 'keep one of them',
        });
      else if (alike !== undefined && alike !== name)
        report(at, `${quoted(address)} differs from an address of ${alike} in upper and lower case only`, {
          severity: 'warning',
          hint: 'only the exact form is matched; mail to any other form goes to the first one',
        });
    });
  });
}

/** INBOX is case-insensitive (RFC 9051, section 5.1); other names are case-sensitive. */
const folderKey = (folder: string) => (/^inbox$/i.test(folder) ? 'INBOX' : folder);

type Imap = NonNullable<MailboxConfig['imap']>;

/** One folder of one account, through either of the two usual ports. */
function folderOf({ host, port, user }: Imap, folder: string): string {
  const server = port === undefined || port === 993 || port === 143 ? '' : `:${port}`;
  return JSON.stringify([host.toLowerCase() + server, user, folderKey(folder)]);
}

/**
 * Two mailboxes that read one folder would take each other's mail. A mailbox that reads the folder into which another
 * moves its mail would fetch that mail again, and between two such mailboxes it would go round for ever.
 */
function checkFolders(mailboxes: readonly MailboxConfig[], report: Report): void {
  const readers = new Map<string, string>();
  mailboxes.forEach(({ name, imap }, index) => {
    if (imap === undefined) return;
    const key = folderOf(imap, imap.folder);
    const other = readers.get(key);
    if (other !== undefined)
      report(['mailboxes', index, 'imap', 'folder'], `mailbox ${other} already reads this folder`, {
        hint: 'give each mailbox its own folder',
      });
    readers.set(key, name);
  });
  mailboxes.forEach(({ name, imap }, index) => {
    if (imap?.action !== 'move') return;
    const target = folderOf(imap, imap.moveTo);
    // moving mail into its own folder is a separate error
    if (target === folderOf(imap, imap.folder)) return;
    const reader = readers.get(target);
    if (reader !== undefined && reader !== name)
      report(['mailboxes', index, 'imap', 'moveTo'], `mailbox ${reader} reads this folder`, {
        hint: 'name a folder that nobody reads',
      });
  });
}

function checkImap({ imap }: MailboxConfig, at: SettingPath, report: Report): void {
  if (imap === undefined) return;
  const { password, oauth2, tls, port } = imap;
  if (password === undefined && oauth2 === undefined)
    report(at, 'has neither password nor oauth2', { hint: 'write one of them' });
  if (password !== undefined && oauth2 !== undefined)
    report([...at, 'oauth2'], 'is set together with password', { hint: 'keep one of them' });
  if (oauth2 !== undefined) checkOAuth2(oauth2, [...at, 'oauth2'], report);
  if (tls === 'none' && !isLoopback(imap.host))
    report([...at, 'tls'], 'none is allowed only on loopback: password and mail would be sent in clear', {
      hint: 'write implicit or starttls',
    });
  if ((tls === 'starttls' && port === 993) || (tls === 'implicit' && port === 143))
    report([...at, 'port'], `${port} is not the usual port for tls ${tls}`, {
      severity: 'warning',
      hint: 'the usual ports are 993 for implicit and 143 for starttls',
    });
  if (imap.action === 'move' && folderKey(imap.moveTo) === folderKey(imap.folder))
    report([...at, 'moveTo'], 'is the folder that is read', { hint: 'name another folder' });
}

function checkDestinations(
  destinations: readonly DestinationConfig[],
  at: SettingPath,
  config: Config,
  report: Report,
): void {
  const seen = new Set<string>();
  destinations.forEach((destination, index) => {
    const here = [...at, index];
    const name = destination.name ?? destination.type;
    if (seen.has(name))
      report(
        destination.name === undefined ? here : [...here, 'name'],
        `destination ${name} is a duplicate`,
        {
          hint: 'give it its own name: retries and the ledger identify destinations by name',
        },
      );
    seen.add(name);
    if ('inlineLimit' in destination && config.http.port === undefined)
      report([...here, 'type'], 'content above inlineLimit is handed off by URL, which needs http.port', {
        severity: 'warning',
        hint: 'write http.port and http.publicUrl',
      });
  });
}
