/** Problems with certificates and their terms, and with asking whether they have been revoked. */
import {
  type Certificate,
  coverageOf,
  dayText,
  describeValidity,
  type Employed,
  isInForce,
  isSelfSigned,
  nameOf,
  spanOf,
  type Term,
  type Use,
  unfitFor,
  validatePath,
  whyNotInForce,
} from '../pki/index.ts';
import { revocationModeOf, signersOf } from './facts.ts';
import type { LoadedKeys, OwnIdentity } from './keys.ts';
import type { Places, Problem, Report, SettingPath } from './problem.ts';
import type { Config } from './schema.ts';

const warnDays = 30;

/**
 * Problems with certificates on a given day: expired, not yet valid, not meant for their use, about to expire, a term
 * outside of their validity, or a gap between two of them. An expired key of our own that only decrypts is a warning,
 * because old mail can still be read. One that signs is an error, because nobody accepts its signatures.
 *
 * @param changed for partners that have not changed since they were checked, only errors that come with time are
 *    reported
 */
export function checkKeys(
  config: Config,
  keys: LoadedKeys,
  source: Places,
  now: Date,
  changed: (partner: number) => boolean = () => true,
): Problem[] {
  const problems: Problem[] = [];
  const report: Report = (path, message, extra) => problems.push(source.problem(path, message, extra));
  config.identities.forEach(({ name }, index) => {
    const at = ['identities', index];
    for (const each of keys.identities.filter(({ entry }) => entry === index))
      checkTerm(datedOf(each), at, report);
    // entries with the same name are one identity
    if (config.identities.findIndex((each) => each.name === name) !== index) return;
    const own = keys.identities.filter((identity) => identity.name === name);
    checkIdentity(own, at, isSigner(config, name), now, report);
  });
  const hasAnchors = [keys, ...[...keys.mailboxes.values()].map(({ trust }) => trust)].some(
    ({ anchors }) => anchors.length > 0,
  );
  config.partners.forEach((partner, index) => {
    const certificates = keys.partners.get(partner.name) ?? [];
    const at = ['partners', index, 'certificates'];
    if (!changed(index)) {
      if (partner.encrypt) isServed(partner.name, certificates, 'encrypt', at, now, report);
      return;
    }
    for (const each of certificates) checkTerm(datedOf(each), [...at, each.entry], report);
    checkPartner(partner, certificates, at, hasAnchors, now, report);
  });
  checkRevocable(config, keys, now, report);
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

function datedOf({ certificate, from, until }: Pick<Employed, 'certificate' | 'from' | 'until'>): Dated {
  const { notBefore, notAfter } = certificate;
  return { name: nameOf(certificate), notBefore, notAfter, from, until };
}

/** What an error affects that prevents mail to a partner. */
export const mailTo = (name: string) => `mail to partner ${name}`;

const isSigner = ({ partners }: Config, name: string) =>
  partners.some((partner) => signersOf(partner).includes(name));

function checkIdentity(
  own: readonly OwnIdentity[],
  at: SettingPath,
  signs: boolean,
  now: Date,
  report: Report,
): void {
  const inForce = own.some((each) => whyNotInForce(each, 'sign', now) === undefined);
  if (signs && !inForce)
    for (const each of own)
      report(at, `signs for partners, but ${nameOf(each.certificate)} ${whyNotInForce(each, 'sign', now)}`, {
        hint: 'name a valid identity as partners[].identity; keep this one for decrypting',
        // Time has passed, which affects nobody else. But a key that can never sign is a mistake.
        ...(unfitFor(each, 'sign') === undefined && { only: `mail signed as ${each.name}` }),
      });
  if (signs && inForce) warnOfEnd(own, 'sign', 'there will be none to sign with', at, now, report);
  if (signs) return;
  for (const each of own) {
    const name = nameOf(each.certificate);
    const unfit = unfitFor(each, 'decrypt');
    const state = describeValidity(each.certificate, now);
    if (unfit !== undefined)
      report(at, `${name} ${unfit}, and no partner names it to sign`, { severity: 'warning' });
    else if (state !== undefined)
      report(at, `${name} ${state}; it still decrypts`, {
        severity: 'warning',
        hint: 'make sure that partners have your new certificate',
      });
  }
  warnOfEnd(own, 'decrypt', 'there will be none to decrypt with', at, now, report);
}

const wordsOf = { encrypt: 'encrypt for', verify: 'verify with' } as const;

/**
 * Whether any certificate of a partner is in force for a use; reports if not. The certificates are parsed only in that
 * case.
 */
function isServed(
  name: string,
  certificates: readonly Employed[],
  use: keyof typeof wordsOf,
  at: SettingPath,
  now: Date,
  report: Report,
): boolean {
  if (certificates.some((each) => isInForce(each, use, now))) return true;
  const reasons = certificates
    .map((each) => `${nameOf(each.certificate)} ${whyNotInForce(each, use, now)}`)
    .join('; ');
  const none = `partner ${name} has no certificate in force to ${wordsOf[use]}`;
  report(at, reasons === '' ? none : `${none}: ${reasons}`, {
    ...(use === 'encrypt' ? { only: mailTo(name) } : { severity: 'warning' }),
    hint: 'ask the partner for its current certificate',
  });
  return false;
}

/**
 * Both directions count: mail to a partner is encrypted for its certificates, and its signatures are verified with
 * them.
 */
function checkPartner(
  { name, encrypt, certificates: configured }: Config['partners'][number],
  certificates: readonly Employed[],
  at: SettingPath,
  hasAnchors: boolean,
  now: Date,
  report: Report,
): void {
  const uses = ['encrypt', 'verify'] as const;
  const serves = (each: Employed) => uses.some((use) => whyNotInForce(each, use, now) === undefined);
  for (const use of uses) {
    // Signatures may also lead to an anchor, and the operator may allow unencrypted mail. If there are no certificates
    // at all, that is reported elsewhere.
    if (use === 'encrypt' ? !encrypt || configured.length === 0 : hasAnchors) continue;
    if (isServed(name, certificates, use, at, now, report))
      warnOfEnd(certificates, use, `partner ${name} will have none to ${wordsOf[use]}`, at, now, report);
  }
  // an old or future certificate beside one in force is a roll-over; separate certificates to sign and encrypt are
  // usual
  if (!certificates.some(serves)) return;
  for (const each of certificates.filter((one) => !serves(one))) {
    const reason = whyNotInForce(each, encrypt ? 'encrypt' : 'verify', now);
    if ((each.from ?? each.certificate.notBefore) <= now)
      report(at, `${nameOf(each.certificate)} ${reason}; it is not used`, { severity: 'warning' });
  }
}

/** Any period in which nothing is in force although something follows, and the end if it is near. */
function warnOfEnd(
  entries: readonly Employed[],
  use: Use,
  what: string,
  at: SettingPath,
  now: Date,
  report: Report,
): void {
  const { until, again, last } = coverageOf(entries, use, now);
  if (last === undefined) return;
  const ends = `${nameOf(last.certificate)} ends`;
  if (again !== undefined)
    report(
      at,
      `${what} from ${dayText(until)} until ${dayText(again)}: ${ends}, and the next one begins then`,
      {
        severity: 'warning',
        hint: 'let the two overlap: change from or until, or add a certificate for these days',
      },
    );
  else if (until.getTime() - now.getTime() <= warnDays * 86_400_000)
    report(at, `${what} from ${until.toISOString().slice(0, 10)} on: ${ends}`, {
      severity: 'warning',
      hint: 'add its successor before then',
    });
}

/** Warns of certificates that name no source for revocation: with `hard`, no mail is sent for them. */
export function checkRevocable(
  { partners, trust }: Config,
  keys: Pick<LoadedKeys, 'anchors' | 'intermediates' | 'partners' | 'approvalAnchors'>,
  now: Date,
  report: Report,
): void {
  partners.forEach((partner, index) => {
    const mode = revocationModeOf(partner, trust);
    if (mode === 'off') return;
    const anchors = [
      ...keys.anchors,
      ...keys.intermediates,
      ...(keys.approvalAnchors.get(partner.name) ?? []),
    ];
    for (const each of keys.partners.get(partner.name) ?? []) {
      if (whyNotInForce(each, 'encrypt', now) !== undefined) continue;
      const why = whyNotAsked(each.certificate, anchors, trust.aia.fetch, now);
      if (why !== undefined)
        report(
          ['partners', index, 'certificates', each.entry],
          `it cannot be found out whether ${nameOf(each.certificate)} was revoked: ${why}`,
          {
            severity: 'warning',
            hint:
              mode === 'hard'
                ? 'mail for it does not leave; write its issuer in trust.intermediates, or revocation: soft for the partner'
                : 'it is used unless you revoke it yourself: sealpost certs revoke',
          },
        );
    }
  });
}

function whyNotAsked(
  certificate: Certificate,
  anchors: readonly Certificate[],
  fetches: boolean,
  at: Date,
): string | undefined {
  if (isSelfSigned(certificate)) return undefined;
  try {
    const { ocsp } = certificate.authorityInfoAccess;
    if (ocsp.length === 0 && (certificate.crlDistributionPoints ?? []).length === 0)
      return 'it names no list and no responder';
    if (fetches || validatePath(certificate, { anchors, at, purpose: 'any' }).trusted) return undefined;
    return 'its issuer is not among trust.anchors and trust.intermediates';
  } catch {
    return 'it cannot be read';
  }
}

const dayLong = 86_400_000;
const beginOfDay = (date: Date) => Math.floor(date.getTime() / dayLong) * dayLong;

/** A certificate with its validity, its term, and a name for messages. */
export interface Dated extends Term {
  readonly name: string;
  readonly notBefore: Date;
  readonly notAfter: Date;
}

/**
 * Refuses a term that lies outside of the validity of its certificate. A term that is written in days may begin at
 * midnight of the day on which the validity begins, and end with the day on which it ends.
 */
export function checkTerm(
  { name, notBefore, notAfter, from, until }: Dated,
  at: SettingPath,
  report: Report,
): void {
  const { until: end } = spanOf({ notBefore, notAfter }, {});
  const validity = `${name} is valid from ${dayText(notBefore)} until ${dayText(end)}`;
  const hint = 'write a time within its validity, or remove the setting';
  const lastMidnight = Math.ceil(end.getTime() / dayLong) * dayLong;
  const isOutside = {
    from: (time: number) => time >= end.getTime(),
    until: (time: number) => time > lastMidnight,
  };
  for (const [setting, moment] of [
    ['from', from],
    ['until', until],
  ] as const)
    if (
      moment !== undefined &&
      (moment.getTime() < beginOfDay(notBefore) || isOutside[setting](moment.getTime()))
    )
      report([...at, setting], `${dayText(moment)} is outside of the certificate's validity: ${validity}`, {
        hint,
      });
  if (from !== undefined && until !== undefined && from >= until)
    report([...at, 'until'], `${dayText(until)} is not after from, ${dayText(from)}`, {
      hint: 'until is the first moment at which the certificate is no longer used',
    });
}
