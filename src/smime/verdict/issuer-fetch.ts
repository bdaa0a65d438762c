import type { Budget } from '../../budget.ts';
import { type IssuerOptions, IssuerSearch } from '../../pki/index.ts';
import { unique } from './facts.ts';
import type { JudgedSigner } from './revocation-check.ts';
import { pathOptions, type Trust, trustUnder } from './trust.ts';

/** How issuers that a message does not bring along are had; by the functions that can wait for an answer. */
export type IssuerFetch = IssuerOptions;

/**
 * Gets the missing issuers of signers that no path leads from, and writes into the signers what that made of them.
 *
 * @returns the signers, each with the certificates that were fetched for it beside those of the message
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
