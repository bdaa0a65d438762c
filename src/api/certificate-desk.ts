/** Shows certificates and records decisions about them. It loads X.509, so it is loaded with the first request. */
import {
  approveCertificate,
  type CertificateQuery,
  type CertificateView,
  CertStore,
  type Changes,
  type Configured,
  certificateView,
  configuredCertificates,
  hearAuthorities,
  type KnownCertificate,
  knownCertificates,
  matching,
  named,
  pinCertificate,
  readOwn,
  rejectCertificate,
  revokeCertificate,
  seenTimes,
  tlsCertificates,
} from '../certstore/index.ts';
import type { Client } from '../client/index.ts';
import { AddressBook, type Config, knownTls, loadPartnerCertificates } from '../config/index.ts';
import { SealpostError } from '../errors.ts';
import type { Log } from '../log.ts';
import { timeOf } from '../pipeline/submit.ts';
import { type Certificate, isSelfSigned, keyDigest, readCertificates } from '../pki/index.ts';
import type { AuditEntry, QueueRoom } from '../queue/index.ts';
import { sealedValues } from '../redis/index.ts';
import { mostUrgentFirst, type Page, pageOf } from './certificate-pages.ts';
import type { CertificateChanges } from './certificate-schemas.ts';
import { refusal } from './problem.ts';

export interface DeskParts {
  config: Config;
  queue: QueueRoom;
  log: Log;
}

/** The known certificates, and the store that takes decisions. */
interface Opened {
  store: CertStore;
  known: KnownCertificate[];
  /** Reads what authorities said of some of them. Until then, states do not take that into account. */
  hear(some: readonly KnownCertificate[]): Promise<void>;
}

/** Milliseconds between two looks at the files of TLS. */
const tlsEvery = 60_000;
/** How many certificates are prepared before other work gets a turn. */
const atOnce = 200;

function changesOf({ uses, from, until }: CertificateChanges): Changes {
  const time = (text: string, name: string) => {
    const at = timeOf(text);
    if (Number.isNaN(at))
      throw refusal('request-invalid', `${name} is not a time`, 'write 2026-12-01T08:00:00Z');
    return at;
  };
  return {
    ...(uses !== undefined && { uses }),
    ...(from !== undefined && { from: time(from, 'from') }),
    ...(until !== undefined && { until: time(until, 'until') }),
  };
}

type PartnerCertificates = Awaited<ReturnType<typeof loadPartnerCertificates>>;

export type Detail = CertificateView & { pem: string };

/** Errors: `request-invalid`. */
function oneOf(pem: string): Certificate {
  try {
    const [certificate, ...others] = readCertificates(Buffer.from(pem));
    if (certificate !== undefined && others.length === 0) return certificate;
  } catch (error) {
    if (!(error instanceof SealpostError)) throw error;
  }
  throw refusal('request-invalid', 'pem is not one certificate');
}

export class CertificateDesk {
  readonly #parts: DeskParts;
  readonly #store: CertStore;
  readonly #partners: PartnerCertificates;
  readonly #reach: Reach;
  #ofTls: { at: number; all: Configured[] } | undefined;

  private constructor(parts: DeskParts, store: CertStore, partners: PartnerCertificates) {
    this.#parts = parts;
    this.#store = store;
    this.#partners = partners;
    this.#reach = new Reach(parts.config);
  }

  static async open(parts: DeskParts): Promise<CertificateDesk> {
    const { config, queue, log } = parts;
    const store = await CertStore.open({ ...queue, folder: config.dataDir, log, now: Date.now });
    return new CertificateDesk(parts, store, await loadPartnerCertificates(config));
  }

  /** The certificates known now. Errors: `certs-changed`, `redis-unreachable`. */
  async #open(): Promise<Opened> {
    const store = this.#store;
    await store.refresh();
    if (store.trouble) throw store.trouble;
    const own = await readOwn(sealedValues(this.#parts.queue, 'certs-own'));
    const configured = [
      ...own,
      ...configuredCertificates({ identities: [], partners: this.#partners }),
      ...(await this.#tls()),
    ];
    const { queue, config } = this.#parts;
    const said = new Map();
    return {
      store,
      known: knownCertificates(configured, store, Date.now(), said),
      hear: (some) => hearAuthorities(said, queue, config, some),
    };
  }

  /** Those for TLS; their files may be renewed at any time, and are looked at once a minute. */
  async #tls(): Promise<Configured[]> {
    const now = performance.now();
    const { queue, config } = this.#parts;
    if (this.#ofTls === undefined || now - this.#ofTls.at > tlsEvery) {
      const known = await knownTls(sealedValues(queue, 'tls'), config);
      this.#ofTls = { at: now, all: tlsCertificates(known) };
    }
    return this.#ofTls.all;
  }

  /** Errors: `certificate-unknown`, also for one that the client may not see. */
  async #visible(client: Client, id: string): Promise<Opened & { found: KnownCertificate }> {
    const opened = await this.#open();
    const found = opened.known.find((each) => each.thumbprint.startsWith(id) && sees(client, each));
    if (found) {
      await opened.hear([found]);
      return { ...opened, found };
    }
    throw new SealpostError('certificate-unknown', `there is no certificate ${id}`);
  }

  async #views(wanted: readonly KnownCertificate[]): Promise<CertificateView[]> {
    const seen = await seenTimes(
      this.#parts.queue,
      wanted.map(({ thumbprint }) => thumbprint),
    );
    const views: CertificateView[] = [];
    for (const [index, each] of wanted.entries()) {
      if (index > 0 && index % atOnce === 0) await new Promise(setImmediate);
      views.push(certificateView(each, seen.get(each.thumbprint)));
    }
    return views;
  }

  /** @param cursor '' for the first page */
  async list(
    client: Client,
    { state, ...query }: CertificateQuery,
    { serial, limit, cursor }: { serial: string | undefined; limit: number; cursor: string },
  ): Promise<Page<CertificateView>> {
    const { known, hear } = await this.#open();
    const seen = known.filter((each) => sees(client, each));
    const among = serial === undefined ? seen : named(seen, serial);
    let found = matching(among, query, Date.now());
    if (state !== undefined) {
      // The word of an authority is that a certificate is revoked, and nothing else.
      if (state !== 'revoked') found = matching(found, { state }, 0);
      await hear(found);
      found = matching(found, { state }, Date.now());
    }
    if (query.attention !== undefined) found = mostUrgentFirst(found);
    const { page, cursor: next } = pageOf(found, limit, cursor);
    if (state === undefined) await hear(page);
    return { page: await this.#views(page), cursor: next };
  }

  /** Errors: `certificate-unknown`. */
  async detail(client: Client, id: string): Promise<Detail> {
    const { found } = await this.#visible(client, id);
    const [view = certificateView(found, undefined)] = await this.#views([found]);
    return { ...view, pem: found.certificate.toPem() };
  }

  /** Who decides, and how the decision gets into the audit trail. */
  #decision(client: Client, what: AuditEntry['what'], why = '') {
    const by = client.actor;
    const record = (subject: string) =>
      this.#parts.queue.audit.add({ at: Date.now(), by, what, subject, ...(why !== '' && { why }) });
    return { decision: { by, why }, record };
  }

  /**
   * Errors: `certificate-unknown`, `certificate-conflict`; `not-granted` if the certificate concerns others as well.
   */
  async approve(
    client: Client,
    id: string,
    {
      sha256,
      version,
      why,
      ...changes
    }: { sha256: string; version: number; why?: string | undefined } & CertificateChanges,
  ): Promise<Detail> {
    const { store, found, known } = await this.#visible(client, id);
    this.#reach.check(client, found.certificate, known);
    const how = { ...this.#decision(client, 'certificate-approve', why), changes: changesOf(changes) };
    await approveCertificate(store, found, { sha256, version }, how);
    return await this.detail(client, found.certificate.thumbprint);
  }

  /** Errors: as `approve`. */
  async reject(client: Client, id: string, why: string | undefined): Promise<Detail> {
    const { store, found, known } = await this.#visible(client, id);
    this.#reach.check(client, found.certificate, known);
    await rejectCertificate(store, found, this.#decision(client, 'certificate-reject', why));
    return await this.detail(client, found.certificate.thumbprint);
  }

  /** Errors: as `approve`. */
  async revoke(client: Client, id: string, why: string): Promise<Detail> {
    const { store, found, known } = await this.#visible(client, id);
    this.#reach.checkRevoked(client, found, known);
    await revokeCertificate(store, found, this.#decision(client, 'certificate-revoke', why));
    return await this.detail(client, found.certificate.thumbprint);
  }

  /** Errors: `partner-unknown`, `request-invalid`, `not-granted`, `certificate-conflict`. */
  async pin(
    client: Client,
    {
      partner,
      pem,
      why,
      ...changes
    }: { partner: string; pem: string; why?: string | undefined } & CertificateChanges,
  ): Promise<Detail> {
    const owner = this.#parts.config.partners.find(
      ({ name }) => name.toLowerCase() === partner.toLowerCase(),
    );
    if (owner === undefined || !client.mayUsePartner(owner.name))
      throw new SealpostError('partner-unknown', `there is no partner ${partner}`);
    const certificate = oneOf(pem);
    const { store, known } = await this.#open();
    this.#reach.checkNew(client, certificate, known);
    const how = { ...this.#decision(client, 'certificate-pin', why), changes: changesOf(changes) };
    await pinCertificate(store, certificate, owner.name, how);
    return await this.detail(client, certificate.thumbprint);
  }
}

/** Whether a client sees a certificate: those of its partners, and those that may sign its own mail; with all, TLS. */
export function sees(client: Client, { partner, identity, uses }: KnownCertificate): boolean {
  if (partner !== null) return client.mayUsePartner(partner);
  // that of TLS has the name of a setting, and an identity could have the same
  if (uses.includes('tls')) return client.grants.identities === '*';
  return identity !== null && client.maySignAs(identity);
}

const notGranted = (message: string) =>
  refusal('not-granted', message, 'decide about it at the command line, or as a client of all partners');

export class Reach {
  readonly #owners = new AddressBook<string>();

  constructor({ partners }: Pick<Config, 'partners'>) {
    for (const { name, addresses } of partners) this.#owners.addAll(addresses, name);
  }

  /** Errors: `not-granted` if the decision concerns more than the partners of the client. */
  check(client: Client, certificate: Certificate, known: readonly KnownCertificate[]): void {
    if (client.grants.partners === '*') return;
    const key = keyDigest(certificate);
    const alike = known.filter((each) => each.keyDigest === key);
    if (alike.some(({ identity }) => identity !== null))
      throw notGranted('its key is our own, for mail to all partners');
    if (!alike.every((each) => sees(client, each)))
      throw notGranted('its key is also in use for what the client may not decide about');
    const owners = certificate.emails.map((each) => this.#owners.findText(each));
    if (!owners.every((owner) => owner === undefined || client.mayUsePartner(owner)))
      throw notGranted('it names addresses for which the client may not decide');
  }

  /** Errors: `not-granted`. A certificate that issued others does not belong to one partner alone. */
  checkNew(client: Client, certificate: Certificate, known: readonly KnownCertificate[]): void {
    this.check(client, certificate, known);
    if (client.grants.partners !== '*' && certificate.basicConstraints?.ca === true)
      throw notGranted('it is the certificate of an authority');
  }

  /**
   * Errors: `not-granted`. Anybody can get a certificate for a public key that they have seen, such as an authority's.
   * So a certificate proves its key only if the key has signed the mail, or the certificate itself (self-signed).
   */
  checkRevoked(client: Client, found: KnownCertificate, known: readonly KnownCertificate[]): void {
    const { certificate, source } = found;
    this.check(client, certificate, known);
    if (client.grants.partners === '*' || source === 'configuration' || source === 'traffic') return;
    if (!isSelfSigned(certificate))
      throw notGranted("nothing proves that its key is the partner's, so it can only be rejected");
  }
}
