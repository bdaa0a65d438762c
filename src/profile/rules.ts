/** Whether messages and certificates hold the rules of a profile. */
import { signatureByOid } from '../pki/algorithms.ts';
import { type Certificate, keyTraits } from '../pki/index.ts';
import type { UsedKey, UsedLayer } from '../smime/index.ts';
import type { Seen } from './code.ts';
import type { CertificateUse, Direction, KeyDemand, Profile, Rule } from './types.ts';

/** A rule that holds on a day, and whether missing it counts. */
export interface HeldRule {
  readonly profile: string;
  readonly rule: Rule;
  readonly level: 'must' | 'should';
}

/** A rule that is missed, and by what, such as `rsa-pkcs1` or `an RSA key of 2048 bits`. */
export interface Missed extends HeldRule {
  readonly found: string;
}

/** Midnight UTC at which a day begins, in milliseconds since the epoch. */
const beginOf = (day: string) => Date.parse(`${day}T00:00:00Z`);

/**
 * The rules of a profile that hold on a day, without those that only say what is allowed.
 *
 * @param dates from when unverified rules hold, by `PROFILE/RULE`; without a date such a rule is a `should`
 */
export function rulesAt(
  { name, rules }: Pick<Profile, 'name' | 'rules'>,
  at: Date,
  dates: ReadonlyMap<string, string> = new Map(),
): HeldRule[] {
  const time = at.getTime();
  return rules.flatMap((rule) => {
    if (rule.level === 'may') return [];
    const dated = rule.unverified === true ? dates.get(`${name}/${rule.id}`) : undefined;
    const from = dated ?? rule.from;
    if (from !== undefined && time < beginOf(from)) return [];
    if (rule.until !== undefined && time >= beginOf(rule.until)) return [];
    const level = rule.unverified === true && dated === undefined ? 'should' : rule.level;
    return [{ profile: name, rule, level }];
  });
}

const isAbout = ({ rule }: HeldRule, direction: Direction) => rule.directions?.includes(direction) ?? true;

/** What a message misses: each rule once, with the first thing that misses it. */
export function missedByMessage(
  rules: readonly HeldRule[],
  { direction, used }: Pick<Seen, 'direction' | 'used'>,
): Missed[] {
  return rules
    .filter((held) => isAbout(held, direction))
    .flatMap((held) => {
      const found = foundInMessage(held.rule, used.layers, used.headerProtection);
      return found === undefined ? [] : [{ ...held, found }];
    });
}

const except = (allow: readonly string[], found: readonly string[]) =>
  found.find((name) => !allow.includes(name));

function foundInMessage(rule: Rule, layers: readonly UsedLayer[], header: boolean): string | undefined {
  const encryptions = layers.flatMap((each) => (each.layer === 'encryption' ? [each] : []));
  const signatures = layers.flatMap((each) => (each.layer === 'signature' ? [each] : []));
  const signers = signatures.flatMap((each) => each.signers);
  switch (rule.about) {
    case 'content':
      return except(
        rule.allow,
        encryptions.map(({ cipher }) => cipher),
      );
    case 'key-management':
      return except(
        rule.allow,
        encryptions.flatMap(({ keys }) => keys.map(({ management }) => management)),
      );
    case 'digest':
      return except(
        rule.allow,
        // the others have digests of their own
        signers.filter(({ scheme }) => !/^(?:eddsa|ml-dsa)$/.test(scheme)).map(({ digest }) => digest),
      );
    case 'signature':
      return except(
        rule.allow,
        signers.map(({ scheme }) => scheme),
      );
    case 'protection': {
      const has = { encrypted: encryptions.length > 0, signed: signatures.length > 0, header };
      const without = rule.require.find((each) => !has[each]);
      return without === undefined ? undefined : missingProtection[without];
    }
    case 'order': {
      const order = layers
        .map(({ layer }) => layer)
        .filter((layer) => /^(?:encryption|signature)$/.test(layer));
      // one that is only signed or only encrypted has no order
      return new Set(order).size < 2 || order.join() === rule.layers.join()
        ? undefined
        : order.join(' around ');
    }
    case 'form':
      return except(
        rule.allow,
        signatures.map(({ form }) => form),
      );
    case 'key-size':
    case 'key-family': {
      if (rule.issuedFrom !== undefined) return undefined;
      const keys: [CertificateUse, UsedKey | null][] = [
        ...encryptions.flatMap((each) =>
          each.keys.map(({ key }): ['encrypt', UsedKey | null] => ['encrypt', key]),
        ),
        ...signers.map(({ key }): ['sign', UsedKey | null] => ['sign', key]),
      ];
      for (const [use, key] of keys) {
        const found = key !== null && rule.uses.includes(use) ? wrongKey(rule, key) : undefined;
        if (found !== undefined) return found;
      }
      return undefined;
    }
    case 'curve':
    case 'validity':
    case 'certificate-signature':
    case 'extended-key-usage':
      // only certificates show these
      return undefined;
  }
}

const missingProtection = {
  encrypted: 'no encryption',
  signed: 'no signature',
  header: 'no protected header',
};

const families: Record<string, string> = {
  rsa: 'an RSA',
  ec: 'an EC',
  okp: 'an Edwards or Montgomery',
  dsa: 'a DSA',
  dh: 'a Diffie-Hellman',
  other: 'another',
};

function wrongKey(rule: KeyDemand, { family, bits }: UsedKey): string | undefined {
  if (rule.about === 'key-family')
    return rule.allow.includes(family) ? undefined : `${families[family] ?? family} key`;
  if (rule.about !== 'key-size') return undefined;
  const least = rule.minimum[family];
  if (least === undefined || (bits !== null && bits >= least)) return undefined;
  return `${families[family] ?? family} key of ${bits === null ? 'unknown size' : `${bits} bits`}`;
}

/** What a certificate is used for, and in which direction: whose mail it protects. */
export interface CertificatePlace {
  readonly use: Exclude<CertificateUse, 'ca'>;
  readonly direction: Direction;
  /** Those above it, as far as they are known. */
  readonly issuers: readonly Certificate[];
}

/** What a certificate misses. A rule for authorities is judged by its issuers. */
export function missedByCertificate(
  rules: readonly HeldRule[],
  certificate: Certificate,
  { use, direction, issuers }: CertificatePlace,
): Missed[] {
  return rules
    .filter((held) => isAbout(held, direction))
    .flatMap((held) => {
      const { rule } = held;
      if (!('uses' in rule)) return [];
      if (rule.issuedFrom !== undefined && certificate.notBefore.getTime() < beginOf(rule.issuedFrom))
        return [];
      const judged = [
        ...(rule.uses.includes(use) ? [certificate] : []),
        ...(rule.uses.includes('ca') ? issuers : []),
      ];
      const found = judged.map((each) => foundInCertificate(rule, each)).find((each) => each !== undefined);
      return found === undefined ? [] : [{ ...held, found }];
    });
}

const dayMilliseconds = 86_400_000;

function foundInCertificate(rule: Rule, certificate: Certificate): string | undefined {
  switch (rule.about) {
    case 'key-size':
    case 'key-family': {
      const { family, bits } = keyTraits(certificate.publicKeyInfo);
      return wrongKey(rule, { family, bits: bits ?? null });
    }
    case 'curve': {
      if (keyTraits(certificate.publicKeyInfo).family !== 'ec') return undefined;
      const curve = certificate.publicKey.asymmetricKeyDetails?.namedCurve ?? 'an unknown curve';
      return rule.allow.includes(curve) ? undefined : curve;
    }
    case 'validity': {
      // both ends count (RFC 5280, section 4.1.2.5)
      const days =
        (certificate.notAfter.getTime() - certificate.notBefore.getTime() + 1000) / dayMilliseconds;
      return days <= rule.maximumDays ? undefined : `valid for ${Math.ceil(days)} days`;
    }
    case 'certificate-signature': {
      const { oid } = certificate.signatureAlgorithm;
      const scheme = signatureByOid.get(oid)?.scheme ?? oid;
      return rule.allow.includes(scheme) ? undefined : `signed with ${scheme}`;
    }
    case 'extended-key-usage': {
      const usage = certificate.extendedKeyUsage ?? [];
      if (!rule.require.every((oid) => usage.includes(oid))) return 'no such extended key usage';
      const other = rule.allow && except(rule.allow, usage);
      return other === undefined ? undefined : `extended key usage ${other}`;
    }
    default:
      return undefined;
  }
}
