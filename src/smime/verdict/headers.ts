import {
  decodeWords,
  entityInfo,
  type HeaderBlock,
  type HeaderField,
  isKnown,
  readMailHeader,
} from '../../message/index.ts';
import type { VerdictHeaders } from './verdict-schema.ts';

/** The header of what was protected, and of the mail that it wraps where it is a message/rfc822. */
export interface ProtectedHeader {
  readonly entity: HeaderBlock;
  wrapped: HeaderBlock | undefined;
  /** Numbers of the leaves that repeat fields in their text. */
  readonly legacyDisplay: number[];
}

/** Fields that tell who, to whom, when and about what: those that are compared with the outer ones. */
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

/** RFC 9788, section 1.1: fields that describe the MIME structure are no fields of the message. */
const isStructural = ({ key }: HeaderField) => key === 'mime-version' || key.startsWith('content-');
const isOuterNote = ({ key }: HeaderField) => key === 'hp-outer';

/** True for a header that makes what follows a MIME entity; hand-off looks at it in the same way. */
export function hasMimeField(headers: HeaderBlock): boolean {
  return headers.fields.some(isStructural);
}

/** True when the header says by RFC 9788 that it is that of the message. */
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
 * What the protected octets say about the header of the message (RFC 9788; RFC 8551, section 3.1), and where the
 * header outside says something else.
 *
 * @param outer the header of the mail as it came; undefined for a bare CMS object, which has none
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
    // RFC 8551 gives no mark; a mail that somebody forwards is from somebody else, as a rule
    if (forwarded === undefined && sameAuthors(wrapped, outer)) return 'wrapped';
  }
  return 'unmarked';
}

function sameAuthors(wrapped: HeaderBlock, outer: HeaderBlock | undefined): boolean {
  const inner = authorKeys(wrapped);
  return inner !== undefined && outer !== undefined && inner === authorKeys(outer);
}

/** Undefined where From is missing, repeated or unreadable: that is nobody, and so the same as nobody else. */
function authorKeys(headers: HeaderBlock): string | undefined {
  const { from, fault } = readMailHeader(headers).authors;
  if (fault !== undefined) return undefined;
  return JSON.stringify(from.map((address) => (isKnown(address) ? address.key : '')).sort());
}

/** A value in the form in which two of them are compared. */
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
  // what the sender wrote outside, by its own protected word (RFC 9788, section 2.2.1)
  const written = source.all('hp-outer').map((value) => {
    const colon = value.indexOf(':');
    return { key: value.slice(0, colon).trim().toLowerCase(), value: plain(value.slice(colon + 1)) };
  });
  const found: VerdictHeaders['differences'] = [];
  for (const key of comparedFields) {
    const inner = joined(inside, key);
    const out = joined(outer.fields, key);
    // a header without a mark need not be complete
    if (inner === out || (inner === null && protection === 'unmarked')) continue;
    const said = written.filter((field) => field.key === key).map(({ value }) => value);
    const intended = protection === 'rfc9788-cipher' && (said.length === 0 ? null : said.join(', ')) === out;
    const name = [...inside, ...outer.fields].find((field) => field.key === key)?.name ?? key;
    found.push({ name, outer: out, inner, intended });
  }
  return found;
}
