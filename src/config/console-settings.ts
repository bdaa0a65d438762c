/**
 * The console for people: where it listens, whom it trusts, how long a login lasts, and which other identity providers
 * may log people in.
 */
import { z } from 'zod';
import { duration } from './units.ts';

/** @param kinds the types for ports, certificates, secrets and names */
export const consoleSettings = <
  P extends z.ZodType,
  T extends z.ZodType,
  S extends z.ZodType,
  N extends z.ZodType,
>(kinds: {
  port: () => P;
  tlsFiles: T;
  secret: () => S;
  name: () => N;
}) => {
  const count = (most: number) => z.number().int().min(1).default(most);
  const names = () => z.union([z.literal('*'), z.array(kinds.name())]).default('*');
  const oidc = z.strictObject({
    issuer: z
      .url({ protocol: /^https?$/ })
      .describe('Issuer, as written in its ID tokens. http only on loopback.'),
    clientId: z.string().min(1).describe('Client id of the console there.'),
    clientSecret: kinds.secret().describe('Client secret of the console there.'),
    url: z
      .url({ protocol: /^https?$/ })
      .describe(
        'URL by which people reach the console, such as https://console.example.com. The provider is told to send them back to it, at /login/oidc/back.',
      ),
    scopes: z.string().default('openid profile').describe('Scopes to request.'),
    groupsClaim: z
      .string()
      .min(1)
      .default('groups')
      .describe('Claim of the ID token that lists the groups of a person.'),
    groups: z
      .array(
        z.strictObject({
          group: z.string().min(1).describe('The group, as the claim has it.'),
          role: z.enum(['viewer', 'operator', 'administrator']).describe('Role of its members.'),
          mailboxes: names().describe("Mailboxes whose mail they see; '*' for all."),
          partners: names().describe("Partners whose mail they see; '*' for all."),
          content: z.boolean().default(false).describe('They may read the content of messages.'),
        }),
      )
      .default([])
      .describe(
        'What groups may do. The first matching entry counts. People in none of these groups are refused.',
      ),
    session: duration('1m')
      .prefault('1h')
      .describe(
        'How long a login through the provider lasts at most. A person who is disabled there loses access to the console after this time; sealpost users disable takes effect at once.',
      ),
  });
  return z.strictObject({
    host: z
      .string()
      .default('127.0.0.1')
      .describe('Address of the console. Any but loopback needs tls or trustedProxies.'),
    port: kinds.port().optional().describe('Port. Without it, there is no console.'),
    hostnames: z
      .array(z.string().min(1))
      .default([])
      .describe(
        'Names by which people reach the console, as in the address bar. localhost, loopback addresses and host are known without being listed; requests to any other name get 421.',
      ),
    publicUrl: z
      .url({ protocol: /^https?$/ })
      .optional()
      .describe(
        'URL by which people reach the console, such as https://console.example.com; the one of console.oidc without it. Passkeys are bound to its name: without a name, there are none, and under a different name, existing ones no longer work.',
      ),
    tls: kinds.tlsFiles.optional().describe('Certificate of the console. Without it, it speaks clear text.'),
    trustedProxies: z
      .array(z.string())
      .default([])
      .describe(
        'Addresses or networks (10.0.0.0/8) of proxies that end TLS before the console. Only these may say who the client is (X-Forwarded-For), and they must say that it came over TLS (X-Forwarded-Proto: https).',
      ),
    idle: duration('1m').prefault('30m').describe('A login ends after this time without a request.'),
    session: duration('1m').prefault('12h').describe('A login ends after this time in any case.'),
    stepUp: duration('10s')
      .prefault('5m')
      .describe('How long a proof of identity counts for acts that ask for it again.'),
    secondFactor: z
      .boolean()
      .default(true)
      .describe('Require a code from an authenticator app (TOTP) or a passkey in addition to a password.'),
    fourEyes: z
      .boolean()
      .default(false)
      .describe(
        'Acts that cannot be undone need a second person, who confirms in the console. Tokens of the API cannot do them at all.',
      ),
    maxConnections: count(500).describe(
      'Maximum concurrent connections. Beyond it, one without a request is closed, or else the new one.',
    ),
    maxConnectionsPerAddress: count(100).describe(
      'Maximum concurrent connections from one address, or one network of IPv6 (64 bits); trusted proxies have no limit of their own.',
    ),
    maxRequestsPerPerson: count(50).describe(
      'Maximum concurrent requests of one person, from all browsers and addresses. A page that shows live events counts as one of them. Further ones get 429.',
    ),
    requestsPerMinute: count(1200).describe('Maximum requests of one login per minute.'),
    oidc: oidc.optional().describe('People of your OpenID Connect provider may log in.'),
  });
};
