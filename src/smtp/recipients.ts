import type { MailboxConfig } from '../config/schema.ts';
import { SealpostError } from '../errors.ts';
import { comparableDomain, type Mailbox, parseMailbox } from '../message/mailbox.ts';

/**
 * The recipients that the receiver takes: addresses and whole domains of the mailboxes. Nothing else is
 * accepted, postmaster neither unless it is configured, so Sealpost is never a relay.
 */
export class Recipients {
  readonly #exact = new Map<string, string>();
  readonly #folded = new Map<string, string>();
  readonly #domains = new Map<string, string>();

  /** Errors: `config-invalid` for an entry that is no address, or one that two mailboxes claim. */
  constructor(mailboxes: readonly Pick<MailboxConfig, 'name' | 'addresses'>[]) {
    for (const mailbox of mailboxes) {
      for (const entry of mailbox.addresses) this.#add(entry, mailbox.name);
    }
  }

  /**
   * The name of the mailbox. The local part counts exactly (RFC 5321 section 2.4), else without case, as
   * nearly every peer expects; then the entry for the domain.
   *
   * Errors: `address-invalid`, `mailbox-unknown`.
   */
  find(address: string): string {
    // RFC 5321 section 4.1.1.3: the one recipient without a domain
    if (address.toLowerCase() === 'postmaster') {
      const postmaster = this.#folded.get('postmaster');
      if (postmaster !== undefined) return postmaster;
      throw new SealpostError('mailbox-unknown', 'postmaster is not a configured address');
    }
    const parsed = parseMailbox(address, { utf8: true });
    const key = keyOf(parsed);
    const name =
      this.#exact.get(key) ??
      this.#folded.get(key.toLowerCase()) ??
      this.#domains.get(comparableDomain(parsed.domain));
    if (name !== undefined) return name;
    throw new SealpostError('mailbox-unknown', 'the recipient is not an address of a configured mailbox');
  }

  #add(entry: string, name: string): void {
    const invalid = (why: string) =>
      new SealpostError('config-invalid', `mailbox ${name}: address "${entry}" ${why}`);
    if (entry.startsWith('@')) {
      put(this.#domains, comparableDomain(entry.slice(1)), name, invalid);
      return;
    }
    if (entry.toLowerCase() === 'postmaster') {
      put(this.#folded, 'postmaster', name, invalid);
      return;
    }
    let key: string;
    try {
      key = keyOf(parseMailbox(entry, { utf8: true }));
    } catch (error) {
      throw new SealpostError('config-invalid', `mailbox ${name}: "${entry}" is not an address`, {
        hint: 'write user@example.com, @example.com for a whole domain, or postmaster',
        cause: error,
      });
    }
    put(this.#exact, key, name, invalid);
    // two addresses that differ in case only: the first one is the fallback
    const folded = key.toLowerCase();
    if (!this.#folded.has(folded)) this.#folded.set(folded, name);
  }
}

function keyOf(mailbox: Mailbox): string {
  return `${mailbox.localPart.normalize('NFC')}@${comparableDomain(mailbox.domain)}`;
}

function put(map: Map<string, string>, key: string, name: string, invalid: (why: string) => Error): void {
  const other = map.get(key);
  if (other !== undefined && other !== name) throw invalid(`belongs to mailbox ${other} already`);
  map.set(key, name);
}
