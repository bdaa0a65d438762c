/** People as they are stored: one sealed document. */
import { z } from 'zod';
import { roles } from './roles.ts';

export const personName = /^[a-z0-9][a-z0-9._@-]{0,62}$/i;

const names = z.union([z.literal('*'), z.array(z.string()).max(1000)]);
const time = z.number().int();

const passwordSchema = z.strictObject({
  /** In base64. */
  salt: z.string(),
  hash: z.string(),
  /** KiB of memory, and number of passes. */
  memory: z.number().int(),
  passes: z.number().int(),
});

/** A passkey (WebAuthn), of which only the public half is here. */
const passkeySchema = z.strictObject({
  /** Of the credential, in base64url. */
  id: z.string(),
  /** What its person calls it. */
  name: z.string(),
  /** COSE_Key (RFC 9052 section 7), in base64url. */
  publicKey: z.string(),
  /** The authenticator's count of signatures; always 0 if it does not count. */
  counter: z.number().int(),
  transports: z.array(z.string()),
  /** It may be copied to other devices of its person, and has been. */
  mayBeCopied: z.boolean(),
  isCopied: z.boolean(),
  createdAt: time,
  usedAt: time.nullable(),
});

const personSchema = z.strictObject({
  /** Never given to anybody else, unlike the name. */
  id: z.string(),
  name: z.string(),
  role: z.enum(roles),
  mailboxes: names,
  partners: names,
  content: z.boolean(),
  disabled: z.boolean(),
  /** Sessions of an earlier epoch have ended. */
  epoch: z.number().int(),
  createdAt: time,
  password: passwordSchema.nullable(),
  /** Secret of the authenticator app, in base32. */
  totp: z.string().nullable(),
  passkeys: z.array(passkeySchema).default([]),
  /** A code that is shown once, with which the person sets its password. */
  invitation: z.strictObject({ hash: z.string(), expiresAt: time }).nullable(),
  /** Its identity at an OpenID Connect provider. */
  subject: z.strictObject({ issuer: z.string(), subject: z.string() }).nullable(),
  /** Its rights are those of its groups there, as of the last login; null if they are stored here. */
  groups: z.array(z.string()).nullable(),
});

export const usersSchema = z.strictObject({ version: z.number().int(), people: z.array(personSchema) });

export type StoredPerson = z.output<typeof personSchema>;
export type StoredPasskey = z.output<typeof passkeySchema>;
export type StoredPassword = z.output<typeof passwordSchema>;
export type UsersDocument = z.output<typeof usersSchema>;
