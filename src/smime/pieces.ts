import { SealpostError, toErrorInfo } from '../errors.ts';
import {
  type EntityInfo,
  entityInfo,
  type HeaderBlock,
  HeaderSplitter,
  MultipartSplitter,
  NullSink,
  type Sink,
  transferDecoder,
} from '../message/index.ts';
import { cmsLayer } from './cms-layer.ts';
import { beginsLikeHeader, entityBody, isKnownContentInfo } from './entity.ts';
import { entityKind } from './kinds.ts';
import { Peeling } from './peeling.ts';
import { FORM_OCTETS, formOf, Sniffer } from './sniffer.ts';
import { isTnef, TnefReader } from './tnef.ts';
import { failedVerdict, okVerdict, type Piece } from './verdict.ts';

/** True for content that may have S/MIME parts below it. */
export function mayHavePieces(info: EntityInfo): boolean {
  const { type, value } = info.contentType;
  return type === 'multipart' || value === 'message/rfc822' || isTnef(info);
}

/**
 * Looks for S/MIME parts below an entity that is none itself: mailing lists put a signed mail in a multipart, people
 * forward and attach them. Each is decoded by itself and gets a verdict of its own; what it protects says nothing
 * about the parts beside it (threats S2, S6). What can not be taken apart has no pieces: the content is the caller's.
 */
export function pieceScanner(peeling: Peeling, headers: HeaderBlock): Sink {
  const { message } = peeling.limits;

  function body(inner: HeaderBlock, path: string, depth: number): Sink {
    const info = entityInfo(inner);
    const { type, value, parameters } = info.contentType;
    if (path !== '' && entityKind(info) !== 'plain') {
      return pieceSink(peeling, path, value, (own) => entityBody(own, inner));
    }
    if (depth >= message.depth || !mayHavePieces(info)) return new NullSink();
    if (isTnef(info)) return transferDecoder(info.transferEncoding, attachments(path === '' ? '1' : path));
    if (value === 'message/rfc822') {
      const at = path === '' ? '1' : path;
      return new HeaderSplitter((mail) => mailBody(mail, at, depth + 1), message);
    }
    if (type !== 'multipart' || (parameters.get('boundary') ?? '') === '') return new NullSink();
    const below = path === '' ? '' : `${path}.`;
    return transferDecoder(
      info.transferEncoding,
      new MultipartSplitter(
        parameters.get('boundary') ?? '',
        {
          part: (index) =>
            new HeaderSplitter((part) => body(part, `${below}${index + 1}`, depth + 1), message),
        },
        message,
      ),
    );
  }

  /** The attachments of a winmail.dat count below it. */
  function attachments(path: string): Sink {
    return new TnefReader({ attachment: (number) => attachment(`${path}.${number}`) });
  }

  function attachment(path: string): Sink {
    return new Sniffer(FORM_OCTETS, (head) => {
      if (formOf(head) === 'der' && isKnownContentInfo(head)) {
        return pieceSink(peeling, path, 'application/ms-tnef', cmsLayer);
      }
      if (!beginsLikeHeader(head)) return new NullSink();
      // no further down: an attachment that is no S/MIME entity is nobody's piece
      return new HeaderSplitter(
        (part) => body(part, path, message.depth),
        message,
        () => new NullSink(),
      );
    });
  }

  /** Numbers as in RFC 9051, section 6.4.5.1: the parts of a multipart count below the mail, else its body is 1. */
  function mailBody(mail: HeaderBlock, path: string, depth: number): Sink {
    const info = entityInfo(mail);
    const divided = info.contentType.type === 'multipart' && entityKind(info) === 'plain';
    return body(mail, divided ? path : `${path}.1`, depth);
  }

  return new QuietSink(body(headers, '', 0));
}

function pieceSink(peeling: Peeling, path: string, contentType: string, open: (own: Peeling) => Sink): Sink {
  const most = peeling.limits.pieces;
  if (peeling.pieces.length > most) return new NullSink();
  const beyond = peeling.pieces.length === most;
  const piece = new PieceSink(peeling, path, contentType, (own) => {
    if (beyond) throw new SealpostError('mime-limit', `more than ${most} S/MIME parts in a mail`);
    return open(own);
  });
  peeling.pieces.push(piece);
  return piece;
}

/** Decodes one S/MIME part; a fault in it is its own. */
export class PieceSink implements Sink {
  readonly #peeling: Peeling;
  readonly #path: string;
  readonly #contentType: string;
  #stage: Sink = new NullSink();
  #error: { code: SealpostError['code']; message: string } | undefined;
  #ended = false;

  constructor(outer: Peeling, path: string, contentType: string, open: (own: Peeling) => Sink) {
    this.#path = path;
    this.#contentType = contentType;
    this.#peeling = Peeling.ofPiece(outer);
    this.#guard(() => {
      this.#stage = open(this.#peeling);
    });
  }

  write(chunk: Buffer): void {
    this.#guard(() => this.#stage.write(chunk));
  }

  end(): void {
    this.#ended = true;
    this.#guard(() => this.#stage.end());
  }

  #guard(step: () => void): void {
    if (this.#error !== undefined) return;
    try {
      step();
    } catch (error) {
      this.#error = toErrorInfo(error);
    }
  }

  /** After the whole message: what it was worth; undefined when it was no S/MIME after all. */
  result(): Piece | undefined {
    const { layers, content, aead, header, hasContent, retry } = this.#peeling;
    if (retry?.foreignMultipart) return undefined;
    const error = this.#ended
      ? this.#error
      : { code: 'mime-malformed' as const, message: 'the part does not end' };
    const verdict =
      error !== undefined
        ? failedVerdict(layers, error)
        : okVerdict({
            layers,
            content: hasContent ? content.finish() : null,
            aead,
            header,
            outer: undefined,
            pieces: [],
          });
    const { status, encrypted, integrity, signature, content: found } = verdict;
    return {
      path: this.#path,
      contentType: this.#contentType,
      status,
      error: verdict.error,
      encrypted,
      integrity,
      signature,
      layers,
      content: found,
    };
  }
}

/** Lets no fault out: the search is beside the message's own way. */
class QuietSink implements Sink {
  #inner: Sink;

  constructor(inner: Sink) {
    this.#inner = inner;
  }

  write(chunk: Buffer): void {
    this.#try(() => this.#inner.write(chunk));
  }

  end(): void {
    this.#try(() => this.#inner.end());
  }

  #try(step: () => void): void {
    try {
      step();
    } catch (error) {
      if (!(error instanceof SealpostError)) throw error;
      this.#inner = new NullSink();
    }
  }
}
