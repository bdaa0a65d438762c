/**
 * The S/MIME codec (RFC 8551) as a library of its own: no I/O, no clock, no configuration. Keys, trust and
 * time are arguments; octets go in and come out as streams.
 */

export type { DecodeCallOptions } from './decode.ts';
export {
  type ContentOutput,
  type DecodeInput,
  type DecodeResult,
  decode,
  decodeReopenable,
  decodeSync,
} from './decode.ts';
export { type DecodeOptions, Decoder, type SharedKeys, type StreamedDecodeOptions } from './decoder.ts';
export {
  type EncodeInput,
  type EncodeOptions,
  type EncryptOptions,
  encode,
  encodeSync,
  estimateOctets,
  type KeyRequirements,
  type SignOptions,
} from './encode.ts';
export { Encoder } from './encoder.ts';
export type { IssuerFetch } from './issuer-fetch.ts';
export type { DecodeLimits } from './limits.ts';
export type { OpenPiece, PieceOutput } from './piece-outputs.ts';
export type { PieceStart } from './pieces.ts';
export {
  type PresetName,
  type Protection,
  presetNames,
  presets,
  protectionOf,
} from './presets.ts';
export { type ProtectionParties, protectWith } from './protect-with.ts';
export type { RevocationCheck } from './revocation-check.ts';
export { createTrustCache, PathCache, type Trust } from './trust.ts';
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
} from './verdict.ts';
