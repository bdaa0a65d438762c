import { octetString, readAlgorithm, tags } from '../asn1/index.ts';
import { digestByOid } from './algorithms.ts';
import { ContentDigests } from './content-digests.ts';
import type { ContentContext, ContentReader } from './content-reader.ts';
import { EncapsulatedReader } from './encapsulated-content.ts';

/**
 * `DigestedData ::= SEQUENCE { version, digestAlgorithm, encapContentInfo, digest OCTET STRING }` (RFC 5652 section 7).
 * It only detects accidents: whoever changes the content can change the digest too.
 */
export function digestedDataReader(context: ContentContext): ContentReader {
  let digestAlgorithm = '';
  let digest: Buffer | undefined;
  let computed: ContentDigests | undefined;
  return new EncapsulatedReader(context, {
    structure: 'DigestedData',
    fields: [tags.integer, tags.sequence, tags.sequence, tags.octetString],
    field(number, element) {
      if (number === 4) digest = octetString(element);
      if (number !== 2) return;
      const { oid } = readAlgorithm(element);
      digestAlgorithm = digestByOid(oid)?.name ?? oid;
    },
    open(contentType) {
      const sink = context.handlers.onHead({ type: 'digested-data', contentType, digestAlgorithm });
      const digests = new ContentDigests([digestAlgorithm], 0, context.budget);
      computed = digests;
      return {
        write(octets) {
          digests.write(octets);
          sink.write(octets);
        },
        end() {
          digests.end();
          sink.end();
        },
      };
    },
    tail() {
      if (digest === undefined) return undefined;
      const valid = computed?.result.digests.get(digestAlgorithm)?.equals(digest) === true;
      return { type: 'digested-data', valid };
    },
  });
}
