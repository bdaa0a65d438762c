import type { KeyObject } from 'node:crypto';
import type { Budget } from '../budget.ts';
import { SealpostError } from '../errors.ts';
import type { Sink } from '../message/index.ts';
import type { Certificate } from '../pki/index.ts';
import type { Action, BerHandler } from './ber-stream.ts';
import type { RandomBytes } from './ciphers.ts';
import type { DecryptionKeys } from './identity.ts';
import type { CmsLimits } from './limits.ts';
import type { CmsHead, CmsTail } from './report.ts';

/** What a CmsReader reports to its caller, in this order. */
export interface CmsHandlers {
  /**
   * Everything before the content is known. The answer takes the content. Its `end` is called when the content is
   * complete, and for authenticated encryption only after the tag has been verified. On any error, the reader throws
   * and never calls `end`: the content written so far must then be discarded.
   */
  onHead(head: CmsHead): Sink;
  /** The whole object has arrived. */
  onTail(tail: CmsTail): void;
}

export interface CmsOptions extends DecryptionKeys {
  limits?: Partial<CmsLimits>;
  /** The remaining budget of the message, of which this object is a part. Default: a new one. */
  budget?: Budget;
  /** Detached content that the caller has already digested (`ContentDigests`). */
  detached?: DetachedContent;
  /** Allow AES-GCM and similar ciphers inside EnvelopedData, against RFC 5083 (threats S4). */
  aeadInEnvelopedData?: boolean;
  /**
   * The complete key of a signer's certificate that inherits its parameters (RFC 3279 section 2.3.2), by a validated
   * path; undefined if there is none. Without it, such a key verifies nothing.
   */
  inheritedKey?: InheritedKey;
  /** Where random keys come from. Default: node. */
  randomBytes?: RandomBytes;
}

/** @param others certificates from the message, which prove nothing by themselves */
export type InheritedKey = (
  certificate: Certificate,
  others: readonly Certificate[],
) => KeyObject | undefined;

/** What the signatures of detached content are checked against. */
export interface DetachedContent {
  /** Digests by their name in the registry ("sha256"). */
  digests: ReadonlyMap<string, Buffer>;
  /** The content itself if it was small, for Ed25519 and ECDSA without signed attributes. */
  content?: Buffer | undefined;
}

/** What the reader of a content type is given. */
export interface ContentContext {
  handlers: CmsHandlers;
  options: CmsOptions;
  limits: CmsLimits;
  budget: Budget;
  /** Call when the content has ended: from then on, the limit for the tail applies. */
  contentEnded(): void;
}

/** Reads the content type that ContentInfo names. Depth 0 is its own outermost element. */
export interface ContentReader extends BerHandler {
  /** The ContentInfo is complete. */
  finish(): void;
}

/** The error for an element that is not allowed here. */
export function unexpected(structure: string, tag: { cls: number; tag: number }): SealpostError {
  return new SealpostError(
    'cms-malformed',
    `${structure}: an element ${tag.cls}:${tag.tag} at a wrong place`,
  );
}

/** The error for a structure that ends too early. */
export function incomplete(structure: string): SealpostError {
  return new SealpostError('cms-malformed', `${structure}: a part is missing`);
}

/** Checks an outermost element and enters it. */
export function enterSequence(structure: string, tag: { cls: number; tag: number }): Action {
  if (tag.cls !== 0 || tag.tag !== 16) throw unexpected(structure, tag);
  return 'enter';
}
