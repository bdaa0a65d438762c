import type { Mailbox } from '../message/index.ts';
import type { Certificate } from '../pki/index.ts';

/** A place where certificates are looked up. */
export interface Directory {
  readonly kind: 'ldap' | 'smimea' | 'cert' | 'folder';
  /**
   * What it has for an address, whether it fits the address or not.
   *
   * @throws {SealpostError} `lookup-failed` if it could not be asked, or its answer proves nothing
   */
  find(mailbox: Mailbox, signal: AbortSignal): Promise<DirectoryAnswer>;
}

export interface DirectoryAnswer {
  certificates: Certificate[];
  /** What it has beside certificates that can be used, in words that follow "the directory has ". */
  beside: string[];
}

/** Certificates that are read of one answer, octets of it, and of one. A directory may be wrong, or somebody else's. */
export const answerLimits = { certificates: 20, octets: 1024 * 1024, certificate: 16 * 1024 };
