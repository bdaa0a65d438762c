import { createHash } from 'node:crypto';
import { folderName } from '../volume.ts';
import type { Delivery } from './types.ts';

const extensions: Record<string, string> = {
  'text/plain': 'txt',
  'text/html': 'html',
  'text/xml': 'xml',
  'text/csv': 'csv',
  'text/calendar': 'ics',
  'application/xml': 'xml',
  'application/json': 'json',
  'application/pdf': 'pdf',
  'application/zip': 'zip',
  'application/gzip': 'gz',
  'application/edifact': 'edi',
  'application/edi-x12': 'edi',
  'application/edi-consent': 'edi',
  'application/pkcs7-mime': 'p7m',
  'application/x-pkcs7-mime': 'p7m',
  'application/pkcs7-signature': 'p7s',
  'application/x-pkcs7-signature': 'p7s',
  'message/rfc822': 'eml',
  'image/png': 'png',
  'image/jpeg': 'jpg',
  'image/gif': 'gif',
  'image/tiff': 'tif',
};

/** Extension for decoded octets: by the type, otherwise from the file name if it is a plain one, otherwise `bin`. */
export function extensionFor(contentType: string, fileName: string): string {
  const known = extensions[contentType];
  if (known !== undefined) return known;
  if (contentType.endsWith('+xml')) return 'xml';
  if (contentType.endsWith('+json')) return 'json';
  const own = /\.([a-z0-9]{1,8})$/i.exec(fileName.slice(-9))?.[1];
  if (own !== undefined) return own.toLowerCase();
  return contentType.startsWith('text/') ? 'txt' : 'bin';
}

/** Octets of UTF-8 that a file name may have. File systems allow 255, but tools append to names. */
const maxOctets = 120;

/** Shortens to a number of octets of UTF-8 without splitting a character. */
function clip(text: string, octets: number): string {
  let length = 0;
  let clipped = '';
  for (const char of text) {
    length += Buffer.byteLength(char);
    if (length > octets) break;
    clipped += char;
  }
  return clipped;
}

/** Names that Windows reserves for devices, with any extension. */
const reserved = /^(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$|clock\$)(\.|$)/i;

/**
 * A file name that is safe on every file system, made from untrusted text. It has no path, no control or invisible
 * characters (a right-to-left override hides an extension), no characters with a meaning for shells or Windows, and no
 * leading or trailing dot or space, and it is not a device name. It is in NFC and at most 120 octets long, and keeps
 * its extension. '' if nothing is left.
 */
export function safeName(name: string): string {
  const cleaned = trimmed(lastPiece(name), '', ' ')
    .normalize('NFC')
    .replace(/[\p{Cc}\p{Cf}\p{Co}\p{Cn}\p{Zl}\p{Zp}]/gu, '')
    .replace(/\p{Zs}+/gu, ' ')
    .replace(/[<>:"|?*$`;&'!%/\\]/g, '_');
  const bare = trimmed(cleaned, ' .~-', ' .');
  const named = reserved.test(bare) ? `_${bare}` : bare;
  if (Buffer.byteLength(named) <= maxOctets) return named;
  const extension = /\.[^. ]{1,16}$/u.exec(named)?.[0] ?? '';
  const stem = clip(
    named.slice(0, named.length - extension.length),
    maxOctets - Buffer.byteLength(extension),
  );
  return trimmed(stem, '', ' .') + extension;
}

/** Characters of a name that are used: from its start, and from its end for the extension. */
const namedBy = { start: 240, end: 40 };

/**
 * What follows the last slash that is followed by something. The middle of a long name is left out: nothing of it would
 * remain anyway, and normalizing many thousand combining marks takes seconds.
 */
function lastPiece(name: string): string {
  let end = name.length;
  while (end > 0 && '/\\ '.includes(name[end - 1] ?? '')) end--;
  const start = Math.max(name.lastIndexOf('/', end - 1), name.lastIndexOf('\\', end - 1)) + 1;
  const most = namedBy.start + namedBy.end;
  const piece =
    end - start <= most
      ? name.slice(start, end)
      : name.slice(start, start + namedBy.start) + name.slice(end - namedBy.end, end);
  return piece.toWellFormed();
}

/** Trims characters at both ends, step by step, because a regular expression would restart at each of them. */
function trimmed(text: string, atStart: string, atEnd: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && atStart.includes(text[start] ?? '')) start++;
  while (end > start && atEnd.includes(text[end - 1] ?? '')) end--;
  return text.slice(start, end);
}

/** The id of a message in names: a new one each time that a person has it decoded again. */
export const idInNames = ({ id, again }: Pick<Delivery, 'id' | 'again'>): string =>
  again === undefined ? id : `${id}.again${again}`;

/** Name of a message's folder, the same for every attempt. */
export const messageFolder = (message: Pick<Delivery, 'id' | 'again' | 'receivedAt'>): string =>
  folderName(message.receivedAt, idInNames(message));

/** File name of a part: its number, which makes it unique, and its own name, or else `part` with an extension. */
export function partFileName(number: number, contentType: string, fileName: string): string {
  const own = safeName(fileName);
  const rest = own === '' ? `part.${extensionFor(contentType, fileName)}` : own;
  return `${String(number).padStart(2, '0')}-${rest}`;
}

/** File name of a piece: its path in the verdict with `_` for `/`, and `.eml` if it is a MIME entity. */
export function pieceFileName(path: string, contentType: string | null): string {
  const plain = path.replaceAll('/', '_');
  const digest = createHash('sha256').update(path).digest('hex').slice(0, 16);
  const name = plain.length > maxOctets ? `${plain.slice(0, maxOctets - 17)}-${digest}` : plain;
  return `${name}.${contentType === null ? 'bin' : 'eml'}`;
}
