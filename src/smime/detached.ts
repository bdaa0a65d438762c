import { CmsReader, type ContentDigests, type SignedTail } from '../cms/index.ts';
import { SealpostError } from '../errors.ts';
import { BufferSink, NullSink, type Sink } from '../message/index.ts';
import { cmsOptions, fillSigners } from './cms-layer.ts';
import { knownDigests } from './digests.ts';
import type { Peeling } from './peeling.ts';
import type { SignatureLayer } from './verdict.ts';

/** Takes the signature object of a multipart/signed (the first part's digests are complete) and fills its layer. */
export function detachedSignature(peeling: Peeling, layer: SignatureLayer, digests: ContentDigests): Sink {
  const signature = new BufferSink();
  const most = peeling.limits.cms.tailOctets;
  return {
    write(chunk) {
      signature.write(Buffer.from(chunk));
      if (signature.length > most) {
        throw new SealpostError('cms-limit', `a detached signature of more than ${most} octets`);
      }
    },
    end: () => read(peeling, layer, digests, signature.toBuffer()),
  };
}

function read(peeling: Peeling, layer: SignatureLayer, digests: ContentDigests, signature: Buffer): void {
  let encapsulated = false;
  let found: SignedTail | undefined;
  const reader = new CmsReader(
    {
      onHead: (head) => {
        if (head.type !== 'signed-data') {
          throw new SealpostError('cms-malformed', `the signature of a multipart/signed is ${head.type}`);
        }
        layer.digestAlgorithms = head.digestAlgorithms;
        encapsulated = !head.detached;
        return new NullSink();
      },
      onTail: (tail) => {
        if (tail.type === 'signed-data') found = tail;
      },
    },
    { ...cmsOptions(peeling), detached: digests.result },
  );
  reader.write(signature);
  reader.end();
  if (found === undefined) return;
  askForDigests(peeling, found, digests);
  // eContent that nobody sees must not make the part that everybody sees look signed (threats S6)
  if (encapsulated) {
    found.signers = found.signers.map((signer) => ({
      ...signer,
      valid: false,
      verifiedBy: undefined,
      reason: 'digest-mismatch',
    }));
  }
  fillSigners(peeling, layer, found);
}

/** A signer whose digest the micalg did not name: a second run computes it. */
function askForDigests(peeling: Peeling, tail: SignedTail, digests: ContentDigests): void {
  if (!peeling.reopenable) return;
  const used = tail.signers.map(({ digestAlgorithm }) => digestAlgorithm);
  const missing = used.filter((name) => knownDigests.has(name) && !digests.result.digests.has(name));
  if (missing.length > 0 && peeling.hints.digests === undefined) {
    peeling.retry = {
      ...peeling.hints,
      digests: [...new Set(used)].filter((name) => knownDigests.has(name)),
    };
  }
}
