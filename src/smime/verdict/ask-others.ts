/** Questions to authorities once a message is decoded: the signers' missing issuers, and revocation. */
import type { KeyObject } from 'node:crypto';
import type { Budget } from '../../budget.ts';
import { type Certificate, IssuerSearch, validateWithRevocation } from '../../pki/index.ts';
import {
  type IssuerFetch,
  type MessageBag,
  pathOptions,
  type RevocationCheck,
  revocationOf,
  type Trust,
  trustUnder,
} from './trust.ts';
import { unique } from './verdict.ts';
import type { SignatureLayer, Signer } from './verdict-schema.ts';

/** A signer in the verdict with a valid signature, and what its certificate was judged by. */
export interface JudgedSigner {
  readonly signer: Signer;
  readonly layer: Pick<SignatureLayer, 'weak'>;
  readonly certificate: Certificate;
  /** The key that verified the signature. */
  readonly verifiedBy: KeyObject;
  readonly bag: MessageBag;
}

/**
 * Fetches the missing issuers of signers without a path, and updates those signers.
 *
 * @returns the signers, each with the certificates of the message and those fetched
 */
export async function fetchIssuers(
  judged: readonly JudgedSigner[],
  trust: Trust,
  how: IssuerFetch,
  at: Date,
  budget: Budget,
): Promise<JudgedSigner[]> {
  const search = new IssuerSearch(how);
  return Promise.all(
    judged.map(async (each) => {
      const { signer, certificate, verifiedBy, bag, layer } = each;
      if (signer.trusted) return each;
      const { result, fetched, failures } = await search.complete(
        certificate,
        pathOptions(bag, trust, at, budget),
      );
      const why = new Map(failures.map(({ url, message }) => [url, message]));
      const found = trustUnder(verifiedBy, result, at, why);
      if (found.trusted) {
        signer.trusted = true;
        signer.chain = [...found.chain];
        layer.weak = unique([...layer.weak, ...found.weak]);
      }
      signer.revocation = found.revocation;
      signer.reason = found.reason;
      signer.message = found.message;
      return { ...each, bag: { ...bag, certificates: [...fetched, ...bag.certificates] } };
    }),
  );
}

/**
 * Looks up the revocation of trusted signers, and records it in them. The operator vouches for pinned certificates, so
 * nobody is asked about those.
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
