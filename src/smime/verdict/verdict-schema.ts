import * as z from 'zod';
import { errorCodes } from '../../errors.ts';

/**
 * The verdict: what the decoder found, in stable words. The schema here is the single source; the TypeScript types
 * below are inferred from it and `docs/verdict.schema.json` is generated from it. The decoder itself does not load it:
 * at run time it needs no zod.
 */

const time = z.string().describe('a time in ISO 8601, UTC');
const oid = z.string().describe('an object identifier in dotted form');
const hex = z.string().describe('octets in hexadecimal, lower case');
const weak = z
  .array(z.string())
  .describe('why the algorithms here are weak, one reason each; empty when they are not');

export const identifierSchema = z
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

export const keySchema = z.strictObject({
  family: z
    .enum(['rsa', 'dsa', 'dh', 'ec', 'okp', 'other'])
    .describe('okp: Ed25519, Ed448, X25519, X448; other: ML-DSA, ML-KEM and unknown ones'),
  bits: z.number().nullable().describe('of the modulus or curve; null where it is not known'),
});

export const recipientSchema = z.strictObject({
  kind: z.enum(['key-transport', 'key-agreement', 'kek', 'password', 'kem', 'other']),
  identifier: identifierSchema.nullable().describe('null where the kind has none'),
  keyEncryption: algorithmSchema.nullable(),
  matched: z
    .strictObject({ identity: z.string(), thumbprint: hex, key: keySchema.nullable() })
    .nullable()
    .describe('the own key that belongs to this recipient: its name and SHA-256 of its certificate'),
});

export const encryptionLayerSchema = z.strictObject({
  type: z.enum(['enveloped-data', 'auth-enveloped-data', 'encrypted-data']),
  contentEncryption: z
    .strictObject({
      algorithm: z.string(),
      oid,
      keyBits: z.number().nullable(),
      keyDerived: z.boolean().describe('the key is derived from the algorithm identifier (RFC 9709)'),
    })
    .nullable()
    .describe('null when the message ended before it'),
  recipients: z.array(recipientSchema),
  originatorCertificates: z
    .array(
      z.strictObject({
        subject: z.string().nullable(),
        issuer: z.string().nullable(),
        serialNumber: hex,
        thumbprint: hex,
      }),
    )
    .describe(
      'certificates that the sender brought along, such as that of its static key; nobody vouches for them',
    ),
  weak,
});

export const revocationSchema = z
  .strictObject({
    status: z
      .enum(['good', 'revoked', 'unknown', 'not-checked'])
      .describe('the worst of the certificates in the chain'),
    source: z.enum(['crl', 'ocsp']).nullable(),
    thisUpdate: time.nullable().describe('when the authority said so'),
    ageSeconds: z.number().nullable(),
    message: z.string().nullable().describe('what could not be had, and why'),
  })
  .describe('whether the certificate was revoked, where that is looked at');

const signatureFields = {
  identifier: identifierSchema,
  key: keySchema.nullable().describe("the signer's key; null when the certificate was not found"),
  subject: z
    .string()
    .nullable()
    .describe('RFC 4514; null, as the next ones, when the certificate was not found'),
  issuer: z.string().nullable(),
  serialNumber: hex.nullable(),
  thumbprint: hex.nullable().describe('SHA-256 of the certificate'),
  emails: z
    .array(z.string())
    .describe(
      'mail addresses in the certificate; … stands for one that cannot be read, or for those that were cut',
    ),
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
  revocation: revocationSchema,
};

const counterSignerSchema = z.strictObject(signatureFields);

export const signerSchema = z.strictObject({
  ...signatureFields,
  signingCertificates: z
    .array(
      z.strictObject({
        version: z.union([z.literal(1), z.literal(2)]),
        digestAlgorithm: z.string(),
        digest: hex,
      }),
    )
    .describe(
      'which certificate the signer says is its own (RFC 5035); one that is not the one found makes the signature invalid',
    ),
  smimeCapabilities: z
    .array(z.string())
    .describe('what the signer says it can read, the preferred first: names, or object identifiers'),
  encryptionKeyPreference: identifierSchema
    .nullable()
    .describe('the certificate that the signer wants replies encrypted for'),
  receiptRequest: z
    .strictObject({
      contentIdentifier: hex,
      from: z.union([z.enum(['all', 'first-tier']), z.array(z.string())]),
      to: z.array(z.string()),
    })
    .nullable()
    .describe('a signed receipt is asked for (RFC 2634); none is sent'),
  countersignatures: z
    .array(counterSignerSchema)
    .describe('signatures of this signature, at most ten; they change nothing about the message'),
});

export const signatureLayerSchema = z.strictObject({
  type: z.enum(['signed-data', 'multipart/signed']),
  digestAlgorithms: z.array(z.string()),
  signers: z.array(signerSchema).describe('empty when nobody signed'),
  certificates: z.number().describe('how many certificates came with it'),
  lineEnds: z
    .enum(['as-received', 'crlf'])
    .nullable()
    .describe(
      'multipart/signed whose first part came with bare LF: whether the octets that were checked, and that are handed on, are those that came, or have CRLF in place of LF; null for everything else',
    ),
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

export const layerSchema = z.discriminatedUnion('type', [
  encryptionLayerSchema,
  signatureLayerSchema,
  certsOnlyLayerSchema,
  compressedLayerSchema,
  digestedLayerSchema,
]);

export const headersSchema = z
  .strictObject({
    protection: z
      .enum(['none', 'rfc9788-clear', 'rfc9788-cipher', 'wrapped', 'unmarked'])
      .describe(
        'none: no header fields inside; rfc9788-clear, rfc9788-cipher: by RFC 9788, the latter with fields that the outer header hides; wrapped: a message/rfc822 inside (RFC 8551, section 3.1); unmarked: fields stand inside, and nothing says that they are those of the message',
      ),
    signed: z
      .boolean()
      .describe('every signature over them is valid; whether the signer is trusted says `signature`'),
    encrypted: z
      .boolean()
      .describe('they came encrypted; what the outer header repeats was readable all the same'),
    fields: z
      .array(z.strictObject({ name: z.string(), value: z.string() }))
      .describe('the fields inside, unfolded, without those of MIME: these are the ones to show'),
    differences: z
      .array(
        z.strictObject({
          name: z.string(),
          outer: z.string().nullable().describe('null when the outer header has no such field'),
          inner: z.string().nullable().describe('null when the protected header has no such field'),
          intended: z
            .boolean()
            .describe('the sender says inside that it wrote the outer field so (HP-Outer), to hide this one'),
        }),
      )
      .describe('where the outer header says something else about who, to whom, when and what'),
    legacyDisplay: z
      .array(z.number().int())
      .describe(
        'parts, counted as in the hand-off, whose text begins with a copy of such fields for readers without RFC 9788 (hp-legacy-display): the lines up to the first blank one; in HTML the div of class header-protection-legacy-display',
      ),
  })
  .describe('what the protected octets say about the header of the message');

const outcome = {
  status: z
    .enum(['ok', 'failed'])
    .describe('whether it could be decoded; a bad signature does not make it failed'),
  error: z.strictObject({ code: z.enum(errorCodes), message: z.string() }).nullable(),
  encrypted: z.boolean().describe('there is at least one layer of encryption'),
  integrity: z
    .enum(['none', 'aead', 'signed'])
    .describe(
      'what shows that the content is unchanged: nothing, an authenticating cipher, a valid signature',
    ),
  signature: z
    .enum(['none', 'valid', 'untrusted', 'invalid'])
    .describe('the worst of all signers of all layers'),
};

const layersSchema = z
  .array(layerSchema)
  .describe('from the outside in; on failure as far as they were read');

const contentSchema = z
  .strictObject({
    contentType: z.string().nullable().describe('of the innermost entity; null when it has no MIME header'),
    octets: z.number(),
    sha256: hex.nullable().describe('of these octets; null where the caller wanted none'),
  })
  .nullable()
  .describe('what was decoded, exactly as it was protected; null on failure, or when there is none');

export const embeddedSchema = z.strictObject({
  path: z
    .string()
    .describe(
      'its number, such as 1.2, as IMAP counts parts (RFC 9051); 1.2/3 is number 3 in the content of 1.2',
    ),
  contentType: z.string().describe('as the part says'),
  ...outcome,
  layers: layersSchema,
  content: contentSchema,
});

const addressSchema = z.strictObject({
  name: z.string(),
  address: z.string().describe('empty for what is no address'),
});

export const senderSchema = z
  .strictObject({
    partner: z
      .string()
      .nullable()
      .describe(
        'the one partner that it is from; null for nobody known. In a conflict the one whose certificate signed',
      ),
    by: z
      .enum(['signature', 'address', 'conflict'])
      .nullable()
      .describe(
        "signature: a certificate of the partner's signed, or a trusted one that contains its address; address: the From field says so, as anyone can write; conflict: signer, From and Sender do not agree or cannot be read, so that it is proof of nothing",
      ),
    from: z.array(addressSchema).describe('the From field of the message as it is handed off'),
    sender: addressSchema
      .nullable()
      .describe('the Sender field where it is not the author: a provider, as a rule; proof of nothing'),
  })
  .describe('who the message is from; the daemon adds it, which knows the partners');

const policySchema = z
  .strictObject({
    shortfalls: z.array(z.strictObject({ code: z.enum(errorCodes), message: z.string() })),
  })
  .describe(
    'rules that the message falls short of, and that let it pass all the same (policy.shortfall: pass, policy.duplicates.action: flag); absent if there are none. The daemon adds it',
  );

export const verdictSchema = z
  .strictObject({
    version: z.literal(1),
    ...outcome,
    headers: headersSchema,
    sender: senderSchema.optional(),
    policy: policySchema.optional(),
    layers: layersSchema,
    content: contentSchema,
    pieces: z
      .array(embeddedSchema)
      .describe(
        'S/MIME parts below a multipart or in a forwarded mail, each decoded by itself, those in the content of another one behind it; what they are worth says nothing about the message',
      ),
    truncated: z
      .boolean()
      .describe(
        'names, lists or recipients were cut (a text ends with …), since a verdict has room for 2 Mi characters of what the sender wrote: 1,000 for each text, 100 for each list. Signers are never left out',
      ),
  })
  .describe('What a message was worth, as the decoder of Sealpost found it');

export type Verdict = z.infer<typeof verdictSchema>;
export type Layer = z.infer<typeof layerSchema>;
export type EncryptionLayer = z.infer<typeof encryptionLayerSchema>;
export type SignatureLayer = z.infer<typeof signatureLayerSchema>;
export type Signer = z.infer<typeof signerSchema>;
export type Recipient = z.infer<typeof recipientSchema>;
export type CertificateIdentifier = z.infer<typeof identifierSchema>;
export type SignerRevocation = z.infer<typeof revocationSchema>;
/** One of `pieces`: an S/MIME part below the message. */
export type EmbeddedVerdict = z.infer<typeof embeddedSchema>;
export type VerdictHeaders = z.infer<typeof headersSchema>;
export type VerdictContent = NonNullable<Verdict['content']>;

/** The verdict's JSON Schema (draft 2020-12) as the text of `docs/verdict.schema.json`. */
export function verdictJsonSchema(): string {
  return `${JSON.stringify(z.toJSONSchema(verdictSchema), null, 2)}\n`;
}
