import type { Budget } from '../budget.ts';

/** Limits of a message, modelled on Postfix. Exceeding one is `mime-limit`. */
export interface MessageLimits {
  /** Octets of one header block. */
  readonly headerOctets: number;
  /** Fields of one header block. */
  readonly headerFields: number;
  /** Characters of a multipart boundary. RFC 2046 allows 70, but some software writes more. */
  readonly boundaryLength: number;
  /** Body parts of one multipart. */
  readonly parts: number;
  /** Multiparts within multiparts. */
  readonly depth: number;
  /** The budget of the message that is read or written. Each header, part and octet between boundaries draws on it. */
  readonly budget?: Budget;
}

export const defaultMessageLimits: MessageLimits = {
  headerOctets: 100 * 1024,
  headerFields: 2000,
  boundaryLength: 200,
  parts: 1000,
  depth: 100,
};
