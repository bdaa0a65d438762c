import type { Budget } from '../../budget.ts';
import {
  entityInfo,
  type HeaderBlock,
  HeaderSplitter,
  headerCost,
  type MessageLimits,
  MultipartSplitter,
  NullSink,
  type Sink,
} from '../../message/index.ts';
import type { ProtectedHeader } from '../verdict/headers.ts';
import { QuietSink } from './sinks.ts';

/** Reads the header of the mail in a message/rfc822 as it passes through. An invalid header is ignored. */
export function wrappedHeader(header: ProtectedHeader, limits: MessageLimits): Sink {
  return new HeaderSplitter(
    (headers) => {
      if (headers.fields.length > 0) header.wrapped = headers;
      return new NullSink();
    },
    limits,
    () => new NullSink(),
  );
}

/**
 * Looks for parts that declare a legacy display element at their start (RFC 9788): header fields repeated in the text,
 * for mail programs that do not show protected headers. The octets are unchanged.
 *
 * @param headers of the entity whose body is written
 * @param found receives the numbers of these leaves, counted from 1 in message order
 */
export function legacyDisplayScanner(
  headers: HeaderBlock,
  found: number[],
  limits: MessageLimits,
  budget: Budget,
): Sink {
  let leaves = 0;
  const scan = (entity: HeaderBlock, depth: number): Sink => {
    budget.spend(headerCost(entity));
    const { contentType } = entityInfo(entity);
    const boundary = contentType.parameters.get('boundary') ?? '';
    if (contentType.type === 'multipart' && boundary !== '' && depth < limits.depth) {
      const part = () => new HeaderSplitter((inner) => scan(inner, depth + 1), limits);
      return new MultipartSplitter(boundary, { part }, limits);
    }
    leaves++;
    if (isMarked(entity)) found.push(leaves);
    return new NullSink();
  };
  return new QuietSink(scan(headers, 0));
}

function isMarked(entity: HeaderBlock): boolean {
  const { type, parameters } = entityInfo(entity).contentType;
  return type === 'text' && parameters.get('hp-legacy-display')?.trim() === '1';
}
