/** Outgoing data for a partner: content, or a mail if the caller says so. What the data contains does not decide. */
import mime from 'mime';
import { SealpostError } from '../errors.ts';
import {
  asciiField,
  checkWholeHeader,
  contentHeader,
  type HeaderBlock,
  HeaderSplitter,
} from '../message/index.ts';

export type Octets = Iterable<Buffer> | AsyncIterable<Buffer>;

export interface ContentFacts {
  /** Media type. Default: by the file name extension. */
  type?: string | undefined;
  /** File name for the partner, without folders. Content without a file name must not be empty. */
  name?: string | undefined;
  /** Subject of the new mail, as text. */
  subject?: string | undefined;
}

/** Business documents whose extension the registry of `mime` lacks (RFC 1767). */
const ediTypes: Record<string, string> = {
  edi: 'application/EDIFACT',
  edifact: 'application/EDIFACT',
  x12: 'application/EDI-X12',
};

/** A mail (RFC 5322) that may be sent: its header is complete, or was made here. */
export class Outgoing {
  readonly #open: () => Octets;

  /** Why it cannot be sent, as far as is known before it is opened: `request-invalid`. */
  readonly problem: SealpostError | undefined;

  private constructor(open: () => Octets, problem?: SealpostError) {
    this.#open = open;
    this.problem = problem;
  }

  /**
   * A mail with its header.
   *
   * @param source the name of the octets in errors, such as a file name
   */
  static mail(octets: () => Octets, source: string): Outgoing {
    return new Outgoing(() => wholeMail(source, octets()));
  }

  /**
   * Content of any kind, which becomes the attachment of a new mail. An empty file with a name is intended. Empty
   * content without a name comes from a program that failed.
   *
   * @param source as for `mail`
   * @throws {SealpostError} `usage` for an invalid type, or one that is a structure of its own
   */
  static content(octets: () => Octets, source: string, { type, name, subject }: ContentFacts): Outgoing {
    const own = contentHeader(type ?? contentType(name), name);
    const header = subject === undefined ? own : Buffer.concat([subjectField(subject), own]);
    const problem =
      (name === undefined ? undefined : nameProblem(name)) ?? lineProblem('subject', subject ?? '');
    return new Outgoing(() => withHeader(source, header, octets(), name !== undefined), problem);
  }

  /**
   * The octets of the mail. Errors: `problem`, `message-empty`, those of an incomplete header, and those of the source.
   */
  open(): Octets {
    if (this.problem) throw this.problem;
    return this.#open();
  }
}

/**
 * Text that becomes a field must be one line to every reader. Anything more would be lost, or become a field of its
 * own.
 */
function lineProblem(what: string, text: string): SealpostError | undefined {
  if (!/[\p{Cc}\p{Cs}\u2028\u2029]/u.test(text)) return undefined;
  return new SealpostError('request-invalid', `the ${what} has a control character or a line end`);
}

/** Why a name cannot be that of an attachment. The person who saves it must not be led into another folder. */
export function nameProblem(name: string): SealpostError | undefined {
  if (!['', '.', '..'].includes(name) && name.length <= 255 && !/[/\\]/.test(name))
    return lineProblem('file name', name);
  const what = 'the file name is empty, has folders, or has more than 255 characters';
  return new SealpostError('request-invalid', what, { hint: 'give the file another name' });
}

function subjectField(subject: string): Buffer {
  return asciiField(Buffer.from(`Subject: ${subject.replaceAll(/\p{Cc}+/gu, ' ')}\r\n`));
}

/** The media type for a file name; `application/octet-stream` if it says nothing. */
export function contentType(name: string | undefined): string {
  const extension = /\.([^.]+)$/.exec(name ?? '')?.[1]?.toLowerCase() ?? '';
  if (Object.hasOwn(ediTypes, extension)) return ediTypes[extension] ?? '';
  const found = mime.getType(extension) ?? '';
  // such as message/rfc822: a file with such a name is content anyway
  return found === '' || /^(?:message|multipart)\//.test(found) ? 'application/octet-stream' : found;
}

async function* withHeader(
  source: string,
  header: Buffer,
  content: Octets,
  mayBeEmpty: boolean,
): AsyncGenerator<Buffer> {
  let octets = 0;
  for await (const piece of content) {
    if (octets === 0 && piece.length > 0) yield header;
    octets += piece.length;
    yield piece;
  }
  if (octets > 0) return;
  if (!mayBeEmpty) throw empty(source);
  yield header;
}

async function* wholeMail(source: string, mail: Octets): AsyncGenerator<Buffer> {
  const ready: Buffer[] = [];
  let octets = 0;
  const keep = { write: (chunk: Buffer) => void ready.push(Buffer.from(chunk)), end: () => undefined };
  const splitter = new HeaderSplitter((headers: HeaderBlock) => {
    if (octets === 0) throw empty(source);
    checkWholeHeader(headers);
    ready.push(headers.raw);
    return keep;
  });
  for await (const piece of mail) {
    octets += piece.length;
    splitter.write(piece);
    yield* ready.splice(0);
  }
  splitter.end();
  yield* ready.splice(0);
}

function empty(source: string): SealpostError {
  return new SealpostError('message-empty', `${source} has no octets`);
}
