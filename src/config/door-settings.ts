/** Doors for programs besides SMTP and HTTP: folders with files for partners, and queues with messages. */
import { z } from 'zod';
import { duration, size } from './units.ts';

interface Parts {
  name: () => z.ZodString;
  path: () => z.ZodString;
}

export function folderSettings({ name, path }: Parts) {
  return z
    .array(
      z.strictObject({
        path: path().describe(
          'Folder with a folder for each partner: PATH/PARTNER/FILE. Those of the granted partners are made if they are missing.',
        ),
        client: name().describe(
          'Name of the client that the files come from (sealpost clients add). Its grants decide about partners and senders.',
        ),
        settle: duration('100ms')
          .prefault('2s')
          .describe('How long the size and time of a file must stay unchanged before it is taken.'),
        failed: path()
          .optional()
          .describe(
            'Folder on the same volume for files that cannot be sent, each with a file NAME.error.json that says why. Default: the folder failed in PATH.',
          ),
        subject: z
          .string()
          .min(1)
          .default('{name}')
          .describe(
            'Subject of the mail that a file becomes. {name} is its name, {stem} the name without its extension, {partner} the partner. A file named *.eml is a mail, and keeps its own.',
          ),
        watch: z
          .boolean()
          .default(true)
          .describe(
            'Let the kernel report new files. false: rely on scan alone. Network volumes are recognized, and always scanned.',
          ),
        scan: duration('1s').prefault('10s').describe('Interval between scans of the folder.'),
        maxSize: size('1KiB').prefault('150MiB').describe('Maximum size of a file.'),
      }),
    )
    .default([])
    .describe('Folders into which your programs put files for partners.');
}

export function clientQueueSettings() {
  return z
    .strictObject({
      enabled: z
        .boolean()
        .default(false)
        .describe(
          'Take messages from the queues of clients in Redis (sealpost clients queue). Needs a Redis that your programs can reach, so not the private one.',
        ),
      maxSize: size('1KiB')
        .prefault('10MiB')
        .describe('Maximum size of a message. All of it is held in Redis and in memory.'),
    })
    .prefault({})
    .describe('Queues of clients: programs with sealpost/client put messages for partners there.');
}
