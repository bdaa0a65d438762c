/**
 * `sealpost/smime`: the S/MIME codec for other programs. It has no state, opens no file and no socket; keys, trust and
 * octets are arguments. What is exported here is public and follows semantic versioning; docs/library.md has an example
 * of each task.
 */
/// <reference types="node" preserve="true" />
import './node-version.ts';

export { type ErrorCode, type ErrorRow, errorCodes, errorRow, SealpostError } from '../errors.ts';
export { type Certificate, type Crl, type Identity, parseCrl } from '../pki/index.ts';
export {
  type ContentOutput,
  createTrustCache,
  type DecodeLimits,
  type DecodeResult,
  type EmbeddedOutput,
  type EmbeddedStart,
  type EmbeddedVerdict,
  type EncryptionLayer,
  isEncryptionLayer,
  isSignatureLayer,
  type Layer,
  type PathCache,
  type PresetName,
  type Protection,
  presetNames,
  presets,
  type SignatureLayer,
  type Signer,
  type Trust,
  type Verdict,
} from '../smime/index.ts';
export { type DecodeInput, type DecodeOptions, decode, decodeSync } from './decode.ts';
export { type EncodeInput, type EncodeOptions, encode, encodeSync } from './encode.ts';
export { type IdentityOptions, readCertificates, readIdentities, readIdentity } from './keys.ts';
export type { OctetStream, Octets } from './octets.ts';
