import { SealpostError, toErrorInfo } from '../../errors.ts';
import {
  type EntityInfo,
  entityInfo,
  type HeaderBlock,
  HeaderSplitter,
  headerCost,
  MultipartSplitter,
  NullSink,
  type Sink,
  transferDecoder,
} from '../../message/index.ts';
import { failedVerdict, okVerdict, type Piece } from '../verdict/verdict.ts';
import { cmsLayer } from './cms-layer.ts';
import { OutputError } from './content.ts';
import { beginsLikeHeader, entityBody, isKnownContentInfo } from './entity.ts';
import { entityKind } from './kinds.ts';
import { Peeling } from './peeling.ts';
import { FORM_OCTETS, formOf, Sniffer } from './sniffer.ts';
import { isTnef, TnefReader } from './tnef.ts';

/** What is known of an S/MIME part below the message before it is decoded. */
export interface PieceStart {
  /** As in the verdict; no two pieces have the same. */
  readonly path: string;
  /** Of the part, not of what it holds. */
  readonly contentType: string;
}

/** True for content that may have S/MIME parts below it. */
export function mayHavePieces(info: EntityInfo): boolean {
  const { type, value } = info.contentType;
  return type === 'multipart' || value === 'message/rfc822' || isTnef(info);
}

/**
 * Looks for S/MIME parts below an entity that is none itself: mailing lists put a signed mail in a multipart, people
 * forward and attach them. Each is decoded by itself, into an output of its own, and gets a verdict of its own; what it
 * protects says nothing about the parts beside it (threats S2, S6). Its content is searched in turn. What cannot be taken apart has no pieces: the content is the caller's.
 */
export function pieceScanner(peeling: Peeling, headers: HeaderBlock): Sink {
  const { message } = peeling.limits;

  function body(inner: HeaderBlock, path: string, depth: number): Sink {
    peeling.budget.spend(headerCost(inner));
    const info = entityInfo(inner);
    const { type, value, parameters } = info.contentType;
    if (path !== '' && entityKind(info) !== 'plain') {
      return pieceSink(peeling, path, value, (own) => entityBody(own, inner));
    }
    if (depth >= message.depth || !mayHavePieces(info)) return new NullSink();
    if (isTnef(info)) {
      const target = attachments(path === '' ? '1' : path);
      return transferDecoder(info.transferEncoding, target, message.budget);
    }
    if (value === 'message/rfc822') {
      const at = path === '' ? '1' : path;
      return new HeaderSplitter((mail) => mailBody(mail, at, depth + 1), message);
    }
    if (type !== 'multipart' || (parameters.get('boundary') ?? '') === '') return new NullSink();
    const below = path === '' ? '' : `${path}.`;
    // multiparts in multiparts may each be encoded, so that their octets are decoded many times
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
      message.budget,
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
  const below = peeling.piece === undefined ? path : `${peeling.piece.start.path}/${path}`;
  const piece = new PieceSink(peeling, { path: below, contentType }, (own) => {
    if (beyond) throw new SealpostError('mime-limit', `more than ${most} S/MIME parts in a mail`);
    return open(own);
  });
  return piece;
}

function outputOf({ openPiece }: Peeling, start: PieceStart): Sink {
  try {
    return openPiece(start);
  } catch (error) {
    throw new OutputError(error);
  }
}

/** Decodes one S/MIME part; a fault in it is its own. */
export class PieceSink implements Sink {
  readonly start: PieceStart;
  readonly #peeling: Peeling;
  readonly #outer: PieceSink | undefined;
  #stage: Sink = new NullSink();
  #error: { code: SealpostError['code']; message: string } | undefined;
  #ended = false;
  /** After `result`: what it holds counts for nothing. */
  isVoid = false;

  constructor(outer: Peeling, start: PieceStart, open: (own: Peeling) => Sink) {
    this.start = start;
    this.#outer = outer.piece;
    this.#peeling = Peeling.ofPiece(outer, this, outputOf(outer, start));
    // before those that are found inside of it
    outer.pieces.push(this);
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
      if (error instanceof OutputError) throw error;
      this.#error = toErrorInfo(error);
    }
  }

  /**
   * After the whole message, and after the piece around it: what it was worth; undefined when it was no S/MIME after
   * all, or stood in octets that are void.
   */
  result(): Piece | undefined {
    const piece = this.#outer?.isVoid ? undefined : this.#judge();
    this.isVoid = piece?.status !== 'ok';
    return piece;
  }

  /** After `result`: the line ends with which another run over the message would find more signatures valid. */
  get lineEnds(): Peeling['hints']['lineEnds'] | undefined {
    return this.isVoid ? undefined : this.#peeling.retry?.lineEnds;
  }

  #judge(): Piece | undefined {
    const { layers, content, aead, header, hasContent, retry, room } = this.#peeling;
    // what is cut anywhere is told of the whole message
    const { truncated } = room;
    if (retry?.foreignMultipart) return undefined;
    const error = this.#ended
      ? this.#error
      : { code: 'mime-malformed' as const, message: 'the part does not end' };
    const verdict =
      error !== undefined
        ? failedVerdict(layers, error, truncated)
        : okVerdict({
            layers,
            content: hasContent ? content.finish() : null,
            aead,
            header,
            outer: undefined,
            pieces: [],
            truncated,
          });
    const { status, encrypted, integrity, signature, content: found } = verdict;
    return {
      path: this.start.path,
      contentType: room.fit(this.start.contentType),
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

/** Lets no fault out: a search is beside the message's own way. */
export class QuietSink implements Sink {
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
