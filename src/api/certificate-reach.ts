/**
 * How far a decision about a certificate reaches. What is refused counts for nothing wherever it is configured, and
 * what is revoked takes every certificate of its key along. So a client that decides for some partners decides only
 * about what concerns nobody else.
 */
import type { KnownCertificate } from '../certstore/index.ts';
import type { Client } from '../client/index.ts';
import { AddressBook, type Config } from '../config/index.ts';
import { type Certificate, isSelfSigned, keyDigest } from '../pki/index.ts';
import { refusal } from './problem.ts';

/** Whether a client sees a certificate: those of its partners, and those that may sign its mail. */
export function sees(client: Client, { partner, identity }: KnownCertificate): boolean {
  return partner === null ? identity !== null && client.maySignAs(identity) : client.mayUsePartner(partner);
}

const notGranted = (message: string) =>
  refusal('not-granted', message, 'decide about it at the command line, or as a client of all partners');

export class Reach {
  readonly #owners = new AddressBook<string>();

  constructor({ partners }: Pick<Config, 'partners'>) {
    for (const { name, addresses } of partners) this.#owners.addAll(addresses, name);
  }

  /** Errors: `not-granted` if a decision about the certificate concerns others than the partners of the client. */
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

  /** Errors: `not-granted`. What issued other certificates is not of one partner alone. */
  checkNew(client: Client, certificate: Certificate, known: readonly KnownCertificate[]): void {
    this.check(client, certificate, known);
    if (client.grants.partners !== '*' && certificate.basicConstraints?.ca === true)
      throw notGranted('it is the certificate of an authority');
  }

  /**
   * Errors: `not-granted`. Anybody can have a certificate made for a key that they have seen, such as that of an
   * authority. The key of a mail has signed it, and that of a self-signed certificate the certificate.
   */
  checkRevoked(client: Client, found: KnownCertificate, known: readonly KnownCertificate[]): void {
    const { certificate, source } = found;
    this.check(client, certificate, known);
    if (client.grants.partners === '*' || source === 'configuration' || source === 'traffic') return;
    if (!isSelfSigned(certificate))
      throw notGranted("nothing proves that its key is the partner's, so it can only be rejected");
  }
}
