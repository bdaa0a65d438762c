import { AddressBook, parseAddressEntry } from './addresses.ts';
import type { PolicyConfig } from './policy-settings.ts';
import type { Report, SettingPath } from './problem.ts';
import type { Config, PartnerConfig } from './schema.ts';

/** Rules about `policy` of mailboxes and partners, and about who is told of a refusal. */
export function checkPolicies({ mailboxes, partners }: Config, report: Report): void {
  mailboxes.forEach(({ policy }, index) => {
    const at = ['mailboxes', index, 'policy'];
    checkPolicy(policy, at, report);
    if (policy?.shortfall === 'refuse' && partners.every(({ explain }) => explain === undefined))
      report([...at, 'shortfall'], 'is refuse, but no partner has explain, so such mail is suspended', {
        severity: 'warning',
        hint: 'write explain.to for partners',
      });
  });
  partners.forEach((partner, index) => {
    const at = ['partners', index];
    checkPolicy(partner.policy, [...at, 'policy'], report);
    if (partner.policy?.shortfall === 'refuse' && partner.explain === undefined)
      report([...at, 'policy', 'shortfall'], 'is refuse, but without explain such mail is suspended', {
        severity: 'warning',
        hint: 'write explain.to',
      });
    checkExplain(partner, at, report);
    checkNotices(partner, at, report);
  });
}

function checkPolicy(policy: PolicyConfig | undefined, at: SettingPath, report: Report): void {
  const { attachments } = policy ?? {};
  if (attachments === undefined) return;
  const { minimum = 0, maximum = Number.POSITIVE_INFINITY, subjectIsName } = attachments;
  if (minimum > maximum)
    report([...at, 'attachments', 'minimum'], 'is greater than maximum', { hint: 'correct one of them' });
  if (subjectIsName && (minimum > 1 || maximum < 1))
    report([...at, 'attachments', 'subjectIsName'], 'is true, which needs exactly one attachment', {
      hint: 'correct minimum or maximum',
    });
}

/** Rules about who is told of our next certificate, and about the proof that such mail carries. */
function checkNotices(
  { addresses, noticesTo, sign, name }: PartnerConfig,
  at: SettingPath,
  report: Report,
): void {
  if (noticesTo.length === 0) return;
  const book = new AddressBook<true>();
  book.addAll(addresses, true);
  noticesTo.forEach((address, index) => {
    const place = [...at, 'noticesTo', index];
    if (parseAddressEntry(address)?.kind !== 'address')
      report(place, 'is not an address', { hint: 'write user@example.com' });
    else if (book.findText(address) === undefined)
      report(place, 'is not an address of the partner', {
        hint: 'add it to addresses, so that it is protected like other mail to the partner',
      });
  });
  if (sign === 'none')
    report(
      [...at, 'noticesTo'],
      `is set, but mail to ${name} is not signed, so a notice would prove nothing`,
      {
        hint: 'let sign be another value, or remove noticesTo',
      },
    );
}

function checkExplain({ addresses, explain }: PartnerConfig, at: SettingPath, report: Report): void {
  if (explain === undefined) return;
  const book = new AddressBook<true>();
  book.addAll(addresses, true);
  if (parseAddressEntry(explain.to)?.kind !== 'address')
    report([...at, 'explain', 'to'], 'is not an address', { hint: 'write user@example.com' });
  else if (book.findText(explain.to) === undefined)
    report([...at, 'explain', 'to'], 'is not an address of the partner', {
      hint: 'add it to addresses, so that it is protected like other mail to the partner',
    });
}
