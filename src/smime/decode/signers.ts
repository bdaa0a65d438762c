import type { CmsOptions, SignedTail, SignerFacts } from '../../cms/index.ts';
import { signerOf } from '../verdict/layers.ts';
import { inheritedKey, judgeSigner, type MessageBag, type SignerTrust, unjudged } from '../verdict/trust.ts';
import { unique } from '../verdict/verdict.ts';
import type { SignatureLayer } from '../verdict/verdict-schema.ts';
import type { DecodeSettings, DecodeState } from './state.ts';

/** What every CmsReader here is given. */
export function cmsOptions({ settings }: DecodeState): CmsOptions {
  const { trust, at, budget, limits } = settings;
  const { anchors, intermediates = [], pinned = [] } = trust;
  return {
    ...settings.sharedKeys,
    identities: settings.identities,
    limits: limits.cms,
    budget,
    // a signer may leave the certificate out when the receiver has it
    certificates: [...pinned, ...intermediates, ...anchors],
    aeadInEnvelopedData: settings.aeadInEnvelopedData,
    inheritedKey: (certificate, others) => inheritedKey(certificate, others, trust, at, budget),
  };
}

/** Writes what became known of the signers into their layer. */
export function fillSigners(state: DecodeState, layer: SignatureLayer, tail: SignedTail): void {
  layer.certificates = tail.certificates.length + tail.otherCertificates;
  const { room } = state;
  room.signatures(tail.signers.reduce((sum, { countersignatures }) => sum + 1 + countersignatures.length, 0));
  const judged = tail.signers.map((facts) => judgeSignature(facts, tail, state.settings));
  layer.signers = judged.map(({ facts, trust }) =>
    room.fit(signerOf(facts, trust, (each) => judgeSignature(each, tail, state.settings).trust)),
  );
  for (const [index, { facts }] of judged.entries()) {
    const signer = layer.signers[index];
    const { certificate, verifiedBy } = facts;
    if (signer !== undefined && certificate !== undefined && verifiedBy !== undefined)
      state.judged.push({ signer, layer, certificate, verifiedBy, bag: tail });
  }
  layer.weak = unique(judged.flatMap(({ facts, trust }) => [...facts.weak, ...trust.weak]));
}

/** Judges whom a valid signature is from; of several certificates for its key the first that is trusted counts. */
function judgeSignature(
  facts: SignerFacts,
  bag: MessageBag,
  { trust, at, budget }: DecodeSettings,
): { facts: SignerFacts; trust: SignerTrust } {
  const { certificate, verifiedBy, alternatives } = facts;
  if (certificate === undefined || verifiedBy === undefined) return { facts, trust: unjudged };
  const first = judgeSigner(certificate, verifiedBy, bag, trust, at, budget);
  if (first.trusted) return { facts, trust: first };
  for (const other of alternatives) {
    const found = judgeSigner(other, verifiedBy, bag, trust, at, budget);
    if (found.trusted) return { facts: { ...facts, certificate: other }, trust: found };
  }
  return { facts, trust: first };
}
