import { SealpostError } from '../../errors.ts';
import {
  type EntityInfo,
  entityInfo,
  type HeaderBlock,
  HeaderSplitter,
  type Sink,
  TeeSink,
} from '../../message/index.ts';
import { hasMimeField, isMarked, wrappedHeader } from '../verdict/protected-headers.ts';
import { cmsLayer } from './cms-layer.ts';
import { cmsBody, entityKind } from './kinds.ts';
import { legacyDisplayScanner } from './legacy-display.ts';
import { multipartSigned } from './multipart-signed.ts';
import type { Peeling } from './peeling.ts';
import { mayHavePieces, pieceScanner } from './pieces.ts';
import { FORM_OCTETS, formOf, Sniffer } from './sniffer.ts';
import { isTnef } from './tnef.ts';
import { isSmimeWinmail, smimeWinmail, WINMAIL_PROBE } from './winmail.ts';

/** Takes a whole mail (RFC 5322). Errors: `mime-malformed` when it has no header field at all. */
export function mailEntity(peeling: Peeling): Sink {
  return new HeaderSplitter((headers) => {
    if (headers.fields.length === 0)
      throw new SealpostError('mime-malformed', 'this is no mail: it has no header');
    peeling.outer = headers;
    return entityBody(peeling, headers);
  }, peeling.limits.message);
}

/** Takes one MIME entity, such as the first part of a multipart/signed. */
export function mimeEntity(peeling: Peeling): Sink {
  return new HeaderSplitter((headers) => entityBody(peeling, headers), peeling.limits.message);
}

/** Chooses by the header where the body goes: to the next layer, or out as the content with its header. */
export function entityBody(peeling: Peeling, headers: HeaderBlock): Sink {
  const info = entityInfo(headers);
  const kind = entityKind(info);
  if (kind === 'cms') return cmsBody(info.transferEncoding, cmsLayer(peeling));
  if (kind === 'multipart-signed' && !peeling.hints.foreignMultipart) return multipartSigned(peeling, info);
  if (!isTnef(info)) return plainEntity(peeling, headers, info);
  return new Sniffer(WINMAIL_PROBE, (head) =>
    isSmimeWinmail(head, info.transferEncoding)
      ? smimeWinmail(peeling, info.transferEncoding)
      : plainEntity(peeling, headers, info),
  );
}

function plainEntity(peeling: Peeling, headers: HeaderBlock, info: EntityInfo): Sink {
  const content = protectedContent(peeling, headers, info.contentType.value);
  if (!mayHavePieces(info)) return content;
  return new TeeSink(content, pieceScanner(peeling, headers));
}

/** The innermost entity, whose header may be the one that the sender wanted to be seen (RFC 9788). */
function protectedContent(peeling: Peeling, headers: HeaderBlock, contentType: string | null): Sink {
  const content = contentWith(peeling, headers.raw, contentType);
  if (peeling.layers.length === 0 || !hasMimeField(headers)) return content;
  peeling.header = { entity: headers, wrapped: undefined, legacyDisplay: [] };
  if (isMarked(headers)) {
    const { legacyDisplay } = peeling.header;
    const { limits, budget } = peeling;
    return new TeeSink(content, legacyDisplayScanner(headers, legacyDisplay, limits.message, budget));
  }
  if (contentType !== 'message/rfc822') return content;
  return new TeeSink(content, wrappedHeader(peeling.header, peeling.limits.message));
}

function contentWith(peeling: Peeling, head: Buffer, contentType: string | null): Sink {
  const content = peeling.beginContent(contentType);
  if (head.length > 0) content.write(head);
  return content;
}

/**
 * Takes what a CMS layer held as id-data: a MIME entity, which may be the next layer; a bare CMS object
 * (SECON and other EDI profiles nest them so); or octets that are the content as they are.
 */
export function innerData(peeling: Peeling): Sink {
  return new Sniffer(FORM_OCTETS, (head) => {
    if (formOf(head) === 'der' && isKnownContentInfo(head)) return cmsLayer(peeling);
    if (!beginsLikeHeader(head)) return contentWith(peeling, Buffer.alloc(0), null);
    return new HeaderSplitter(
      (headers) =>
        headers.get('content-type') === undefined
          ? protectedContent(peeling, headers, null)
          : entityBody(peeling, headers),
      peeling.limits.message,
      // no header after all, only text that looked like one
      (octets) => contentWith(peeling, octets, null),
    );
  });
}

const COLON = 0x3a;

/** True for a field name (RFC 5322, section 3.6.8), perhaps white space, and a colon. */
export function beginsLikeHeader(head: Buffer): boolean {
  const end = Math.min(head.length, FORM_OCTETS);
  let at = 0;
  for (; at < end; at++) {
    const octet = head[at] ?? 0;
    if (octet <= 0x20 || octet >= 0x7f || octet === COLON) break;
  }
  if (at === 0) return false;
  while (at < end && (head[at] === 0x20 || head[at] === 0x09)) at++;
  return at < end && head[at] === COLON;
}

/** Content types of PKCS#7 (1.2.840.113549.1.7.2 to 6) and S/MIME (1.2.840.113549.1.9.16.1.9 and 23). */
const knownTypes = [
  ...[2, 3, 5, 6].map((last) =>
    Buffer.from([0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, last]),
  ),
  ...[9, 23].map((last) =>
    Buffer.from([0x06, 0x0b, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x10, 0x01, last]),
  ),
];

export function isKnownContentInfo(head: Buffer): boolean {
  const length = head[1] ?? 0;
  const at = length < 0x80 ? 2 : 2 + (length & 0x7f);
  return knownTypes.some((type) => head.subarray(at, at + type.length).equals(type));
}
