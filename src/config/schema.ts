/**
 * Every setting of Sealpost, once: name, type, default and documentation. The commented example, the
 * settings page and `sealpost check` are made from this file. Defaults are written as a person would write them.
 */
import { z } from 'zod';
import { logLevels } from '../log.ts';
import { protectionSettings } from './protection-settings.ts';
import { redisSettings } from './redis-settings.ts';
import { mailboxRequire, partnerRequire, strong } from './require-settings.ts';
import { spoolSettings } from './spool-settings.ts';
import { duration, size } from './units.ts';

const name = () =>
  z
    .string()
    .regex(/^[a-z0-9][a-z0-9._-]{0,62}$/i, 'use letters, digits, dot, underscore and hyphen, at most 63');
const path = () => z.string().min(1).meta({ format: 'path' });
const port = () => z.number().int().min(0).max(65535);

/** A secret never stands in the configuration itself: it comes from a file or from the environment. */
const secret = () =>
  z.union([
    z.strictObject({ file: path().describe('File that holds the secret; not readable by group or others.') }),
    z.strictObject({ env: z.string().min(1).describe('Environment variable that holds the secret.') }),
  ]);

const redis = redisSettings({ secret, path });

const spool = spoolSettings({ secret, path });

const tlsFiles = z.strictObject({
  cert: path().describe('Certificate chain in PEM.'),
  key: path().describe('Private key in PEM.'),
});

const smtp = z.strictObject({
  listen: z
    .array(
      z.strictObject({
        host: z.string().default('127.0.0.1').describe('Address to listen on.'),
        port: port().describe('Port to listen on.'),
        implicitTls: z
          .boolean()
          .default(false)
          .describe('TLS from the first octet (port 465) instead of STARTTLS.'),
      }),
    )
    .default([])
    .describe('Addresses of the SMTP listener. None: no mail is received over SMTP.'),
  hostname: z
    .string()
    .optional()
    .describe('Name in the greeting and in Received fields. Default: the name of the machine.'),
  tls: tlsFiles.optional().describe('Certificate for STARTTLS. Without it STARTTLS is not offered.'),
  requireTls: z.boolean().default(false).describe('Refuse MAIL before STARTTLS (530 5.7.0).'),
  maxSize: size('1KiB')
    .prefault('150MiB')
    .describe('Largest message; announced by SIZE, beyond it 552 5.3.4.'),
  maxConnections: z
    .number()
    .int()
    .min(1)
    .default(500)
    .describe(
      'Connections at a time, over all listeners, counted before TLS; further ones get 421, or are closed where TLS comes first.',
    ),
  maxConnectionsPerClient: z
    .number()
    .int()
    .min(1)
    .default(50)
    .describe('Connections at a time from one IPv4 address or one IPv6 network (/64).'),
  maxRecipients: z
    .number()
    .int()
    .min(1)
    .default(100)
    .describe('Recipients of one message; further ones get 452.'),
  commandTimeout: duration('1s').prefault('5m').describe('How long a client may be silent.'),
  handshakeTimeout: duration('1s')
    .prefault('30s')
    .describe('How long a TLS handshake may take, from the first octet or after STARTTLS.'),
  dataTimeout: duration('1s')
    .prefault('10m')
    .describe('How long DATA may take beyond what the minimum rate allows.'),
  dataMinimumRate: size('1B')
    .prefault('1KiB')
    .describe('Octets per second that a client must reach in DATA, on average, once dataTimeout is over.'),
  greetingDelay: duration()
    .prefault('100ms')
    .describe('Wait before the greeting to catch clients that talk too early. 0ms turns it off.'),
});

const identity = z.strictObject({
  name: name().describe('Name of this key in the log, the ledger and the verdict.'),
  certificate: path()
    .optional()
    .describe('Certificate in PEM or DER, further chain certificates may follow.'),
  key: path().optional().describe('Private key in PEM or DER; PKCS#8, PKCS#1 or SEC 1, encrypted or not.'),
  pkcs12: path()
    .optional()
    .describe('PKCS#12 file (.p12, .pfx) with key and certificates, in place of certificate and key.'),
  password: secret().optional().describe('Password of the key or PKCS#12 file.'),
});

const trust = z.strictObject({
  anchors: z
    .array(path())
    .default([])
    .describe('Root certificates that signers are trusted through, for all partners.'),
  intermediates: z.array(path()).default([]).describe('Certificates that may help to build a path.'),
  revocation: z
    .strictObject({
      mode: z
        .enum(['off', 'soft', 'hard'])
        .default('off')
        .describe(
          'Whether authorities are asked if a signer was revoked. soft: a signer of whom nothing can be found out stays trusted. hard: it does not.',
        ),
      hosts: z
        .array(z.string())
        .default([])
        .describe(
          'Hosts that may be asked for lists (CRL) and answers (OCSP): "crl.example.com", "*.example.com", "pki.example.com:8080". Addresses in certificates that lead elsewhere are not asked.',
        ),
      timeout: duration('100ms').prefault('5s').describe('Time for one request.'),
      maxSize: size('1KiB').prefault('20MiB').describe('Largest list or answer that is read.'),
      allowPrivate: z
        .boolean()
        .default(false)
        .describe('Allow addresses of loopback, private and link-local networks.'),
    })
    .prefault({})
    .describe('Asking authorities whether signers were revoked.'),
  aia: z
    .strictObject({
      fetch: z
        .boolean()
        .default(false)
        .describe(
          'Whether an issuer that a message does not bring along is fetched from the address that the certificate below it names (AIA, RFC 5280 section 4.2.2.1). What is fetched helps to build a path; it is never trusted by itself.',
        ),
      hosts: z
        .array(z.string())
        .default([])
        .describe('Hosts that may be asked for issuers, written as those of trust.revocation.hosts.'),
      timeout: duration('100ms').prefault('5s').describe('Time for one request; at most 8 for one message.'),
      maxSize: size('1KiB').prefault('256KiB').describe('Largest answer that is read.'),
      allowPrivate: z
        .boolean()
        .default(false)
        .describe('Allow addresses of loopback, private and link-local networks.'),
    })
    .prefault({})
    .describe('Fetching issuers that are missing.'),
});

const imap = z.strictObject({
  host: z.string().describe('Host of the IMAP server.'),
  port: port().optional().describe('Port; default 993 for implicit TLS, 143 else.'),
  tls: z
    .enum(['implicit', 'starttls', 'none'])
    .default('implicit')
    .describe('How the connection is secured. none is for loopback only.'),
  ca: path().optional().describe("Certificates to check the server with, in place of the system's."),
  user: z.string().describe('Login name.'),
  password: secret().optional().describe('Password.'),
  oauth2: z
    .strictObject({
      accessToken: secret()
        .optional()
        .describe('A bearer token that another program keeps fresh; read again at each login.'),
      tokenUrl: z.url().optional().describe('Token endpoint for the client credentials grant.'),
      clientId: z.string().optional().describe('Client id.'),
      clientSecret: secret().optional().describe('Client secret.'),
      scope: z.string().optional().describe('Scope, such as https://outlook.office365.com/.default.'),
    })
    .optional()
    .describe('OAuth 2.0 bearer login in place of a password.'),
  folder: z.string().default('INBOX').describe('Folder to read.'),
  action: z
    .enum(['move', 'seen', 'delete'])
    .default('move')
    .describe('What happens to a message after it was stored: moved, marked as seen, or deleted.'),
  moveTo: z
    .string()
    .default('Sealpost/Processed')
    .describe('Folder for the action move; made when it is missing.'),
  pollInterval: duration('1s')
    .prefault('1m')
    .describe('Time between polls where IDLE is not available, and at the latest.'),
  idle: z.boolean().default(true).describe('Use IDLE where the server has it.'),
  commandTimeout: duration('1s')
    .prefault('1m')
    .describe('How long the server may take to answer a command, whatever else it sends meanwhile.'),
  maxSize: size('1KiB').prefault('150MiB').describe('Larger messages are left in the folder and reported.'),
});

const directoryDestination = z.strictObject({
  type: z.literal('directory').describe('A folder of files.'),
  name: name().optional().describe('Name in the ledger; default: the type.'),
  path: path().describe('Folder; each message becomes a folder in it, complete when it appears.'),
});
const webhookDestination = z.strictObject({
  type: z.literal('webhook').describe('An HTTP request to your system.'),
  name: name().optional().describe('Name in the ledger; default: the type.'),
  url: z.url({ protocol: /^https?$/ }).describe('Where the JSON is posted.'),
  secret: secret().describe('Key of the HMAC-SHA-256 signature of each request.'),
  inlineLimit: size()
    .prefault('1MiB')
    .describe('Content up to this size stands in the JSON as base64; larger content by a signed URL.'),
  timeout: duration('100ms').prefault('30s').describe('Time for one request.'),
  allowPrivate: z
    .boolean()
    .default(false)
    .describe('Allow addresses of loopback, private and link-local networks.'),
  ca: path().optional().describe("Certificates to check the server with, in place of the system's."),
});
const queueDestination = z.strictObject({
  type: z.literal('queue').describe('A BullMQ queue that your own workers read.'),
  name: name().optional().describe('Name in the ledger; default: the type.'),
  queue: name().describe('Name of the BullMQ queue for your own workers.'),
  prefix: z.string().optional().describe('Key prefix of that queue; default: redis.prefix.'),
  inlineLimit: size()
    .prefault('256KiB')
    .describe('Content up to this size stands in the job as base64; larger content by a signed URL.'),
});
const destination = z.discriminatedUnion('type', [
  directoryDestination,
  webhookDestination,
  queueDestination,
]);

const onSuspend = (what: string) =>
  z
    .strictObject({
      destination: destination.describe('Where the error report goes: a directory, webhook or queue.'),
      include: z
        .enum(['none', 'original'])
        .default('none')
        .describe(`original: the report has the message beside it, ${what}.`),
    })
    .optional()
    .describe(
      'A destination that is told of each message that is suspended. The message stays suspended, for a person to resume or terminate.',
    );

const mailbox = z.strictObject({
  name: name().describe('Name of the mailbox.'),
  addresses: z
    .array(z.string())
    .default([])
    .describe(
      'Recipient addresses that the SMTP listener takes for this mailbox; "@example.com" stands for a whole domain, "@*.example.com" for all domains below it (and not for it).',
    ),
  imap: imap.optional().describe('An IMAP folder to read.'),
  identities: z
    .array(name())
    .min(1)
    .optional()
    .describe('Identities that may decrypt mail of this mailbox. Default: all.'),
  trust: z
    .strictObject({
      anchors: z.array(path()).default([]).describe('Root certificates that signers are trusted through.'),
      intermediates: z.array(path()).default([]).describe('Certificates that may help to build a path.'),
    })
    .prefault({})
    .describe('Trust beside the global one.'),
  notSmime: z
    .enum(['pass', 'suspend'])
    .default('suspend')
    .describe('Mail that is neither signed nor encrypted: hand it off with its verdict, or suspend it.'),
  duplicates: z
    .enum(['drop', 'deliver'])
    .default('drop')
    .describe(
      'The same octets again within retention.duplicates, for whichever recipient of the mailbox: drop: answered, noted with its sender and recipients in the events of the first, and not handed off a second time. What was terminated is no duplicate. deliver: each arrival is a message of its own, also a repetition after a lost reply.',
    ),
  duplicatesBy: z
    .enum(['content', 'message-id', 'uid'])
    .default('content')
    .describe(
      'What makes two arrivals the same message for duplicates: drop. content: the octets (SHA-256). message-id: the Message-ID field, where there is one, also when the octets differ; whoever knows a Message-ID can then keep the genuine message out. uid: the UIDVALIDITY and UID of an IMAP message, so that the same octets may come twice. What does not have the named thing goes by its octets.',
    ),
  require: mailboxRequire,
  bodyPart: z
    .strictObject({
      contentType: z.string().optional().describe('Content type of the part to take as the body part.'),
      index: z.number().int().min(0).default(0).describe('Number of the part, from 1; 0 is off.'),
    })
    .prefault({})
    .describe(
      'Which MIME part is the body part. Default order: Content-Description "body", then text/xml, then text/*, then the first part.',
    ),
  destinations: z
    .array(destination)
    .min(1)
    .describe('Where decoded messages go; each of them gets every message.'),
  onSuspend: onSuspend('as it came'),
});

const partner = z.strictObject({
  name: name().describe('Name of the partner.'),
  addresses: z
    .array(z.string())
    .min(1)
    .describe(
      'Mail addresses of the partner; "@example.com" stands for a whole domain, "@*.example.com" for all domains below it (and not for it). The first full address is where mail is sent.',
    ),
  require: partnerRequire,
  certificates: z
    .array(path())
    .default([])
    .describe('Certificates to encrypt with, and signer certificates that are trusted as pinned.'),
  ...protectionSettings(name),
  from: z.string().optional().describe('Envelope sender, and From of messages that have none.'),
  route: z
    .strictObject({
      host: z
        .string()
        .optional()
        .describe(
          "Host of the partner's or your own outgoing server. Without it the MX records of the recipient's domain are used.",
        ),
      port: port().default(25).describe('Port.'),
      tls: z
        .enum(['opportunistic', 'required', 'implicit', 'none'])
        .default('required')
        .describe('TLS: STARTTLS when offered, STARTTLS always, from the first octet, or never.'),
      ca: path().optional().describe("Certificates to check the server with, in place of the system's."),
      user: z.string().optional().describe('Login name.'),
      password: secret().optional().describe('Password.'),
      connections: z.number().int().min(1).default(5).describe('Connections at a time.'),
    })
    .prefault({})
    .describe('How mail reaches the partner.'),
  onSuspend: onSuspend('readable, as your system gave it'),
});

const retry = z.strictObject({
  attempts: z.number().int().min(1).default(20).describe('Attempts before the message is suspended.'),
  firstDelay: duration('100ms')
    .prefault('5s')
    .describe('Wait after the first failure; it doubles each time, with jitter.'),
  maxDelay: duration('100ms').prefault('1h').describe('Longest wait.'),
});

const queueLimit = (what: string) =>
  z
    .strictObject({
      depth: z.number().int().min(1).default(500_000).describe('Most messages that wait or are worked on.'),
      octets: size('1KiB').prefault('50GiB').describe('Most octets of these messages.'),
    })
    .prefault({})
    .describe(what);

const limits = z.strictObject({
  layers: z.number().int().min(1).default(10).describe('Nested S/MIME layers.'),
  parts: z.number().int().min(1).default(1000).describe('MIME parts of one message.'),
  depth: z.number().int().min(1).default(50).describe('Nesting of MIME parts.'),
  headerSize: size('1KiB').prefault('100KiB').describe('Size of one header block.'),
  work: z
    .number()
    .int()
    .min(10_000)
    .default(1_000_000)
    .describe(
      'Work that one message may cost, in all its layers, signers, certificates, recipients, parts and names together: in units of about a microsecond on a core of 2 to 3 GHz, counted by operations and not by time. A message of 5 MiB may cost twice this, and so on. Beyond it the message is suspended (work-limit).',
    ),
  output: size('1KiB')
    .prefault('16MiB')
    .describe(
      'Octets that one message may become by decompression, in all its layers together; for each octet that it has itself 32 more. Beyond it the message is suspended (output-limit).',
    ),
  queue: z
    .strictObject({
      inbound: queueLimit('Received, not decoded yet.'),
      handoff: queueLimit('Decoded, not with every destination yet; beyond it nothing more is received.'),
      outbound: queueLimit('To be sent.'),
    })
    .prefault({})
    .describe(
      'Beyond these nothing new is accepted (SMTP: 452; IMAP: polling pauses) until there is room again.',
    ),
  redisMemory: z
    .number()
    .int()
    .min(10)
    .max(100)
    .default(85)
    .describe(
      'Percent of the maxmemory of Redis (without one: of the memory of its machine) from which nothing new is accepted, until it is 5 points lower. What was accepted goes on, and needs the rest.',
    ),
  diskFree: size()
    .prefault('512MiB')
    .describe(
      'Free space of the disk with the spool folder (and the private Redis server) below which nothing new is accepted, until there is a quarter more; at most a twentieth of the disk.',
    ),
});

const workers = z.strictObject({
  decrypt: z.number().int().min(0).default(0).describe('Decrypt processes; 0: one for each core.'),
  handoff: z.number().int().min(1).default(1).describe('Handoff processes.'),
  outbound: z.number().int().min(1).default(1).describe('Outbound processes.'),
  concurrency: z
    .number()
    .int()
    .min(1)
    .default(64)
    .describe(
      'Jobs that one process has in hand at a time. Most of the time they wait for the disk of Redis: more of them share one fsync. Each partner, destination and mailbox may have one more, so that none waits for the others.',
    ),
  large: z
    .number()
    .int()
    .min(1)
    .default(4)
    .describe(
      'Messages above spool.inlineLimit that one process works on at a time; each takes memory for its pieces.',
    ),
  drainTimeout: duration().prefault('30s').describe('Time for what is in flight when the daemon stops.'),
});

const retention = z.strictObject({
  original: duration()
    .prefault('0s')
    .describe('How long the original octets of a delivered message are kept.'),
  ledger: duration().prefault('30d').describe('How long the ledger remembers a message that has ended.'),
  records: z
    .number()
    .int()
    .min(0)
    .default(2_000_000)
    .describe(
      'Most messages that have ended in the ledger; beyond it the oldest are forgotten. 0: no limit.',
    ),
  audit: duration().prefault('365d').describe('How long the audit trail is kept.'),
  duplicates: duration().prefault('7d').describe('How long a message is known as already received.'),
});

const http = z.strictObject({
  host: z
    .string()
    .default('127.0.0.1')
    .describe('Address of the HTTP listener for health, metrics and signed content URLs.'),
  port: port().optional().describe('Port; without it there is no HTTP listener.'),
  publicUrl: z
    .url()
    .optional()
    .describe('How your systems reach the HTTP listener, for signed URLs. Default: http://host:port.'),
});

export const configSchema = z.strictObject({
  dataDir: path()
    .default('/var/lib/sealpost')
    .describe('Folder for the private Redis server, the spool and the generated spool key.'),
  redis: redis.prefault({}).describe('The queue and store.'),
  spool: spool.prefault({}).describe('Where the octets of messages lie, sealed.'),
  smtp: smtp.prefault({}).describe('The SMTP listener.'),
  identities: z
    .array(identity)
    .default([])
    .describe(
      'Your own keys. All of them may decrypt; partners name the one that signs. Keep old ones for mail that is still on its way.',
    ),
  trust: trust.prefault({}).describe('Trust anchors for signers.'),
  mailboxes: z.array(mailbox).default([]).describe('Where partners send to, and where it goes from there.'),
  partners: z.array(partner).default([]).describe('Who you exchange mail with.'),
  retry: retry.prefault({}).describe('Schedule of repeated attempts, for hand-off and sending.'),
  strong,
  limits: limits.prefault({}).describe('Limits for what is accepted as a message.'),
  workers: workers.prefault({}).describe('Processes.'),
  retention: retention.prefault({}).describe('How long things are kept.'),
  http: http.prefault({}).describe('HTTP listener.'),
  log: z
    .strictObject({
      level: z.enum(logLevels).default('info').describe('Least severity that is logged.'),
    })
    .prefault({})
    .describe('Logging: JSON lines on standard error.'),
});

export type Config = z.output<typeof configSchema>;
export type MailboxConfig = Config['mailboxes'][number];
export type PartnerConfig = Config['partners'][number];
export type DestinationConfig = MailboxConfig['destinations'][number];
export type Secret = z.output<ReturnType<typeof secret>>;
