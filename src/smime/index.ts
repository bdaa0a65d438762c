/**
 * The S/MIME codec (RFC 8551): no I/O, no clock, no configuration. Keys, trust and time are arguments; octets go in and
 * come out as streams. `decode/` removes layers, `encode/` applies them, and `verdict/` says what a message was worth.
 * What a CMS object is (RFC 5652) and whether a path leads to a root is decided in the rooms below; what a verdict
 * means for a partner, in those above. Begin with `decode/decode.ts`, then `decode/dispatch.ts`; or with
 * `encode/encode.ts`.
 */

export {
  type ContentOutput,
  type DecodeCallOptions,
  type DecodeFound,
  type DecodeInput,
  type DecodeResult,
  decode,
  decodeReopenable,
  decodeSync,
  type EmbeddedOutput,
  type OpenEmbedded,
} from './decode/decode.ts';
export {
  type DecodedSigner,
  type DecodeOptions,
  Decoder,
  type SharedKeys,
  type StreamedDecodeOptions,
} from './decode/decoder.ts';
export type { DecodeLimits } from './decode/limits.ts';
export type { EmbeddedStart } from './decode/state.ts';
export { type EncodeInput, encode, encodeSync, estimateOctets } from './encode/encode.ts';
export { Encoder } from './encode/encoder.ts';
export type { EncodeOptions, Parties } from './encode/options.ts';
export {
  type PresetName,
  type Protection,
  type ProtectionSettings,
  presetNames,
  presets,
  protectionOf,
} from './encode/presets.ts';
export { usedBy, usedKey } from './encode/used.ts';
export type { Used, UsedEncryption, UsedKey, UsedLayer, UsedSignature } from './used.ts';
export {
  createTrustCache,
  type IssuerFetch,
  PathCache,
  type RevocationCheck,
  type Trust,
} from './verdict/trust.ts';
export { usedIn } from './verdict/used.ts';
export { isEncryptionLayer, isSignatureLayer } from './verdict/verdict.ts';
export type {
  EmbeddedVerdict,
  EncryptionLayer,
  Layer,
  Recipient,
  SignatureLayer,
  Signer,
  SignerRevocation,
  Verdict,
  VerdictContent,
  VerdictHeaders,
} from './verdict/verdict-schema.ts';
