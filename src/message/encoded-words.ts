import { decodeCharset } from './content-type.ts';

const WORD = /=\?([^?\s]+)\?([bq])\?([^?\s]*)\?=/gi;

/**
 * Decodes the encoded words of RFC 2047 in a text. White space between two of them is removed. For display only:
 * decoded text is never parsed as structure (an address inside an encoded word is not an address).
 */
export function decodeWords(text: string): string {
  let decoded = '';
  let end = 0;
  for (const { 0: word, 1: charset = '', 2: encoding = '', 3: content = '', index } of text.matchAll(WORD)) {
    const between = text.slice(end, index);
    if (end === 0 || between.trim() !== '') decoded += between;
    const octets = encoding.toLowerCase() === 'b' ? Buffer.from(content, 'base64') : decodeQ(content);
    decoded += decodeCharset(charset.split('*')[0] ?? 'utf-8', octets);
    end = index + word.length;
  }
  return decoded + text.slice(end);
}

function decodeQ(content: string): Buffer {
  const octets = content
    .replaceAll('_', ' ')
    .replace(/=([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Buffer.from(octets, 'latin1');
}
