import { contentCipherOf } from '../../cms/algorithms.ts';
import { CompressedDataWriter } from '../../cms/index.ts';
import { SealpostError } from '../../errors.ts';
import { Base64Encoder, type Sink } from '../../message/index.ts';
import { encryptingSink } from './encrypting.ts';
import { type Encoding, isEncrypted, isSigned, isSignedAgain } from './options.ts';
import { DetachedSigner, opaqueSigningSink } from './signing.ts';

type Layer = 'signed' | 'encrypted' | 'compressed';

/** The layers that the options ask for, outermost first. */
export function layersOf(encoding: Encoding): Layer[] {
  const { compress } = encoding;
  const layers: (Layer | false)[] = [
    isSignedAgain(encoding) && 'signed',
    isEncrypted(encoding) && 'encrypted',
    compress === 'after-signing' && 'compressed',
    isSigned(encoding) && 'signed',
    compress === 'before-signing' && 'compressed',
  ];
  return layers.filter((layer) => layer !== false);
}

/**
 * Builds the stages from the inner entity to the output.
 *
 * Errors: `encode-policy` if no layer is asked for; those of the layers.
 */
export function stackLayers(output: Sink, encoding: Encoding): Sink {
  const layers = layersOf(encoding);
  if (layers.length === 0 && !encoding.unprotected) {
    throw new SealpostError('encode-policy', 'a message would be neither signed nor encrypted');
  }
  let target = output;
  let insideCms = false;
  for (const layer of layers) {
    if (layer === 'signed' && encoding.sign === 'detached') {
      target = new DetachedSigner(target, encoding);
      insideCms = false;
      continue;
    }
    // only a CMS object carries binary data through every transport (RFC 8551, section 3.1.3)
    const binary = insideCms && encoding.innerTransferEncoding === 'binary';
    target.write(cmsHeader(smimeTypeOf(layer, encoding), binary ? 'binary' : 'base64'));
    target = cmsSink(binary ? target : new Base64Encoder(target), layer, encoding);
    insideCms = true;
  }
  return target;
}

/** True if the entity itself is readable in a multipart/signed. */
export function isEntityDetached(encoding: Encoding): boolean {
  return encoding.sign === 'detached' && layersOf(encoding).at(-1) === 'signed';
}

/** How many CMS objects are nested in each other; undefined if one of them is compressed. */
export function objectsOf(encoding: Encoding): number | undefined {
  const layers = layersOf(encoding);
  if (layers.includes('compressed')) return undefined;
  return layers.filter((layer) => layer === 'encrypted' || encoding.sign === 'opaque').length;
}

function cmsSink(output: Sink, layer: Layer, encoding: Encoding): Sink {
  if (layer === 'signed') return opaqueSigningSink(output, encoding);
  if (layer === 'encrypted') return encryptingSink(output, encoding);
  return new CompressedDataWriter(output);
}

/** RFC 8551, section 3.2.2. */
function smimeTypeOf(layer: Layer, encoding: Encoding): string {
  if (layer === 'signed') return 'signed-data';
  if (layer === 'compressed') return 'compressed-data';
  const { contentEncryption, authEnvelopedType = 'authEnveloped-data' } = encoding;
  // authenticated encryption has a content type of its own (RFC 5083)
  return contentCipherOf(contentEncryption)?.aead === true ? authEnvelopedType : 'enveloped-data';
}

/** The MIME header of a CMS object (RFC 8551, sections 3.2 and 3.2.1). */
function cmsHeader(smimeType: string, transferEncoding: 'base64' | 'binary'): Buffer {
  const name = smimeType === 'compressed-data' ? 'smime.p7z' : 'smime.p7m';
  return Buffer.from(
    `Content-Type: application/pkcs7-mime; smime-type=${smimeType};\r\n name="${name}"\r\n` +
      `Content-Transfer-Encoding: ${transferEncoding}\r\n` +
      `Content-Disposition: attachment; filename="${name}"\r\n\r\n`,
  );
}
