import { MailParser } from 'mailparser';
import type { ContentType } from '../message/content-type.ts';

/**
 * What people read of a text part, decoded by mailparser. It only ever sees the octets of one part, and never the
 * header of the message, which one reader alone reads (`readMailHeader`): given whole mails it joins the texts of all parts, nested messages included, and a decrypted
 * part must not end in one text with a foreign one (EFAIL). Nothing is made from HTML, no URL is touched.
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

/** Runs one small message through mailparser; undefined where it fails or finds nothing. */
function parse(octets: Buffer[]): Promise<Parsed> {
  return new Promise((resolve) => {
    const parsed: Parsed = { text: undefined };
    const parser = new MailParser(plainOptions);
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

/**
 * The text of one text part: charset and `format=flowed` (RFC 3676) decoded. `octets` are without their
 * transfer encoding. Undefined when mailparser gives none.
 */
export async function readText(contentType: ContentType, octets: Buffer): Promise<string | undefined> {
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
