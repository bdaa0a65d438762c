import { z } from 'zod';
import { oauth2Settings } from './oauth2-settings.ts';
import { duration, size } from './units.ts';

interface Parts {
  secret: () => z.ZodType<{ file: string } | { env: string }>;
  path: () => z.ZodString;
  port: () => z.ZodNumber;
  tlsFiles: z.ZodObject<{ cert: z.ZodString; key: z.ZodString }>;
}

/** The octets of a SHA-256 digest, in hex. */
const pin = () =>
  z.string().transform((text, context) => {
    const hex = /^(?:[0-9a-f]{2}:?){32}$/i.test(text) ? text.replaceAll(':', '').toLowerCase() : undefined;
    const base64 = /^sha256\/\/([A-Za-z0-9+/]{43}=)$/.exec(text)?.[1];
    const digest = hex ?? (base64 && Buffer.from(base64, 'base64').toString('hex'));
    if (digest !== undefined) return digest;
    context.addIssue({
      code: 'custom',
      message: 'is not a SHA-256 digest: write 64 hex digits or sha256//BASE64',
    });
    return z.NEVER;
  });

/** How much may be sent over a route. */
const rate = () =>
  z
    .strictObject({
      messages: z.number().min(0.001).optional().describe('Messages per second. 0.1 is one in ten seconds.'),
      octets: size('1B').optional().describe('Octets per second, counted as the mail is sent.'),
      burst: duration('1ms')
        .prefault('1s')
        .describe(
          'After a pause, as much may be sent at once as otherwise in this time; at least one message, however large.',
        ),
    })
    .optional()
    .describe(
      'How much may be sent, over all processes together. Anything beyond that waits, by priority and in order, and this does not count as an attempt.',
    );

/** What a connection to a mail server needs, whoever runs the server. */
export const serverSettings = <S extends ReturnType<Parts['secret']>, F extends z.ZodType>({
  secret,
  path,
  tlsFiles,
}: {
  secret: () => S;
  path: () => z.ZodString;
  tlsFiles: F;
}) => ({
  ca: path().optional().describe("CA certificates to verify the server with, instead of the system's."),
  pins: z
    .array(pin())
    .default([])
    .describe(
      "SHA-256 of the server's public key (SubjectPublicKeyInfo), in hex or as sha256//BASE64. One must match; name, issuer and validity of the certificate then do not matter.",
    ),
  clientCertificate: tlsFiles.optional().describe('Certificate that the server may ask for.'),
  dane: z
    .enum(['published', 'required', 'off'])
    .default('published')
    .describe(
      'DANE (RFC 7672), with the resolver of dns. published: if the domain publishes TLSA records, they decide whether its server is the right one. required: send only with such records. off: ignore them.',
    ),
  user: z.string().optional().describe('Login name.'),
  password: secret().optional().describe('Password.'),
  oauth2: oauth2Settings({ secret }),
  connections: z.number().int().min(1).default(5).describe('Maximum concurrent connections of one process.'),
  rate: rate(),
});

export const mtaSts = () =>
  z
    .boolean()
    .default(false)
    .describe(
      "MTA-STS (RFC 8461): fetch the policy of the recipient's domain over HTTPS and follow it. Only without host.",
    );

/** How mail is sent to a partner. */
export function routeSettings({ secret, path, port, tlsFiles }: Parts) {
  const { ca, pins, clientCertificate, dane, ...others } = serverSettings({ secret, path, tlsFiles });
  return z
    .strictObject({
      folder: path()
        .optional()
        .describe(
          'A folder instead of a server: each message becomes a file TIME-ID.eml, exactly as it would have been sent, with a file TIME-ID.json that says whom it is for. Another program takes them from there.',
        ),
      host: z
        .string()
        .optional()
        .describe(
          "The partner's mail server, or your own smarthost. Without it, the MX records of the recipient's domain are used.",
        ),
      port: port().default(25).describe('Port.'),
      tls: z
        .enum(['opportunistic', 'required', 'implicit', 'none'])
        .default('required')
        .describe(
          'opportunistic: use STARTTLS if it is offered; if that fails, try again later. required: always use STARTTLS, and verify the server. implicit: use TLS from the first octet, and verify the server. none: never use TLS.',
        ),
      ca,
      pins,
      clientCertificate,
      dane,
      mtaSts: mtaSts(),
      ...others,
    })
    .prefault({})
    .describe('How mail is sent to the partner.');
}

/** The resolver whose DNSSEC validation is trusted. */
export function dnsSettings({ path, port }: Pick<Parts, 'path' | 'port'>) {
  return z
    .strictObject({
      resolver: z
        .string()
        .describe(
          'IP address of a resolver that validates DNSSEC, such as unbound on this machine. It is trusted to validate, so it must be on loopback or be asked over TLS.',
        ),
      port: port().optional().describe('Port. Default: 53, with tls 853.'),
      tls: z.boolean().default(false).describe('Ask it over TLS (RFC 7858).'),
      name: z.string().optional().describe('Name in its certificate. Default: its address.'),
      ca: path().optional().describe("CA certificates to verify the resolver with, instead of the system's."),
    })
    .optional()
    .describe(
      'Resolver for MX, TLSA and TXT records when mail is sent. Without it, the system is asked, and there is no DANE.',
    );
}
