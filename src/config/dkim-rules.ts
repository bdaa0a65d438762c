import { isWithin, toDomain, toMailHost } from '../domain.ts';
import { parseAddressEntry } from './addresses.ts';
import type { Report, SettingPath } from './problem.ts';
import type { Config, DkimConfig } from './schema.ts';

/** Fields that servers add or remove on the way (RFC 6376 section 5.4.1), and those that are never sent. */
const changing = new Set([
  'return-path',
  'received',
  'comments',
  'keywords',
  'bcc',
  'resent-bcc',
  'dkim-signature',
]);

export function checkDkim({ dkim, partners }: Config, report: Report): void {
  const seen = new Set<string>();
  dkim.forEach((entry, index) => {
    const at: SettingPath = ['dkim', index];
    const domain = toDomain(entry.domain);
    if (domain === undefined)
      report([...at, 'domain'], 'is not a domain', { hint: 'write the part of your addresses after the @' });
    const name = `${entry.selector.toLowerCase()}._domainkey.${domain}`;
    if (seen.has(name))
      report([...at, 'selector'], `there are two keys for ${name}`, {
        hint: 'give each key a selector of its own',
      });
    seen.add(name);
    checkFields(entry, [...at, 'headers'], report);
  });
  if (dkim.length > 0) checkAlignment(dkim, partners, report);
}

function checkFields({ headers }: DkimConfig, at: SettingPath, report: Report): void {
  const names = headers.map((name) => name.toLowerCase());
  if (!names.includes('from'))
    report(at, 'has no From, which must be signed (RFC 6376 section 5.4)', { hint: 'add From' });
  names.forEach((name, index) => {
    if (!/^[!-9<-~]+$/.test(name) || name.includes(';'))
      report([...at, index], 'is not the name of a header field', { hint: 'write a name such as Subject' });
    else if (changing.has(name))
      report([...at, index], `${name} changes on the way, so the signature would break`, {
        hint: 'remove it',
      });
    else if (names.indexOf(name) !== index)
      report([...at, index], `${name} is repeated`, {
        hint: 'write it once; repeated fields are all signed',
      });
  });
}

/** A signature of a domain other than that of From proves nothing to the reader (RFC 7489 section 3.1). */
function checkAlignment(dkim: readonly DkimConfig[], partners: Config['partners'], report: Report): void {
  const domains = dkim.flatMap(({ domain }) => toDomain(domain) ?? []);
  partners.forEach(({ name, from, dkim: signed }, index) => {
    const address = from === undefined ? undefined : parseAddressEntry(from);
    if (!signed || address?.kind !== 'address') return;
    const host = toMailHost(address.key.slice(address.key.lastIndexOf('@') + 1));
    if (host === undefined || domains.some((domain) => isWithin(host, domain))) return;
    report(
      ['partners', index, 'from'],
      `is in none of the domains of dkim, so mail to partner ${name} would leave without a signature`,
      { hint: `add a key for ${host} to dkim, or write dkim: false for this partner` },
    );
  });
}
