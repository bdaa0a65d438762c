/** What `send` and `encode` take: content, or a mail where the caller says that it is one. */
import { basename } from 'node:path';
import { type Command, Option } from 'commander';
import mime from 'mime';
import { SealpostError } from '../errors.ts';
import { checkWholeHeader, contentHeader, type HeaderBlock, HeaderSplitter } from '../message/index.ts';
import { readPieces } from './files.ts';

export interface OutgoingOptions {
  message?: boolean;
  contentType?: string;
}

type Octets = Iterable<Buffer> | AsyncIterable<Buffer>;

/** A mail (RFC 5322) to be protected. */
export interface Outgoing {
  /** The octets; content has the header of its MIME entity in front. */
  readonly open: () => Octets;
  /** False for standard input, which can be opened only once. */
  readonly reopenable: boolean;
}

/** Business documents that the registry of `mime` has no file name for (RFC 1767). */
const ediTypes: Record<string, string> = {
  edi: 'application/EDIFACT',
  edifact: 'application/EDIFACT',
  x12: 'application/EDI-X12',
};

export function addOutgoingOptions(command: Command): Command {
  return command
    .addOption(
      new Option(
        '--message',
        'the input is a mail (RFC 5322) with its header; so is a file named *.eml without this option',
      ),
    )
    .addOption(
      new Option(
        '--content-type <type>',
        "media type of the content; by the file's name unless given",
      ).conflicts('message'),
    );
}

/** What the options and the file's name make of the input. What stands in it decides nothing. */
export function outgoing(file: string, options: OutgoingOptions): Outgoing {
  const open = () => readPieces(file);
  const reopenable = file !== '-';
  const isMail = options.message ?? (options.contentType === undefined && /\.eml$/i.test(file));
  if (isMail) return { open: () => wholeMail(file, open()), reopenable };
  const name = reopenable ? basename(file) : undefined;
  const header = contentHeader(options.contentType ?? typeOf(name), name);
  return { open: () => withHeader(file, header, open()), reopenable };
}

/** The media type that a name stands for; octets without a meaning where it says nothing. */
function typeOf(name: string | undefined): string {
  const extension = /\.([^.]+)$/.exec(name ?? '')?.[1]?.toLowerCase() ?? '';
  if (Object.hasOwn(ediTypes, extension)) return ediTypes[extension] ?? '';
  const found = mime.getType(extension) ?? '';
  // such as message/rfc822: a file that is called so is content all the same
  return found === '' || /^(?:message|multipart)\//.test(found) ? 'application/octet-stream' : found;
}

async function* withHeader(file: string, header: Buffer, content: Octets): AsyncGenerator<Buffer> {
  let octets = 0;
  for await (const piece of content) {
    if (octets === 0 && piece.length > 0) yield header;
    octets += piece.length;
    yield piece;
  }
  if (octets > 0) return;
  // an empty file was named on purpose; an empty pipe is a program that failed
  if (file === '-') throw empty(file);
  yield header;
}

async function* wholeMail(file: string, mail: Octets): AsyncGenerator<Buffer> {
  const ready: Buffer[] = [];
  let octets = 0;
  const keep = { write: (chunk: Buffer) => void ready.push(Buffer.from(chunk)), end: () => undefined };
  const splitter = new HeaderSplitter((headers: HeaderBlock) => {
    if (octets === 0) throw empty(file);
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

function empty(file: string): SealpostError {
  return new SealpostError('message-empty', `${file === '-' ? 'standard input' : file} has no octets`);
}
