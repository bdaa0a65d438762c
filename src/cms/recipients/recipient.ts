import type { Budget } from '../../budget.ts';
import type { Certificate } from '../../pki/index.ts';
import type { CertificateIdentifier } from '../certificate-identifier.ts';
import type { DecryptionKeys } from '../identity.ts';

export type RecipientKind = 'key-trans' | 'key-agree' | 'kek' | 'password' | 'kem' | 'other';

/** What the verdict says of one recipient. */
export interface RecipientReport {
  kind: RecipientKind;
  identifier: CertificateIdentifier;
  keyEncryption: {
    name: string;
    oid: string;
    /** Parameters in words: digest, mgf, wrap, curve ... */
    parameters: Record<string, string>;
  };
  /** Name of the key here that it is for; null when there is none. */
  matched: string | null;
  /** The certificate of that key, where it has one: names may repeat, certificates do not. */
  matchedCertificate: Certificate | null;
  weak: string[];
}

/** A key that fits a recipient. */
export interface Opener {
  name: string;
  /** The certificate that the recipient names. */
  certificate?: Certificate;
  /** Units of work that `recover` costs, by kind and size of the key: whoever calls it draws them first. */
  cost: number;
  /** Why the key may not be used in this way, by its certificate: seen from what is public alone. */
  refused?: string;
  /**
   * The content encryption key, or undefined when it cannot be had. It never throws for a reason
   * that depends on a secret: the caller goes on with a random key (RFC 3218 section 2.3).
   */
  recover(): Buffer | undefined;
}

/** One recipient of a message; a KeyAgreeRecipientInfo gives several. */
export interface Recipient {
  report: Omit<RecipientReport, 'matched' | 'matchedCertificate'>;
  /** A key here that it is meant for, by identifier; undefined when it is for others. */
  find(keys: DecryptionKeys, budget: Budget): Opener | undefined;
}
