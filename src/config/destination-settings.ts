/** Where decoded messages go, and reports of suspended ones. Each kind of destination has its own settings. */
import { z } from 'zod';
import { mtaSts, serverSettings } from './route-settings.ts';
import { bucketSettings } from './spool-settings.ts';
import { duration, size } from './units.ts';

type SecretType = z.ZodType<{ file: string } | { env: string }>;

interface Parts<S extends SecretType, F extends z.ZodType> {
  name: () => z.ZodString;
  secret: () => S;
  path: () => z.ZodString;
  port: () => z.ZodNumber;
  tlsFiles: F;
}

/** @param parts the types for names, secrets, paths, ports, and certificates with keys */
export function destinationSettings<S extends SecretType, F extends z.ZodType>(parts: Parts<S, F>) {
  const { name, secret, path, port } = parts;
  const directoryDestination = z.strictObject({
    type: z.literal('directory').describe('A folder of files.'),
    name: name().optional().describe('Name in the ledger. Default: the type.'),
    path: path().describe(
      'Folder for the messages. Each becomes a subfolder that is complete when it appears.',
    ),
  });
  const webhookDestination = z.strictObject({
    type: z.literal('webhook').describe('An HTTP request to your system.'),
    name: name().optional().describe('Name in the ledger. Default: the type.'),
    url: z.url({ protocol: /^https?$/ }).describe('URL that the JSON is posted to.'),
    secret: secret().describe('Key of the HMAC-SHA-256 signature of each request.'),
    inlineLimit: size()
      .prefault('1MiB')
      .describe(
        'Content up to this size is included in the JSON as base64. Larger content is offered by a signed URL.',
      ),
    timeout: duration('100ms').prefault('30s').describe('Timeout of one request.'),
    allowPrivate: z.boolean().default(false).describe('Allow loopback, private and link-local addresses.'),
    ca: path().optional().describe("CA certificates to verify the server with, instead of the system's."),
  });
  const queueDestination = z.strictObject({
    type: z.literal('queue').describe('A BullMQ queue for your own workers.'),
    name: name().optional().describe('Name in the ledger. Default: the type.'),
    queue: name().describe('Name of the BullMQ queue.'),
    prefix: z.string().optional().describe('Key prefix of that queue. Default: redis.prefix.'),
    inlineLimit: size()
      .prefault('256KiB')
      .describe(
        'Content up to this size is included in the job as base64. Larger content is offered by a signed URL.',
      ),
  });
  const mailServer = {
    name: name().optional().describe('Name in the ledger. Default: the type.'),
    port: port().optional().describe('Port. Default: 25 for smtp (465 with implicit TLS), 24 for lmtp.'),
    tls: z
      .enum(['opportunistic', 'required', 'implicit', 'none'])
      .default('required')
      .describe(
        'required: always use STARTTLS. implicit: use TLS from the first octet. opportunistic and none are allowed only on loopback, because the content is readable.',
      ),
    ...serverSettings(parts),
    recipients: z
      .array(z.string())
      .min(1)
      .describe(
        'Recipients of the mail: addresses such as "archive@erp.example", whose local part may contain {mailbox}, {partner} and {local} (the local part of each recipient that the message came for); or "{recipient}", each recipient that the message came for; or "{to}", each address in To and Cc of the decoded mail.',
      ),
    allow: z
      .array(z.string())
      .default([])
      .describe(
        'Which addresses "{recipient}" and "{to}" may yield, written like the addresses of a mailbox. All others are left out, so the author of a mail cannot choose where it goes.',
      ),
    sender: z
      .string()
      .optional()
      .describe('Envelope sender; "" is the null sender. Default: the one that the message came with.'),
  };
  const smtpDestination = z.strictObject({
    type: z.literal('smtp').describe('A mail server, over SMTP.'),
    host: z
      .string()
      .min(1)
      .optional()
      .describe(
        "Host of the mail server. Without it, the MX records of each recipient's domain are used, and the mail goes to the servers that they name.",
      ),
    mtaSts: mtaSts(),
    ...mailServer,
  });
  const lmtpDestination = z.strictObject({
    type: z.literal('lmtp').describe('A mail store, over LMTP, which answers for each recipient separately.'),
    host: z.string().min(1).describe('Host of the mail store.'),
    ...mailServer,
  });
  const s3Destination = z.strictObject({
    type: z.literal('s3').describe('Objects in a bucket of an S3-compatible store.'),
    name: name().optional().describe('Name in the ledger. Default: the type.'),
    ...bucketSettings({ secret, path }),
    key: z
      .string()
      .max(300)
      .default('{mailbox}/{date}/{id}/')
      .describe(
        'How the object names of a message begin. Placeholders: {mailbox}, {partner} ("unknown" without one), {date} (of arrival, YYYY-MM-DD in UTC), {time} (as in the names of folders), and {id}, which is required.',
      ),
  });
  const destination = z.discriminatedUnion('type', [
    directoryDestination,
    webhookDestination,
    queueDestination,
    smtpDestination,
    lmtpDestination,
    s3Destination,
  ]);

  const onSuspend = (what: string) =>
    z
      .strictObject({
        destination: destination.describe('Where the report goes: any kind of destination.'),
        include: z
          .enum(['none', 'original'])
          .default('none')
          .describe(`original: include the message in the report, ${what}.`),
      })
      .optional()
      .describe(
        'A destination that gets a report of each suspended message. The message stays suspended until you resume or terminate it.',
      );
  return { destination, onSuspend };
}
