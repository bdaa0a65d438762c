import {
  decodeWords,
  entityInfo,
  type HeaderBlock,
  type HeaderField,
  isKnown,
  readMailHeader,
} from '../../message/index.ts';
import type { VerdictHeaders } from './verdict-schema.ts';

/** The header of the protected entity, and that of the mail inside if it is a message/rfc822. */
export interface ProtectedHeader {
  readonly entity: HeaderBlock;
  wrapped: HeaderBlock | undefined;
  /** Numbers of the leaves whose text repeats header fields. */
  readonly legacyDisplay: number[];
}

/** Fields for author, recipients, date and subject, which are compared with those outside. */
const comparedFields = [
  'from',
  'sender',
  'reply-to',
  'to',
  'cc',
  'bcc',
  'subject',
  'date',
  'message-id',
  'in-reply-to',
  'references',
];

/** RFC 9788, section 1.1: fields that describe the MIME structure do not count as fields of the message. */
const isStructural = ({ key }: HeaderField) => key === 'mime-version' || key.startsWith('content-');
const isOuterNote = ({ key }: HeaderField) => key === 'hp-outer';

/** True for a header that makes what follows a MIME entity. Hand-off uses the same test. */
export function hasMimeField(headers: HeaderBlock): boolean {
  return headers.fields.some(isStructural);
}

/** True if the header declares, as RFC 9788 has it, that it is the header of the message. */
export function isMarked(entity: HeaderBlock): boolean {
  return ['clear', 'cipher'].includes(hpOf(entity));
}

function hpOf(entity: HeaderBlock): string {
  return entityInfo(entity).contentType.parameters.get('hp')?.trim().toLowerCase() ?? '';
}

export const noHeaders: VerdictHeaders = {
  protection: 'none',
  signed: false,
  encrypted: false,
  fields: [],
  differences: [],
  legacyDisplay: [],
};

/**
 * What the protected octets say about the header of the message (RFC 9788; RFC 8551, section 3.1), and where the outer
 * header differs.
 *
 * @param outer the header of the mail as received; undefined for a bare CMS object, which has none
 */
export function verdictHeaders(
  header: ProtectedHeader | undefined,
  outer: HeaderBlock | undefined,
  covered: { signed: boolean; encrypted: boolean },
): VerdictHeaders {
  if (header === undefined) return noHeaders;
  const protection = protectionOf(header, outer);
  const source = protection === 'wrapped' && header.wrapped ? header.wrapped : header.entity;
  const fields = source.fields.filter((field) => !isStructural(field) && !isOuterNote(field));
  if (fields.length === 0 && protection !== 'rfc9788-clear' && protection !== 'rfc9788-cipher')
    return noHeaders;
  return {
    protection,
    ...covered,
    fields: fields.map(({ name, value }) => ({ name, value })),
    differences: outer === undefined ? [] : differencesOf(protection, fields, source, outer),
    legacyDisplay: header.legacyDisplay,
  };
}

function protectionOf(
  { entity, wrapped }: ProtectedHeader,
  outer: HeaderBlock | undefined,
): VerdictHeaders['protection'] {
  const { contentType } = entityInfo(entity);
  switch (hpOf(entity)) {
    case 'clear':
      return 'rfc9788-clear';
    case 'cipher':
      return 'rfc9788-cipher';
  }
  if (wrapped !== undefined) {
    const forwarded = contentType.parameters.get('forwarded')?.trim().toLowerCase();
    if (forwarded === 'no') return 'wrapped';
    // RFC 8551 has no marker, and a forwarded mail usually comes from somebody else
    if (forwarded === undefined && sameAuthors(wrapped, outer)) return 'wrapped';
  }
  return 'unmarked';
}

function sameAuthors(wrapped: HeaderBlock, outer: HeaderBlock | undefined): boolean {
  const inner = authorKeys(wrapped);
  return inner !== undefined && outer !== undefined && inner === authorKeys(outer);
}

/** Undefined if From is missing, repeated or unreadable. Then it names nobody, and matches nobody. */
function authorKeys(headers: HeaderBlock): string | undefined {
  const { from, fault } = readMailHeader(headers).authors;
  if (fault !== undefined) return undefined;
  return JSON.stringify(from.map((address) => (isKnown(address) ? address.key : '')).sort());
}

/** A value in the form that is compared. */
const plain = (value: string) => decodeWords(value).replace(/\s+/g, ' ').trim();

function joined(fields: readonly HeaderField[], key: string): string | null {
  const values = fields.filter((field) => field.key === key).map(({ value }) => plain(value));
  return values.length === 0 ? null : values.join(', ');
}

function differencesOf(
  protection: VerdictHeaders['protection'],
  inside: readonly HeaderField[],
  source: HeaderBlock,
  outer: HeaderBlock,
): VerdictHeaders['differences'] {
  // what the sender, under protection, says that it wrote outside (RFC 9788, section 2.2.1)
  const written = source.all('hp-outer').map((value) => {
    const colon = value.indexOf(':');
    return { key: value.slice(0, colon).trim().toLowerCase(), value: plain(value.slice(colon + 1)) };
  });
  const found: VerdictHeaders['differences'] = [];
  for (const key of comparedFields) {
    const inner = joined(inside, key);
    const out = joined(outer.fields, key);
    // a header without the marker need not be complete
    if (inner === out || (inner === null && protection === 'unmarked')) continue;
    const said = written.filter((field) => field.key === key).map(({ value }) => value);
    const intended = protection === 'rfc9788-cipher' && (said.length === 0 ? null : said.join(', ')) === out;
    const name = [...inside, ...outer.fields].find((field) => field.key === key)?.name ?? key;
    found.push({ name, outer: out, inner, intended });
  }
  return found;
}
