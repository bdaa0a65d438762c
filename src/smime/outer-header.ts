import type { HeaderField } from '../message/index.ts';

/*
 * Which header fields stand outside of the protection, and which within (RFC 9788 for header protection).
 */

/** Fields that say something about the body: they move inside. */
const isContentField = ({ key }: HeaderField): boolean => key.startsWith('content-');

/** Nobody may see Bcc; MIME-Version is written anew; HP-Outer is written here or by nobody. */
const dropped = ['bcc', 'resent-bcc', 'mime-version', 'hp-outer'];
/** What transport adds on the way belongs to the outside alone. */
const trace =
  /^(?:return-path|received|resent-.*|dkim-.*|arc-.*|authentication-results|received-spf|delivered-to)$/;

/** The header of a mail in two halves, each field with CRLF line ends. */
export interface SplitHeader {
  readonly outer: readonly Buffer[];
  /** Before Content-Type and the other fields of the entity, which come last. */
  readonly inner: readonly Buffer[];
}

/**
 * @param protect undefined: nothing but the Content fields goes inside; `clear` and `cipher` are the values of the hp
 *   parameter (RFC 9788, section 2.1.1)
 */
export function splitHeader(
  fields: readonly HeaderField[],
  protect: 'clear' | 'cipher' | undefined,
): SplitHeader {
  const kept = fields.filter((field) => !dropped.includes(field.key));
  const entity = contentFields(kept, protect);
  const others = kept.filter((field) => !isContentField(field));
  if (protect === undefined) return { outer: others.map(canonicalField), inner: entity };
  const own = others.filter(({ key }) => !trace.test(key));
  const outside = (field: HeaderField) =>
    protect === 'clear' || trace.test(field.key) ? canonicalField(field) : confidential(field);
  const present = (octets: Buffer | undefined) => octets !== undefined;
  const visible = protect === 'clear' ? [] : own.map(outside).filter(present);
  return {
    outer: others.map(outside).filter(present),
    inner: [
      ...own.map(canonicalField),
      ...visible.map((field) => Buffer.concat([Buffer.from('HP-Outer: '), field])),
      ...entity,
    ],
  };
}

/** The confidentiality policy hcp_baseline (RFC 9788, section 3.2.1); undefined: not outside at all. */
function confidential(field: HeaderField): Buffer | undefined {
  if (field.key === 'subject') return Buffer.from('Subject: [...]\r\n');
  return field.key === 'keywords' || field.key === 'comments' ? undefined : canonicalField(field);
}

function contentFields(fields: readonly HeaderField[], protect: 'clear' | 'cipher' | undefined): Buffer[] {
  const found = fields.filter(isContentField);
  const all = found.map((field) =>
    field.key === 'content-type' ? withParameter(canonicalField(field), protect) : canonicalField(field),
  );
  if (found.some(({ key }) => key === 'content-type')) return all;
  return [...all, withParameter(Buffer.from('Content-Type: text/plain; charset=utf-8\r\n'), protect)];
}

/** A Content-Type field with the hp parameter, in place of one that it has already. */
function withParameter(field: Buffer, protect: 'clear' | 'cipher' | undefined): Buffer {
  if (protect === undefined) return field;
  const text = field
    .toString('latin1')
    .replace(/;\s*hp(?:-legacy-display)?\s*=\s*(?:"[^"]*"|[^;\s]*)/gi, '')
    .replace(/[;\s]*$/, '');
  return Buffer.from(`${text};\r\n hp="${protect}"\r\n`, 'latin1');
}

/** The field with CRLF line ends; a bare CR must not become a line end here, since it would make a new field. */
function canonicalField(field: HeaderField): Buffer {
  const text = field.raw
    .toString('latin1')
    .replace(/\r?\n$/, '')
    .replace(/\r(?!\n)/g, ' ')
    .replace(/\r?\n/g, '\r\n');
  return Buffer.from(`${text}\r\n`, 'latin1');
}
