import { type Certificate, describeValidity, type Identity, nameOf, unusableFor } from '../pki/index.ts';
import type { LoadedKeys } from './keys.ts';
import type { Places, Problem, Report } from './problem.ts';
import type { Config } from './schema.ts';

type CertificateUse = 'encrypt' | 'sign';

const warnDays = 30;

/**
 * Problems with certificates on a day: expired, not yet valid, not meant for their use, about to expire. An expired own
 * key that only decrypts is a warning, because old mail can still be read. One that signs is an error, because nobody
 * accepts its signatures.
 */
export function checkKeys(config: Config, keys: LoadedKeys, source: Places, now: Date): Problem[] {
  const problems: Problem[] = [];
  const report: Report = (path, message, extra) => problems.push(source.problem(path, message, extra));
  config.identities.forEach(({ name }, index) => {
    const own = keys.identities.filter((identity) => identity.name === name);
    checkIdentity(own, ['identities', index], isSigner(config, name), now, report);
  });
  const hasAnchors = [keys, ...[...keys.mailboxes.values()].map(({ trust }) => trust)].some(
    ({ anchors }) => anchors.length > 0,
  );
  config.partners.forEach((partner, index) => {
    const certificates = keys.partners.get(partner.name) ?? [];
    checkPartner(partner, certificates, ['partners', index, 'certificates'], hasAnchors, now, report);
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

/** Why a certificate cannot be used on a day; undefined if it can. */
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
        hint: 'name a valid identity as partners[].identity; keep this one for decrypting',
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
        hint: 'make sure that partners have your new certificate',
      });
  }
  if (!signs) warnOfExpiry(certificates, at, now, report);
}

/**
 * Both directions count: mail to a partner is encrypted for its certificates, and its signatures are verified with
 * them.
 */
function checkPartner(
  { name, encrypt }: Config['partners'][number],
  certificates: readonly Certificate[],
  at: readonly (string | number)[],
  hasAnchors: boolean,
  now: Date,
  report: Report,
): void {
  const uses: [CertificateUse, string][] = [
    ['encrypt', 'encrypt for'],
    ['sign', 'verify with'],
  ];
  const serves = (each: Certificate) => uses.some(([use]) => whyNot(each, use, now) === undefined);
  for (const [use, words] of uses) {
    // Signatures may also lead to an anchor, and the operator may allow unencrypted mail.
    if (use === 'encrypt' ? !encrypt : hasAnchors) continue;
    const usable = certificates.filter((each) => whyNot(each, use, now) === undefined);
    if (usable.length === 0) {
      const reasons = certificates.map((each) => `${nameOf(each)} ${whyNot(each, use, now)}`).join('; ');
      report(
        at,
        `partner ${name} has no certificate in force to ${words}${reasons === '' ? '' : `: ${reasons}`}`,
        {
          ...(use === 'encrypt' ? {} : { severity: 'warning' }),
          hint: 'ask the partner for its current certificate',
        },
      );
      continue;
    }
    const gap = firstGap(certificates, use, now);
    if (gap !== undefined)
      report(
        at,
        `partner ${name} will have none to ${words} from ${day(gap.from)} on: ${nameOf(gap.last)} ends`,
        { severity: 'warning', hint: 'add its successor before then' },
      );
  }
  // An old or future certificate beside one in force is a roll-over. Separate certificates to sign and encrypt are
  // usual.
  if (!certificates.some(serves)) return;
  for (const each of certificates.filter((one) => !serves(one)))
    if (each.notBefore <= now)
      report(at, `${nameOf(each)} ${whyNot(each, encrypt ? 'encrypt' : 'sign', now)}; it is not used`, {
        severity: 'warning',
      });
}

const day = (date: Date) => date.toISOString().slice(0, 10);

/** The first moment within the next days when no certificate can be used, though one can now. */
function firstGap(
  certificates: readonly Certificate[],
  use: CertificateUse,
  now: Date,
): { from: Date; last: Certificate } | undefined {
  const until = now.getTime() + warnDays * 86_400_000;
  return certificates
    .filter((each) => unusableFor(each, use) === undefined && each.notAfter >= now)
    .map((last) => ({ last, from: new Date(last.notAfter.getTime() + 1000) }))
    .sort((a, b) => a.from.getTime() - b.from.getTime())
    .find(
      ({ from }) =>
        from.getTime() <= until && certificates.every((each) => whyNot(each, use, from) !== undefined),
    );
}

/** Only when the last of them expires: before that, another one takes over. */
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
      hint: 'add its successor before then',
    });
}
