/** Schemas of requests and answers about clients and their tokens. */
import { z } from 'zod';
import { verbs } from '../client/index.ts';

const isoTime = z.iso.datetime();
const names = z.union([z.literal('*'), z.array(z.string().max(320)).max(1000)]);
const line = (most: number) =>
  z
    .string()
    .max(most)
    .regex(/^[^\p{Cc}\p{Cs}\u2028\u2029]*$/u, 'has a control character');
const count = z.number().int().min(0);

const granted = {
  verbs: z.array(z.enum(verbs)).describe('What it may do.'),
  partners: names.describe("Partners that it may send to and see mail for; '*' for all."),
  mailboxes: names.describe("Mailboxes whose mail it may see; '*' for all."),
  senders: names.describe("Addresses that its mail may come from, also @domain; '*' for any."),
  identities: names.describe("Identities that may sign its mail; '*' for all."),
};
const limits = {
  messages: count.describe('Messages a minute; 0 for no limit.'),
  octets: count.describe('Octets a minute; 0 for no limit.'),
  size: count.describe('Octets of a message; 0 for the limit of the door.'),
};
const some = {
  verbs: granted.verbs.optional(),
  partners: granted.partners.optional(),
  mailboxes: granted.mailboxes.optional(),
  senders: granted.senders.optional(),
  identities: granted.identities.optional(),
};
const someLimits = z
  .strictObject({
    messages: limits.messages.optional(),
    octets: limits.octets.optional(),
    size: limits.size.optional(),
  })
  .optional();
const pins = z
  .array(z.string().regex(/^[0-9a-f]{64}$/, 'is not a SHA-256 in hex'))
  .max(20)
  .describe('Public keys (SHA-256 of the SubjectPublicKeyInfo) of certificates that log in as this client.');

export const clientInfo = z.object({
  name: z.string(),
  grants: z.object({ ...granted, limits: z.object(limits) }),
  pins,
  queue: z.boolean().describe('It has a queue in Redis: sealpost clients queue.'),
  createdAt: isoTime,
  may: z.boolean().describe('Whether the client that asks may change it.'),
});
export type ClientInfo = z.output<typeof clientInfo>;

export const clientList = z.object({ clients: z.array(clientInfo) });
export const clientParams = z.object({ client: z.string().min(1).max(63).describe('Name of the client.') });
export const clientAdd = z.strictObject({
  name: z.string().min(1).max(63).describe('Letters, digits, dot, underscore and hyphen.'),
  ...some,
  limits: someLimits,
  pins: pins.optional(),
});
export const clientGrant = z
  .strictObject({ ...some, limits: someLimits, pins: pins.optional() })
  .describe('The grants to replace.');
export const clientActed = z.object({ client: clientInfo });
export const clientRemoved = z.object({ removed: z.string() });

export const tokenInfo = z.object({
  id: z.string(),
  client: z.string(),
  note: z.string().describe('What it is for.'),
  scope: z.object(some).describe('What narrows the grants of the client.'),
  limits: z.object(limits).describe('Limits beside those of the client, whichever is lower.'),
  createdAt: isoTime,
  expiresAt: isoTime.nullable().describe('null: until it is revoked.'),
  lastUsedAt: isoTime.nullable(),
  state: z.enum(['valid', 'expired']),
});
export type TokenInfo = z.output<typeof tokenInfo>;

export const tokenQuery = z.strictObject({
  client: line(63).describe('Only tokens of that client.').optional(),
});
export const tokenList = z.object({ tokens: z.array(tokenInfo) });
export const tokenParams = z.object({
  id: z.string().regex(/^[0-9A-Za-z]{10}$/, 'is not the id of a token'),
});

const expires = line(20).default('365d').describe('How long it is valid, such as 90d, or never.');
export const tokenAdd = z.strictObject({
  ...some,
  limits: someLimits.describe('Limits beside those of the client, whichever is lower.'),
  note: line(200).default('').describe('What it is for.'),
  expires,
});
export const tokenRotate = z.strictObject({
  expires,
  overlap: line(20).default('1d').describe('How long the old token stays valid, such as 1d, or 0s.'),
});
export const tokenMade = z.object({
  id: z.string(),
  token: z.string().describe('The token, shown this once.'),
  client: z.string(),
  expiresAt: isoTime.nullable(),
});
export const tokenRevoked = z.object({ revoked: z.string() });
