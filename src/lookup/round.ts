import type { PartnerConfig } from '../config/index.ts';
import type { Log } from '../log.ts';
import { Rounds } from '../rounds.ts';
import type { Asked, Found, Lookups } from './lookups.ts';

export interface RoundParts {
  lookups: Pick<Lookups, 'ask'>;
  partners: readonly PartnerConfig[];
  /** Whether a partner has a certificate to encrypt for, at that time. */
  provided(partner: PartnerConfig, at: Date): boolean;
  /** Takes what was found for a partner. */
  offer(partner: PartnerConfig, found: Found): Promise<'waiting' | 'known' | 'full'>;
  log: Log;
  now(): number;
}

const day = 86_400_000;
/** A partner is looked up if it has no certificate that is valid for this many more days. */
const ahead = 30 * day;
/** Answers are remembered by `Lookups`, so most rounds ask nobody. */
const every = 10 * 60_000;

/** Looks certificates up in the background, one address after the other, for partners that need one. */
export class LookupRound {
  readonly #parts: RoundParts;
  readonly #failed = new Map<string, { since: number; why: string }>();
  readonly #rounds: Rounds;

  constructor(parts: RoundParts) {
    this.#parts = parts;
    this.#rounds = new Rounds({
      every,
      work: () => this.#round(),
      onFailure: (err) => parts.log.warn({ err }, 'certificates were not looked up'),
    });
  }

  start(): void {
    if (this.#parts.partners.every(({ lookup }) => lookup.length === 0)) return;
    this.#rounds.start();
  }

  /** One round. Rounds do not overlap. It does not throw: a failure is reported as trouble of the role. */
  async run(): Promise<void> {
    await this.#rounds.run();
  }

  async stop(): Promise<void> {
    await this.#rounds.stop();
  }

  /** Directories that fail, as a role reports them. */
  troubles(): { what: string; since: number; why: string }[] {
    return [...this.#failed].map(([name, { since, why }]) => ({ what: `directory ${name}`, since, why }));
  }

  async #round(): Promise<void> {
    const { partners, provided, lookups, now } = this.#parts;
    for (const partner of partners) {
      if (this.#rounds.stopped) return;
      if (partner.lookup.length === 0 || provided(partner, new Date(now() + ahead))) continue;
      for (const address of addressesOf(partner)) {
        if (this.#rounds.stopped) return;
        await this.#take(partner, address, await lookups.ask(address, partner.lookup));
      }
    }
  }

  async #take(partner: PartnerConfig, address: string, { found, failed }: Asked): Promise<void> {
    const { offer, log, now } = this.#parts;
    for (const each of found) {
      const became = await offer(partner, each);
      const { thumbprint } = each.certificate;
      const facts = { partner: partner.name, directory: each.directory, thumbprint };
      if (became === 'waiting')
        log.warn(
          facts,
          'a certificate was found and waits for approval: sealpost certs list --state waiting',
        );
      if (became === 'full')
        log.warn(
          facts,
          'a certificate was found, and too many wait for approval already: approve or reject some',
        );
    }
    for (const { directory, error } of failed) {
      if (!this.#failed.has(directory))
        log.warn({ directory, err: error }, 'a directory of certificates could not be asked');
      this.#failed.set(directory, { since: this.#failed.get(directory)?.since ?? now(), why: error.message });
    }
    for (const name of partner.lookup)
      if (!failed.some(({ directory }) => directory === name)) this.#failed.delete(name);
    log.debug({ partner: partner.name, address, found: found.length }, 'looked up');
  }
}

/** Domains and wildcards are no address that a directory could have. */
export function addressesOf({ addresses }: Pick<PartnerConfig, 'addresses'>): string[] {
  return addresses.filter((entry) => entry.includes('@') && !entry.startsWith('@'));
}
