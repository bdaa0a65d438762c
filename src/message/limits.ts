import type { Budget } from '../budget.ts';

/** What a message may have at most. Postfix's figures are the model; each excess is `mime-limit`. */
export interface MessageLimits {
  /** Octets of one header block. */
  readonly headerOctets: number;
  /** Fields of one header block. */
  readonly headerFields: number;
  /** Characters of a multipart boundary (RFC 2046 allows 70; some software writes more). */
  readonly boundaryLength: number;
  /** Body parts of one multipart. */
  readonly parts: number;
  /** Multiparts within multiparts. */
  readonly depth: number;
  /** Of the message that is read or written: each header, part and octet between boundaries draws on it. */
  readonly budget?: Budget;
}

export const defaultMessageLimits: MessageLimits = {
  headerOctets: 100 * 1024,
  headerFields: 2000,
  boundaryLength: 200,
  parts: 1000,
  depth: 100,
};
