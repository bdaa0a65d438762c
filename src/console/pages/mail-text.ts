/** The text of a mail and the names of its parts, for a person who looks at it. */
import { wordsOf } from './words.ts';

export interface MailText {
  text: string;
  parts: { name: string; type: string; octets: number }[];
  /** False if the mail could not be read to its end. */
  whole: boolean;
}

const options = {
  // The library's own conversion takes time that grows with the square of the length for some input: 23 seconds for a
  // megabyte.
  skipHtmlToText: true,
  skipTextToHtml: true,
  skipImageLinks: true,
  skipTextLinks: true,
};

interface HeaderLine {
  key: string;
}

/**
 * Reads it with mailparser. Of the headers, only what MIME says about parts is read: a list of 150,000 recipients would
 * take longer than all of the text.
 */
export async function mailText(octets: Buffer): Promise<MailText> {
  // Reads any text. It is loaded with the first look.
  const { MailParser } = await import('mailparser');
  class TextParser extends MailParser {
    /** mailparser calls this for the header of each part, also of a mail within the mail. */
    processHeaders(lines: readonly HeaderLine[] | null | undefined): unknown {
      const process: unknown = Reflect.get(MailParser.prototype, 'processHeaders');
      if (typeof process !== 'function') return new Map();
      return Reflect.apply(process, this, [(lines ?? []).filter(({ key }) => key.startsWith('content-'))]);
    }
  }
  return await new Promise((resolve) => {
    const parser = new TextParser(options);
    const found: MailText = { text: '', parts: [], whole: true };
    parser.on('data', (data) => {
      if (data.type === 'text') {
        const plain = data.text ?? '';
        const html = typeof data.html === 'string' ? data.html : '';
        found.text = plain.trim() === '' ? wordsOf(html) : plain;
        return;
      }
      const { filename = 'without a name', contentType, content } = data;
      const part = { name: filename, type: contentType, octets: 0 };
      found.parts.push(part);
      content.on('data', (chunk: Buffer) => {
        part.octets += chunk.length;
      });
      content.on('end', () => data.release?.());
    });
    parser.on('error', () => resolve({ ...found, whole: false }));
    parser.on('end', () => resolve(found));
    parser.end(octets);
  });
}
