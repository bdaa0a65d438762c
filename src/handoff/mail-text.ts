import { type AddressObject, type EmailAddress, type Headers, MailParser } from 'mailparser';
import { entityInfo } from '../message/entity.ts';
import type { HeaderBlock } from '../message/headers.ts';

/**
 * What people read of a mail, decoded by mailparser. It only ever sees one header block or the octets of one
 * text part: given whole mails it joins the texts of all parts, nested messages included, and a decrypted
 * part must not end in one text with a foreign one (EFAIL). Nothing is made from HTML, no URL is touched.
 */
const plainOptions = {
  skipHtmlToText: true,
  skipTextToHtml: true,
  skipImageLinks: true,
  skipTextLinks: true,
};

export interface AddressJson {
  name: string;
  address: string;
}

/** Header fields of the message to hand off, decoded. */
export interface HeadersJson {
  subject: string | null;
  from: AddressJson[];
  to: AddressJson[];
  cc: AddressJson[];
  replyTo: AddressJson[];
  messageId: string | null;
  inReplyTo: string | null;
  /** ISO 8601 in UTC; null when missing or unreadable. */
  date: string | null;
}

interface Parsed {
  headers: Headers | undefined;
  text: string | undefined;
}

/** Runs one small message through mailparser; undefined where it fails or finds nothing. */
function parse(octets: Buffer[]): Promise<Parsed> {
  return new Promise((resolve) => {
    const parsed: Parsed = { headers: undefined, text: undefined };
    const parser = new MailParser(plainOptions);
    parser.on('headers', (headers: Headers) => {
      parsed.headers = headers;
    });
    parser.on('data', (data) => {
      if (data.type === 'attachment') {
        data.content.on('end', () => data.release?.());
        data.content.on('data', () => {});
      } else {
        // it gives an empty text beside the HTML when it was told not to make one from it
        const html = typeof data.html === 'string' ? data.html : undefined;
        parsed.text = html ?? data.text;
      }
    });
    parser.on('error', () => resolve(parsed));
    parser.on('end', () => resolve(parsed));
    for (const chunk of octets) parser.write(chunk);
    parser.end();
  });
}

function flatten(list: readonly EmailAddress[]): AddressJson[] {
  return list.flatMap((entry) =>
    entry.group === undefined ? [{ name: entry.name, address: entry.address ?? '' }] : flatten(entry.group),
  );
}

function isAddressObject(value: unknown): value is AddressObject {
  return typeof value === 'object' && value !== null && 'value' in value && Array.isArray(value.value);
}

function addresses(headers: Headers | undefined, key: string): AddressJson[] {
  const value: unknown = headers?.get(key);
  const list = Array.isArray(value) ? value : [value];
  return list.filter(isAddressObject).flatMap((entry) => flatten(entry.value));
}

function single(headers: Headers | undefined, key: string): string | null {
  const value = headers?.get(key);
  return typeof value === 'string' ? value : null;
}

/** mailparser takes the present time for a date that it can not read; here that is null. */
function readDate(value: string | undefined): string | null {
  // V8 reads RFC 5322 dates with their comments, and much that is none
  if (value === undefined || !/\d{1,2} [A-Za-z]{3} \d{2,4} \d{1,2}:\d{2}/.test(value)) return null;
  const time = Date.parse(value);
  return Number.isNaN(time) ? null : new Date(time).toISOString();
}

/** Decodes the fields of the message (RFC 2047, RFC 5322); what can not be read is null or empty. */
export async function readHeaders(headers: HeaderBlock): Promise<HeadersJson> {
  const wanted = ['subject', 'from', 'to', 'cc', 'reply-to', 'message-id', 'in-reply-to'];
  const fields = headers.fields.filter((field) => wanted.includes(field.key)).map((field) => field.raw);
  const parsed = (await parse([...fields, Buffer.from('\r\n')])).headers;
  return {
    subject: single(parsed, 'subject'),
    from: addresses(parsed, 'from'),
    to: addresses(parsed, 'to'),
    cc: addresses(parsed, 'cc'),
    replyTo: addresses(parsed, 'reply-to'),
    messageId: single(parsed, 'message-id'),
    inReplyTo: single(parsed, 'in-reply-to'),
    date: readDate(headers.get('date')),
  };
}

/**
 * The text of one text part: charset and `format=flowed` (RFC 3676) decoded. `octets` are without their
 * transfer encoding. Undefined when mailparser gives none.
 */
export async function readText(headers: HeaderBlock, octets: Buffer): Promise<string | undefined> {
  const { contentType } = entityInfo(headers);
  const parameters = ['charset', 'format', 'delsp']
    .map((name) => ({ name, value: contentType.parameters.get(name) }))
    .filter(({ value }) => value !== undefined && /^[\w.:+-]{1,64}$/.test(value))
    .map(({ name, value }) => `; ${name}=${value}`)
    .join('');
  // other text types (xml, csv) are plain text for this purpose: mailparser gives them as attachments
  const type = contentType.value === 'text/html' ? 'text/html' : 'text/plain';
  const header = `Content-Type: ${type}${parameters}\r\nContent-Transfer-Encoding: binary\r\n\r\n`;
  return (await parse([Buffer.from(header, 'latin1'), octets])).text;
}
