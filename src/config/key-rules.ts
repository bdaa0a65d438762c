import type { Certificate, Identity } from '../pki/index.ts';
import { type CertificateUse, describeValidity, nameOf, unusableFor } from './certificate-use.ts';
import type { LoadedKeys } from './keys.ts';
import type { Problem } from './problem.ts';
import type { Report } from './rules.ts';
import type { Config } from './schema.ts';
import type { ConfigSource } from './source.ts';

const warnDays = 30;

/**
 * What is wrong with certificates on a day: expired, not yet valid, not made for their use, soon to expire. An
 * expired own key is a warning while it only decrypts, since old mail is still read; nobody accepts its signatures.
 */
export function checkKeys(config: Config, keys: LoadedKeys, source: ConfigSource, now: Date): Problem[] {
  const problems: Problem[] = [];
  const report: Report = (path, message, extra) => problems.push(source.problem(path, message, extra));
  config.identities.forEach(({ name }, index) => {
    const own = keys.identities.filter((identity) => identity.name === name);
    checkIdentity(own, ['identities', index], isSigner(config, name), now, report);
  });
  config.partners.forEach(({ name, encrypt }, index) => {
    const certificates = keys.partners.get(name) ?? [];
    checkPartner(certificates, ['partners', index, 'certificates'], encrypt, now, report);
  });
  for (const [index, anchor] of keys.anchors.entries()) {
    const state = describeValidity(anchor, now);
    if (state !== undefined)
      report(['trust', 'anchors'], `anchor ${index + 1} (${nameOf(anchor)}) ${state}`, {
        severity: 'warning',
        hint: 'signatures through it are not trusted',
      });
  }
  return problems;
}

const isSigner = ({ partners }: Config, name: string) =>
  partners.some(({ identity, sign }) => identity === name && sign !== 'none');

/** Why a certificate does not serve on a day; undefined when it does. */
function whyNot(certificate: Certificate, use: CertificateUse, now: Date): string | undefined {
  return unusableFor(certificate, use) ?? describeValidity(certificate, now);
}

function checkIdentity(
  own: readonly Identity[],
  at: readonly (string | number)[],
  signs: boolean,
  now: Date,
  report: Report,
): void {
  const certificates = own.map(({ certificate }) => certificate);
  const signers = certificates.filter((each) => whyNot(each, 'sign', now) === undefined);
  if (signs && signers.length === 0)
    for (const each of certificates)
      report(at, `signs for partners, but ${nameOf(each)} ${whyNot(each, 'sign', now)}`, {
        hint: 'name an identity in force as partners[].identity; keep this one to decrypt',
      });
  else if (signs) warnOfExpiry(signers, at, now, report);
  for (const each of signs ? [] : certificates) {
    const unusable = unusableFor(each, 'encrypt');
    const state = describeValidity(each, now);
    if (unusable !== undefined)
      report(at, `${nameOf(each)} ${unusable}, and no partner names it to sign`, { severity: 'warning' });
    else if (state !== undefined)
      report(at, `${nameOf(each)} ${state}; it still decrypts`, {
        severity: 'warning',
        hint: 'see that partners have your new certificate',
      });
  }
  if (!signs) warnOfExpiry(certificates, at, now, report);
}

function checkPartner(
  certificates: readonly Certificate[],
  at: readonly (string | number)[],
  encrypt: boolean,
  now: Date,
  report: Report,
): void {
  const usable = certificates.filter((each) => whyNot(each, 'encrypt', now) === undefined);
  for (const each of certificates) {
    const why = whyNot(each, encrypt ? 'encrypt' : 'sign', now);
    // An old or a future one beside one in force is a rollover, and a signer beside an encrypter is usual.
    if (why === undefined || (encrypt && usable.length > 0 && whyNot(each, 'sign', now) === undefined))
      continue;
    if (encrypt && usable.length === 0)
      report(at, `${nameOf(each)} ${why}`, { hint: 'ask the partner for its certificate in force' });
    else report(at, `${nameOf(each)} ${why}; it is not used`, { severity: 'warning' });
  }
  if (encrypt) warnOfExpiry(usable, at, now, report);
}

/** Only when the last one of them ends: before that another takes over. */
function warnOfExpiry(
  certificates: readonly Certificate[],
  at: readonly (string | number)[],
  now: Date,
  report: Report,
): void {
  const last = certificates.reduce<Certificate | undefined>(
    (best, each) => (best === undefined || each.notAfter > best.notAfter ? each : best),
    undefined,
  );
  if (last === undefined || last.notAfter < now) return;
  const days = Math.floor((last.notAfter.getTime() - now.getTime()) / 86_400_000);
  if (days <= warnDays)
    report(at, `${nameOf(last)} expires in ${days} days, on ${last.notAfter.toISOString().slice(0, 10)}`, {
      severity: 'warning',
      hint: 'add its successor beside it in time',
    });
}
