/**
 * How keys and certificates stand for what waits for them: a digest that changes when another one could decode or
 * protect a message. The digest is kept with a message that is suspended, so nothing is tried twice with the same ones.
 */
import { createHash } from 'node:crypto';
import { type Config, type LoadedKeys, type PartnerConfig, partnerKey, signersOf } from '../config/index.ts';
import { toErrorInfo, waitsFor } from '../errors.ts';
import { type PartnerCertificate, type RecipientStates, tryProtection } from '../partner/index.ts';
import { type Certificate, type Employed, isInForce, type Use, whyNotInForce } from '../pki/index.ts';
import type { CountingCertificates } from './counting.ts';
import type { Standing, Waiting } from './waiting.ts';

export interface KeyStandingParts {
  config: Pick<Config, 'partners' | 'retry'>;
  keys: Pick<LoadedKeys, 'mailboxes' | 'identities'>;
  counting: Pick<CountingCertificates, 'partners' | 'decided' | 'pins' | 'identities' | 'announced'>;
  /** What authorities say of the certificates of a partner, as of now; nobody is waited for. */
  states?: (
    partner: PartnerConfig,
    certificates: readonly PartnerCertificate[],
    at: Date,
  ) => Promise<RecipientStates | undefined>;
}

export class KeyStanding {
  readonly #parts: KeyStandingParts;
  /** By their key. */
  readonly #partners: ReadonlyMap<string, PartnerConfig>;
  /** Digests of what stays the same object until it changes. */
  readonly #ofPins = new WeakMap<object, string>();
  /** Why protection does not work, by partner and keys: trying it signs and encrypts. */
  readonly #lacks = new Map<string, string | null>();

  constructor(parts: KeyStandingParts) {
    this.#parts = parts;
    this.#partners = new Map(parts.config.partners.map((partner) => [partnerKey(partner), partner]));
  }

  /** For the fact `keys` of an event: the digest of what a message was judged with. */
  digest(waiting: Waiting, at: Date): string {
    return this.#digest(waiting, at);
  }

  /** Errors: `redis-unreachable`. */
  async of(waiting: Waiting, at: Date): Promise<Standing> {
    const { delay } = this.#parts.config.retry.onKeys;
    const states = await this.#statesOf(waiting, at);
    const isSettled = ({ approval }: PartnerCertificate) =>
      approval === undefined ||
      !approval.by.startsWith('rule ') ||
      approval.at.getTime() + delay <= at.getTime();
    const now = this.#digest(waiting, at);
    const hasYoung = this.#certificatesOf(waiting.partner).some((each) => !isSettled(each));
    const settled = hasYoung ? this.#digest(waiting, at, isSettled) : now;
    const lackNow = this.#lack(waiting, now, at, states);
    const lack = hasYoung ? this.#lack(waiting, settled, at, states, isSettled) : lackNow;
    return { now, settled, lack, lackNow };
  }

  /** Read before the digests, which then have them too (`CountingCertificates.partners`). */
  async #statesOf({ direction, partner }: Waiting, at: Date): Promise<RecipientStates | undefined> {
    const config = direction === 'outbound' ? this.#partners.get(partner ?? '') : undefined;
    if (config === undefined) return undefined;
    return await this.#parts.states?.(config, this.#parts.counting.decided.get(config.name) ?? [], at);
  }

  #certificatesOf(partner: string | null): readonly PartnerCertificate[] {
    const { counting } = this.#parts;
    if (partner === null) return [...counting.partners.values()].flat();
    return counting.partners.get(this.#partners.get(partner)?.name ?? partner) ?? [];
  }

  #digest(
    { direction, reason, mailbox, partner }: Waiting,
    at: Date,
    counts?: (certificate: PartnerCertificate) => boolean,
  ): string {
    const { keys, counting } = this.#parts;
    const inForce = (use: Use) =>
      this.#certificatesOf(partner)
        .filter((each) => counts?.(each) !== false && isInForce(each, use, at))
        .map(({ thumbprint }) => thumbprint)
        .sort();
    if (direction === 'outbound')
      return digestOf(['outbound', inForce('encrypt'), this.#signing(partner, at)]);
    const own = keys.mailboxes.get(mailbox ?? '');
    if (waitsFor(reason) === 'key')
      return digestOf(['inbound', (own?.identities ?? []).map(({ certificate }) => certificate.thumbprint)]);
    const trust = [own?.trust.anchors ?? [], own?.trust.intermediates ?? []];
    const authorities = trust.map((list) => this.#ofList(list));
    if (partner !== null) return digestOf(['inbound', inForce('verify'), authorities]);
    // whose it is, is not known: any partner's certificate may tell
    const pins = counting.pins(at);
    const all = counts === undefined ? (this.#ofPins.get(pins) ?? digestOf(inForce('verify'))) : undefined;
    if (all !== undefined) this.#ofPins.set(pins, all);
    return digestOf(['inbound', all ?? digestOf(inForce('verify')), authorities]);
  }

  #ofList(list: readonly Certificate[]): string {
    let digest = this.#ofPins.get(list);
    if (digest === undefined) {
      digest = digestOf(list.map(({ thumbprint }) => thumbprint).sort());
      this.#ofPins.set(list, digest);
    }
    return digest;
  }

  /** Our keys that sign mail to a partner. */
  #signing(partner: string | null, at: Date): string[] {
    const config = this.#partners.get(partner ?? '');
    const names = config ? [...signersOf(config), config.encryptionIdentity] : [];
    const signs = (each: Employed & { name: string }) =>
      names.includes(each.name) && whyNotInForce(each, 'sign', at) === undefined;
    return this.#parts.counting.identities
      .filter(signs)
      .map(({ certificate }) => certificate.thumbprint)
      .sort();
  }

  #lack(
    { direction, partner }: Waiting,
    keys: string,
    at: Date,
    states: RecipientStates | undefined,
    counts: (certificate: PartnerCertificate) => boolean = () => true,
  ): string | null {
    if (direction === 'inbound') return null;
    const config = this.#partners.get(partner ?? '');
    if (config === undefined) return 'the partner is not configured any more';
    const said = [...(states?.of ?? [])].map(([thumbprint, { status }]) => `${status} ${thumbprint}`).sort();
    const name = digestOf([config.name, keys, states?.mode, said]);
    const known = this.#lacks.get(name);
    if (known !== undefined) return known;
    const { counting } = this.#parts;
    const certificates = this.#certificatesOf(partner).filter(counts);
    let lack: string | null = null;
    try {
      tryProtection(
        config,
        {
          identities: counting.identities,
          partners: new Map([[config.name, certificates]]),
          announced: (each) => counting.announced(each),
        },
        at,
        states,
      );
    } catch (error) {
      lack = toErrorInfo(error).message;
    }
    if (this.#lacks.size > 20_000) this.#lacks.clear();
    this.#lacks.set(name, lack);
    return lack;
  }
}

function digestOf(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex').slice(0, 16);
}
