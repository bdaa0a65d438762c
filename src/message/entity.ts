import { costs } from '../budget.ts';
import { type ContentType, parseContentType, parseParameterized } from './content-type.ts';
import type { HeaderBlock } from './headers.ts';

/** What the header block of a MIME entity says about its body. */
export interface EntityInfo {
  readonly contentType: ContentType;
  /** False if there was no Content-Type field and the type is the default. */
  readonly hasContentType: boolean;
  /** Content-Transfer-Encoding in lower case; `7bit` when there is none (RFC 2045, section 6.1). */
  readonly transferEncoding: string;
  /** Such as `attachment`, in lower case, or '' when there is none. */
  readonly disposition: string;
  /** File name of the disposition, else the `name` of the type, else ''. */
  readonly fileName: string;
}

/** The MIME fields of a header block (RFC 2045, RFC 2183); read once, however many stages ask. */
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

/** What reading the header of a part costs, in units of a `Budget`. */
export function headerCost(headers: HeaderBlock): number {
  const lengths = fieldsWithParameters.map((name) => headers.get(name)?.length ?? 0);
  return costs.header(
    headers.raw.length,
    lengths.reduce((sum, length) => sum + length, 0),
  );
}
