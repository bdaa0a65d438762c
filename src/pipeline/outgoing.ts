/** What goes out to a partner: content, or a mail where the caller says that it is one. What stands in it decides nothing. */
import mime from 'mime';
import { SealpostError } from '../errors.ts';
import { checkWholeHeader, contentHeader, type HeaderBlock, HeaderSplitter } from '../message/index.ts';

export type Octets = Iterable<Buffer> | AsyncIterable<Buffer>;

export interface ContentFacts {
  /** Media type; by the name's ending unless given. */
  type?: string | undefined;
  /** File name for the partner, without folders; content that has none must not be empty. */
  name?: string | undefined;
}

/** Business documents that the registry of `mime` has no file name for (RFC 1767). */
const ediTypes: Record<string, string> = {
  edi: 'application/EDIFACT',
  edifact: 'application/EDIFACT',
  x12: 'application/EDI-X12',
};

/** A mail (RFC 5322) that may go out: its header is whole, or was made here. */
export class Outgoing {
  readonly #open: () => Octets;

  private constructor(open: () => Octets) {
    this.#open = open;
  }

  /**
   * A mail with its header.
   *
   * @param source what errors call the octets, such as a file name
   */
  static mail(octets: () => Octets, source: string): Outgoing {
    return new Outgoing(() => wholeMail(source, octets()));
  }

  /**
   * Content of any kind, which becomes the attachment of a new mail. An empty file was named on purpose; content without
   * a name that is empty comes from a program that failed.
   *
   * @param source as of `mail`
   * @throws {SealpostError} `usage` for a type that is none, or that is a structure of its own
   */
  static content(octets: () => Octets, source: string, { type, name }: ContentFacts): Outgoing {
    const header = contentHeader(type ?? typeOf(name), name);
    return new Outgoing(() => withHeader(source, header, octets(), name !== undefined));
  }

  /** The octets of the mail. Errors: `message-empty`, those of a header that is not whole, and those of the source. */
  open(): Octets {
    return this.#open();
  }
}

/** The media type that a name stands for; octets without a meaning where it says nothing. */
function typeOf(name: string | undefined): string {
  const extension = /\.([^.]+)$/.exec(name ?? '')?.[1]?.toLowerCase() ?? '';
  if (Object.hasOwn(ediTypes, extension)) return ediTypes[extension] ?? '';
  const found = mime.getType(extension) ?? '';
  // such as message/rfc822: a file that is called so is content all the same
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
