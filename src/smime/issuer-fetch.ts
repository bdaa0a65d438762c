import { type IssuerOptions, IssuerSearch } from '../pki/index.ts';
import { unique } from './facts.ts';
import type { JudgedSigner } from './revocation-check.ts';
import { revocationOf } from './revocation-facts.ts';
import { failureText, pathOptions, type Trust, weaknessesOf } from './trust.ts';

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
): Promise<JudgedSigner[]> {
  const search = new IssuerSearch(how);
  return Promise.all(
    judged.map(async (each) => {
      const { signer, certificate, bag, layer } = each;
      // a signature that is not from that key makes its certificate nobody's
      if (certificate === undefined || signer.trusted || !signer.valid) return each;
      const { result, fetched, failures } = await search.complete(certificate, pathOptions(bag, trust, at));
      if (result.trusted) {
        signer.trusted = true;
        signer.chain = result.chain.map(({ subject, thumbprint }) => ({ subject, thumbprint }));
        layer.weak = unique([...layer.weak, ...weaknessesOf(result)]);
      }
      signer.revocation = revocationOf(result, at);
      signer.reason = result.reason;
      signer.message = failureText(result, new Map(failures.map(({ url, message }) => [url, message])));
      return { ...each, bag: { ...bag, certificates: [...fetched, ...bag.certificates] } };
    }),
  );
}
