import type { ErrorCode } from '../../errors.ts';
import type { HeaderBlock } from '../../message/index.ts';
import { noHeaders, type ProtectedHeader, verdictHeaders } from './headers.ts';
import type {
  EmbeddedVerdict,
  EncryptionLayer,
  Layer,
  SignatureLayer,
  Verdict,
  VerdictContent,
} from './verdict-schema.ts';

export function isEncryptionLayer(layer: Layer): layer is EncryptionLayer {
  return 'recipients' in layer;
}

export function isSignatureLayer(layer: Layer): layer is SignatureLayer {
  return 'signers' in layer;
}

export function unique(words: readonly string[]): string[] {
  return [...new Set(words)];
}

/** The overall signature status: the worst status among all signers of all layers. */
function overallSignature(layers: readonly Layer[]): Verdict['signature'] {
  const signers = layers.filter(isSignatureLayer).flatMap((layer) => layer.signers);
  if (signers.length === 0) return 'none';
  if (signers.some((signer) => !signer.valid)) return 'invalid';
  return signers.every((signer) => signer.trusted) ? 'valid' : 'untrusted';
}

/** The verdict on a decoded message. `aead` means that the tag of an authenticated cipher was verified. */
export function okVerdict(found: {
  layers: Layer[];
  content: VerdictContent | null;
  aead: boolean;
  header: ProtectedHeader | undefined;
  outer: HeaderBlock | undefined;
  /** S/MIME parts below the content; `pieces` in the verdict. */
  embedded: EmbeddedVerdict[];
  truncated: boolean;
}): Verdict {
  const { layers, content, aead } = found;
  const signature = overallSignature(layers);
  const encrypted = layers.some(isEncryptionLayer);
  const signed = signature === 'valid' || signature === 'untrusted';
  return {
    version: 1,
    status: 'ok',
    error: null,
    encrypted,
    integrity: signature === 'valid' ? 'signed' : aead ? 'aead' : 'none',
    signature,
    headers: verdictHeaders(found.header, found.outer, { signed, encrypted }),
    layers,
    content,
    pieces: found.embedded,
    truncated: found.truncated,
  };
}

const longestMessage = 2000;

/** The verdict on a message that could not be decoded: nothing in it counts as protected. */
export function failedVerdict(
  layers: Layer[],
  error: { code: ErrorCode; message: string },
  truncated: boolean,
): Verdict {
  return {
    version: 1,
    status: 'failed',
    // the error may name the recipients of the encryption
    error: { code: error.code, message: error.message.slice(0, longestMessage) },
    encrypted: layers.some(isEncryptionLayer),
    integrity: 'none',
    signature: overallSignature(layers),
    headers: noHeaders,
    layers,
    content: null,
    pieces: [],
    truncated,
  };
}

/** The verdict once signers have lost or gained trust. */
export function rejudged(verdict: Verdict): Verdict {
  return { ...withSignature(verdict), pieces: verdict.pieces.map(withSignature) };
}

function withSignature<T extends Pick<Verdict, 'status' | 'integrity' | 'signature' | 'layers'>>(
  verdict: T,
): T {
  const signature = overallSignature(verdict.layers);
  // nothing in a message that was not decoded is protected
  if (verdict.status === 'failed') return { ...verdict, signature };
  if (signature === 'valid') return { ...verdict, signature, integrity: 'signed' };
  if (verdict.integrity !== 'signed') return { ...verdict, signature };
  const aead = verdict.layers.some(({ type }) => type === 'auth-enveloped-data');
  return { ...verdict, signature, integrity: aead ? 'aead' : 'none' };
}
