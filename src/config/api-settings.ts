/** The HTTP API for programs: where it listens, whom it trusts, and limits for one request or client. */
import { z } from 'zod';
import { duration, size } from './units.ts';

/** @param kinds the types for ports and certificates */
export const apiSettings = <P extends z.ZodType, T extends z.ZodType>(kinds: {
  port: () => P;
  tlsFiles: T;
}) => {
  const count = (most: number) => z.number().int().min(1).default(most);
  return z.strictObject({
    host: z
      .string()
      .default('127.0.0.1')
      .describe('Address of the API. Any but loopback needs tls or trustedProxies.'),
    port: kinds.port().optional().describe('Port. Without it, there is no API.'),
    hostnames: z
      .array(z.string().min(1))
      .default([])
      .describe(
        'Names by which programs reach the API, as in the Host field of their requests. localhost, loopback addresses and host are known without being listed; requests to any other name get 421.',
      ),
    tls: kinds.tlsFiles.optional().describe('Certificate of the API. Without it, the API speaks clear text.'),
    trustedProxies: z
      .array(z.string())
      .default([])
      .describe(
        'Addresses or networks (10.0.0.0/8) of proxies that end TLS before the API. Only these may say who the client is (X-Forwarded-For), and they must say that it came over TLS (X-Forwarded-Proto: https).',
      ),
    maxSize: size('1KiB').prefault('150MiB').describe('Maximum size of a message that is streamed.'),
    maxJsonSize: size('1KiB').prefault('10MiB').describe('Maximum size of a request in JSON.'),
    maxConnections: count(500).describe(
      'Maximum concurrent connections. Beyond it, one without a request is closed, or else the new one.',
    ),
    maxConnectionsPerAddress: count(100).describe(
      'Maximum concurrent connections from one address, or one network of IPv6 (64 bits); trusted proxies have no limit of their own.',
    ),
    maxRequestsPerClient: count(50).describe(
      'Maximum concurrent requests of one client. Further ones get 429.',
    ),
    requestsPerMinute: z
      .number()
      .int()
      .min(0)
      .default(30_000)
      .describe('Maximum requests of one token per minute, of any kind. 0: no limit.'),
    bodyTimeout: duration('1s')
      .prefault('30s')
      .describe('How long a client may take for a body, beyond what its octets need at bodyMinimumRate.'),
    bodyMinimumRate: size('1B')
      .prefault('10KiB')
      .describe('Octets per second. A client that sends at least at this average rate is never cut off.'),
  });
};

/** @param kinds the types for secrets and paths */
export const eventsSettings = <S extends z.ZodType, P extends z.ZodType>(kinds: {
  secret: () => S;
  path: () => P;
}) =>
  z.strictObject({
    url: z.url({ protocol: /^https?$/ }).describe('URL that the JSON is posted to.'),
    secret: kinds.secret().describe('Key of the HMAC-SHA-256 signature of each request.'),
    timeout: duration('100ms').prefault('30s').describe('Timeout of one request.'),
    allowPrivate: z.boolean().default(false).describe('Allow loopback, private and link-local addresses.'),
    ca: kinds
      .path()
      .optional()
      .describe("CA certificates to verify the server with, instead of the system's."),
  });
