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
  /** Our name for its key; null if we do not have it. */
  matched: string | null;
  /** The certificate of that key, if it has one. Names may repeat, certificates do not. */
  matchedCertificate: Certificate | null;
  weak: string[];
}

/** A key that fits a recipient. */
export interface Opener {
  name: string;
  /** The certificate that the recipient names. */
  certificate?: Certificate;
  /** Units of work that `recover` costs, by kind and size of the key. The caller draws them first. */
  cost: number;
  /** Why the certificate does not allow this use of the key. It depends only on public data. */
  refused?: string | undefined;
  /**
   * The content encryption key, or undefined if it cannot be recovered. Never throws for a reason that depends on a
   * secret: the caller continues with a random key (RFC 3218 section 2.3).
   */
  recover(): Buffer | undefined;
}

/** One recipient of a message. A KeyAgreeRecipientInfo gives several. */
export interface Recipient {
  report: Omit<RecipientReport, 'matched' | 'matchedCertificate'>;
  /** Our key that it is meant for, found by identifier; undefined if it is for somebody else. */
  find(keys: DecryptionKeys, budget: Budget): Opener | undefined;
}
