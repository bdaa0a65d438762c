import type { ContentType } from '../message/index.ts';

/**
 * The readable text of a text part, decoded by mailparser. mailparser only sees the octets of one part. The header of
 * the message has its own reader (`readMailHeader`). Given a whole mail, mailparser would join the texts of all parts
 * and nested messages, and a decrypted part must never be joined with a foreign one (EFAIL). HTML is not converted, and
 * no URL is followed.
 */
const plainOptions = {
  skipHtmlToText: true,
  skipTextToHtml: true,
  skipImageLinks: true,
  skipTextLinks: true,
};

interface Parsed {
  text: string | undefined;
}

/** Runs one small message through mailparser; undefined if it fails or finds nothing. */
async function parse(octets: Buffer[]): Promise<Parsed> {
  // loaded on demand, because the process with the keys never needs it
  const { MailParser } = await import('mailparser');
  return await new Promise((resolve) => {
    const parsed: Parsed = { text: undefined };
    const parser = new MailParser(plainOptions);
    parser.on('data', (data) => {
      if (data.type === 'attachment') {
        data.content.on('end', () => data.release?.());
        data.content.on('data', () => {});
      } else {
        // it gives an empty text beside the HTML when told not to make one from it
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

/** Charsets whose octets are UTF-8, or are read as such. */
const utf8: ReadonlySet<string> = new Set(['', 'utf-8', 'utf8', 'us-ascii', 'ascii']);

/**
 * The text of a part that is UTF-8 and not flowed, as mailparser would give it; undefined for all others, which need
 * mailparser. `text` is undefined for a part without octets.
 */
export function plainText(
  { parameters }: ContentType,
  octets: Buffer,
): { text: string | undefined } | undefined {
  if (parameters.get('format') !== undefined || !utf8.has((parameters.get('charset') ?? '').toLowerCase()))
    return undefined;
  return { text: octets.length === 0 ? undefined : octets.toString('utf8').replaceAll('\r\n', '\n') };
}

/**
 * The text of one text part, with charset and `format=flowed` (RFC 3676) decoded. The transfer encoding of `octets` is
 * already removed. Undefined if mailparser finds no text.
 */
export async function readText(contentType: ContentType, octets: Buffer): Promise<string | undefined> {
  const parameters = ['charset', 'format', 'delsp']
    .map((name) => ({ name, value: contentType.parameters.get(name) }))
    .filter(({ value }) => value !== undefined && /^[\w.:+-]{1,64}$/.test(value))
    .map(({ name, value }) => `; ${name}=${value}`)
    .join('');
  // other text types (xml, csv) are declared as plain text, because mailparser treats them as attachments
  const type = contentType.value === 'text/html' ? 'text/html' : 'text/plain';
  const header = `Content-Type: ${type}${parameters}\r\nContent-Transfer-Encoding: binary\r\n\r\n`;
  return (await parse([Buffer.from(header, 'latin1'), octets])).text;
}
