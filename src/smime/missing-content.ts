import { ContentDigests } from '../cms/index.ts';
import { SealpostError } from '../errors.ts';
import { type Sink, TeeSink } from '../message/index.ts';
import { innerContent } from './cms-layer.ts';
import { detachedSignature } from './detached.ts';
import type { MissingContent, Peeling } from './peeling.ts';

/**
 * Takes the content of a detached signature (RFC 5652, section 5.2), exactly as it was signed, and peels it as if it
 * stood inside; its end checks the signature.
 */
export function detachedContent(peeling: Peeling, missing: MissingContent): Sink {
  const { layer, contentType, digests, signature } = missing;
  const { signedContentKept, contentOctets: most = Number.POSITIVE_INFINITY } = peeling.limits.cms;
  const hashed = new ContentDigests(digests, signedContentKept, peeling.budget);
  const content = new TeeSink(hashed, innerContent(peeling, contentType));
  let octets = 0;
  return {
    write(chunk) {
      octets += chunk.length;
      if (octets > most) throw new SealpostError('cms-limit', `more than ${most} octets of content`);
      content.write(chunk);
    },
    end() {
      content.end();
      const given = { lineEnds: null, digests: hashed };
      const checked = detachedSignature(peeling, layer, { given, other: undefined });
      checked.write(signature);
      checked.end();
    },
  };
}
