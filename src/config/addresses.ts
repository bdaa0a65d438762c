import { toDomain } from '../domain.ts';
import { SealpostError } from '../errors.ts';
import { caselessKey, type Mailbox, parseMailbox } from '../message/mailbox.ts';

/**
 * An entry of `addresses`: one address, `@x` for a domain, `@*.x` for all domains below it (not the domain itself), or
 * the bare `postmaster` of RFC 5321 section 4.5.1.
 */
export interface AddressEntry {
  kind: 'address' | 'domain' | 'subdomains' | 'postmaster';
  /** For comparison: equal for two entries that mean the same. */
  key: string;
}

const postmaster = 'postmaster';

/** Parses an entry; undefined if it has none of these forms. */
export function parseAddressEntry(entry: string): AddressEntry | undefined {
  if (entry.toLowerCase() === postmaster) return { kind: 'postmaster', key: postmaster };
  const below = entry.startsWith('@*.');
  if (below || entry.startsWith('@')) {
    const domain = toDomain(entry.slice(below ? 3 : 1));
    if (domain === undefined) return undefined;
    return below ? { kind: 'subdomains', key: `@*.${domain}` } : { kind: 'domain', key: `@${domain}` };
  }
  const mailbox = readMailbox(entry);
  // a star that is meant as a wildcard would be the literal name of one mailbox
  if (mailbox === undefined || mailbox.localPart.includes('*')) return undefined;
  return { kind: 'address', key: mailbox.key };
}

/** What to write instead of an invalid entry. */
export function addressHint(entry: string): string {
  const at = entry.indexOf('@');
  const star = entry.slice(0, Math.max(0, at)).includes('*') ? entry.slice(at) : undefined;
  const meant = star ?? (/^\*\./.test(entry) ? `@${entry}` : undefined);
  if (meant !== undefined && parseAddressEntry(meant) !== undefined)
    return `write ${JSON.stringify(meant)}: a star has no other use here`;
  return 'write user@example.com, or "@example.com" for a whole domain';
}

function readMailbox(address: string): Mailbox | undefined {
  try {
    return parseMailbox(address, { utf8: true });
  } catch (error) {
    if (error instanceof SealpostError) return undefined;
    throw error;
  }
}

/** An address in the form in which it is looked up. */
export type AddressKey = Pick<Mailbox, 'key' | 'host'>;

/**
 * Finds the mailbox or partner that an address belongs to. The exact entry comes first (RFC 5321 section 2.4: the local
 * part is case-sensitive). Then comes an entry that differs only in case, which is what nearly every sender means; then
 * the domain; then the nearest parent domain with a wildcard. If two entries claim the same address, the first one gets
 * it, and `check` reports it.
 */
export class AddressBook<T> {
  readonly #exact = new Map<string, T>();
  readonly #folded = new Map<string, T>();

  /** @returns the owners that already have this entry, exactly or in another case; empty for the first one */
  add({ kind, key }: AddressEntry, owner: T): { same: T | undefined; alike: T | undefined } {
    const same = this.#exact.get(key);
    const folded = caselessKey({ key });
    const alike = kind === 'address' ? this.#folded.get(folded) : undefined;
    if (same === undefined) this.#exact.set(key, owner);
    if (kind === 'address' && alike === undefined) this.#folded.set(folded, owner);
    return { same, alike };
  }

  /** Adds entries from the configuration. They have been checked before, so there are no invalid ones. */
  addAll(entries: readonly string[], owner: T): void {
    for (const entry of entries.map(parseAddressEntry)) if (entry !== undefined) this.add(entry, owner);
  }

  get postmaster(): T | undefined {
    return this.#exact.get(postmaster);
  }

  find(address: AddressKey): T | undefined {
    return this.#find(address.key, address.host);
  }

  /** Whose all addresses are that an entry means. */
  findEntry({ kind, key }: AddressEntry): T | undefined {
    return kind === 'postmaster' ? this.postmaster : this.#find(key, key.slice(key.lastIndexOf('@') + 1));
  }

  /** @param host of a wildcard with its star, which only a wildcard contains */
  #find(key: string, host: string): T | undefined {
    return this.#exact.get(key) ?? this.#folded.get(caselessKey({ key })) ?? this.#ofHost(host);
  }

  /** Like `find`, for text that may not be an address. */
  findText(address: string): T | undefined {
    const mailbox = readMailbox(address);
    return mailbox === undefined ? undefined : this.find(mailbox);
  }

  #ofHost(host: string): T | undefined {
    const own = this.#exact.get(`@${host}`);
    if (own !== undefined) return own;
    for (let dot = host.indexOf('.'); dot >= 0; dot = host.indexOf('.', dot + 1)) {
      const found = this.#exact.get(`@*${host.slice(dot)}`);
      if (found !== undefined) return found;
    }
    return undefined;
  }
}
