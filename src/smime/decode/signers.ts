import type { CmsOptions, SignedTail, SignerReport } from '../../cms/index.ts';
import { pinnedCertificates } from '../../pki/index.ts';
import { signerOf } from '../verdict/layers.ts';
import { inheritedKey, judgeSigner, type MessageBag, type SignerTrust, unjudged } from '../verdict/trust.ts';
import { unique } from '../verdict/verdict.ts';
import type { SignatureLayer } from '../verdict/verdict-schema.ts';
import type { DecodeSettings, DecodeState } from './state.ts';

/** What every CmsReader in this room is given. */
export function cmsOptions({ settings }: DecodeState): CmsOptions {
  const { trust, at, budget, limits } = settings;
  return {
    ...settings.sharedKeys,
    identities: settings.identities,
    limits: limits.cms,
    budget,
    // a signer may leave the certificate out if the receiver has it
    known: {
      find: (word) =>
        [trust.pinned, trust.intermediates, trust.anchors].flatMap((each) =>
          pinnedCertificates(each).find(word),
        ),
    },
    aeadInEnvelopedData: settings.aeadInEnvelopedData,
    inheritedKey: (certificate, others) => inheritedKey(certificate, others, trust, at, budget),
  };
}

/** Writes what became known about the signers into their layer. */
export function fillSigners(state: DecodeState, layer: SignatureLayer, tail: SignedTail): void {
  layer.certificates = tail.certificates.length + tail.otherCertificates;
  const { room } = state;
  room.signatures(tail.signers.reduce((sum, { countersignatures }) => sum + 1 + countersignatures.length, 0));
  const judged = tail.signers.map((report) => judgeSignature(report, tail, state.settings));
  layer.signers = judged.map(({ report, trust }) =>
    room.fit(signerOf(report, trust, (each) => judgeSignature(each, tail, state.settings).trust)),
  );
  for (const [index, { report }] of judged.entries()) {
    const signer = layer.signers[index];
    const { certificate, verifiedBy } = report;
    if (signer !== undefined && certificate !== undefined && verifiedBy !== undefined)
      state.judged.push({ signer, layer, certificate, verifiedBy, bag: tail });
  }
  layer.weak = unique(judged.flatMap(({ report, trust }) => [...report.weak, ...trust.weak]));
}

/** Judges who made a valid signature. Of several certificates for its key, the first trusted one counts. */
function judgeSignature(
  report: SignerReport,
  bag: MessageBag,
  { trust, at, budget }: DecodeSettings,
): { report: SignerReport; trust: SignerTrust } {
  const { certificate, verifiedBy, alternatives } = report;
  if (certificate === undefined || verifiedBy === undefined) return { report, trust: unjudged };
  const first = judgeSigner(certificate, verifiedBy, bag, trust, at, budget);
  if (first.trusted) return { report, trust: first };
  for (const other of alternatives) {
    const found = judgeSigner(other, verifiedBy, bag, trust, at, budget);
    if (found.trusted) return { report: { ...report, certificate: other }, trust: found };
  }
  return { report, trust: first };
}
