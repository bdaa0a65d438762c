import type { Budget } from '../../budget.ts';
import type { Certificate } from '../../pki/index.ts';
import type { CertificateIdentifier } from '../certificate-identifier.ts';
import type { DecryptionKeys } from '../identity.ts';

export type RecipientKind = 'key-trans' | 'key-agree' | 'kek' | 'password' | 'kem' | 'other';

/** What the verdict says about one recipient. */
export interface RecipientReport {
  kind: RecipientKind;
  identifier: CertificateIdentifier;
  keyEncryption: {
    name: string;
    oid: string;
    /** Parameters in words: digest, mgf, wrap, curve ... */
    parameters: Record<string, string>;
  };
  /** Name of our key for it; null if there is none. */
  matched: string | null;
  /** The certificate of that key, if it has one: names may repeat, certificates do not. */
  matchedCertificate: Certificate | null;
  weak: string[];
}

/** A key that fits a recipient. */
export interface Opener {
  name: string;
  /** The certificate that the recipient names. */
  certificate?: Certificate;
  /** Units of work that `recover` costs, by kind and size of the key: the caller draws them first. */
  cost: number;
  /** Why the certificate does not allow this use of the key; depends only on public data. */
  refused?: string | undefined;
  /**
   * The content encryption key, or undefined if it cannot be recovered. It never throws for a reason that depends on a
   * secret: the caller continues with a random key (RFC 3218 section 2.3).
   */
  recover(): Buffer | undefined;
}

/** One recipient of a message; a KeyAgreeRecipientInfo gives several. */
export interface Recipient {
  report: Omit<RecipientReport, 'matched' | 'matchedCertificate'>;
  /** Our key that it is meant for, by identifier; undefined if it is for others. */
  find(keys: DecryptionKeys, budget: Budget): Opener | undefined;
}
