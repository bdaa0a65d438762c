import { ContentDigests } from '../../cms/index.ts';
import { SealpostError } from '../../errors.ts';
import type { Sink } from '../../message/index.ts';
import { innerContent } from './cms-layer.ts';
import { detachedSignature } from './detached.ts';
import type { MissingContent, Peeling } from './peeling.ts';
import { SignedPart } from './signed-part.ts';

/**
 * Takes the content of a detached signature (RFC 5652, section 5.2) and peels it as if it stood inside; its end checks
 * the signature. Content with bare LF may have been signed as it is or with CRLF, as the first part of a
 * multipart/signed; it is taken as it is first, since nobody but the caller had it.
 */
export function detachedContent(peeling: Peeling, missing: MissingContent): Sink {
  const { layer, contentType, digests, signature } = missing;
  const { signedContentKept, contentOctets: most = Number.POSITIVE_INFINITY } = peeling.limits.cms;
  const hashed = new ContentDigests(digests, signedContentKept, peeling.budget);
  const content = new SignedPart(hashed, () => innerContent(peeling, contentType), {
    known: peeling.hints.lineEnds.get(peeling.placeOf(layer)),
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
      const checked = detachedSignature(peeling, layer, content);
      checked.write(signature);
      checked.end();
    },
  };
}
