import { SealpostError } from '../errors.ts';
import type { HeaderBlock, HeaderField } from './headers.ts';
import { readAddressField } from './mail-header.ts';

const hint =
  'a mail begins with fields such as "Subject: ..." and an empty line; without --message it is content';

/** Fields that may occur once (RFC 5322, section 3.6; RFC 2045, section 3). */
const once = [
  ...['date', 'from', 'sender', 'reply-to', 'to', 'cc', 'bcc', 'message-id', 'in-reply-to', 'references'],
  ...['subject', 'mime-version', 'content-type', 'content-transfer-encoding', 'content-disposition'],
];

/** Fields with addresses: who wrote the mail, and for whom. */
const addressed = ['from', 'sender', 'reply-to', 'to', 'cc', 'bcc'];

/**
 * Refuses an outgoing mail whose header is not valid in every respect. What we send must mean the same to every reader,
 * so nothing is guessed or repaired as in received mail.
 *
 * Errors: `mime-malformed`, with the number of the line.
 */
export function checkWholeHeader({ raw, fields }: HeaderBlock): void {
  const refuse = (line: number, what: string) =>
    new SealpostError('mime-malformed', `line ${line} of the mail ${what}`, { hint });
  const byOffset = new Map(fields.map((field) => [field.raw.byteOffset, field]));
  const seen = new Set<string>();
  let line = 1;
  for (let at = 0; at < raw.length; ) {
    const field: HeaderField | undefined = byOffset.get(raw.byteOffset + at);
    if (field === undefined) {
      if (isEmptyLine(raw, at)) break;
      throw refuse(line, 'is not a header field');
    }
    const { name, key } = field;
    if (field.raw[name.length] !== 0x3a) throw refuse(line, `has white space between ${name} and its colon`);
    const text = field.raw.toString('latin1');
    if (/\r(?!\n)|\0/.test(text)) throw refuse(line, `has a bare CR or NUL in ${name}`);
    if (seen.has(key) && once.includes(key)) throw refuse(line, `is a second ${name} field`);
    const { fault, addresses } = addressed.includes(key) ? readAddressField(field) : nothing;
    if (fault !== undefined) throw refuse(line, `names nobody: its ${name} field ${fault}`);
    if (key === 'from' && addresses.length === 0) throw refuse(line, `names nobody in its ${name} field`);
    seen.add(key);
    line += text.split('\n').length - 1;
    at += field.raw.length;
  }
  if (fields.length === 0) throw new SealpostError('mime-malformed', 'the mail has no header', { hint });
  if (!endsWithEmptyLine(raw))
    throw new SealpostError('mime-malformed', 'the header of the mail does not end with an empty line', {
      hint,
    });
}

const nothing = { fault: undefined, addresses: [] };

const isEmptyLine = (raw: Buffer, at: number): boolean =>
  raw[at] === 0x0a || (raw[at] === 0x0d && raw[at + 1] === 0x0a);

function endsWithEmptyLine(raw: Buffer): boolean {
  const end = raw.toString('latin1', Math.max(0, raw.length - 4));
  return /(?:^|\n)\r?\n$/.test(end);
}
