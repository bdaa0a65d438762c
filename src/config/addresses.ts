import { comparableAddress, comparableDomain } from '../message/mailbox.ts';

/** An entry of `addresses`: one address, a whole domain, or the bare `postmaster` of RFC 5321 section 4.5.1. */
export interface AddressEntry {
  kind: 'address' | 'domain' | 'postmaster';
  /** For comparing: domain in lower case as A-labels, local part exactly; of a domain entry the domain alone. */
  key: string;
}

/** Reads an entry; undefined when it is neither an address nor `@domain`. */
export function parseAddressEntry(entry: string): AddressEntry | undefined {
  if (entry.toLowerCase() === 'postmaster') return { kind: 'postmaster', key: 'postmaster' };
  if (!entry.startsWith('@')) {
    const key = comparableAddress(entry);
    return key === undefined ? undefined : { kind: 'address', key };
  }
  // a domain is right when an address in it is
  if (comparableAddress(`x${entry}`) === undefined) return undefined;
  return { kind: 'domain', key: comparableDomain(entry.slice(1)) };
}
