/** Schemas of requests and answers about people. */
import { z } from 'zod';
import { roles } from '../user/index.ts';

const isoTime = z.iso.datetime();
const names = z.union([z.literal('*'), z.array(z.string().max(63)).max(1000)]);

const rights = {
  role: z.enum(roles).describe('What it may do.'),
  mailboxes: names.describe("Mailboxes whose mail it sees; '*' for all."),
  partners: names.describe("Partners whose mail it sees; '*' for all."),
  content: z.boolean().describe('It may read the content of messages.'),
};

export const userInfo = z.object({
  name: z.string(),
  ...rights,
  disabled: z.boolean(),
  login: z.enum(['password', 'oidc', 'none']).describe('How it logs in; none before its first login.'),
  totp: z.boolean().describe('With an authenticator app.'),
  passkeys: z.number().int().describe('How many passkeys it has.'),
  invited: z.boolean().describe('Its invitation was not taken yet.'),
  subject: z
    .object({ issuer: z.string(), subject: z.string() })
    .nullable()
    .describe('Who it is at the OpenID Connect provider.'),
  groups: z
    .array(z.string())
    .nullable()
    .describe('Groups that its rights come from; null if they are its own.'),
  createdAt: isoTime,
  may: z.boolean().describe('Whether the client that asks may change it.'),
});
export type UserInfo = z.output<typeof userInfo>;

export const userList = z.object({ users: z.array(userInfo) });

export const userParams = z.object({ user: z.string().min(1).max(63).describe('Name of the person.') });

export const userAdd = z.strictObject({
  name: z
    .string()
    .min(1)
    .max(63)
    .describe('Its name for logins: letters, digits, dot, underscore, hyphen and @.'),
  role: rights.role,
  mailboxes: rights.mailboxes.default('*'),
  partners: rights.partners.default('*'),
  content: rights.content.default(false),
  subject: z
    .string()
    .min(1)
    .max(255)
    .describe('It logs in at the provider (console.oidc), where this is its subject.')
    .optional(),
});

export const userChange = z
  .strictObject({
    role: rights.role.optional(),
    mailboxes: rights.mailboxes.optional(),
    partners: rights.partners.optional(),
    content: rights.content.optional(),
  })
  .describe('The rights to replace.');

export const userInvited = z.object({
  user: userInfo,
  invitation: z
    .string()
    .nullable()
    .describe(
      'Code for /welcome in the console, shown this once and valid for a day; null for a login elsewhere.',
    ),
});

export const userActed = z.object({ user: userInfo });
export const userRemoved = z.object({ removed: z.string() });

export const failedLogins = z.object({
  failed: z.array(z.object({ at: isoTime, address: z.string() })).describe('Newest first; up to 200.'),
});
