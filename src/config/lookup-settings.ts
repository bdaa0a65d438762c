/** Where certificates of partners are looked up. */
import { z } from 'zod';
import { duration } from './units.ts';

interface Parts {
  secret: () => z.ZodType<{ file: string } | { env: string }>;
  name: () => z.ZodString;
  path: () => z.ZodString;
}

export function lookupSettings({ secret, name, path }: Parts) {
  const named = { name: name().describe('Name of the directory; partners name it in lookup.') };
  const ldap = z.strictObject({
    ...named,
    kind: z.literal('ldap').describe('A directory that is asked over LDAP (RFC 4511).'),
    url: z
      .string()
      .describe(
        'ldaps://HOST or ldaps://HOST:PORT. With ldap://, StartTLS comes before anything else. It is never asked in clear text.',
      ),
    base: z.string().describe('Where in the tree the search begins, such as ou=people,dc=example,dc=com.'),
    attribute: z
      .string()
      .regex(/^[A-Za-z][A-Za-z0-9;-]{0,63}$/, 'is not the name of an attribute')
      .default('mail')
      .describe('Attribute that has the mail address.'),
    user: z
      .string()
      .optional()
      .describe('DN to log in with. Without it, the directory is asked anonymously.'),
    password: secret().optional().describe('Password of user.'),
    ca: path().optional().describe("CA certificates to verify the directory with, instead of the system's."),
    serverName: z
      .string()
      .optional()
      .describe('Name in the certificate of the directory. Default: the host of url.'),
  });
  const smimea = z.strictObject({
    ...named,
    kind: z
      .literal('smimea')
      .describe('SMIMEA records in DNS (RFC 8162), validated with DNSSEC by the resolver of dns.'),
  });
  const cert = z.strictObject({
    ...named,
    kind: z
      .literal('cert')
      .describe(
        'CERT records in DNS (RFC 4398), of an address or its whole domain, as Direct uses them; validated like smimea.',
      ),
  });
  const folder = z.strictObject({
    ...named,
    kind: z.literal('folder').describe('A folder of certificates (.pem, .cer, .crt, .der, .p7b, .p7c).'),
    path: path().describe('The folder. Folders inside of it are not read.'),
  });
  return z
    .strictObject({
      directories: z
        .array(z.discriminatedUnion('kind', [ldap, smimea, cert, folder]))
        .default([])
        .describe('The directories.'),
      remember: duration('1m')
        .prefault('1d')
        .describe('How long what a directory said about an address is remembered, and not asked again.'),
    })
    .prefault({})
    .describe(
      'Directories in which certificates of partners are looked up. What is found waits for approval (sealpost certs list --state waiting); nothing is encrypted for it before. Only addresses of partners that name a directory are looked up, never those of other senders.',
    );
}

/** What a partner says about look-ups. */
export const partnerLookup = ({ name }: Pick<Parts, 'name'>) =>
  z
    .array(name())
    .default([])
    .describe(
      'Directories (lookup.directories) to ask for certificates of this partner. They are asked as long as no certificate for encryption is valid for 30 more days, and when you run sealpost certs lookup.',
    );
