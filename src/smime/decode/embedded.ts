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
import { failedVerdict, okVerdict } from '../verdict/verdict.ts';
import type { EmbeddedVerdict } from '../verdict/verdict-schema.ts';
import { entityKind } from './kinds.ts';
import { OutputError, QuietSink } from './sinks.ts';
import { beginsLikeHeader, FORM_OCTETS, formOf, isKnownContentInfo, Sniffer } from './sniffer.ts';
import type { DecodeState, Embedded, EmbeddedStart, Hints } from './state.ts';
import { isTnef, TnefReader } from './tnef.ts';

/** True for content that may have S/MIME parts below it. */
export function mayHoldEmbedded(info: EntityInfo): boolean {
  const { type, value } = info.contentType;
  return type === 'multipart' || value === 'message/rfc822' || isTnef(info);
}

/**
 * Looks for S/MIME parts below an entity that is not S/MIME itself: mailing lists wrap a signed mail in a multipart,
 * and people forward and attach them. Each is decoded on its own, with its own output and verdict. What it protects
 * says nothing about the parts beside it (threats S2, S6). Its content is searched too. An entity that cannot be parsed
 * has no such parts, and the content goes to the caller.
 */
export function embeddedScanner(state: DecodeState, headers: HeaderBlock): Sink {
  const { message } = state.limits;

  function body(inner: HeaderBlock, path: string, depth: number): Sink {
    state.budget.spend(headerCost(inner));
    const info = entityInfo(inner);
    const { type, value, parameters } = info.contentType;
    if (path !== '' && entityKind(info) !== 'plain') {
      return embeddedSink(state, path, value, (own) => own.next.entity(own, inner));
    }
    if (depth >= message.depth || !mayHoldEmbedded(info)) return new NullSink();
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
    // nested multiparts may each have a transfer encoding, which decodes their octets many times
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

  /** Attachments of a winmail.dat are numbered below it. */
  function attachments(path: string): Sink {
    return new TnefReader({ attachment: (number) => attachment(`${path}.${number}`) });
  }

  function attachment(path: string): Sink {
    return new Sniffer(FORM_OCTETS, (head) => {
      if (formOf(head) === 'der' && isKnownContentInfo(head)) {
        return embeddedSink(state, path, 'application/ms-tnef', (own) => own.next.cms(own));
      }
      if (!beginsLikeHeader(head)) return new NullSink();
      // no deeper: an attachment that is not an S/MIME entity is not decoded
      return new HeaderSplitter(
        (part) => body(part, path, message.depth),
        message,
        () => new NullSink(),
      );
    });
  }

  /**
   * Numbers as in RFC 9051, section 6.4.5.1: the parts of a multipart are counted below the mail; any other body is 1.
   */
  function mailBody(mail: HeaderBlock, path: string, depth: number): Sink {
    const info = entityInfo(mail);
    const divided = info.contentType.type === 'multipart' && entityKind(info) === 'plain';
    return body(mail, divided ? path : `${path}.1`, depth);
  }

  return new QuietSink(body(headers, '', 0));
}

function embeddedSink(
  state: DecodeState,
  path: string,
  contentType: string,
  open: (own: DecodeState) => Sink,
): Sink {
  const most = state.limits.embedded;
  if (state.embedded.length > most) return new NullSink();
  const beyond = state.embedded.length === most;
  const below = state.part === undefined ? path : `${state.part.start.path}/${path}`;
  return new EmbeddedSink(state, { path: below, contentType }, (own) => {
    if (beyond) throw new SealpostError('mime-limit', `more than ${most} S/MIME parts in a mail`);
    return open(own);
  });
}

function outputOf({ settings }: DecodeState, start: EmbeddedStart): Sink {
  try {
    return settings.openEmbedded(start);
  } catch (error) {
    throw new OutputError(error);
  }
}

/** Decodes one S/MIME part. A fault affects only this part. */
class EmbeddedSink implements Sink, Embedded {
  readonly start: EmbeddedStart;
  readonly #state: DecodeState;
  readonly #outer: Embedded | undefined;
  #stage: Sink = new NullSink();
  #error: { code: SealpostError['code']; message: string } | undefined;
  #ended = false;
  isVoid = false;

  constructor(outer: DecodeState, start: EmbeddedStart, open: (own: DecodeState) => Sink) {
    this.start = start;
    this.#outer = outer.part;
    this.#state = outer.below(this, outputOf(outer, start));
    // before any that are found inside it
    outer.embedded.push(this);
    this.#guard(() => {
      this.#stage = open(this.#state);
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
   * The verdict on the part, known after the whole message and the part around it. Undefined if it was not S/MIME after
   * all, or stood in discarded octets.
   */
  result(): EmbeddedVerdict | undefined {
    const verdict = this.#outer?.isVoid ? undefined : this.#judge();
    this.isVoid = verdict?.status !== 'ok';
    return verdict;
  }

  get lineEnds(): Hints['lineEnds'] | undefined {
    return this.isVoid ? undefined : this.#state.retry?.lineEnds;
  }

  #judge(): EmbeddedVerdict | undefined {
    const { layers, content, aead, header, hasContent, retry, room } = this.#state;
    // a cut anywhere is reported for the whole message
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
            embedded: [],
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
