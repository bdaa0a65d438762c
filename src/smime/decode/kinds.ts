import { SealpostError } from '../../errors.ts';
import {
  Base64Decoder,
  decodeWords,
  type EntityInfo,
  type Sink,
  transferDecoder,
  UuDecoder,
} from '../../message/index.ts';
import { hasPem, PemDecoder, TEXT_BEFORE_PEM } from './armor.ts';
import { FORM_OCTETS, type Form, formOf, Sniffer } from './sniffer.ts';

/** What an entity is for the decoder. */
export type EntityKind = 'cms' | 'multipart-signed' | 'plain';

const cmsTypes = ['application/pkcs7-mime', 'application/x-pkcs7-mime'];
const signatureTypes = ['application/pkcs7-signature', 'application/x-pkcs7-signature'];
/** File extensions of RFC 8551, section 3.2.1. A .p7s with data inside is taken for an opaque signature. */
const cmsFile = /\.p7[mzs]$/i;

/**
 * What an entity is, by its header (RFC 8551, section 3.2 and 3.9). The smime-type is ignored: in real mail it is often
 * missing or wrong, and the ContentInfo is more reliable.
 */
export function entityKind(info: EntityInfo): EntityKind {
  const { contentType } = info;
  const type = contentType.value;
  if (cmsTypes.includes(type) || signatureTypes.includes(type)) return 'cms';
  if (type === 'multipart/signed') {
    const protocol = contentType.parameters.get('protocol') ?? '';
    return isOurProtocol(protocol) || protocol.trim() === '' ? 'multipart-signed' : 'plain';
  }
  if (contentType.type === 'application' && hasCmsName(info)) return 'cms';
  return 'plain';
}

/** Either name counts. Against RFC 2047, mailers put file names into encoded words. */
function hasCmsName({ fileName, contentType }: EntityInfo): boolean {
  const names = [fileName, contentType.parameters.get('name') ?? ''];
  return names.some((name) => cmsFile.test((name.includes('=?') ? decodeWords(name) : name).trim()));
}

function isProse(head: Buffer): boolean {
  return (head.toString('latin1', 0, FORM_OCTETS).match(/\S (?=\S)/g)?.length ?? 0) >= 5;
}

/**
 * True for the second part of an S/MIME multipart/signed. If the multipart's protocol says so, a part whose label was
 * lost at a gateway counts too.
 */
export function isSignaturePart(info: EntityInfo, protocol: string): boolean {
  const type = info.contentType.value;
  if (signatureTypes.includes(type) || cmsTypes.includes(type) || hasCmsName(info)) return true;
  return isOurProtocol(protocol) && type === 'application/octet-stream';
}

function isOurProtocol(protocol: string): boolean {
  const type = protocol.trim().toLowerCase();
  return signatureTypes.includes(type) || cmsTypes.includes(type);
}

/**
 * Decodes a body that holds a CMS object, by its Content-Transfer-Encoding. The first octets take precedence over a
 * label that cannot be right, as in mail that a gateway has changed.
 */
export function cmsBody(transferEncoding: string, output: Sink): Sink {
  return new Sniffer(FORM_OCTETS, (head) => {
    const form = formOf(head);
    if (form !== 'other' && !(form === 'base64' && transferEncoding === 'quoted-printable')) {
      return decoderOf(form, form === 'der' ? output : twiceEncoded(output));
    }
    // nearly every character of a text is in the base64 alphabet, so the decoder by itself would notice nothing
    if (transferEncoding === 'base64' && isProse(head)) {
      throw new SealpostError('transfer-encoding', 'the body is not base64: it is text');
    }
    if (isEncoded(transferEncoding)) return transferDecoder(transferEncoding, twiceEncoded(output));
    return new Sniffer(TEXT_BEFORE_PEM, (text) => (hasPem(text) ? new PemDecoder(output) : output));
  });
}

function isEncoded(transferEncoding: string): boolean {
  return !['', '7bit', '8bit', 'binary'].includes(transferEncoding);
}

/** A PEM or base64 file that a mailer has encoded again, like any other attachment. */
function twiceEncoded(output: Sink): Sink {
  return new Sniffer(FORM_OCTETS, (head) => decoderOf(formOf(head), output));
}

function decoderOf(form: Form, output: Sink): Sink {
  switch (form) {
    case 'pem':
      return new PemDecoder(output);
    case 'uuencode':
      return new UuDecoder(output);
    case 'base64':
      return new Base64Decoder(output);
    case 'der':
    case 'other':
      return output;
  }
}
