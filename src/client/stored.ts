/** Clients and credentials as they are stored. */
import { z } from 'zod';
import { parseAddressEntry } from '../config/index.ts';
import { type Grants, type Scope, verbs } from './grants.ts';

const name = z.string().regex(/^[a-z0-9][a-z0-9._-]{0,62}$/i);
const names = z.union([z.literal('*'), z.array(name).max(1000)]);
const count = z.number().int().min(0);

const limitsSchema = z.strictObject({ messages: count, octets: count, size: count });
const grantsSchema = z.strictObject({
  verbs: z.array(z.enum(verbs)),
  partners: names,
  mailboxes: names,
  senders: z.union([
    z.literal('*'),
    z.array(z.string().refine((entry) => parseAddressEntry(entry) !== undefined)).max(1000),
  ]),
  identities: names,
  limits: limitsSchema,
}) satisfies z.ZodType<Grants>;

export const scopeSchema = grantsSchema.omit({ limits: true }).partial() satisfies z.ZodType<Scope>;

const time = z.number().int();
const clientSchema = z.strictObject({
  name: z.string(),
  grants: grantsSchema,
  /** Milliseconds since the epoch. */
  createdAt: time,
  /** SHA-256 of the public keys (SubjectPublicKeyInfo, hex) of certificates that log in as this client. */
  pins: z.array(z.string()).default([]),
  /** It has a queue in Redis for what it sends. */
  queue: z.boolean().optional(),
});
const credentialSchema = z.strictObject({
  id: z.string(),
  client: z.string(),
  /** What it is for, in the operator's words. */
  note: z.string().default(''),
  /** SHA-256 in hex. */
  hash: z.string(),
  scope: scopeSchema,
  /** Beside those of the client. */
  limits: limitsSchema.optional(),
  createdAt: time,
  expiresAt: time.nullable(),
});
export const documentSchema = z.strictObject({
  version: z.number().int(),
  clients: z.array(clientSchema),
  credentials: z.array(credentialSchema),
});
export type StoredClient = z.output<typeof clientSchema>;
export type StoredCredential = z.output<typeof credentialSchema>;
export type ClientDocument = z.output<typeof documentSchema>;
