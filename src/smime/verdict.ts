import * as z from 'zod';
import { type ErrorCode, errorCodes } from '../errors.ts';

/**
 * The verdict: what the decoder found, in words that stay. The schema here is the single source; the
 * TypeScript types are inferred from it and `docs/verdict.schema.json` is generated from it.
 */

const time = z.string().describe('a time in ISO 8601, UTC');
const oid = z.string().describe('an object identifier in dotted form');
const hex = z.string().describe('octets in hexadecimal, lower case');
const weak = z
  .array(z.string())
  .describe('why the algorithms here are weak, one reason each; empty when they are not');

const identifierSchema = z
  .union([
    z.strictObject({ issuer: z.string(), serialNumber: hex }),
    z.strictObject({ subjectKeyIdentifier: hex }),
    z.strictObject({ keyIdentifier: hex }),
  ])
  .describe('how the message names the certificate or key');

const algorithmSchema = z.strictObject({
  algorithm: z.string().describe('such as rsa-oaep, or the object identifier when it has no name here'),
  oid,
  parameters: z
    .record(z.string(), z.union([z.string(), z.number()]))
    .describe('such as {"digest": "sha256"}'),
});

const recipientSchema = z.strictObject({
  kind: z.enum(['key-transport', 'key-agreement', 'kek', 'password', 'kem', 'other']),
  identifier: identifierSchema.nullable().describe('null where the kind has none'),
  keyEncryption: algorithmSchema.nullable(),
  matched: z
    .strictObject({ identity: z.string(), thumbprint: hex })
    .nullable()
    .describe('the own key that belongs to this recipient: its name and SHA-256 of its certificate'),
});

const encryptionLayerSchema = z.strictObject({
  type: z.enum(['enveloped-data', 'auth-enveloped-data', 'encrypted-data']),
  contentEncryption: z
    .strictObject({ algorithm: z.string(), oid, keyBits: z.number().nullable() })
    .nullable()
    .describe('null when the message ended before it'),
  recipients: z.array(recipientSchema),
  weak,
});

const signerSchema = z.strictObject({
  identifier: identifierSchema,
  subject: z
    .string()
    .nullable()
    .describe('RFC 4514; null, as the next ones, when the certificate was not found'),
  issuer: z.string().nullable(),
  serialNumber: hex.nullable(),
  thumbprint: hex.nullable().describe('SHA-256 of the certificate'),
  emails: z.array(z.string()).describe('mail addresses in the certificate'),
  notBefore: time.nullable(),
  notAfter: time.nullable(),
  digestAlgorithm: z.string(),
  signatureAlgorithm: z.string(),
  signingTime: time.nullable().describe('what the signer claims'),
  valid: z.boolean().describe('the signature is from that key and over these octets'),
  trusted: z.boolean().describe('and the certificate leads to an anchor, or is pinned'),
  chain: z
    .array(z.strictObject({ subject: z.string(), thumbprint: hex }))
    .describe('from the signer to the anchor; only when trusted'),
  reason: z.string().nullable().describe('a stable code when it is not valid or not trusted'),
  message: z.string().nullable().describe('the reason in words'),
});

const signatureLayerSchema = z.strictObject({
  type: z.enum(['signed-data', 'multipart/signed']),
  digestAlgorithms: z.array(z.string()),
  signers: z.array(signerSchema).describe('empty when nobody signed'),
  certificates: z.number().describe('how many certificates came with it'),
  weak,
});

const certsOnlyLayerSchema = z.strictObject({
  type: z.literal('certs-only'),
  certificates: z.number(),
  weak,
});

const compressedLayerSchema = z.strictObject({
  type: z.literal('compressed-data'),
  algorithm: z.string(),
  weak,
});

const digestedLayerSchema = z.strictObject({
  type: z.literal('digested-data'),
  digestAlgorithm: z.string(),
  valid: z.boolean(),
  weak,
});

const layerSchema = z.discriminatedUnion('type', [
  encryptionLayerSchema,
  signatureLayerSchema,
  certsOnlyLayerSchema,
  compressedLayerSchema,
  digestedLayerSchema,
]);

const codes = Object.keys(errorCodes).filter((code): code is ErrorCode => code in errorCodes);

export const verdictSchema = z
  .strictObject({
    version: z.literal(1),
    status: z
      .enum(['ok', 'failed'])
      .describe('whether it could be decoded; a bad signature does not make it failed'),
    error: z.strictObject({ code: z.enum(codes), message: z.string() }).nullable(),
    encrypted: z.boolean().describe('there is at least one layer of encryption'),
    integrity: z
      .enum(['none', 'aead', 'signed'])
      .describe(
        'what shows that the content is unchanged: nothing, an authenticating cipher, a valid signature',
      ),
    signature: z
      .enum(['none', 'valid', 'untrusted', 'invalid'])
      .describe('the worst of all signers of all layers'),
    layers: z.array(layerSchema).describe('from the outside in; on failure as far as they were read'),
    content: z
      .strictObject({
        contentType: z
          .string()
          .nullable()
          .describe('of the innermost entity; null when it has no MIME header'),
        octets: z.number(),
        sha256: hex,
      })
      .nullable()
      .describe('what was decoded, exactly as it was protected; null on failure, or when there is none'),
  })
  .describe('What a message was worth, as the decoder of Sealpost found it');

export type Verdict = z.infer<typeof verdictSchema>;
export type Layer = z.infer<typeof layerSchema>;
export type EncryptionLayer = z.infer<typeof encryptionLayerSchema>;
export type SignatureLayer = z.infer<typeof signatureLayerSchema>;
export type Signer = z.infer<typeof signerSchema>;
export type Recipient = z.infer<typeof recipientSchema>;
export type CertificateIdentifier = z.infer<typeof identifierSchema>;
export type VerdictContent = NonNullable<Verdict['content']>;

const encryptionTypes: readonly string[] = encryptionLayerSchema.shape.type.options;
const signatureTypes: readonly string[] = signatureLayerSchema.shape.type.options;

export function isEncryptionLayer(layer: Layer): layer is EncryptionLayer {
  return encryptionTypes.includes(layer.type);
}

export function isSignatureLayer(layer: Layer): layer is SignatureLayer {
  return signatureTypes.includes(layer.type);
}

/** The overall signature word: the worst of all signers of all layers. */
function overallSignature(layers: readonly Layer[]): Verdict['signature'] {
  const signers = layers.filter(isSignatureLayer).flatMap((layer) => layer.signers);
  if (signers.length === 0) return 'none';
  if (signers.some((signer) => !signer.valid)) return 'invalid';
  return signers.every((signer) => signer.trusted) ? 'valid' : 'untrusted';
}

/** The verdict on what could be decoded. `aead` tells that an authenticating cipher's tag was verified. */
export function okVerdict(layers: Layer[], content: VerdictContent | null, aead: boolean): Verdict {
  const signature = overallSignature(layers);
  return {
    version: 1,
    status: 'ok',
    error: null,
    encrypted: layers.some(isEncryptionLayer),
    integrity: signature === 'valid' ? 'signed' : aead ? 'aead' : 'none',
    signature,
    layers,
    content,
  };
}

/** The verdict on what could not be decoded: nothing of it counts as protected. */
export function failedVerdict(layers: Layer[], error: { code: ErrorCode; message: string }): Verdict {
  return {
    version: 1,
    status: 'failed',
    error,
    encrypted: layers.some(isEncryptionLayer),
    integrity: 'none',
    signature: overallSignature(layers),
    layers,
    content: null,
  };
}
