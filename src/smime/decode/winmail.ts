import { SealpostError } from '../../errors.ts';
import { entityInfo, HeaderSplitter, NullSink, type Sink, transferDecoder } from '../../message/index.ts';
import { entityKind } from './kinds.ts';
import { beginsLikeHeader, FORM_OCTETS, formOf, isKnownContentInfo, Sniffer } from './sniffer.ts';
import type { DecodeState } from './state.ts';
import { isSmimeClass, TnefReader } from './tnef.ts';

/** Octets of a body within which the class of the message must appear. Writers put it at the start. */
export const WINMAIL_PROBE = 4096;

/** True if the start of a winmail.dat says that the whole message is S/MIME. */
export function isSmimeWinmail(head: Buffer, transferEncoding: string): boolean {
  let found = false;
  const probe = transferDecoder(
    transferEncoding,
    new TnefReader({
      messageClass: (name) => {
        found ||= isSmimeClass(name);
      },
    }),
  );
  try {
    probe.write(Buffer.from(head));
    probe.end();
  } catch (error) {
    // the octets were cut off here, so they end in the middle
    if (!(error instanceof SealpostError)) throw error;
  }
  return found;
}

/**
 * The body of a winmail.dat whose message is S/MIME. Its only attachment is the CMS object or the multipart/signed
 * (MS-OXOSMIME, section 2.2), and is decoded as if it were not wrapped.
 */
export function smimeWinmail(state: DecodeState, transferEncoding: string): Sink {
  let found = false;
  const reader = new TnefReader({
    attachment: () => {
      if (found) return new NullSink();
      found = true;
      return protectedAttachment(state);
    },
  });
  const checked: Sink = {
    write: (chunk) => reader.write(chunk),
    end: () => {
      reader.end();
      if (!found) throw new SealpostError('mime-malformed', 'a winmail.dat with S/MIME has no attachment');
    },
  };
  return transferDecoder(transferEncoding, checked);
}

function protectedAttachment(state: DecodeState): Sink {
  const otherwise = (): never => {
    throw new SealpostError('mime-malformed', 'the attachment of a winmail.dat is not an S/MIME object');
  };
  return new Sniffer(FORM_OCTETS, (head) => {
    if (formOf(head) === 'der' && isKnownContentInfo(head)) return state.next.cms(state);
    if (!beginsLikeHeader(head)) return otherwise();
    return new HeaderSplitter(
      (headers) =>
        entityKind(entityInfo(headers)) === 'plain' ? otherwise() : state.next.entity(state, headers),
      state.limits.message,
      () => otherwise(),
    );
  });
}
