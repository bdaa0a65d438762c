/** Which profiles partners meet. It loads X.509 and the codec, so it is loaded with the first request. */
import {
  CertStore,
  type CountingCertificates,
  loadCounting,
  type OwnCertificate,
  readOwn,
} from '../certstore/index.ts';
import type { Client } from '../client/index.ts';
import { loadPublicCertificates, type OwnIdentity, partnerKey, profileBook } from '../config/index.ts';
import { SealpostError } from '../errors.ts';
import { matrixAt } from '../partner/index.ts';
import { timeOf } from '../pipeline/submit.ts';
import type { Use } from '../pki/index.ts';
import { type ProfileBook, trafficOf } from '../profile/index.ts';
import { sealedValues } from '../redis/index.ts';
import type { DeskParts } from './certificate-desk.ts';
import { refusal } from './problem.ts';
import type { MatrixList, MatrixWanted } from './readiness-schemas.ts';

type Public = Awaited<ReturnType<typeof loadPublicCertificates>>;

/** How many partners one answer has. */
const mostRows = 100;
const usualDays = 30;

export class ReadinessDesk {
  readonly #parts: DeskParts;
  readonly #store: CertStore;
  readonly #public: Public;
  readonly #book: ProfileBook;
  #counting: { own: string; certificates: CountingCertificates } | undefined;

  private constructor(parts: DeskParts, store: CertStore, known: Public, book: ProfileBook) {
    this.#parts = parts;
    this.#store = store;
    this.#public = known;
    this.#book = book;
  }

  static async open(parts: DeskParts): Promise<ReadinessDesk> {
    const { config, queue, log } = parts;
    const store = await CertStore.open({ ...queue, folder: config.dataDir, log, now: Date.now });
    return new ReadinessDesk(parts, store, await loadPublicCertificates(config), await profileBook(config));
  }

  /** Errors: `request-invalid`, `partner-unknown`, `certs-changed`, `redis-unreachable`. */
  async matrix(client: Client, { partner, at, days, after }: MatrixWanted): Promise<MatrixList> {
    const { config, queue } = this.#parts;
    const day =
      at === undefined ? new Date() : new Date(timeOf(/^[0-9-]{10}$/.test(at) ? `${at}T00:00:00Z` : at));
    if (Number.isNaN(day.getTime()))
      throw refusal('request-invalid', 'at is not a day', 'write 2027-07-01 or 2027-07-01T08:00:00Z');
    const visible = config.partners.filter(({ name }) => client.mayUsePartner(name));
    const same = (name: string) => name.toLowerCase() === partner?.toLowerCase();
    const wanted = partner === undefined ? visible : visible.filter(({ name }) => same(name));
    if (partner !== undefined && wanted.length === 0)
      throw new SealpostError('partner-unknown', `there is no partner ${partner}`);
    const from = after === undefined ? 0 : wanted.findIndex(({ name }) => name === after) + 1;
    const page = wanted.slice(from, from + mostRows);
    const counting = await this.#certificates();
    const { identities, partners } = counting;
    const rowOf = matrixAt(this.#book, { ...this.#public, identities, partners }, day);
    const rows = [];
    for (const each of page) {
      const used = await queue.ledger.used(partnerKey(each), Number(days ?? usualDays), Date.now());
      rows.push(rowOf(each, { ...trafficOf(used), announced: counting.announcement(each.name) }));
    }
    const next = from + page.length < wanted.length ? (page.at(-1)?.name ?? null) : null;
    return { at: day.toISOString().slice(0, 10), partners: rows, next };
  }

  /** The certificates in force. Errors: `certs-changed`, `redis-unreachable`. */
  async #certificates(): Promise<CountingCertificates> {
    const store = this.#store;
    await store.refresh();
    if (store.trouble) throw store.trouble;
    const own = await readOwn(sealedValues(this.#parts.queue, 'certs-own'));
    const name = JSON.stringify(own.map(({ of, chain: _, ...facts }) => [of.thumbprint, facts]));
    if (this.#counting?.own !== name) {
      const { CountingCertificates } = await loadCounting();
      const identities = own.flatMap(describedIdentity);
      const certificates = new CountingCertificates(store, { identities, partners: this.#public.partners });
      this.#counting = { own: name, certificates };
    }
    return this.#counting.certificates;
  }
}

/**
 * One of our identities, as far as a process without keys knows it. Its public key stands in for the private one: a
 * description of a message asks only for the kind of the key, and neither signs nor decrypts.
 */
function describedIdentity(own: OwnCertificate, entry: number): OwnIdentity[] {
  const { identity, chain, uses, from, until } = own;
  const { certificate } = own.of;
  if (identity === null) return [];
  try {
    return [
      {
        ...{ name: identity, certificate, chain, entry, privateKey: certificate.publicKey },
        use: uses.filter((each): each is Use & ('sign' | 'decrypt') => each === 'sign' || each === 'decrypt'),
        from: from === null ? undefined : new Date(from),
        until: until === null ? undefined : new Date(until),
      },
    ];
  } catch (error) {
    if (error instanceof SealpostError) return [];
    throw error;
  }
}
