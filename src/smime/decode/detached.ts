import { CmsReader, ContentDigests, type SignedTail } from '../../cms/index.ts';
import { SealpostError } from '../../errors.ts';
import { BufferSink, NullSink, type Sink } from '../../message/index.ts';
import { knownDigests } from '../micalg.ts';
import type { SignatureLayer } from '../verdict/verdict-schema.ts';
import { type HashedContent, type HashedForm, SignedPart } from './signed-part.ts';
import { cmsOptions, fillSigners } from './signers.ts';
import type { DecodeState, MissingContent } from './state.ts';

/**
 * Takes the signature object of a multipart/signed, once the first part's digests are complete, and fills its layer.
 */
export function detachedSignature(state: DecodeState, layer: SignatureLayer, content: HashedContent): Sink {
  const signature = new BufferSink();
  const most = state.limits.cms.tailOctets;
  return {
    write(chunk) {
      signature.write(Buffer.from(chunk));
      if (signature.length > most) {
        throw new SealpostError('cms-limit', `a detached signature of more than ${most} octets`);
      }
    },
    end: () => check(state, layer, content, signature.toBuffer()),
  };
}

function check(state: DecodeState, layer: SignatureLayer, content: HashedContent, signature: Buffer): void {
  const { given, other } = content;
  const found = read(state, layer, given, signature);
  if (found === undefined) return;
  layer.lineEnds = given.lineEnds;
  askForDigests(state, found, given);
  const valid = countValid(found);
  if (other !== undefined && valid < found.signers.length) {
    const better = countValid(read(state, layer, other, signature)) > valid;
    // The octets that were passed on are not the signed ones. The signature is valid in a run that passes on the
    // others.
    if (better) askForLineEnds(state, layer, other);
  }
  fillSigners(state, layer, found);
}

function countValid(tail: SignedTail | undefined): number {
  return tail?.signers.filter(({ valid }) => valid).length ?? 0;
}

function read(
  state: DecodeState,
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
    { ...cmsOptions(state), detached: digests.result },
  );
  reader.write(signature);
  reader.end();
  // eContent that nobody sees must not make the visible part look signed (threats S6)
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

/** A signer with a digest that micalg did not name. A second run computes it. */
function askForDigests(state: DecodeState, tail: SignedTail, { digests }: HashedForm): void {
  if (!state.settings.reopenable) return;
  const used = tail.signers.map(({ digestAlgorithm }) => digestAlgorithm);
  const missing = used.filter((name) => knownDigests.has(name) && !digests.result.digests.has(name));
  if (missing.length > 0 && state.settings.hints.digests === undefined) {
    state.retry = {
      ...state.settings.hints,
      digests: [...new Set(used)].filter((name) => knownDigests.has(name)),
    };
  }
}

/** This applies to an embedded part too: the whole message is read again, if that is possible. */
function askForLineEnds(state: DecodeState, layer: SignatureLayer, { lineEnds }: HashedForm): void {
  if (lineEnds === null) return;
  const hints = state.retry ?? state.settings.hints;
  state.retry = {
    ...hints,
    lineEnds: new Map(hints.lineEnds).set(state.placeOf(layer), lineEnds),
  };
}

/**
 * Takes the content of a detached signature (RFC 5652, section 5.2) and decodes it as if it stood inside; its end
 * checks the signature. Content with bare LF may have been signed as it is or with CRLF, like the first part of a
 * multipart/signed. It is first taken as it is, since nobody but the caller has had it.
 */
export function detachedContent(state: DecodeState, missing: MissingContent): Sink {
  const { layer, contentType, digests, signature } = missing;
  const { signedContentKept, contentOctets: most = Number.POSITIVE_INFINITY } = state.limits.cms;
  const hashed = new ContentDigests(digests, signedContentKept, state.budget);
  const content = new SignedPart(hashed, () => state.next.content(state, contentType), {
    known: state.settings.hints.lineEnds.get(state.placeOf(layer)),
    exact: true,
  });
  let octets = 0;
  return {
    write(chunk) {
      octets += chunk.length;
      if (octets > most) throw new SealpostError('cms-limit', `more than ${most} octets of content`);
      content.write(chunk);
    },
    end() {
      content.end();
      const checked = detachedSignature(state, layer, content);
      checked.write(signature);
      checked.end();
    },
  };
}
