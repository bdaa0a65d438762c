/**
 * Every setting of Sealpost once, with name, type, default and documentation. The commented example, the settings page
 * and `sealpost check` are made from this file. Defaults are written as you would write them in the file.
 */
import { z } from 'zod';
import { alertSettings } from './alert-settings.ts';
import { apiSettings, eventsSettings } from './api-settings.ts';
import { consoleSettings } from './console-settings.ts';
import { destinationSettings } from './destination-settings.ts';
import { dkimSettings } from './dkim-settings.ts';
import { clientQueueSettings, folderSettings } from './door-settings.ts';
import { limits } from './limit-settings.ts';
import { lookupSettings, partnerLookup } from './lookup-settings.ts';
import { oauth2Settings } from './oauth2-settings.ts';
import { httpSettings, logSettings, traceSettings } from './operation-settings.ts';
import {
  explainSettings,
  mailboxRequire,
  partnerRequire,
  policySettings,
  strong,
  unresolved,
} from './policy-settings.ts';
import { minimumProfile, partnerProfile, profileSettings } from './profile-schema.ts';
import { protectionSettings } from './protection-settings.ts';
import { redisSettings } from './redis-settings.ts';
import { retry } from './retry-settings.ts';
import { dnsSettings, routeSettings } from './route-settings.ts';
import { backupSettings, sendingSettings } from './sending-settings.ts';
import { spoolSettings } from './spool-settings.ts';
import {
  certificateEntry,
  encryptToSetting,
  expirySettings,
  noticesToSetting,
  ownUses,
  partnerRevocation,
  signerSettings,
  termSettings,
} from './term-settings.ts';
import { duration, size } from './units.ts';

// a process checks one configuration, and compiling a checker for it takes longer than the check
z.config({ jitless: true });

const name = () =>
  z
    .string()
    .regex(
      /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/,
      'use letters, digits, dot, underscore and hyphen, at most 63',
    );
const path = () => z.string().min(1).meta({ format: 'path' });
const port = () => z.number().int().min(0).max(65535);

/** A secret is never part of the configuration itself. It comes from a file or from the environment. */
const secret = () =>
  z.union([
    z.strictObject({
      file: path().describe('File that contains the secret. It must not be readable by group or others.'),
    }),
    z.strictObject({ env: z.string().min(1).describe('Environment variable that contains the secret.') }),
  ]);

const redis = redisSettings({ secret, path });

const spool = spoolSettings({ secret, path });

const tlsPair = {
  cert: path().describe('Certificate chain in PEM.'),
  key: path().describe('Private key in PEM.'),
  ...termSettings('The pair is used'),
};
const tlsFiles = z.strictObject({
  ...tlsPair,
  next: z
    .array(z.strictObject(tlsPair))
    .optional()
    .describe(
      'Further pairs, for the time after this one. Of all pairs in force, the one that began last is used. Neither a change of pair nor a renewed file needs a restart.',
    ),
});

const api = apiSettings({ port, tlsFiles });

const smtp = z.strictObject({
  listen: z
    .array(
      z.strictObject({
        host: z.string().default('127.0.0.1').describe('Address to listen on.'),
        port: port().describe('Port to listen on.'),
        kind: z
          .enum(['mx', 'submission'])
          .default('mx')
          .describe(
            'mx: mail from anybody, for the addresses of the mailboxes. submission: mail that your programs send to partners (ports 587 and 465); they log in with a token of sealpost tokens add, or with a client certificate. Needs smtp.tls.',
          ),
        implicitTls: z
          .boolean()
          .default(false)
          .describe('Use TLS from the first octet (port 465) instead of STARTTLS.'),
      }),
    )
    .default([])
    .describe(
      'Addresses that the SMTP listener binds to. Without any, nothing is received or submitted over SMTP.',
    ),
  hostname: z
    .string()
    .optional()
    .describe('Host name in the SMTP greeting, and in EHLO when sending. Default: the name of the machine.'),
  tls: tlsFiles
    .optional()
    .describe('Certificate for STARTTLS and implicit TLS. Without it, STARTTLS is not offered.'),
  requireTls: z.boolean().default(false).describe('Refuse MAIL before STARTTLS (530 5.7.0).'),
  maxSize: size('1KiB')
    .prefault('150MiB')
    .describe('Maximum message size. Announced in SIZE; larger messages get 552 5.3.4.'),
  maxConnections: z
    .number()
    .int()
    .min(1)
    .default(500)
    .describe(
      'Maximum concurrent connections over all listeners, counted before TLS. Where there are listeners of both kinds, one kind gets at most four fifths of them. Further connections get 421, or are closed on implicit TLS ports.',
    ),
  maxConnectionsPerClient: z
    .number()
    .int()
    .min(1)
    .default(50)
    .describe('Maximum concurrent connections from one IPv4 address or one IPv6 network (/64).'),
  maxRecipients: z
    .number()
    .int()
    .min(1)
    .default(100)
    .describe('Maximum recipients of one message. Further recipients get 452.'),
  commandTimeout: duration('1s').prefault('5m').describe('How long a client may be silent.'),
  handshakeTimeout: duration('1s')
    .prefault('30s')
    .describe('How long a TLS handshake may take, with implicit TLS or after STARTTLS.'),
  dataTimeout: duration('1s')
    .prefault('10m')
    .describe(
      'How long DATA may take, in addition to the time that the data received needs at dataMinimumRate.',
    ),
  dataMinimumRate: size('1B')
    .prefault('1KiB')
    .describe(
      'Octets per second. A client that sends at least at this average rate never exceeds dataTimeout.',
    ),
  greetingDelay: duration()
    .prefault('100ms')
    .describe('Delay before the greeting, to catch clients that talk too early. 0ms turns it off.'),
});

const identity = z.strictObject({
  name: name().describe(
    'Name of this key in the log, the ledger and the verdict. Entries with the same name are one identity over time: the newest of them that is in force signs.',
  ),
  certificate: path()
    .optional()
    .describe('Certificate in PEM or DER. Further certificates of its chain may follow.'),
  key: path().optional().describe('Private key in PEM or DER: PKCS#8, PKCS#1 or SEC 1, encrypted or not.'),
  pkcs12: path()
    .optional()
    .describe('PKCS#12 file (.p12, .pfx) with key and certificates, instead of certificate and key.'),
  password: secret().optional().describe('Password of the key or PKCS#12 file.'),
  use: z
    .array(z.enum(ownUses))
    .min(1)
    .default([...ownUses])
    .describe('What the key is for: decrypt, sign. Its key usage must allow it, too.'),
  ...termSettings('The key signs', ' It decrypts before and after, as long as the entry exists.'),
});

const trust = z.strictObject({
  anchors: z.array(path()).default([]).describe('Root certificates for signers, trusted for all partners.'),
  intermediates: z
    .array(path())
    .default([])
    .describe(
      'Intermediate certificates for building certificate paths. They are not trusted by themselves.',
    ),
  revocation: z
    .strictObject({
      mode: z
        .enum(['off', 'soft', 'hard'])
        .default('off')
        .describe(
          'Whether to check if a signer has been revoked. soft: a signer stays trusted if its status cannot be determined. hard: it does not. It is also the default of partners[].revocation, for certificates that mail is encrypted for.',
        ),
      hosts: z
        .array(z.string())
        .default([])
        .describe(
          'Hosts that may be contacted for CRLs and OCSP responses: "crl.example.com", "*.example.com", "pki.example.com:8080". URLs in certificates that point to other hosts are ignored.',
        ),
      timeout: duration('100ms').prefault('5s').describe('Timeout of one request.'),
      maxSize: size('1KiB').prefault('20MiB').describe('Maximum size of a CRL or OCSP response.'),
      allowPrivate: z.boolean().default(false).describe('Allow loopback, private and link-local addresses.'),
    })
    .prefault({})
    .describe('Revocation checks of signers, and of certificates of partners.'),
  aia: z
    .strictObject({
      fetch: z
        .boolean()
        .default(false)
        .describe(
          'Fetch an issuer certificate that is missing in a message from the URL in the certificate that it issued (AIA, RFC 5280 section 4.2.2.1). A fetched certificate helps to build a path; it is never trusted by itself.',
        ),
      hosts: z
        .array(z.string())
        .default([])
        .describe('Hosts that may be contacted for issuers, in the form of trust.revocation.hosts.'),
      timeout: duration('100ms')
        .prefault('5s')
        .describe('Timeout of one request. At most 8 requests are made for one message.'),
      maxSize: size('1KiB').prefault('256KiB').describe('Maximum size of a response.'),
      allowPrivate: z.boolean().default(false).describe('Allow loopback, private and link-local addresses.'),
    })
    .prefault({})
    .describe('Fetching of missing issuer certificates.'),
});

const imap = z.strictObject({
  host: z.string().describe('Host of the IMAP server.'),
  port: port().optional().describe('Port. Default: 993 for implicit TLS, otherwise 143.'),
  tls: z
    .enum(['implicit', 'starttls', 'none'])
    .default('implicit')
    .describe('How the connection is secured. none is allowed only on loopback.'),
  ca: path().optional().describe("CA certificates to verify the server with, instead of the system's."),
  user: z.string().describe('Login name.'),
  password: secret().optional().describe('Password.'),
  oauth2: oauth2Settings({ secret }),
  folder: z.string().default('INBOX').describe('Folder to read.'),
  action: z
    .enum(['move', 'seen', 'delete'])
    .default('move')
    .describe('What to do with a message once it has been stored: move it, mark it as seen, or delete it.'),
  moveTo: z
    .string()
    .default('Sealpost/Processed')
    .describe('Target folder of the action move. It is created if it does not exist.'),
  pollInterval: duration('1s')
    .prefault('1m')
    .describe('Interval between polls if IDLE is not available. With IDLE, the longest time between polls.'),
  idle: z.boolean().default(true).describe('Use IDLE if the server supports it.'),
  commandTimeout: duration('1s')
    .prefault('1m')
    .describe(
      'How long the server may take to answer a command, no matter what else it sends in the meantime.',
    ),
  maxSize: size('1KiB')
    .prefault('150MiB')
    .describe('Maximum message size. Larger messages stay in the folder and are reported.'),
});

const { destination, onSuspend } = destinationSettings({ name, secret, path, port, tlsFiles });

const mailbox = z.strictObject({
  name: name().describe('Name of the mailbox.'),
  addresses: z
    .array(z.string())
    .default([])
    .describe(
      'Recipient addresses for which the SMTP listener accepts mail. "@example.com" matches a whole domain; "@*.example.com" matches all domains below it, but not the domain itself.',
    ),
  imap: imap.optional().describe('An IMAP folder to read.'),
  identities: z
    .array(name())
    .min(1)
    .optional()
    .describe('Identities that may decrypt mail of this mailbox. Default: all.'),
  trust: z
    .strictObject({
      anchors: z.array(path()).default([]).describe('Root certificates for signers of this mailbox.'),
      intermediates: z
        .array(path())
        .default([])
        .describe(
          'Intermediate certificates for building certificate paths. They are not trusted by themselves.',
        ),
    })
    .prefault({})
    .describe('Trust anchors for this mailbox, in addition to the global ones.'),
  notSmime: z
    .enum(['pass', 'suspend'])
    .default('suspend')
    .describe(
      'What to do with mail that is neither signed nor encrypted: pass it on with its verdict, or suspend it.',
    ),
  duplicates: z
    .enum(['drop', 'deliver'])
    .default('drop')
    .describe(
      'What to do when the same octets arrive again within retention.duplicates, for any recipient of the mailbox. drop: accept them, note sender and recipients in the events of the first message, and do not hand them off again. A terminated message does not count. deliver: treat each arrival as a separate message, even a retransmission after a lost reply.',
    ),
  duplicatesBy: z
    .enum(['content', 'message-id', 'uid'])
    .default('content')
    .describe(
      'What identifies a duplicate for duplicates: drop. content: the octets (SHA-256). message-id: the Message-ID field, even if the octets differ; note that anyone who knows a Message-ID can then block the genuine message. uid: the UIDVALIDITY and UID of an IMAP message, so the same octets may arrive twice. A message without the chosen property is identified by its octets.',
    ),
  require: mailboxRequire,
  minimumProfile: minimumProfile(),
  unresolved,
  policy: policySettings(
    'Rules for the mail of this mailbox, in addition to require. Those of the partner apply as well.',
  ),
  keepSubjects: z
    .boolean()
    .default(false)
    .describe(
      'Keep the subject of each message (after decryption) in the ledger, as long as its record: up to 250 characters, sealed with the spool key. People with the right to content see it in lists, and can search by it.',
    ),
  bodyPart: z
    .strictObject({
      contentType: z.string().optional().describe('Content type of the body part.'),
      index: z
        .number()
        .int()
        .min(0)
        .default(0)
        .describe('Number of the body part, counted from 1. 0 is off.'),
    })
    .prefault({})
    .describe(
      'Which MIME part is the body part. Default: the first match of Content-Description "body", text/xml, text/*, any part.',
    ),
  destinations: z
    .array(destination)
    .min(1)
    .describe('Where decoded messages go. Every destination gets every message.'),
  onSuspend: onSuspend('as received'),
});

/** One partner: an entry of `partners`, or a whole partner file. */
export const partnerSchema = z.strictObject({
  name: name().describe('Name of the partner.'),
  formerNames: z
    .array(name())
    .default([])
    .describe(
      'Earlier names of the partner, the oldest first (sealpost partners rename writes them). Waiting mail, records, and grants of clients under these names remain valid. Do not remove a name as long as there are any.',
    ),
  addresses: z
    .array(z.string())
    .min(1)
    .describe(
      'Mail addresses of the partner. "@example.com" matches a whole domain; "@*.example.com" matches all domains below it, but not the domain itself. Mail is sent to the first full address.',
    ),
  require: partnerRequire,
  minimumProfile: minimumProfile(),
  policy: policySettings(
    'Rules for the mail of this partner, in addition to require. Those of the mailbox apply as well.',
  ),
  explain: explainSettings(),
  keepSubjects: z
    .boolean()
    .optional()
    .describe(
      'Keep the subjects of mail to and from the partner, whatever the mailbox says. Default: false for mail to the partner, keepSubjects of the mailbox for mail from it.',
    ),
  certificates: z
    .array(certificateEntry(path))
    .default([])
    .describe(
      "The partner's certificates: used to encrypt mail for the partner, and trusted (pinned) as signers. An entry is a path, or a group with the path as file.",
    ),
  profile: partnerProfile(),
  ...signerSettings({ path }),
  lookup: partnerLookup({ name }),
  encryptTo: encryptToSetting(),
  revocation: partnerRevocation(),
  noticesTo: noticesToSetting(),
  ...protectionSettings(name),
  from: z.string().optional().describe('Envelope sender, and From of messages without a From field.'),
  dkim: z
    .boolean()
    .default(true)
    .describe('Sign mail to this partner with DKIM, if there is a key for the domain of its From.'),
  route: routeSettings({ secret, path, port, tlsFiles }),
  ...sendingSettings,
  backup: backupSettings(routeSettings({ secret, path, port, tlsFiles })),
  onSuspend: onSuspend('readable, as your system submitted it'),
});

const workers = z.strictObject({
  decrypt: z.number().int().min(0).default(0).describe('Number of decrypt processes. 0: one per core.'),
  handoff: z.number().int().min(1).default(1).describe('Number of handoff processes.'),
  outbound: z.number().int().min(0).default(0).describe('Number of outbound processes. 0: one per core.'),
  concurrency: z
    .number()
    .int()
    .min(1)
    .default(64)
    .describe(
      'Maximum concurrent jobs of one process. Jobs mostly wait for the disk of Redis, and concurrent jobs share one fsync. Each partner, destination and mailbox may have one job more, so that none waits for the others. decrypt has at most 16 in hand, unless it asks authorities about certificates.',
    ),
  large: z
    .number()
    .int()
    .min(1)
    .default(4)
    .describe(
      'Maximum concurrent messages above spool.inlineLimit in one process. Each needs memory for its buffers.',
    ),
  drainTimeout: duration()
    .prefault('30s')
    .describe('How long the daemon waits for jobs in flight when it stops.'),
});

const retention = z.strictObject({
  original: duration()
    .prefault('0s')
    .describe('How long the original octets of a delivered message are kept.'),
  ledger: duration().prefault('30d').describe('How long the ledger keeps the record of a finished message.'),
  records: z
    .number()
    .int()
    .min(0)
    .default(2_000_000)
    .describe(
      'Maximum number of finished messages in the ledger. Beyond that, the oldest records are removed. 0: no limit.',
    ),
  audit: duration().prefault('365d').describe('How long the audit trail is kept.'),
  duplicates: duration()
    .prefault('7d')
    .describe('How long a received message is remembered, to detect duplicates.'),
});

const http = httpSettings({ port, secret });

export const configSchema = z.strictObject({
  dataDir: path()
    .default('/var/lib/sealpost')
    .describe('Folder for the private Redis server, the spool and the generated spool key.'),
  redis: redis.prefault({}).describe('The queue and store.'),
  spool: spool.prefault({}).describe('Encrypted storage of the message octets.'),
  smtp: smtp.prefault({}).describe('The SMTP listener.'),
  identities: z
    .array(identity)
    .default([])
    .describe(
      'Your own keys. All of them may decrypt; each partner names the one that signs. Keep old keys for mail that is still in transit.',
    ),
  trust: trust.prefault({}).describe('Trust anchors for signers.'),
  mailboxes: z
    .array(mailbox)
    .default([])
    .describe('Where partners send their mail, and where it goes from there.'),
  partners: z
    .array(partnerSchema)
    .default([])
    .describe(
      'The partners you exchange mail with, in addition to those that have their own file (partnerFiles).',
    ),
  partnerFiles: path()
    .default('partners')
    .describe(
      'Folder of partner files: each file *.yaml in it is one partner, with the settings of an entry of partners. Paths in it are relative to that file. The folder need not exist unless you name it here.',
    ),
  profiles: profileSettings({ path }),
  dkim: dkimSettings({ path }),
  dns: dnsSettings({ path, port }),
  lookup: lookupSettings({ secret, name, path }),
  folders: folderSettings({ name, path }),
  clientQueues: clientQueueSettings(),
  retry: retry.prefault({}).describe('Retry schedule for hand-off and sending, and replay.'),
  strong,
  limits: limits.prefault({}).describe('Limits for messages and queues.'),
  workers: workers.prefault({}).describe('Processes.'),
  expiry: expirySettings(path),
  retention: retention.prefault({}).describe('How long data is kept.'),
  http: http.prefault({}).describe('HTTP listener.'),
  events: eventsSettings({ secret, path })
    .optional()
    .describe(
      'A webhook that gets what happens to messages, as it happens: in order, each event at least once.',
    ),
  alerts: alertSettings({ name, secret, path }),
  api: api.prefault({}).describe('The HTTP API for your programs. Each needs a token: sealpost tokens add.'),
  console: consoleSettings({ port, tlsFiles, secret, name })
    .prefault({})
    .describe('The console for people, in a browser. The first person: sealpost users add.'),
  log: logSettings(),
  traces: traceSettings({ secret }),
});

export type Config = z.output<typeof configSchema>;
export type MailboxConfig = Config['mailboxes'][number];
export type PartnerConfig = Config['partners'][number];
export type DkimConfig = Config['dkim'][number];
export type FolderConfig = Config['folders'][number];
export type DestinationConfig = MailboxConfig['destinations'][number];
export type Secret = z.output<ReturnType<typeof secret>>;
