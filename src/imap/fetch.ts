import type { ImapFlow } from 'imapflow';
import { SealpostError } from '../errors.ts';
import {
  type Address,
  type HeaderBlock,
  HeaderFinder,
  isKnown,
  readAddressList,
  readMailHeader,
  readMessageId,
} from '../message/index.ts';
import type { Envelope, Intake, Origin } from '../queue/index.ts';
import { traced } from '../spans.ts';
import type { SpoolWriter } from '../spool/index.ts';
import { CHUNK } from './connect.ts';
import { PIECE_FACTOR, type Watch, watchOf } from './watch.ts';

/** The message cannot be fetched although the connection works. `octets`: how many arrived. */
export class FetchError extends Error {
  readonly octets: number;

  constructor(message: string, octets: number, cause?: unknown) {
    super(message, { cause });
    this.octets = octets;
  }
}

export interface Target {
  mailbox: string;
  /** Recipient if the message has no Delivered-To. */
  user: string;
  origin: Origin;
  maxSize: number;
  /** Octets of an earlier attempt that ended before the size that the server had announced. */
  acceptOctets?: number | undefined;
}

/**
 * Streams one message into the intake. `stored`: it is on disk. `gone`: another client removed it.
 *
 * Errors: `message-too-large`, `message-empty`; those of the intake; `FetchError`. After an error, nothing of the
 * message is kept.
 */
export async function fetchMessage(
  client: ImapFlow,
  uid: number,
  intake: Pick<Intake, 'begin' | 'commit'>,
  target: Target,
): Promise<'stored' | 'gone'> {
  const { meta, content } = await download(client, uid);
  if (content === undefined) {
    if (!(await isThere(client, uid))) return 'gone';
    throw new FetchError('the server does not give the message', 0);
  }
  const finder = new HeaderFinder();
  const writer = intake.begin();
  try {
    await readAll(watchOf(client), content, writer, (chunk) => {
      if (writer.octets + chunk.length > target.maxSize) throw tooLarge(target.maxSize);
      finder.push(chunk);
    });
    const { octets } = writer;
    if (octets === 0) throw new SealpostError('message-empty', 'the message has no octets');
    // Some servers announce a wrong size. If the same number of octets comes twice, that is the whole message.
    if (octets < (meta.expectedSize ?? 0) && octets !== target.acceptOctets) {
      throw new FetchError(`the server gave ${octets} octets of ${meta.expectedSize}`, octets);
    }
  } catch (error) {
    content.destroy();
    await writer.abort();
    throw error;
  }
  const headers = finder.end();
  const entry = {
    mailbox: target.mailbox,
    origin: target.origin,
    envelope: envelopeOf(headers, target.user),
    messageId: headers === undefined ? null : readMessageId(headers),
  };
  await traced('fetch', { mailbox: target.mailbox, octets: writer.octets }, () =>
    intake.commit(writer, [entry]),
  );
  return 'stored';
}

async function download(client: ImapFlow, uid: number) {
  try {
    return await watchOf(client).answered('FETCH', () =>
      client.download(String(uid), undefined, { uid: true, chunkSize: CHUNK }),
    );
  } catch (cause) {
    throw new FetchError('the server does not give the message', 0, cause);
  }
}

/** imapflow does not distinguish a message that is gone from one that the server does not deliver. */
export async function isThere(client: ImapFlow, uid: number): Promise<boolean> {
  const found = await watchOf(client).answered('SEARCH', () =>
    client.search({ uid: String(uid) }, { uid: true }),
  );
  if (!Array.isArray(found)) throw new FetchError('the server does not search the folder', 0);
  return found.includes(uid);
}

/** Errors of the spool pass through; those of the stream become `FetchError`. */
async function readAll(
  watch: Watch,
  content: AsyncIterable<Buffer>,
  writer: SpoolWriter,
  look: (chunk: Buffer) => void,
): Promise<void> {
  const pieces = content[Symbol.asyncIterator]();
  for (;;) {
    let next: IteratorResult<Buffer>;
    try {
      next = await watch.answered('FETCH', () => pieces.next(), PIECE_FACTOR);
    } catch (cause) {
      throw new FetchError('the download broke off', writer.octets, cause);
    }
    if (next.done) return;
    look(next.value);
    await writer.write(next.value);
  }
}

export function tooLarge(limit: number): SealpostError {
  return new SealpostError('message-too-large', `the message is larger than ${limit} octets`, {
    hint: 'raise imap.maxSize, or take it out of the folder',
  });
}

/**
 * A substitute for the envelope, which IMAP does not keep: what the last server wrote into the header. A field that
 * violates RFC 5322 or occurs twice does not count.
 */
export function envelopeOf(headers: HeaderBlock | undefined, user: string): Envelope {
  if (headers === undefined) return { from: '', to: [user] };
  const returnPath = headers.get('return-path');
  const { authors } = readMailHeader(headers);
  const from = returnPath === undefined ? only(authors.fault, authors.from) : trace(returnPath);
  return { from: from ?? '', to: [trace(headers.get('delivered-to') ?? '') ?? user] };
}

/** A trace field. Servers put the newest one on top. */
function trace(value: string): string | undefined {
  const { fault, addresses } = readAddressList(value);
  return addresses.length > 1 ? undefined : only(fault, addresses);
}

function only(fault: string | undefined, addresses: readonly Address[]): string | undefined {
  const [first] = fault === undefined ? addresses : [];
  return first !== undefined && isKnown(first) ? first.address : undefined;
}
