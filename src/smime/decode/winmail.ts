import { SealpostError } from '../../errors.ts';
import { entityInfo, HeaderSplitter, NullSink, type Sink, transferDecoder } from '../../message/index.ts';
import { cmsLayer } from './cms-layer.ts';
import { beginsLikeHeader, entityBody, isKnownContentInfo } from './entity.ts';
import { entityKind } from './kinds.ts';
import type { Peeling } from './peeling.ts';
import { FORM_OCTETS, formOf, Sniffer } from './sniffer.ts';
import { isSmimeClass, TnefReader } from './tnef.ts';

/** Octets of a body in which the class of the message must be; writers put it at the start. */
export const WINMAIL_PROBE = 4096;

/** True when the start of a winmail.dat says that the whole message is S/MIME. */
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
    // what is cut off ends in the middle
    if (!(error instanceof SealpostError)) throw error;
  }
  return found;
}

/**
 * The body of a winmail.dat whose message is S/MIME: its one attachment is the CMS object or the multipart/signed
 * (MS-OXOSMIME, section 2.2), and is peeled as if it had come without the wrapping.
 */
export function smimeWinmail(peeling: Peeling, transferEncoding: string): Sink {
  let found = false;
  const reader = new TnefReader({
    attachment: () => {
      if (found) return new NullSink();
      found = true;
      return protectedAttachment(peeling);
    },
  });
  const checked: Sink = {
    write: (chunk) => reader.write(chunk),
    end: () => {
      reader.end();
      if (!found) throw new SealpostError('mime-malformed', 'a winmail.dat of S/MIME has no attachment');
    },
  };
  return transferDecoder(transferEncoding, checked);
}

function protectedAttachment(peeling: Peeling): Sink {
  const otherwise = (): never => {
    throw new SealpostError('mime-malformed', 'the attachment of a winmail.dat is no S/MIME object');
  };
  return new Sniffer(FORM_OCTETS, (head) => {
    if (formOf(head) === 'der' && isKnownContentInfo(head)) return cmsLayer(peeling);
    if (!beginsLikeHeader(head)) return otherwise();
    return new HeaderSplitter(
      (headers) => (entityKind(entityInfo(headers)) === 'plain' ? otherwise() : entityBody(peeling, headers)),
      peeling.limits.message,
      () => otherwise(),
    );
  });
}
