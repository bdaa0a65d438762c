import { decodeCharset } from './content-type.ts';

const WORD = /=\?([^?\s]+)\?([bq])\?([^?\s]*)\?=/gi;

/**
 * Decodes the encoded words of RFC 2047 in a text; white space between two of them goes. For showing only:
 * what is decoded here is never read as structure (an address inside of an encoded word is no address).
 */
export function decodeWords(text: string): string {
  const joined = text.replace(/(=\?[^?\s]+\?[bq]\?[^?\s]*\?=)\s+(?==\?[^?\s]+\?[bq]\?[^?\s]*\?=)/gi, '$1');
  return joined.replace(WORD, (_, charset: string, encoding: string, content: string) => {
    const name = charset.split('*')[0] ?? 'utf-8';
    const octets = encoding.toLowerCase() === 'b' ? Buffer.from(content, 'base64') : decodeQ(content);
    return decodeCharset(name, octets);
  });
}

function decodeQ(content: string): Buffer {
  const octets = content
    .replaceAll('_', ' ')
    .replace(/=([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Buffer.from(octets, 'latin1');
}
