import {
  asciiField,
  type HeaderField,
  parseContentType,
  splitParameters,
  traceField,
} from '../../message/index.ts';

/* Which header fields go outside the protection, and which inside (RFC 9788 for header protection). */

/** Fields that describe the body. They move inside. */
const isContentField = ({ key }: HeaderField): boolean => key.startsWith('content-');

/** Nobody may see Bcc. MIME-Version is rewritten. HP-Outer is written only here. */
const dropped = ['bcc', 'resent-bcc', 'mime-version', 'hp-outer'];

/**
 * The fields that may stand outside the protection, where every mail server reads them. Any other field goes inside
 * only: an invented field cannot leak anything, and content that was mistaken for a header stays protected.
 */
const outerFields: ReadonlySet<string> = new Set([
  // RFC 5322, sections 3.6.1 to 3.6.5: what servers and mail programs need; the subject by the confidentiality policy
  ...['date', 'from', 'sender', 'reply-to', 'to', 'cc', 'message-id', 'in-reply-to', 'references', 'subject'],
  // RFC 3834; RFC 8098 with RFC 3335 (AS1), whose receivers expect the request outside
  ...['auto-submitted', 'disposition-notification-to', 'disposition-notification-options'],
]);

/** Fields that transport adds (RFC 5322, sections 3.6.6 and 3.6.7, and signatures). They stand outside only. */
const traceFields: ReadonlySet<string> = new Set([
  ...['return-path', 'received', 'delivered-to', 'received-spf', 'authentication-results', 'dkim-signature'],
  ...['arc-seal', 'arc-message-signature', 'arc-authentication-results'],
  traceField.toLowerCase(),
  ...['resent-date', 'resent-from', 'resent-sender', 'resent-to', 'resent-cc', 'resent-message-id'],
]);

const isTrace = ({ key }: HeaderField): boolean => traceFields.has(key);

/** The header of a mail in two halves, each field with CRLF line ends. */
export interface SplitHeader {
  readonly outer: readonly Buffer[];
  /** What goes before Content-Type and the other fields of the entity, which come last. */
  readonly inner: readonly Buffer[];
}

/**
 * @param protect `clear` and `cipher` are the values of the hp parameter (RFC 9788, section 2.1.1); undefined: only the
 *    Content fields and those that may not stand outside go inside
 */
export function splitHeader(
  fields: readonly HeaderField[],
  protect: 'clear' | 'cipher' | undefined,
): SplitHeader {
  const kept = fields.filter((field) => !dropped.includes(field.key));
  const entity = contentFields(kept, protect);
  const others = kept.filter((field) => !isContentField(field));
  const own = others.filter((field) => !isTrace(field));
  const outside = (field: HeaderField) => outerField(field, protect);
  const present = (octets: Buffer | undefined) => octets !== undefined;
  const outer = others.map(outside).filter(present);
  if (protect === undefined) {
    const hidden = own.filter(({ key }) => !outerFields.has(key));
    return { outer, inner: [...hidden.map(canonicalField), ...entity] };
  }
  const visible = protect === 'clear' ? [] : own.map(outside).filter(present);
  return {
    outer,
    inner: [
      ...own.map(canonicalField),
      ...visible.map((field) => Buffer.concat([Buffer.from('HP-Outer: '), field])),
      ...entity,
    ],
  };
}

/**
 * A field as it appears outside; undefined if it does not. With `cipher`, the subject is obscured by the
 * confidentiality policy hcp_baseline (RFC 9788, section 3.2.1); Keywords and Comments are never on our list.
 */
function outerField(field: HeaderField, protect: 'clear' | 'cipher' | undefined): Buffer | undefined {
  // a message that is only signed hides nothing, and RFC 9788 (section 2.1.1) wants each field repeated outside
  if (protect === 'clear' || isTrace(field)) return canonicalField(field);
  if (!outerFields.has(field.key)) return undefined;
  return protect === 'cipher' && field.key === 'subject'
    ? Buffer.from('Subject: [...]\r\n')
    : canonicalField(field);
}

function contentFields(fields: readonly HeaderField[], protect: 'clear' | 'cipher' | undefined): Buffer[] {
  const found = fields.filter(isContentField);
  const all = found.map((field) =>
    field.key === 'content-type' ? withParameter(canonicalField(field), protect) : canonicalField(field),
  );
  if (found.some(({ key }) => key === 'content-type')) return all;
  return [...all, withParameter(Buffer.from('Content-Type: text/plain; charset=utf-8\r\n'), protect)];
}

/** A Content-Type field with the hp parameter, replacing an existing one. */
function withParameter(field: Buffer, protect: 'clear' | 'cipher' | undefined): Buffer {
  if (protect === undefined) return field;
  const text = withoutParameters(field.toString('latin1'), 'hp', 'hp-legacy-display');
  return Buffer.from(`${text};\r\n hp="${protect}"\r\n`, 'latin1');
}

/**
 * A field without these parameters, and without trailing semicolons and white space. It is trimmed step by step,
 * because a regular expression would scan each run of them from each of its positions.
 */
export function withoutParameters(field: string, ...names: string[]): string {
  const kept = splitParameters(field).filter((each) => {
    const equals = each.indexOf('=');
    return equals < 0 || !names.includes(each.slice(0, equals).trim().toLowerCase());
  });
  const text = kept.join(';');
  let end = text.length;
  while (end > 0 && '; \t\r\n'.includes(text[end - 1] ?? '-')) end--;
  return text.slice(0, end);
}

/**
 * The field in ASCII, with CRLF line ends and lines that are short enough for every server. A bare CR must not become a
 * line end here, because that would start a new field.
 */
function canonicalField(field: HeaderField): Buffer {
  if (hasOnlyCrlf(field.raw)) return asciiField(field.raw);
  const text = field.raw
    .toString('latin1')
    .replace(/\r?\n$/, '')
    .replace(/\r(?!\n)/g, ' ')
    .replace(/\r?\n/g, '\r\n');
  return asciiField(Buffer.from(`${text}\r\n`, 'latin1'));
}

/** True for octets that end with CRLF and contain no other CR or LF than in CRLF. */
function hasOnlyCrlf(octets: Buffer): boolean {
  let end = 0;
  for (let cr = octets.indexOf(0x0d); cr >= 0; cr = octets.indexOf(0x0d, end)) {
    if (octets[cr + 1] !== 0x0a) return false;
    const lf = octets.indexOf(0x0a, end);
    if (lf < cr) return false;
    end = cr + 2;
  }
  return end > 0 && end === octets.length;
}

/**
 * A Content-Disposition that marks the body of a mail as an attachment, as receivers of business documents want it;
 * undefined if the mail is multipart, or already says so. The file name is that of Content-Type, or else the subject if
 * that is a file name (the rule of EDI@Energy).
 */
export function attachmentField(fields: readonly HeaderField[]): Buffer | undefined {
  const value = (key: string) => fields.find((field) => field.key === key)?.value;
  const type = parseContentType(value('content-type'));
  if (type.type === 'multipart' || value('content-disposition') !== undefined) return undefined;
  const name = [type.parameters.get('name'), value('subject')].find((each) => isFileName(each));
  const parameter = name === undefined ? '' : `; filename="${name}"`;
  return Buffer.from(`Content-Disposition: attachment${parameter}\r\n`, 'latin1');
}

/** A plain name with an extension, without folders, that needs no encoding. */
function isFileName(name: string | undefined): boolean {
  return (
    name !== undefined && name.length <= 150 && /^[A-Za-z0-9_][\w. ()+@,=-]*\.[A-Za-z0-9]{1,10}$/.test(name)
  );
}
