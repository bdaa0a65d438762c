/**
 * What ends soon: certificates of partners, our own, of authorities and of TLS, each by what it is used for. What
 * another one follows without a gap does not count.
 */
import { type Config, type OwnIdentity, signersOf, type TlsSpans } from '../config/index.ts';
import {
  type Certificate,
  coverageOf,
  coverageOfSpans,
  dayText,
  type Employed,
  endedOf,
  endedOfSpans,
  nameOf,
  spanOf,
  type Use,
  validityOf,
} from '../pki/index.ts';
import type { PartnerCertificate } from './certificates.ts';

export type ExpiryUse = Use | 'trust' | 'tls';

/** Something that is in force and will end with nothing in its place. */
export interface Expiry {
  /** Whose it is, in words: `partner acme`, `identity orders`, `smtp.tls`, `trust.anchors`. */
  readonly owner: string;
  /** Name of the partner; '' for what is our own. */
  readonly partner: string;
  readonly uses: readonly ExpiryUse[];
  /** The first moment at which nothing is in force. */
  readonly until: Date;
  /** What ends last. */
  readonly certificate: string;
  /** Tells it from others of the same owner. */
  readonly id: string;
  readonly hint: string;
}

export interface ExpiryParts {
  config: Config;
  identities: readonly OwnIdentity[];
  partners: ReadonlyMap<string, readonly PartnerCertificate[]>;
  /** Roots and intermediate certificates that are configured. */
  authorities: readonly Certificate[];
  /** Our own certificates for TLS. */
  tls: readonly TlsSpans[];
}

const hints = {
  partner: 'ask the partner for its next certificate, and add it to its certificates',
  own: 'get its successor, add it as another identity of the same name, and send its certificate to your partners',
  tls: 'renew it, or add the pair that follows as next',
  authority: 'add the certificate that follows it to the same setting',
};

const never = new Date(8.64e15);

/**
 * Everything that ends, the soonest first.
 *
 * @param before what ends later is left out, and its certificate is not even parsed: there may be 30,000
 */
export function expiriesAt(parts: ExpiryParts, at: Date, before = never): Expiry[] {
  const { config, identities, partners, authorities, tls } = parts;
  const found: Expiry[] = [];
  for (const { name, encrypt } of config.partners) {
    const uses: Use[] = encrypt ? ['encrypt', 'verify'] : ['verify'];
    const entries = partners.get(name) ?? [];
    found.push(
      ...endsOf({ owner: `partner ${name}`, partner: name, hint: hints.partner }, entries, uses, at, before),
    );
  }
  const signers = new Set(config.partners.flatMap(signersOf));
  for (const name of new Set(identities.map((each) => each.name))) {
    const signs = signers.has(name);
    const uses: Use[] = signs ? ['sign', 'decrypt'] : ['decrypt'];
    const own = identities.filter((each) => each.name === name);
    found.push(...endsOf({ owner: `identity ${name}`, partner: '', hint: hints.own }, own, uses, at, before));
  }
  for (const each of authorities)
    if (each.notAfter >= at && each.notAfter < before)
      found.push({
        ...{ owner: 'trust', partner: '', uses: ['trust'], hint: hints.authority },
        ...{
          until: new Date(each.notAfter.getTime() + 1000),
          certificate: nameOf(each),
          id: each.thumbprint,
        },
      });
  for (const { setting, partner, spans } of tls) {
    const { until, last } = coverageOfSpans(spans, at);
    if (last !== undefined && until <= before)
      found.push({
        ...{ owner: setting, partner, uses: ['tls'], until, hint: hints.tls },
        ...{ certificate: last.name, id: last.id },
      });
  }
  return found.sort((a, b) => a.until.getTime() - b.until.getTime());
}

/** Milliseconds for which what has ended is still named. */
const endedLately = 30 * 86_400_000;

/** What has ended in the last 30 days with nothing in its place, the last one first. */
export function endedAt({ config, identities, partners, authorities, tls }: ExpiryParts, at: Date): Expiry[] {
  const found: Expiry[] = [];
  const add = (
    of: Pick<Expiry, 'owner' | 'partner' | 'hint'>,
    entries: readonly Employed[],
    uses: readonly Use[],
  ) => {
    for (const use of uses) {
      const ended = endedOf(entries, use, at);
      if (ended === undefined) continue;
      const { certificate } = ended.entry;
      found.push({
        ...of,
        uses: [use],
        until: ended.until,
        certificate: nameOf(certificate),
        id: certificate.thumbprint,
      });
    }
  };
  for (const { name, encrypt } of config.partners)
    add(
      { owner: `partner ${name}`, partner: name, hint: hints.partner },
      partners.get(name) ?? [],
      encrypt ? ['encrypt', 'verify'] : ['verify'],
    );
  const signers = new Set(config.partners.flatMap(signersOf));
  for (const name of new Set(identities.map((each) => each.name))) {
    const own = identities.filter((each) => each.name === name);
    // an old key decrypts as long as it is there
    if (signers.has(name)) add({ owner: `identity ${name}`, partner: '', hint: hints.own }, own, ['sign']);
  }
  for (const each of authorities)
    found.push({
      ...{ owner: 'trust', partner: '', uses: ['trust'], hint: hints.authority },
      ...{ until: new Date(each.notAfter.getTime() + 1000), certificate: nameOf(each), id: each.thumbprint },
    });
  for (const { setting, partner, spans } of tls) {
    const last = endedOfSpans(spans, at);
    if (last !== undefined)
      found.push({
        ...{ owner: setting, partner, uses: ['tls'], until: last.until, hint: hints.tls },
        ...{ certificate: last.name, id: last.id },
      });
  }
  return found
    .filter(({ until }) => until <= at && at.getTime() - until.getTime() <= endedLately)
    .sort((a, b) => b.until.getTime() - a.until.getTime());
}

/** The ends for some uses; those of one certificate and moment are one. */
function endsOf(
  of: Pick<Expiry, 'owner' | 'partner' | 'hint'>,
  entries: readonly Employed[],
  uses: readonly Use[],
  at: Date,
  before: Date,
): Expiry[] {
  const found: Expiry[] = [];
  for (const use of uses) {
    const { until, last } = coverageOf(entries, use, at);
    if (last === undefined || until > before) continue;
    const id = last.certificate.thumbprint;
    const same = found.findIndex((each) => each.id === id && each.until.getTime() === until.getTime());
    const known = found[same];
    if (known !== undefined) found[same] = { ...known, uses: [...known.uses, use] };
    else found.push({ ...of, uses: [use], until, certificate: nameOf(last.certificate), id });
  }
  return found;
}

const dayLong = 86_400_000;

/** The threshold that has been reached, in days: the smallest that is not below what is left; undefined for none. */
export function thresholdOf(
  { until }: Pick<Expiry, 'until'>,
  at: Date,
  days: readonly number[],
): number | undefined {
  const left = (until.getTime() - at.getTime()) / dayLong;
  const reached = days.filter((each) => left <= each);
  return reached.length === 0 ? undefined : Math.min(...reached);
}

/** One sentence: whose certificate, what for, and when it ends. */
export function expiryText(
  { owner, uses, until, certificate }: Pick<Expiry, 'owner' | 'uses' | 'until' | 'certificate'>,
  at: Date,
): string {
  const rest = until.getTime() - at.getTime();
  if (rest <= 0)
    return `${owner}: nothing has followed ${certificate}, which ended on ${dayText(until).slice(0, 10)} (${uses.join(', ')})`;
  const days = Math.max(0, Math.floor(rest / dayLong));
  const left = days === 1 ? 'in 1 day' : `in ${days} days`;
  return `${owner}: nothing follows ${certificate}, which ends ${left}, on ${dayText(until).slice(0, 10)} (${uses.join(', ')})`;
}

/** A certificate of ours that will begin to sign beside one that signs now. */
export interface OwnChange {
  readonly identity: string;
  readonly next: OwnIdentity;
  /** Its first moment. */
  readonly from: Date;
}

/** Changes of our own certificates that begin within some days, the soonest first; one for each identity. */
export function ownChangesAt(identities: readonly OwnIdentity[], at: Date, days: number): OwnChange[] {
  const latest = at.getTime() + days * dayLong;
  return [...new Set(identities.map(({ name }) => name))]
    .flatMap((identity): OwnChange[] => {
      const own = identities.filter((each) => each.name === identity && each.use.includes('sign'));
      if (coverageOf(own, 'sign', at).last === undefined) return [];
      const coming = own
        .map((next) => ({ identity, next, from: spanOf(validityOf(next), next).from }))
        .filter(({ from }) => from > at && from.getTime() <= latest)
        .sort((a, b) => a.from.getTime() - b.from.getTime());
      return coming.slice(0, 1);
    })
    .sort((a, b) => a.from.getTime() - b.from.getTime());
}
