/**
 * The S/MIME codec (RFC 8551) as a library of its own: no I/O, no clock, no configuration. Keys, trust and
 * time are arguments; octets go in and come out as streams.
 */

export type { DecodeCallOptions } from './decode/decode.ts';
export {
  type ContentOutput,
  type DecodeInput,
  type DecodeResult,
  decode,
  decodeReopenable,
  decodeSync,
} from './decode/decode.ts';
export {
  type DecodeOptions,
  Decoder,
  type SharedKeys,
  type StreamedDecodeOptions,
} from './decode/decoder.ts';
export type { DecodeLimits } from './decode/limits.ts';
export type { OpenPiece, PieceOutput } from './decode/piece-outputs.ts';
export type { PieceStart } from './decode/pieces.ts';
export {
  type EncodeInput,
  type EncodeOptions,
  type EncryptOptions,
  encode,
  encodeSync,
  estimateOctets,
  type KeyRequirements,
  type SignOptions,
} from './encode/encode.ts';
export { Encoder } from './encode/encoder.ts';
export {
  type PresetName,
  type Protection,
  presetNames,
  presets,
  protectionOf,
} from './encode/presets.ts';
export { type ProtectionParties, protectWith } from './encode/protect-with.ts';
export type { IssuerFetch } from './verdict/issuer-fetch.ts';
export type { RevocationCheck } from './verdict/revocation-check.ts';
export { createTrustCache, PathCache, type Trust } from './verdict/trust.ts';
export {
  type EncryptionLayer,
  type HeaderFacts,
  isEncryptionLayer,
  isSignatureLayer,
  type Layer,
  type Piece,
  type Recipient,
  type SignatureLayer,
  type Signer,
  type SignerRevocation,
  type Verdict,
  type VerdictContent,
} from './verdict/verdict.ts';
