/** Chooses the next handler. This is the only file that knows all of them. */
import { der, oids, tags } from '../../asn1/index.ts';
import type { Sink } from '../../message/index.ts';
import { cmsLayer } from './cms-layer.ts';
import { entityBody, innerData } from './entity.ts';
import { Sniffer } from './sniffer.ts';
import type { DecodeState, Handlers } from './state.ts';

export const handlers: Handlers = { entity: entityBody, cms: cmsLayer, content: layerContent };

/** What a layer holds, by its content type. */
function layerContent(state: DecodeState, contentType: string): Sink {
  if (contentType === oids.data) return innerData(state);
  if (nestedTypes.includes(contentType)) return nested(state, contentType);
  return state.beginContent(null);
}

const nestedTypes: readonly string[] = [
  oids.signedData,
  oids.envelopedData,
  oids.digestedData,
  oids.encryptedData,
  oids.compressedData,
  oids.authEnvelopedData,
];

/** The header octets (in indefinite form) that an object lacks to be a ContentInfo. */
function missingHeaders(head: Buffer, contentType: string): Buffer[] {
  const sequence = Buffer.from([0x30, 0x80]);
  const explicit = Buffer.concat([der.oid(contentType), Buffer.from([0xa0, 0x80])]);
  if (head[0] === tags.integer) return [sequence, explicit, sequence];
  if (head[0] === tags.oid) return [sequence];
  const length = head[1] ?? 0;
  const first = head[length < 0x80 ? 2 : 2 + (length & 0x7f)];
  return first === tags.oid ? [] : [sequence, explicit];
}

/**
 * A CMS type directly inside another one. RFC 5652 puts the bare structure there, but some software puts a whole
 * ContentInfo. Windows and .NET encrypt either one without its outermost tag and length, and their readers add these
 * again.
 */
function nested(state: DecodeState, contentType: string): Sink {
  return new Sniffer(8, (head) => {
    const layer = cmsLayer(state);
    const missing = missingHeaders(head, contentType);
    if (missing.length === 0) return layer;
    layer.write(Buffer.concat(missing));
    return {
      write: (chunk) => layer.write(chunk),
      end: () => {
        layer.write(Buffer.alloc(2 * missing.length));
        layer.end();
      },
    };
  });
}
