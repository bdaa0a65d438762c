/** What all directories have in common: what they are asked, and how certificates are read from their answers. */
import { SealpostError } from '../errors.ts';
import type { Mailbox } from '../message/index.ts';
import { type Certificate, readCertificates } from '../pki/index.ts';

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
  /** What else is there besides usable certificates, in words that follow "the directory has ". */
  beside: string[];
}

/**
 * Limits: certificates read from one answer, octets of an answer, octets of a certificate. A directory may be faulty or
 * belong to somebody else.
 */
export const answerLimits = { certificates: 20, octets: 1024 * 1024, certificate: 16 * 1024 };

/**
 * Reads the values that a directory gave, within the limits of an answer. What is not a certificate is reported and
 * skipped.
 */
export function readValues(values: readonly Buffer[]): DirectoryAnswer {
  const certificates: Certificate[] = [];
  const beside: string[] = [];
  let octets = 0;
  for (const value of values) {
    octets += value.length;
    if (octets > answerLimits.octets || certificates.length >= answerLimits.certificates) {
      beside.push(`more than ${answerLimits.certificates} certificates; the rest was not read`);
      break;
    }
    const room = answerLimits.certificates - certificates.length;
    try {
      certificates.push(...readCertificates(value).slice(0, room));
    } catch (error) {
      if (!(error instanceof SealpostError)) throw error;
      beside.push(`a value that is no certificate: ${error.message}`);
    }
  }
  return { certificates, beside };
}
