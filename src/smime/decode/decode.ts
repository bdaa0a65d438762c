import { Budget } from '../../budget.ts';
import { BufferSink, type Sink } from '../../message/index.ts';
import type { Verdict } from '../verdict/verdict.ts';
import { type DecodeOptions, Decoder, type RunOptions, type StreamedDecodeOptions } from './decoder.ts';
import { settleLimits } from './limits.ts';
import { type OpenPiece, PieceOutputs } from './piece-outputs.ts';

/** Where the content goes, if it is not to be collected in memory. */
export interface ContentOutput {
  /** Takes the next octets; the buffer is its to keep. */
  write(chunk: Buffer): void | Promise<void>;
  /** What came so far, of pieces too, is void: a second run begins. Needed by `decodeReopenable`. */
  restart?(): void | Promise<void>;
}

export interface DecodeResult {
  verdict: Verdict;
  /** The content; undefined when there is none, the status is `failed`, or `output` was given. */
  content: Buffer | undefined;
  /** The content of the S/MIME parts below it, by their path in the verdict; empty when `output` was given. */
  pieces: ReadonlyMap<string, Buffer>;
  /** See `Decoder.detail`: why a decryption failed, for the operator only. */
  detail: string | null;
}

export interface DecodeCallOptions extends StreamedDecodeOptions {
  /** See `Decoder`: to be discarded unless the verdict's status is `ok`. */
  readonly output?: ContentOutput;
  /**
   * With `output`: opens where the content of an S/MIME part below the message goes. Never merged with anything, it
   * is to be discarded unless the verdict has that piece with content. Not given: it is dropped.
   */
  readonly pieceOutput?: OpenPiece;
}

export type DecodeInput = Buffer | Iterable<Buffer> | AsyncIterable<Buffer>;

/** One for digests and two for the line ends of nested signatures, or one because it is not S/MIME. */
const mostRetries = 3;

/** Pieces of this size keep every stage's own buffers small. */
const PIECE = 64 * 1024;

function* chunksOf(octets: Buffer): Iterable<Buffer> {
  if (octets.length <= PIECE) yield octets;
  else for (let at = 0; at < octets.length; at += PIECE) yield octets.subarray(at, at + PIECE);
}

/**
 * Decodes a message: a mail or a bare CMS object, in memory or as a stream.
 *
 * A Buffer is read twice where that finds out more (see `decodeReopenable`); a stream is read once and
 * hashed with every plausible digest instead. Its signature is invalid where it is over the form of a multipart/signed
 * that was not given on (see `SignedPart`).
 *
 * @returns the verdict, also for every fault of the message; it rejects only when reading or `output` fails
 */
export async function decode(input: DecodeInput, options: DecodeCallOptions): Promise<DecodeResult> {
  if (Buffer.isBuffer(input)) return decodeReopenable(() => chunksOf(input), options);
  const { decoder, ...found } = await run(input, options, {});
  await decoder.askOthers();
  return resultOf(decoder, found);
}

/**
 * Decodes a message that can be read again: `open` is called once, and again only when the last
 * run shows that it is needed (a multipart/signed whose micalg is wrong, that is over other line ends than those that were
 * likely, or that is not S/MIME at all).
 */
export async function decodeReopenable(
  open: () => Iterable<Buffer> | AsyncIterable<Buffer>,
  options: DecodeCallOptions,
): Promise<DecodeResult> {
  const budget = budgetOf(options);
  let { decoder, ...found } = await run(open(), options, { reopenable: true, budget });
  for (let again = 0; decoder.retry !== undefined && again < mostRetries; again++) {
    await options.output?.restart?.();
    ({ decoder, ...found } = await run(open(), options, { reopenable: true, budget, hints: decoder.retry }));
  }
  await decoder.askOthers();
  return resultOf(decoder, found);
}

/** What was found, unless asking others has ended in a failure. */
function resultOf(
  { verdict, detail }: Decoder,
  { content, pieces }: Pick<DecodeResult, 'content' | 'pieces'>,
): DecodeResult {
  if (verdict.status === 'failed') return { verdict, detail, content: undefined, pieces: new Map() };
  return { verdict, detail, content, pieces };
}

/** One for a message, however often it is read. */
function budgetOf({ limits, budget }: DecodeOptions | StreamedDecodeOptions): Budget {
  return budget ?? new Budget(settleLimits(limits).budget);
}

function detachedChunks({ detached = Buffer.alloc(0) }: StreamedDecodeOptions) {
  return Buffer.isBuffer(detached) ? chunksOf(detached) : detached();
}

async function run(
  input: Iterable<Buffer> | AsyncIterable<Buffer>,
  options: DecodeCallOptions,
  how: RunOptions,
): Promise<{ decoder: Decoder } & Omit<DecodeResult, 'verdict' | 'detail'>> {
  const { output, pieceOutput } = options;
  const sink = new BufferSink();
  const pieces = new PieceOutputs(pieceOutput);
  const keeps = output === undefined || pieceOutput !== undefined;
  const decoder = new Decoder(sink, options, keeps ? { ...how, openPiece: pieces.open } : how);
  const drain = async () => {
    if (output === undefined) return;
    for (const chunk of sink.drain()) await output.write(chunk);
    await pieces.drain();
  };
  // a plain iterable must not pay for promises: most messages are one buffer
  if (Symbol.iterator in input && output === undefined) for (const chunk of input) decoder.write(chunk);
  else {
    for await (const chunk of input) {
      decoder.write(chunk);
      await drain();
      if (decoder.finished) break;
    }
  }
  decoder.end();
  const { awaited } = decoder;
  if (awaited !== undefined) {
    for await (const chunk of detachedChunks(options)) {
      awaited.write(chunk);
      await drain();
    }
    awaited.end();
  }
  await drain();
  // `ok` without content: certificates only
  const collected = output === undefined && decoder.verdict.content !== null;
  return {
    decoder,
    content: collected ? sink.toBuffer() : undefined,
    pieces: output === undefined ? pieces.kept(decoder.verdict) : new Map(),
  };
}

/** Decodes what is in memory, at once: `decode` without promises, and so without asking anybody about revocation or issuers. */
export function decodeSync(input: Buffer, options: DecodeOptions): DecodeResult {
  const once = (how: RunOptions) => {
    const sink = new BufferSink();
    const below = new PieceOutputs();
    const decoder = new Decoder(sink, options, { ...how, openPiece: below.open });
    push(chunksOf(input), decoder);
    if (decoder.awaited !== undefined) push(chunksOf(options.detached ?? Buffer.alloc(0)), decoder.awaited);
    return { decoder, sink, below };
  };
  const budget = budgetOf(options);
  let found = once({ reopenable: true, budget });
  for (let again = 0; found.decoder.retry !== undefined && again < mostRetries; again++) {
    found = once({ reopenable: true, budget, hints: found.decoder.retry });
  }
  const { verdict } = found.decoder;
  const content = verdict.content !== null ? found.sink.toBuffer() : undefined;
  return { verdict, content, pieces: found.below.kept(verdict), detail: found.decoder.detail };
}

function push(chunks: Iterable<Buffer>, sink: Sink): void {
  for (const chunk of chunks) sink.write(chunk);
  sink.end();
}
