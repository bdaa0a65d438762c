/**
 * Limits on the structure of one CMS object. All have defaults, which the caller may change. The total cost of a
 * message is limited by its `Budget`.
 */
export interface CmsLimits {
  /** Octets of everything before the content (recipients, originator's certificates); default 4 MiB. */
  headOctets: number;
  /** Octets of everything after the content (certificates, CRLs, signers, attributes); default 16 MiB. */
  tailOctets: number;
  recipients: number;
  signers: number;
  certificates: number;
  /** Levels of nesting inside one element. */
  depth: number;
  /** Octets of content, after decryption or decompression. Default: no limit. */
  contentOctets: number;
  /** Content that is kept for signatures over the content itself instead of its digest (RFC 8419). */
  signedContentKept: number;
}

export const defaultLimits: CmsLimits = {
  headOctets: 4 << 20,
  tailOctets: 16 << 20,
  recipients: 1000,
  signers: 100,
  certificates: 1000,
  depth: 64,
  contentOctets: Number.POSITIVE_INFINITY,
  signedContentKept: 1 << 20,
};
