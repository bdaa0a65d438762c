/**
 * Certificates that are new in mail of partners: found beside the decoding, which only hands over what it saw, and
 * judged later, one after the other. What is worth a decision goes into the store, to wait for a person or for a rule.
 */
import { LRUCache } from 'lru-cache';
import type { LoadedKeys, PartnerConfig } from '../config/index.ts';
import { SealpostError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Authorities } from '../partner/index.ts';
import {
  type Certificate,
  describeValidity,
  isInForce,
  isSelfSigned,
  keyDigest,
  type PathOptions,
  parseCertificate,
  unusableFor,
  validatePath,
  validateWithRevocation,
} from '../pki/index.ts';
import { announcedBeside, namesItself, type SeenSigner } from './announced.ts';
import { announcementOf, keepings } from './announcement.ts';
import { alsoWithKey, type Counting, CountingIndex, compare } from './compare.ts';
import { usesOf } from './configured.ts';
import { approvedCertificate } from './counting.ts';
import { DueTime } from './due-time.ts';
import { idOf, type RuleName, type StoredCertificate } from './entry.ts';
import { approvingRule, type Evidence, type Said } from './rules.ts';
import type { SeenCertificates } from './seen.ts';
import type { CertStore } from './store.ts';
import { storedUses } from './words.ts';

/** Anchors and helping certificates that signers are judged by. */
export type Trusted = Pick<PathOptions, 'anchors' | 'intermediates'>;

/** Own keys and partners' certificates of the configuration, what signers are judged by, and anchors of partners. */
export type HarvestKeys = Pick<
  LoadedKeys,
  'identities' | 'partners' | 'anchors' | 'intermediates' | 'mailboxes' | 'approvalAnchors'
>;

export interface HarvestParts {
  store: CertStore;
  seen: SeenCertificates;
  partners: readonly PartnerConfig[];
  /** The partner that an address belongs to. */
  ownerOf: (address: string) => string | undefined;
  keys: HarvestKeys;
  authorities: ((now: Date) => Authorities) | undefined;
  log: Log;
  /** Adds an event to the record of a message. */
  note: (message: string, facts: Record<string, string>) => Promise<unknown>;
  now: () => number;
  /** Redis's time and a steady clock, for the delay of rules: as `Clocks` has them. */
  redisNow: () => Promise<number>;
  steady: () => number;
}

interface Found {
  certificate: Certificate;
  /** What came with it, and may help to build its path. */
  beside: readonly Certificate[];
  /** The signer that named it under the signature; null if it signed itself. */
  announcedBy: string | null;
  /** It did so by a digest. */
  byDigest: boolean;
  /** It signed the mail, and the signature says so. */
  bySelf: boolean;
  message: string;
}

/** Certificates that wait to be looked at; more are found again in later mail. */
const mostFound = 100;
/**
 * Octets of a certificate that is kept, and how many issuers beside it: whoever signs may send a thousand of any size.
 */
const mostOctets = 16 * 1024;
const mostIssuers = 20;
/** A certificate is looked at again only after that long. */
const lookedAtEvery = 10 * 60_000;
const dueEvery = 30_000;

export class Harvest {
  readonly #parts: HarvestParts;
  /** Partners with it, of each certificate of the configuration by its thumbprint; none for our own. */
  readonly #known = new Map<string, readonly string[]>();
  readonly #dueTime: DueTime;
  readonly #trusted: Trusted;
  /** Partners with `negotiate`. */
  readonly #negotiates: ReadonlySet<string>;
  readonly #found: Found[] = [];
  readonly #lookedAt = new LRUCache<string, true>({ max: 10_000, ttl: lookedAtEvery });
  /** Made anew when something was decided. */
  #index: { decisions: string; counting: CountingIndex } | undefined;
  readonly #noting = new Set<Promise<void>>();
  #work: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(parts: HarvestParts) {
    this.#parts = parts;
    const { identities, partners, anchors, intermediates, mailboxes } = parts.keys;
    const { now, redisNow, steady } = parts;
    this.#dueTime = new DueTime({ now, redis: redisNow, steady });
    for (const { certificate } of identities) this.#known.set(certificate.thumbprint, []);
    for (const [name, all] of partners) {
      // One list for all of its certificates: there may be 30,000.
      const alone = [name];
      for (const { thumbprint } of all) {
        const others = this.#known.get(thumbprint) ?? [];
        this.#known.set(thumbprint, others.length === 0 ? alone : [...others, name]);
      }
    }
    this.#negotiates = new Set(parts.partners.filter(({ negotiate }) => negotiate).map(({ name }) => name));
    // A certificate is of a partner, and not of the mailbox that saw it first.
    const trusts = [...mailboxes.values()].map(({ trust }) => trust);
    this.#trusted = {
      anchors: [...new Set([...anchors, ...trusts.flatMap((each) => each.anchors)])],
      intermediates: [...new Set([...intermediates, ...trusts.flatMap((each) => each.intermediates)])],
    };
  }

  /** Looks now and then whether a rule is due. */
  start(): void {
    const { store, log } = this.#parts;
    for (const { entry, why } of store.ofOthers()) {
      const { partner } = entry;
      log.warn({ certificate: idOf(entry), partner }, `a certificate does not count: it ${why}`);
    }
    this.#note(store.bind());
    this.#timer = setInterval(() => void this.approveDue(), dueEvery).unref();
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.settled();
  }

  /**
   * Takes what a message showed. It costs a look-up for each signer; all else happens later.
   *
   * @param signers of the message itself, with valid signatures
   * @param decrypted thumbprints of our own certificates that it was encrypted for
   */
  take(message: string, signers: readonly SeenSigner[], decrypted: readonly string[]): void {
    const { seen } = this.#parts;
    for (const thumbprint of decrypted) seen.note(thumbprint);
    for (const signer of signers) {
      const { certificate, beside } = signer;
      const { thumbprint } = certificate;
      if (this.#isKnown(thumbprint)) seen.note(thumbprint);
      else {
        const bySelf = namesItself(signer);
        this.#add({ certificate, byDigest: false, bySelf, beside, announcedBy: null, message });
      }
      if (!this.#counts(certificate)) continue;
      this.#announce(signer);
      for (const each of announcedBeside(signer))
        if (!this.#isKnown(each.certificate.thumbprint))
          this.#add({ ...each, bySelf: false, beside, announcedBy: thumbprint, message });
    }
  }

  /**
   * Keeps what a partner says it can read: for the cipher of mail to it where its entry asks for that, else to be
   * shown.
   */
  #announce({ certificate: { thumbprint }, signer }: SeenSigner): void {
    const { store, now } = this.#parts;
    if (!signer.trusted) return;
    const owners = this.#known.get(thumbprint) ?? [store.of(thumbprint)?.partner ?? []].flat();
    for (const partner of owners) {
      const said = announcementOf(partner, thumbprint, signer, now());
      if (said === undefined) continue;
      const isSteered = this.#negotiates.has(partner);
      this.#note(store.announce(said, isSteered ? keepings.negotiated : keepings.shown));
    }
  }

  /** What cannot be written now comes again: with the next mail, or at the next start. */
  #note(work: Promise<void>): void {
    const noting = work.catch(() => undefined).finally(() => this.#noting.delete(noting));
    this.#noting.add(noting);
  }

  #isKnown(thumbprint: string): boolean {
    return this.#known.has(thumbprint) || this.#parts.store.of(thumbprint) !== undefined;
  }

  /** Whether it is a partner's by the configuration or an approval, and nobody refused it. */
  #counts(certificate: Certificate): boolean {
    const { store } = this.#parts;
    const { thumbprint } = certificate;
    if (!this.#known.has(thumbprint) && !store.isApproved(thumbprint)) return false;
    return store.whyRefused(certificate) === undefined;
  }

  #add(found: Found): void {
    const name = `${found.certificate.thumbprint} ${found.announcedBy ?? ''}`;
    if (this.#lookedAt.has(name) || this.#found.length >= mostFound) return;
    if (found.certificate.der.length > mostOctets) return;
    this.#lookedAt.set(name, true);
    this.#found.push({ ...found, certificate: detached(found.certificate), beside: issuersIn(found.beside) });
    this.#work ??= this.#run();
  }

  async #run(): Promise<void> {
    for (let found = this.#found.shift(); found; found = this.#found.shift()) {
      // The message goes first.
      await new Promise((resolve) => setImmediate(resolve));
      try {
        await this.#judge(found);
      } catch (error) {
        // A certificate that cannot be read, or Redis away: another mail brings it again.
        this.#parts.log.debug({ err: error }, 'a certificate could not be looked at');
      }
    }
    this.#work = undefined;
  }

  /** Resolves when all that was taken has been looked at, and kept. */
  async settled(): Promise<void> {
    while (this.#work) await this.#work;
    await Promise.all(this.#noting);
  }

  async #judge({ certificate, beside, announcedBy, byDigest, bySelf, message }: Found): Promise<void> {
    const { store, log, now } = this.#parts;
    const partner = this.#partnerOf(certificate, announcedBy);
    if (partner === undefined) return;
    if (certificate.basicConstraints?.ca === true && !certificate.isSelfIssued) return;
    if (describeValidity(certificate, new Date(now()))?.startsWith('expired')) return;
    if (usesOf({ certificate }, storedUses).length === 0) return;
    // A key that was revoked comes back under no other certificate.
    if (store.whyRefused(certificate) !== undefined) return;
    const evidence = await this.#evidence(certificate, partner, beside, announcedBy);
    const { comparison, path, announcedBy: announced } = evidence;
    const isAnnounced = announced.there && byDigest;
    // Anybody can make a certificate that names an address.
    if (!path.trusted && comparison.sameKey.length === 0 && !isAnnounced) return;
    // Anybody can make one for a key, too, and put it into a mail that the key has signed.
    const unproven = !(path.trusted || isAnnounced || bySelf || isSelfSigned(certificate));
    const config = this.#parts.partners.find(({ name }) => name === partner);
    if (config === undefined) return;
    const { rule, why = [] } = approvingRule(config.approval, evidence);
    const due =
      rule === undefined ? null : { name: rule, due: await this.#dueTime.after(config.approval.delay) };
    const findings = [
      ...comparison.findings,
      ...alsoWithKey(certificate, store.all(), this.#parts.keys.identities),
      path.why,
      ...(unproven
        ? ['nothing proves that it was made for who has the key: anybody could have made it']
        : []),
      ...(announced.there && announcedBy ? [`named in mail signed with ${announcedBy.slice(0, 16)}`] : []),
      ...why,
    ];
    const result = await store.offer(certificate, {
      ...{ partner, uses: usesOf({ certificate }, storedUses), from: null, until: null },
      ...{ source: 'traffic', findings, rule: due, announcedBy, message },
      ...(unproven && { unproven }),
    });
    const facts = { certificate: idOf(certificate), partner };
    if (result === 'full')
      log.warn(facts, 'a new certificate of a partner was not kept: too many wait for approval');
    if (result !== 'waiting') return;
    this.#parts.seen.note(certificate.thumbprint);
    if (due === null) log.info(facts, 'a new certificate of a partner waits for approval');
    else
      await this.#alert(
        { ...facts, rule: due.name, due: new Date(due.due).toISOString() },
        message,
        'waits for its rule; reject it to prevent that',
      );
  }

  async #alert(facts: Record<string, string>, message: string | null, what: string): Promise<void> {
    const { log, note } = this.#parts;
    log.warn(facts, `a new certificate of a partner ${what}`);
    // The record of the message may be gone, and the log has it.
    if (message !== null) await note(message, facts).catch(() => undefined);
  }

  /** The one partner that it could be of: by its addresses, or by what vouches for one without any. */
  #partnerOf(certificate: Certificate, announcedBy: string | null): string | undefined {
    const { ownerOf } = this.#parts;
    const named = [...new Set(certificate.emails.map(ownerOf).filter((each) => each !== undefined))];
    const counting = this.#counting();
    const signers = counting.named(announcedBy).map(({ partner }) => partner);
    if (named.length === 1) return named[0];
    if (named.length > 1) return named.find((each) => signers.includes(each)) ?? named[0];
    return signers[0] ?? counting.withKey(certificate)[0]?.partner;
  }

  /** Every certificate of a partner that counts: configured or approved, and not refused. */
  #counting(): CountingIndex {
    const { keys, store, partners } = this.#parts;
    const { decisions } = store;
    if (this.#index?.decisions === decisions) return this.#index.counting;
    const counts = (each: Counting) =>
      store.whyRefusedBy(each.thumbprint, () => each.keyDigest ?? keyDigest(each.certificate)) === undefined;
    const counting = new CountingIndex(
      new Map(
        partners.map(({ name }) => {
          const approved = store.approvedOf(name).map((entry) => approvedCertificate(entry, store));
          return [name, [...(keys.partners.get(name) ?? []), ...approved].filter(counts)];
        }),
      ),
    );
    this.#index = { decisions, counting };
    return counting;
  }

  async #evidence(
    certificate: Certificate,
    partner: string,
    beside: readonly Certificate[],
    announcedBy: string | null,
  ): Promise<Evidence> {
    const { keys, ownerOf, now, store } = this.#parts;
    const trusted = this.#trusted;
    const counting = this.#counting();
    const comparison = compare(certificate, partner, counting, ownerOf);
    const namer = counting.named(announcedBy).find((each) => each.partner === partner)?.entry;
    const helping = [...(trusted.intermediates ?? []), ...beside];
    const anchors = keys.approvalAnchors.get(partner) ?? [];
    const at = new Date(now());
    // What we ended ourselves continues nothing, whatever its own validity says.
    const sameKey = comparison.sameKey.map((entry) => ({
      entry,
      counts: storedUses.some((use) => isInForce(entry, use, at)),
    }));
    const keySaid = sameKey.map(async ({ entry, counts }) => {
      const said = await this.#said(entry.certificate, helping);
      return counts || said === 'revoked' ? said : 'good';
    });
    return {
      comparison,
      partner,
      path: await this.#path(certificate, { anchors: trusted.anchors, intermediates: helping }),
      privatePath:
        anchors.length === 0
          ? { good: false, why: 'there are no anchors for it' }
          : await this.#path(certificate, { anchors, intermediates: helping }),
      announcedBy: {
        there: namer !== undefined && isInForce(namer, 'verify', at),
        said: namer === undefined ? 'unknown' : await this.#said(namer.certificate, helping),
      },
      keyRejected: store
        .all()
        .some(({ state, key }) => state === 'rejected' && key === keyDigest(certificate)),
      keyInForce: sameKey.some(({ counts }) => counts),
      keySaid: worstOf(await Promise.all(keySaid)),
    };
  }

  /** Whether it is trusted, and whether the authorities say of all of it that it is good. */
  async #path(certificate: Certificate, trusted: Trusted): Promise<Evidence['path']> {
    const { store, authorities } = this.#parts;
    const options = this.#options(certificate, trusted);
    const { trusted: leads, message } = validatePath(certificate, {
      ...options,
      refused: { why: (each) => store.whyRefused(each) },
    });
    if (!leads) return { trusted: false, good: false, why: `not trusted: ${message}` };
    const check = authorities?.(options.at).revocationCheck;
    if (check === undefined)
      return { trusted: true, good: false, why: `${message}; nobody was asked whether it was revoked` };
    const result = await validateWithRevocation(certificate, { ...options, revocation: 'hard' }, check);
    return {
      trusted: true,
      good: result.trusted,
      why: result.trusted ? `${message}, not revoked` : result.message,
    };
  }

  /** An authority that is not known, or that somebody silences, says nothing good. */
  async #said(certificate: Certificate, helping: readonly Certificate[]): Promise<Said> {
    if (isSelfSigned(certificate)) return 'good';
    const { authorities } = this.#parts;
    const options = this.#options(certificate, { anchors: this.#trusted.anchors, intermediates: helping });
    const check = authorities?.(options.at).revocationCheck;
    if (check === undefined) return 'unknown';
    const result = await validateWithRevocation(certificate, { ...options, revocation: 'hard' }, check);
    if (result.reason === 'revoked') return 'revoked';
    return result.trusted ? 'good' : 'unknown';
  }

  #options(certificate: Certificate, trusted: Trusted): PathOptions {
    const signs = unusableFor(certificate, 'sign') === undefined;
    return { ...trusted, at: new Date(this.#parts.now()), purpose: signs ? 'sign' : 'encrypt' };
  }

  /** Approves what a rule is due for, if the rule still says so, with the settings and authorities of now. */
  async approveDue(): Promise<void> {
    const { store, now, partners, log } = this.#parts;
    if (store.trouble) return;
    const isDue = ({ state, rule }: StoredCertificate, at: number) =>
      state === 'waiting' && rule !== null && rule.due <= at;
    const due = store.all().filter((entry) => isDue(entry, now()));
    if (due.length === 0) return;
    const reached = await this.#dueTime.reached().catch(() => undefined);
    // Redis is away, and the next look does it.
    if (reached === undefined) return;
    for (const entry of due.filter((each) => isDue(each, reached))) {
      const config = partners.find(({ name }) => name === entry.partner);
      try {
        const certificate = store.certificateOf(entry);
        const evidence = await this.#evidence(certificate, entry.partner, [], entry.announcedBy);
        const { rule, why = ['its partner is gone'] } = config
          ? approvingRule(config.approval, evidence)
          : {};
        if (rule === undefined) await store.withoutRule(entry, why.join('; '));
        else await this.#approve(entry, rule);
      } catch (error) {
        // Another process was quicker, or a person.
        if (!(error instanceof SealpostError)) throw error;
        log.debug({ err: error }, 'a rule was due, and did nothing');
      }
    }
  }

  async #approve(entry: StoredCertificate, rule: RuleName): Promise<void> {
    const { thumbprint, partner, version, message } = entry;
    await this.#parts.store.decide(thumbprint, version, 'approved', {
      by: `rule ${rule}`,
      why: 'nobody rejected it',
    });
    await this.#alert({ certificate: idOf(entry), partner, rule }, message, 'was approved by a rule');
  }
}

function worstOf(said: readonly Said[]): Said {
  return (['revoked', 'unknown'] as const).find((each) => said.includes(each)) ?? 'good';
}

/** A copy, so that what waits does not hold the octets of whole messages. */
const detached = ({ der }: Certificate) => parseCertificate(Buffer.from(der));

/** Those that may have issued the certificate. */
function issuersIn(beside: readonly Certificate[]): Certificate[] {
  const issuers: Certificate[] = [];
  for (const each of beside) {
    if (issuers.length >= mostIssuers) break;
    if (each.der.length <= mostOctets && each.basicConstraints?.ca === true) issuers.push(detached(each));
  }
  return issuers;
}
