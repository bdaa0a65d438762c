import { SealpostError } from '../errors.ts';
import {
  type ContentType,
  decodeWords,
  defaultMessageLimits,
  type EntityInfo,
  entityInfo,
  type HeaderBlock,
  HeaderSplitter,
  type MessageLimits,
  MultipartSplitter,
  parseHeaders,
  type Sink,
  transferDecoder,
} from '../message/index.ts';
import type { ContentKind } from './message.ts';
import { safeName } from './names.ts';

/** What the header of a leaf part says, modelled on BizTalk's part properties. Texts are decoded; '' if missing. */
export interface PartFacts {
  /** Counts the leaf parts in order, from 1. */
  number: number;
  /** Such as `text/xml`, in lower case. */
  contentType: string;
  charset: string;
  /** Safe as a file name on every system: see `safeName`. */
  fileName: string;
  /** As the sender wrote it, which may be `../../etc/passwd`. For display, never to open. */
  originalFileName: string;
  contentId: string;
  description: string;
  transferEncoding: string;
  disposition: string;
  location: string;
}

/** Receives each leaf part: first its description, then its decoded octets into the sink, which ends with the part. */
export type PartVisitor = (facts: PartFacts, contentType: ContentType) => Sink;

const rawOctets = parseHeaders(Buffer.from('Content-Type: application/octet-stream\r\n\r\n'));

function factsOf(
  number: number,
  headers: HeaderBlock,
  info: EntityInfo,
  fallback: string | undefined,
): PartFacts {
  // encoded words in parameters violate RFC 2047, section 5, but are common
  const originalFileName = decodeWords(info.fileName);
  const type = !info.hasContentType && fallback !== undefined ? fallback : info.contentType.value;
  return {
    number,
    contentType: type,
    charset: info.contentType.parameters.get('charset')?.toLowerCase() ?? '',
    fileName: safeName(originalFileName),
    originalFileName,
    contentId: headers.get('content-id')?.replace(/^<|>$/g, '') ?? '',
    description: decodeWords(headers.get('content-description') ?? ''),
    transferEncoding: info.transferEncoding,
    disposition: info.disposition,
    location: headers.get('content-location')?.replace(/\s+/g, '') ?? '',
  };
}

/**
 * A sink for the content that finds its leaf parts and decodes each on its own. Parts are never joined, because each
 * piece has its own origin (EFAIL). A `message/rfc822` is one leaf, and is not opened.
 *
 * Errors: `mime-limit` beyond the limits on parts, depth or headers; `transfer-encoding` for a part that cannot be
 * decoded.
 */
export function createWalker(
  kind: ContentKind,
  visit: PartVisitor,
  limits: MessageLimits = defaultMessageLimits,
): Sink {
  let count = 0;

  function leaf(headers: HeaderBlock, info: EntityInfo, fallback: string | undefined): Sink {
    count++;
    if (count > limits.parts) {
      throw new SealpostError('mime-limit', `the message has more than ${limits.parts} parts`);
    }
    const facts = factsOf(count, headers, info, fallback);
    return transferDecoder(facts.transferEncoding, visit(facts, info.contentType), limits.budget);
  }

  function body(headers: HeaderBlock, depth: number, fallback: string | undefined): Sink {
    const info = entityInfo(headers);
    const boundary = info.contentType.parameters.get('boundary')?.trimEnd() ?? '';
    // a multipart without a boundary cannot be split, so it is handed on unchanged
    if (info.contentType.type !== 'multipart' || boundary === '') return leaf(headers, info, fallback);
    if (depth >= limits.depth) {
      throw new SealpostError('mime-limit', `multiparts are nested more than ${limits.depth} deep`);
    }
    // RFC 2046, section 5.1.5: the parts of a digest are messages by default
    const inside = info.contentType.subtype === 'digest' ? 'message/rfc822' : undefined;
    const splitter = new MultipartSplitter(
      boundary,
      { part: () => new HeaderSplitter((inner) => body(inner, depth + 1, inside), limits) },
      limits,
    );
    return transferDecoder(info.transferEncoding, splitter, limits.budget);
  }

  if (kind === 'octets') return leaf(rawOctets, entityInfo(rawOctets), undefined);
  return new HeaderSplitter((headers) => body(headers, 0, undefined), limits);
}
