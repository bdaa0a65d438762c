import { costs } from '../budget.ts';
import { SealpostError } from '../errors.ts';
import { type ContentType, parseContentType, parseParameterized } from './content-type.ts';
import type { HeaderBlock } from './headers.ts';

/** What the header block of a MIME entity says about its body. */
export interface EntityInfo {
  readonly contentType: ContentType;
  /** False if there was no Content-Type field, so the type is the default. */
  readonly hasContentType: boolean;
  /** Content-Transfer-Encoding in lower case; `7bit` if there is none (RFC 2045, section 6.1). */
  readonly transferEncoding: string;
  /** Such as `attachment`, in lower case; '' if there is none. */
  readonly disposition: string;
  /** File name of the disposition, or else the `name` of the type, or else ''. */
  readonly fileName: string;
}

/** The MIME fields of a header block (RFC 2045, RFC 2183). Parsed once, however many stages ask. */
export function entityInfo(headers: HeaderBlock): EntityInfo {
  return headers.remembered(readEntityInfo);
}

function readEntityInfo(headers: HeaderBlock): EntityInfo {
  const typeField = headers.get('content-type');
  const contentType = parseContentType(typeField);
  const encoding = parseParameterized(headers.get('content-transfer-encoding') ?? '').value;
  const disposition = parseParameterized(headers.get('content-disposition') ?? '');
  return {
    contentType,
    hasContentType: typeField !== undefined,
    transferEncoding: encoding === '' ? '7bit' : encoding,
    disposition: disposition.value,
    fileName: disposition.parameters.get('filename') ?? contentType.parameters.get('name') ?? '',
  };
}

const fieldsWithParameters = ['content-type', 'content-transfer-encoding', 'content-disposition'];

/** The cost of reading the header of a part, in units of a `Budget`. */
export function headerCost(headers: HeaderBlock): number {
  const lengths = fieldsWithParameters.map((name) => headers.get(name)?.length ?? 0);
  return costs.header(
    headers.raw.length,
    lengths.reduce((sum, length) => sum + length, 0),
  );
}

/** RFC 2045, section 5.1: `type/subtype`, and parameters in printable ASCII. */
const mediaType = /^[a-z0-9!#$&^_.+-]+\/[a-z0-9!#$&^_.+-]+(?:[ \t]*;[ -~\t]*)?$/i;

/** Characters of a type or subtype (RFC 6838, section 4.2). */
const longestName = 127;

/**
 * The header of a MIME entity (RFC 2045) whose body is arbitrary content, which is not interpreted and keeps its line
 * ends. The final empty line is included.
 *
 * Errors: `usage` for an invalid media type, and for `multipart/...` and `message/...`, whose body is a MIME structure.
 *
 * @param type such as `application/EDIFACT` or `text/csv; charset=utf-8`
 * @param fileName without folders, in any script
 */
export function contentHeader(type: string, fileName?: string): Buffer {
  const { type: kind, subtype } = parseContentType(type);
  if (!mediaType.test(type) || Math.max(kind.length, subtype.length) > longestName)
    throw new SealpostError('usage', `${JSON.stringify(type)} is not a media type`, {
      hint: 'write it like application/EDIFACT or "text/csv; charset=utf-8"',
    });
  if (kind === 'multipart' || kind === 'message')
    throw new SealpostError('usage', `content cannot be ${kind}/..., since that is a structure of its own`, {
      hint: 'to send a mail that you have put together, say --message',
    });
  const disposition =
    fileName === undefined ? 'attachment' : `attachment;\r\n ${fileNameParameter(fileName)}`;
  return Buffer.from(
    `Content-Type: ${type}\r\nContent-Transfer-Encoding: binary\r\nContent-Disposition: ${disposition}\r\n\r\n`,
  );
}

/** The filename parameter (RFC 2183), in the form of RFC 2231 if it is not plain ASCII. */
function fileNameParameter(name: string): string {
  if (/^[ -~]*$/.test(name)) return `filename="${name.replace(/["\\]/g, '\\$&')}"`;
  const octets = [...Buffer.from(name.toWellFormed())].map((octet) => {
    const char = String.fromCharCode(octet);
    return /[A-Za-z0-9._-]/.test(char) ? char : `%${octet.toString(16).toUpperCase().padStart(2, '0')}`;
  });
  return `filename*=utf-8''${octets.join('')}`;
}
