import { SealpostError } from '../../errors.ts';
import {
  type EntityInfo,
  entityInfo,
  type HeaderBlock,
  HeaderSplitter,
  type Sink,
  TeeSink,
} from '../../message/index.ts';
import { hasMimeField, isMarked } from '../verdict/headers.ts';
import { embeddedScanner, mayHoldEmbedded } from './embedded.ts';
import { cmsBody, entityKind } from './kinds.ts';
import { multipartSigned } from './multipart-signed.ts';
import { legacyDisplayScanner, wrappedHeader } from './protected-headers.ts';
import { beginsLikeHeader, FORM_OCTETS, formOf, isKnownContentInfo, Sniffer } from './sniffer.ts';
import type { DecodeState } from './state.ts';
import { isTnef } from './tnef.ts';
import { isSmimeWinmail, smimeWinmail, WINMAIL_PROBE } from './winmail.ts';

/** Takes a whole mail (RFC 5322). Errors: `mime-malformed` if it has no header field at all. */
export function mailEntity(state: DecodeState): Sink {
  return new HeaderSplitter((headers) => {
    state.outer = headers;
    if (headers.fields.length === 0)
      throw new SealpostError('mime-malformed', 'this is not a mail: it has no header');
    return entityBody(state, headers);
  }, state.limits.message);
}

/** Decides by the header where the body goes: to the next layer, or out as the content with its header. */
export function entityBody(state: DecodeState, headers: HeaderBlock): Sink {
  const info = entityInfo(headers);
  const kind = entityKind(info);
  if (kind === 'cms') return cmsBody(info.transferEncoding, state.next.cms(state));
  if (kind === 'multipart-signed' && !state.settings.hints.foreignMultipart)
    return multipartSigned(state, info);
  if (!isTnef(info)) return plainEntity(state, headers, info);
  return new Sniffer(WINMAIL_PROBE, (head) =>
    isSmimeWinmail(head, info.transferEncoding)
      ? smimeWinmail(state, info.transferEncoding)
      : plainEntity(state, headers, info),
  );
}

function plainEntity(state: DecodeState, headers: HeaderBlock, info: EntityInfo): Sink {
  const content = protectedContent(state, headers, info.contentType.value);
  if (!mayHoldEmbedded(info)) return content;
  return new TeeSink(content, embeddedScanner(state, headers));
}

/** The innermost entity, whose header may be the one that the sender wants shown (RFC 9788). */
function protectedContent(state: DecodeState, headers: HeaderBlock, contentType: string | null): Sink {
  const content = contentWith(state, headers.raw, contentType);
  if (state.layers.length === 0 || !hasMimeField(headers)) return content;
  state.header = { entity: headers, wrapped: undefined, legacyDisplay: [] };
  if (isMarked(headers)) {
    const { legacyDisplay } = state.header;
    const { limits, budget } = state;
    return new TeeSink(content, legacyDisplayScanner(headers, legacyDisplay, limits.message, budget));
  }
  if (contentType !== 'message/rfc822') return content;
  return new TeeSink(content, wrappedHeader(state.header, state.limits.message));
}

function contentWith(state: DecodeState, head: Buffer, contentType: string | null): Sink {
  const content = state.beginContent(contentType);
  if (head.length > 0) content.write(head);
  return content;
}

/**
 * Takes the id-data of a CMS layer: a MIME entity, which may be the next layer; a bare CMS object (SECON and other EDI
 * profiles nest them like that); or octets that are the content itself.
 */
export function innerData(state: DecodeState): Sink {
  return new Sniffer(FORM_OCTETS, (head) => {
    if (formOf(head) === 'der' && isKnownContentInfo(head)) return state.next.cms(state);
    if (!beginsLikeHeader(head)) return contentWith(state, Buffer.alloc(0), null);
    return new HeaderSplitter(
      (headers) =>
        headers.get('content-type') === undefined
          ? protectedContent(state, headers, null)
          : entityBody(state, headers),
      state.limits.message,
      // not a header after all, only text that looked like one
      (octets) => contentWith(state, octets, null),
    );
  });
}
