import { SealpostError } from '../errors.ts';
import {
  defaultMessageLimits,
  entityInfo,
  HeaderBlock,
  type HeaderField,
  HeaderSplitter,
  type MessageLimits,
  NullSink,
  parseHeaders,
  strayControl,
} from '../message/index.ts';
import type { Delivery, JsonValue } from './types.ts';

/**
 * What the decoded content is: a MIME entity (RFC 8551, section 3.1), other octets, or the mail itself if it was not
 * S/MIME.
 */
export type ContentKind = 'entity' | 'octets' | 'message';

/** The message to hand off: `prefix`, then the content, whose octets are never changed. */
export interface HandoffMessage {
  kind: ContentKind;
  prefix: Buffer;
  /** All fields of the resulting message. */
  headers: HeaderBlock;
  /** Octets of the content that form its header, and are among `headers`. */
  headerOctets: number;
  /** The header of the mail inside, whose fields are repeated in `headers`. It comes next in the content. */
  wrapped?: HeaderBlock | undefined;
  /** Length of `message.eml`. */
  octets: number;
}

/** RFC 5322, section 3.6: fields that may occur once in a message. Those of the entity were protected, so they win. */
const singleFields = new Set([
  'date',
  'from',
  'sender',
  'reply-to',
  'to',
  'cc',
  'bcc',
  'message-id',
  'in-reply-to',
  'references',
  'subject',
]);

const isMimeField = (field: HeaderField) => field.key === 'mime-version' || field.key.startsWith('content-');

/** The header block at the start of the content; undefined if there is none within the limits. */
function leadingHeaders(head: Buffer, limits: MessageLimits): HeaderBlock | undefined {
  let found: HeaderBlock | undefined;
  const splitter = new HeaderSplitter((headers) => {
    found = headers;
    return new NullSink();
  }, limits);
  try {
    splitter.write(head);
    splitter.end();
  } catch (error) {
    if (error instanceof SealpostError) return undefined;
    throw error;
  }
  // the decoder refuses a message with such a header, so what looks like one here is content
  return found === undefined || strayControl(found) !== undefined ? undefined : found;
}

/**
 * A MIME entity starts with an empty line, or has a MIME field in its header. This is stricter than "looks like a
 * header", because EDIFACT (`UNA:+.? '`) does.
 */
function isEntity(head: Buffer, headers: HeaderBlock | undefined): headers is HeaderBlock {
  // after the outer fields, a line that starts with white space would continue the last of them, such as From
  if (headers === undefined || head[0] === 0x20 || head[0] === 0x09) return false;
  if (headers.fields.some(isMimeField)) return true;
  return head[0] === 0x0a || (head[0] === 0x0d && head[1] === 0x0a);
}

/** The kind of content that is not a whole mail, judged by its start. */
export function contentKind(head: Buffer, limits: MessageLimits): ContentKind {
  return isEntity(head, leadingHeaders(head, limits)) ? 'entity' : 'octets';
}

/** The decoder's finding on header protection: the content is a message/rfc822 that is the message itself. */
function isWrapped(verdict: JsonValue): boolean {
  if (typeof verdict !== 'object' || verdict === null || Array.isArray(verdict)) return false;
  const { headers } = verdict;
  if (typeof headers !== 'object' || headers === null || Array.isArray(headers)) return false;
  return headers.protection === 'wrapped';
}

/**
 * RFC 9788, section 2.1.1: the header of the entity is complete, so a field that it lacks was not written by the
 * sender.
 */
function isComplete(entity: HeaderBlock | undefined): boolean {
  if (entity === undefined) return false;
  const { parameters } = entityInfo(entity).contentType;
  return ['clear', 'cipher'].includes(parameters.get('hp')?.trim().toLowerCase() ?? '');
}

function withLineEnd(raw: Buffer): Buffer {
  return raw.at(-1) === 0x0a ? raw : Buffer.concat([raw, Buffer.from('\r\n')]);
}

/**
 * Makes the message to hand off from the outer header block and the start of the content.
 *
 * The outer fields stay as received, with two exceptions. MIME fields go, because they described the S/MIME envelope.
 * Fields that the entity has itself, or that a complete protected header (RFC 9788, or a wrapped message) omits, go
 * too, because nobody vouches for them. The fields of a wrapped message are repeated above it. Content that is not a
 * MIME entity gets a header as `application/octet-stream`. `start` is the start of the content: all of it, or at least
 * `headOctets`. The policy reads the resulting fields, so the result must be the same for every caller. That is why no
 * more than `headOctets` of `start` are used.
 *
 * Errors: `mime-limit` if the header block of the mail exceeds the limits.
 */
export function composeMessage(
  delivery: Pick<Delivery, 'header' | 'whole' | 'verdict' | 'contentOctets'>,
  start: Buffer,
  limits: MessageLimits = defaultMessageLimits,
): HandoffMessage {
  const head = start.subarray(0, headOctets(limits));
  if (delivery.whole) {
    const headers = leadingHeaders(head, limits) ?? parseHeaders(delivery.header, limits);
    const prefix = Buffer.alloc(0);
    return {
      kind: 'message',
      prefix,
      headers,
      headerOctets: headers.raw.length,
      octets: delivery.contentOctets,
    };
  }
  const inner = leadingHeaders(head, limits);
  const entity = isEntity(head, inner) ? inner : undefined;
  const wrapped =
    entity !== undefined && isWrapped(delivery.verdict)
      ? leadingHeaders(head.subarray(entity.raw.length), limits)
      : undefined;
  const complete = wrapped !== undefined || isComplete(entity);
  const own = new Set(entity?.fields.map((field) => field.key).filter((key) => singleFields.has(key)));
  const outer = parseHeaders(delivery.header, limits).fields.filter(
    (field) => !isMimeField(field) && !(complete ? singleFields.has(field.key) : own.has(field.key)),
  );
  const kept = [...outer, ...(wrapped?.fields.filter((field) => singleFields.has(field.key)) ?? [])];
  const added =
    entity === undefined
      ? 'MIME-Version: 1.0\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary\r\n\r\n'
      : entity.get('mime-version') === undefined
        ? 'MIME-Version: 1.0\r\n'
        : '';
  const addedOctets = Buffer.from(added, 'latin1');
  const prefix = Buffer.concat([...kept.map((field) => withLineEnd(field.raw)), addedOctets]);
  return {
    kind: entity === undefined ? 'octets' : 'entity',
    prefix,
    headers: new HeaderBlock(
      [...kept, ...parseHeaders(addedOctets).fields, ...(entity?.fields ?? [])],
      Buffer.concat([prefix, entity?.raw ?? Buffer.alloc(0)]),
    ),
    headerOctets: entity?.raw.length ?? 0,
    wrapped,
    octets: prefix.length + delivery.contentOctets,
  };
}

/**
 * Octets of the content that the header of the message depends on: the header of the entity, and that of a mail that it
 * wraps.
 */
export function headOctets({ headerOctets }: MessageLimits): number {
  return 2 * headerOctets;
}

/** The first octets of the content: at least `limit`, or all. Reads no further than needed. */
export async function readHead(content: AsyncIterable<Buffer>, limit: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of content) {
    chunks.push(chunk);
    length += chunk.length;
    if (length >= limit) break;
  }
  return Buffer.concat(chunks, length);
}

/** Like `composeMessage`, for content that is not in memory. */
export async function composeStreamed(
  delivery: Pick<Delivery, 'header' | 'whole' | 'verdict' | 'content' | 'contentOctets'>,
  limits: MessageLimits = defaultMessageLimits,
): Promise<HandoffMessage> {
  return composeMessage(delivery, await readHead(delivery.content(), headOctets(limits)), limits);
}

/** The octets of `message.eml`. */
export async function* messageOctets(message: HandoffMessage, content: AsyncIterable<Buffer>) {
  if (message.prefix.length > 0) yield message.prefix;
  yield* content;
}
