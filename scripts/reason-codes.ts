/**
 * Writes docs/reason-codes.md from the table in src/error-table.ts: `npm run docs:reason-codes`. A test fails when the
 * file is not what this writes.
 */
import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import {
  type Consequence,
  consequenceOf,
  type ErrorClass,
  type ErrorCode,
  errorCodes,
  errorTable,
  httpStatusOf,
  type Place,
  placesOf,
  SealpostError,
} from '../src/errors.ts';
import { foldMarkdown } from './fold.ts';

const sections: Record<ErrorClass, string> = {
  message: `The message itself is the problem, and trying again does not help. It is suspended at once, and keeps its octets.
When the cause is removed, \`sealpost messages resume\` continues it. Where the remedy is another message from the
partner, terminate this one when the other has arrived.`,
  peer: `Another server failed or refused: a partner's server, a destination or a mail server. The attempt counts, and is
repeated with growing delays. After \`retry.attempts\` attempts the message is suspended.`,
  store: `Redis, the disk or the object store is away or full. That affects every message. Nothing new is accepted meanwhile,
and accepted messages wait; where the table says so, no attempt counts.`,
  operator: `A setting, a file, a key or a command is wrong. \`sealpost check\` finds most of them. A message that needs the setting
is suspended; correct it, reload, and resume the message.`,
  bug: 'A defect of Sealpost. The message is kept.',
};

const consequences: Record<Consequence, string> = {
  suspend: 'a suspended message',
  retry: 'a message that is retried',
  wait: 'messages that wait, with no attempt counted',
};

const places: Record<Exclude<Place, 'message'>, string> = {
  imap: 'a message that stays in its IMAP folder',
  start: '`sealpost check`, or the start of the daemon',
  command: 'the end of a command',
  log: 'the log and `sealpost health`',
};

function seen(code: ErrorCode): string {
  const consequence = consequenceOf(code);
  const found = placesOf(code).map((place) =>
    place === 'message' ? consequences[consequence] : places[place],
  );
  const { smtp, waits } = errorTable[code];
  if (waits !== undefined) found.push(`[replayed](partners.md#an-expired-certificate) when a ${waits} comes`);
  if (smtp !== undefined) found.push(`SMTP reply ${smtp.code} ${smtp.enhanced}`);
  return found.join('; ');
}

/** Settings, commands and options in the sentences, set as code. */
function quoted(text: string): string {
  return text
    .replaceAll(/\bsealpost [a-z]+(?: (?:list|show))?/g, '`$&`')
    .replaceAll(/\b(?:limits|retention|redis|spool)\.\w+/g, '`$&`')
    .replaceAll(
      /\b(?:appendonly|appendfsync|maxmemory-policy|allowWeak|maxSize)\b|--help|notSmime: pass/g,
      '`$&`',
    )
    .replaceAll('docs/conformance.md', '[Conformance](conformance.md)');
}

const row = (code: ErrorCode) => {
  const { cause, remedy } = errorTable[code];
  const status = httpStatusOf(new SealpostError(code, ''));
  return `| \`${code}\` | ${cause} | ${seen(code)} | ${quoted(remedy)} | ${status} |`;
};

const intro = `# Reason codes

Every error of Sealpost has a code. You find it as the \`reason\` of a suspended message, in the events of a message, in
log lines, in square brackets at the end of a command's error, and in the verdict. A code never changes its meaning.
\`sealpost messages show ID\` prints the cause and the remedy of a message's code.

\`npm run docs:reason-codes\` generates this page from the table in \`src/error-table.ts\`. The last column is the HTTP status
that the code stands for. SMTP clients get 451 4.3.0 where no other reply is given; [Operations](operations.md#smtp-replies)
lists all replies.
`;

/** The text of docs/reason-codes.md. */
export function reasonCodesPage(): string {
  const classes: ErrorClass[] = ['message', 'peer', 'store', 'operator', 'bug'];
  const parts = classes.map((name) =>
    [
      `## Class \`${name}\``,
      '',
      sections[name],
      '',
      '| code | cause | what you see | what to do | HTTP |',
      '| --- | --- | --- | --- | --- |',
      ...errorCodes.filter((code) => errorTable[code].class === name).map(row),
      '',
    ].join('\n'),
  );
  return foldMarkdown([intro, ...parts].join('\n'));
}

if (import.meta.main) {
  writeFileSync(resolve(import.meta.dirname, '../docs/reason-codes.md'), reasonCodesPage());
}
