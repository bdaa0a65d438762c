import type { KeyObject } from 'node:crypto';
import type { Budget } from '../../budget.ts';
import {
  type Certificate,
  type RevocationCache,
  type RevocationFetcher,
  type RevocationOptions,
  validateWithRevocation,
} from '../../pki/index.ts';
import { revocationOf } from './revocation-facts.ts';
import { type MessageBag, pathOptions, type Trust, trustUnder } from './trust.ts';
import type { SignatureLayer, Signer } from './verdict.ts';

/** How signers are looked up with their authorities, by the functions that can wait for an answer. */
export interface RevocationCheck {
  /** What becomes of a signer of whom nothing can be found out: `soft` leaves it trusted and says so. */
  readonly mode: 'soft' | 'hard';
  readonly fetch: RevocationFetcher;
  /** One for a process. */
  readonly cache: RevocationCache;
  /** The present, at which lists and answers have to be in force. */
  readonly now: Date;
  readonly methods?: NonNullable<RevocationOptions['methods']>;
}

/** A signer of the verdict whose signature is valid, with what its certificate was judged by. */
export interface JudgedSigner {
  readonly signer: Pick<Signer, 'valid' | 'trusted' | 'chain' | 'reason' | 'message' | 'revocation'>;
  readonly layer: Pick<SignatureLayer, 'weak'>;
  readonly certificate: Certificate;
  /** The key that the signature verified under. */
  readonly verifiedBy: KeyObject;
  readonly bag: MessageBag;
}

/**
 * Looks up the trusted ones of the signers and writes what was found into them. Pinned certificates are the
 * operator's own word: nobody is asked about them.
 */
export async function checkRevocation(
  judged: readonly JudgedSigner[],
  trust: Trust,
  check: RevocationCheck,
  at: Date,
  budget: Budget,
): Promise<void> {
  await Promise.all(
    judged.map(async ({ signer, certificate, verifiedBy, bag }) => {
      if (!signer.trusted) return;
      const result = await validateWithRevocation(
        certificate,
        { ...pathOptions(bag, { ...trust, revocation: check.mode }, at, budget), revocation: check.mode },
        check,
      );
      const why = result.failures.map(({ url, message }) => `${url}: ${message}`).join('; ');
      signer.revocation = revocationOf(result, check.now, why === '' ? null : why);
      const found = trustUnder(verifiedBy, result, check.now);
      if (found.trusted) return;
      signer.trusted = false;
      signer.chain = [];
      signer.reason = found.reason;
      signer.message = found.message;
    }),
  );
}
