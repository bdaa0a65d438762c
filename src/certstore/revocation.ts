import { randomUUID } from 'node:crypto';
import { type Config, type LoadedKeys, revocationModeOf } from '../config/index.ts';
import type { Log } from '../log.ts';
import { RecipientRevocation } from '../partner/index.ts';
import { whyNotInForce } from '../pki/index.ts';
import { holdLease, lifetimes, type SealedValuesParts, sealedValues } from '../redis/index.ts';
import { Rounds } from '../rounds.ts';
import type { CountingCertificates } from './counting.ts';
import { EndingLists } from './ending-lists.ts';

export interface RevocationRoundParts {
  config: Pick<Config, 'trust' | 'partners'>;
  keys: Pick<LoadedKeys, 'anchors' | 'intermediates' | 'approvalAnchors'>;
  counting: Pick<CountingCertificates, 'decided' | 'refused'>;
  queue: SealedValuesParts & { redis: Parameters<typeof holdLease>[0] };
  log: Log;
  now: () => number;
}

/** As a role reports it. */
interface Trouble {
  readonly what: string;
  readonly since: number;
  readonly why: string;
}

/** Milliseconds between two rounds; what is not due is not asked for. */
const every = 5 * 60_000;

/**
 * Asks in the background whether certificates that mail is encrypted for were revoked. One process of the installation
 * does it; each knows the result.
 */
export class RevocationRound {
  readonly #parts: RevocationRoundParts;
  readonly #owner = randomUUID();
  readonly revocation: RecipientRevocation;
  #revoked: readonly Trouble[] = [];
  readonly #rounds: Rounds;
  readonly #lists: EndingLists;

  constructor(parts: RevocationRoundParts) {
    this.#parts = parts;
    const { config, keys, counting, queue, log, now } = parts;
    const values = sealedValues(queue, 'revocation');
    const refused = () => counting.refused;
    // Redis is away: the next round asks.
    this.#rounds = new Rounds({ every, work: () => this.#round(), onFailure: () => undefined });
    this.revocation = new RecipientRevocation({ trust: config.trust, keys, values, refused, log, now });
    this.#lists = new EndingLists({ queue, now, lists: () => this.revocation.endingLists() });
  }

  start(): void {
    this.#rounds.start();
  }

  /** One round; while one is on its way, there is no other. It does not throw. */
  async run(): Promise<void> {
    await this.#rounds.run();
  }

  async stop(): Promise<void> {
    await this.#rounds.stop();
  }

  /** Certificates in force that were revoked, as a role reports them. */
  troubles(): readonly Trouble[] {
    return this.#revoked;
  }

  async #round(): Promise<void> {
    const { config, queue, counting, now } = this.#parts;
    const { redis, prefix } = queue;
    const lease = { owner: this.#owner, ms: lifetimes.revocationLease };
    const isMine = await holdLease(redis, prefix, `${prefix}:revocation:lease`, lease);
    const at = new Date(now());
    const { trust } = config;
    const partners = config.partners.filter((each) => revocationModeOf(each, trust) !== 'off');
    // None is parsed here: there may be thousands, and hardly one is due.
    const certificates = partners.flatMap(({ name }) =>
      (counting.decided.get(name) ?? [])
        .filter(({ use, fits = ['encrypt'] }) => use.includes('encrypt') && fits.includes('encrypt'))
        .map((entry) => ({ partner: name, entry })),
    );
    if (isMine) await this.revocation.askDue(certificates, () => this.#rounds.stopped);
    const revoked: Trouble[] = [];
    for (const { partner, entry } of certificates) {
      if (this.#rounds.stopped) return;
      const state = await this.revocation.known(entry.thumbprint);
      if (state?.status === 'revoked' && whyNotInForce(entry, 'encrypt', at) === undefined)
        revoked.push({ what: `partner ${partner}`, since: state.at, why: state.why });
    }
    // each process knows it now; one of them reports it
    this.#revoked = isMine ? revoked : [];
    // who is not asked any more has no newer ones
    if (isMine) await this.#lists.publish();
  }
}
