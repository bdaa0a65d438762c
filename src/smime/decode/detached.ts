import { CmsReader, type SignedTail } from '../../cms/index.ts';
import { SealpostError } from '../../errors.ts';
import { BufferSink, NullSink, type Sink } from '../../message/index.ts';
import type { SignatureLayer } from '../verdict/verdict.ts';
import { cmsOptions, fillSigners } from './cms-layer.ts';
import { knownDigests } from './digests.ts';
import type { Peeling } from './peeling.ts';
import type { HashedContent, HashedForm } from './signed-part.ts';

/** Takes the signature object of a multipart/signed (the first part's digests are complete) and fills its layer. */
export function detachedSignature(peeling: Peeling, layer: SignatureLayer, content: HashedContent): Sink {
  const signature = new BufferSink();
  const most = peeling.limits.cms.tailOctets;
  return {
    write(chunk) {
      signature.write(Buffer.from(chunk));
      if (signature.length > most) {
        throw new SealpostError('cms-limit', `a detached signature of more than ${most} octets`);
      }
    },
    end: () => check(peeling, layer, content, signature.toBuffer()),
  };
}

function check(peeling: Peeling, layer: SignatureLayer, content: HashedContent, signature: Buffer): void {
  const { given, other } = content;
  const found = read(peeling, layer, given, signature);
  if (found === undefined) return;
  layer.lineEnds = given.lineEnds;
  askForDigests(peeling, found, given);
  const valid = countValid(found);
  if (other !== undefined && valid < found.signers.length) {
    const better = countValid(read(peeling, layer, other, signature)) > valid;
    // the octets that went on are not those that were signed: the signature holds for a run that gives the others
    if (better) askForLineEnds(peeling, layer, other);
  }
  fillSigners(peeling, layer, found);
}

function countValid(tail: SignedTail | undefined): number {
  return tail?.signers.filter(({ valid }) => valid).length ?? 0;
}

function read(
  peeling: Peeling,
  layer: SignatureLayer,
  { digests }: HashedForm,
  signature: Buffer,
): SignedTail | undefined {
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
  // eContent that nobody sees must not make the part that everybody sees look signed (threats S6)
  if (encapsulated && found !== undefined) {
    found.signers = found.signers.map((signer) => ({
      ...signer,
      valid: false,
      verifiedBy: undefined,
      reason: 'digest-mismatch',
    }));
  }
  return found;
}

/** A signer whose digest the micalg did not name: a second run computes it. */
function askForDigests(peeling: Peeling, tail: SignedTail, { digests }: HashedForm): void {
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

/** For a piece too: the whole message is read again, if it can be. */
function askForLineEnds(peeling: Peeling, layer: SignatureLayer, { lineEnds }: HashedForm): void {
  if (lineEnds === null) return;
  const hints = peeling.retry ?? peeling.hints;
  peeling.retry = {
    ...hints,
    lineEnds: new Map(hints.lineEnds).set(peeling.placeOf(layer), lineEnds),
  };
}
