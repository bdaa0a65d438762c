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
  .describe('why the algorithms here are weak, one reason each; empty if they are not');

export const identifierSchema = z
  .union([
    z.strictObject({ issuer: z.string(), serialNumber: hex }),
    z.strictObject({ subjectKeyIdentifier: hex }),
    z.strictObject({ keyIdentifier: hex }),
  ])
  .describe('how the message names the certificate or key');

const algorithmSchema = z.strictObject({
  algorithm: z.string().describe('such as rsa-oaep; the object identifier if it has no name here'),
  oid,
  parameters: z
    .record(z.string(), z.union([z.string(), z.number()]))
    .describe('such as {"digest": "sha256"}'),
});

export const keySchema = z.strictObject({
  family: z
    .enum(['rsa', 'dsa', 'dh', 'ec', 'okp', 'other'])
    .describe('okp: Ed25519, Ed448, X25519, X448; other: ML-DSA, ML-KEM and unknown ones'),
  bits: z.number().nullable().describe('of the modulus or curve; null if unknown'),
});

export const recipientSchema = z.strictObject({
  kind: z.enum(['key-transport', 'key-agreement', 'kek', 'password', 'kem', 'other']),
  identifier: identifierSchema.nullable().describe('null if this kind has none'),
  keyEncryption: algorithmSchema.nullable(),
  matched: z
    .strictObject({ identity: z.string(), thumbprint: hex, key: keySchema.nullable() })
    .nullable()
    .describe('your key that belongs to this recipient: its name, and the SHA-256 of its certificate'),
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
    .describe('null if the message ended before it'),
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
      'certificates that the sender included, such as that of its static key; nobody vouches for them',
    ),
  weak,
});

export const revocationSchema = z
  .strictObject({
    status: z
      .enum(['good', 'revoked', 'unknown', 'not-checked'])
      .describe('the worst status among the certificates of the chain'),
    source: z.enum(['crl', 'ocsp']).nullable(),
    thisUpdate: time.nullable().describe('when the authority said so'),
    ageSeconds: z.number().nullable(),
    message: z.string().nullable().describe('what could not be fetched, and why'),
  })
  .describe('whether the certificate was revoked, if that is checked');

const signatureFields = {
  identifier: identifierSchema,
  key: keySchema.nullable().describe("the signer's key; null if the certificate was not found"),
  subject: z
    .string()
    .nullable()
    .describe('RFC 4514; like the next ones, null if the certificate was not found'),
  issuer: z.string().nullable(),
  serialNumber: hex.nullable(),
  thumbprint: hex.nullable().describe('SHA-256 of the certificate'),
  emails: z
    .array(z.string())
    .describe(
      'mail addresses in the certificate; … stands for one that cannot be read, or for those that were left out',
    ),
  notBefore: time.nullable(),
  notAfter: time.nullable(),
  digestAlgorithm: z.string(),
  signatureAlgorithm: z.string(),
  signingTime: time.nullable().describe('what the signer claims'),
  valid: z.boolean().describe('the signature was made with that key, over these octets'),
  trusted: z.boolean().describe('in addition, the certificate leads to an anchor, or is pinned'),
  chain: z
    .array(z.strictObject({ subject: z.string(), thumbprint: hex }))
    .describe('from the signer to the anchor; only if trusted'),
  reason: z.string().nullable().describe('a stable code if it is not valid or not trusted'),
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
      'the certificate that the signer says is its own (RFC 5035); if a different one was found, the signature is invalid',
    ),
  smimeCapabilities: z
    .array(z.string())
    .describe('what the signer says it can read, the preferred one first: names, or object identifiers'),
  encryptionKeyPreference: identifierSchema
    .nullable()
    .describe('the certificate for which the signer wants replies to be encrypted'),
  receiptRequest: z
    .strictObject({
      contentIdentifier: hex,
      from: z.union([z.enum(['all', 'first-tier']), z.array(z.string())]),
      to: z.array(z.string()),
    })
    .nullable()
    .describe('a request for a signed receipt (RFC 2634); none is sent'),
  countersignatures: z
    .array(counterSignerSchema)
    .describe('signatures of this signature, at most ten; they change nothing about the message'),
});

export const signatureLayerSchema = z.strictObject({
  type: z.enum(['signed-data', 'multipart/signed']),
  digestAlgorithms: z.array(z.string()),
  signers: z.array(signerSchema).describe('empty if nobody signed'),
  certificates: z.number().describe('how many certificates came with it'),
  lineEnds: z
    .enum(['as-received', 'crlf'])
    .nullable()
    .describe(
      'for a multipart/signed whose first part came with bare LF: whether the octets that were verified, and are handed on, are as received, or have CRLF in place of LF; null for everything else',
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
        'none: no header fields inside; rfc9788-clear, rfc9788-cipher: by RFC 9788, the latter with fields that the outer header hides; wrapped: a message/rfc822 inside (RFC 8551, section 3.1); unmarked: there are fields inside, but nothing says that they are those of the message',
      ),
    signed: z
      .boolean()
      .describe('every signature over them is valid; see `signature` for whether the signer is trusted'),
    encrypted: z.boolean().describe('they came encrypted; what the outer header repeats was readable anyway'),
    fields: z
      .array(z.strictObject({ name: z.string(), value: z.string() }))
      .describe('the fields inside, unfolded, without those of MIME; show these'),
    differences: z
      .array(
        z.strictObject({
          name: z.string(),
          outer: z.string().nullable().describe('null if the outer header has no such field'),
          inner: z.string().nullable().describe('null if the protected header has no such field'),
          intended: z
            .boolean()
            .describe(
              'the sender says inside (HP-Outer) that it wrote the outer field like this, to hide the inner one',
            ),
        }),
      )
      .describe('where the outer header differs on author, recipients, date or subject'),
    legacyDisplay: z
      .array(z.number().int())
      .describe(
        'parts, counted as in the hand-off, whose text begins with a copy of such fields for readers without RFC 9788 (hp-legacy-display): the lines up to the first blank one; in HTML, the div of class header-protection-legacy-display',
      ),
  })
  .describe('what the protected octets say about the header of the message');

const outcome = {
  status: z.enum(['ok', 'failed']).describe('whether it could be decoded; a bad signature is not a failure'),
  error: z.strictObject({ code: z.enum(errorCodes), message: z.string() }).nullable(),
  encrypted: z.boolean().describe('there is at least one layer of encryption'),
  integrity: z
    .enum(['none', 'aead', 'signed'])
    .describe(
      'what shows that the content is unchanged: nothing, an authenticating cipher, a valid signature',
    ),
  signature: z
    .enum(['none', 'valid', 'untrusted', 'invalid'])
    .describe('the worst status among all signers of all layers'),
};

const layersSchema = z
  .array(layerSchema)
  .describe('from the outside in; on failure, as far as they were read');

const contentSchema = z
  .strictObject({
    contentType: z.string().nullable().describe('of the innermost entity; null if it has no MIME header'),
    octets: z.number(),
    sha256: hex.nullable().describe('of these octets; null if the caller did not request it'),
  })
  .nullable()
  .describe('what was decoded, exactly as it was protected; null on failure, or if there is none');

export const embeddedSchema = z.strictObject({
  path: z
    .string()
    .describe(
      'its number, such as 1.2, counted as in IMAP (RFC 9051); 1.2/3 is number 3 in the content of 1.2',
    ),
  contentType: z.string().describe('as the part says'),
  ...outcome,
  layers: layersSchema,
  content: contentSchema,
});

const addressSchema = z.strictObject({
  name: z.string(),
  address: z.string().describe('empty if it is not a valid address'),
});

export const senderSchema = z
  .strictObject({
    partner: z
      .string()
      .nullable()
      .describe(
        'the partner that it is from; null if it is from nobody known. In a conflict, the one whose certificate signed',
      ),
    by: z
      .enum(['signature', 'address', 'conflict'])
      .nullable()
      .describe(
        'signature: a certificate of the partner signed, or a trusted one that contains its address; address: the From field says so, which anyone can write; conflict: signer, From and Sender do not agree or cannot be read, so nothing is proven',
      ),
    from: z.array(addressSchema).describe('the From field of the message that is handed off'),
    sender: addressSchema
      .nullable()
      .describe('the Sender field if it is not the author: usually a provider; it proves nothing'),
  })
  .describe('who the message is from; added by the daemon, which knows the partners');

const policySchema = z
  .strictObject({
    shortfalls: z.array(z.strictObject({ code: z.enum(errorCodes), message: z.string() })),
  })
  .describe(
    'rules that the message falls short of, but that let it pass anyway (policy.shortfall: pass, policy.duplicates.action: flag); absent if there are none. Added by the daemon',
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
        'S/MIME parts below a multipart or in a forwarded mail, each decoded by itself; parts in the content of another one come after it. What they are worth says nothing about the message',
      ),
    truncated: z
      .boolean()
      .describe(
        'names, lists or recipients were cut (a cut text ends with …), because a verdict has room for 2 Mi characters of text from the sender: 1,000 for each text, 100 entries for each list. Signers are never left out',
      ),
  })
  .describe('What a message was worth, as found by the decoder of Sealpost');

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
