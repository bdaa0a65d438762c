import { randomBytes as nodeRandomBytes } from 'node:crypto';
import { contentCipherOf } from '../../cms/algorithms.ts';
import { CompressedDataWriter } from '../../cms/index.ts';
import { SealpostError } from '../../errors.ts';
import { Base64Encoder, type Sink } from '../../message/index.ts';
import type { EncodeOptions, EncryptOptions, SignOptions } from './encode-options.ts';
import { DetachedSigner, encryptingSink, opaqueSigningSink } from './protection.ts';

type Layer =
  | { kind: 'signed'; options: SignOptions }
  | { kind: 'encrypted'; options: EncryptOptions }
  | { kind: 'compressed' };

/** The layers that options ask for, the outermost first. */
function layersOf({ sign, encrypt, signAgain, compress }: EncodeOptions): Layer[] {
  if (signAgain !== undefined && encrypt === undefined) {
    throw new SealpostError('encode-policy', 'a second signature needs encryption between it and the first');
  }
  const layers: (Layer | undefined)[] = [
    signAgain && { kind: 'signed', options: signAgain },
    encrypt && { kind: 'encrypted', options: encrypt },
    compress === 'after-signing' ? { kind: 'compressed' } : undefined,
    sign && { kind: 'signed', options: sign },
    compress === 'before-signing' ? { kind: 'compressed' } : undefined,
  ];
  return layers.filter((layer) => layer !== undefined);
}

/**
 * The stages from the inner entity to the output.
 *
 * Errors: `encode-policy` when nothing is asked for; those of the layers.
 */
export function stackLayers(output: Sink, options: EncodeOptions): Sink {
  const layers = layersOf(options);
  if (layers.length === 0 && options.unprotected !== true) {
    throw new SealpostError('encode-policy', 'a message would be neither signed nor encrypted');
  }
  const random = options.randomBytes ?? nodeRandomBytes;
  let target = output;
  let insideCms = false;
  for (const layer of layers) {
    if (layer.kind === 'signed' && layer.options.form === 'detached') {
      target = new DetachedSigner(target, layer.options, random);
      insideCms = false;
      continue;
    }
    // nothing but a CMS object carries binary through any transport (RFC 8551, section 3.1.3)
    const binary = insideCms && options.innerTransferEncoding === 'binary';
    target.write(cmsHeader(smimeTypeOf(layer), binary ? 'binary' : 'base64'));
    target = cmsSink(binary ? target : new Base64Encoder(target), layer, random);
    insideCms = true;
  }
  return target;
}

/** True when the entity itself stands readable in a multipart/signed. */
export function isEntityDetached(options: EncodeOptions): boolean {
  const innermost = layersOf(options).at(-1);
  return innermost?.kind === 'signed' && innermost.options.form === 'detached';
}

function cmsSink(output: Sink, layer: Layer, random: (size: number) => Buffer): Sink {
  if (layer.kind === 'signed') return opaqueSigningSink(output, layer.options);
  if (layer.kind === 'encrypted') return encryptingSink(output, layer.options, random);
  return new CompressedDataWriter(output);
}

/** RFC 8551, section 3.2.2. */
function smimeTypeOf(layer: Layer): string {
  if (layer.kind === 'signed') return 'signed-data';
  if (layer.kind === 'compressed') return 'compressed-data';
  const { contentEncryption, authEnvelopedType = 'authEnveloped-data' } = layer.options;
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
