import { Budget } from '../../budget.ts';
import { BufferSink, type Sink } from '../../message/index.ts';
import type { Verdict } from '../verdict/verdict-schema.ts';
import { type DecodeOptions, Decoder, type RunOptions, type StreamedDecodeOptions } from './decoder.ts';
import { settleLimits } from './limits.ts';
import type { EmbeddedStart } from './state.ts';

/** Where the content goes, if it is not to be collected in memory. */
export interface ContentOutput {
  /** Takes the next octets; the buffer is its to keep. */
  write(chunk: Buffer): void | Promise<void>;
  /** What came so far, of embedded parts too, is void: a second run begins. Needed by `decodeReopenable`. */
  restart?(): void | Promise<void>;
}

/** Where the content of one S/MIME part below the message goes. It counts only when the verdict has it. */
export interface EmbeddedOutput {
  /** Takes the next octets; the buffer is its to keep. */
  write(chunk: Buffer): void | Promise<void>;
}

export type OpenEmbedded = (start: EmbeddedStart) => EmbeddedOutput;

export interface DecodeResult {
  verdict: Verdict;
  /** The content; undefined when there is none, the status is `failed`, or `output` was given. */
  content: Buffer | undefined;
  /** The content of the S/MIME parts below it, by their path in the verdict; empty when `output` was given. */
  embedded: ReadonlyMap<string, Buffer>;
  /** The header block of the mail as it came, its blank line included; undefined where it is none, or cannot be read. */
  header: Buffer | undefined;
  /** See `Decoder.detail`: why a decryption failed, for the operator only. */
  detail: string | null;
}

export interface DecodeCallOptions extends StreamedDecodeOptions {
  /** See `Decoder`: to be discarded unless the verdict's status is `ok`. */
  readonly output?: ContentOutput;
  /**
   * With `output`: opens where the content of an S/MIME part below the message goes. Never merged with anything, it
   * is to be discarded unless the verdict has that part with content. Not given: it is dropped.
   */
  readonly embeddedOutput?: OpenEmbedded;
}

export type DecodeInput = Buffer | Iterable<Buffer> | AsyncIterable<Buffer>;

/** One for digests and two for the line ends of nested signatures, or one because it is not S/MIME. */
const mostRetries = 3;

/** Chunks of this size keep every stage's own buffers small. */
const CHUNK = 64 * 1024;

function* chunksOf(octets: Buffer): Iterable<Buffer> {
  if (octets.length <= CHUNK) yield octets;
  else for (let at = 0; at < octets.length; at += CHUNK) yield octets.subarray(at, at + CHUNK);
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

type Contents = Pick<DecodeResult, 'content' | 'embedded'>;

/** What was found, unless asking others has ended in a failure. */
function resultOf({ verdict, detail, header }: Decoder, { content, embedded }: Contents): DecodeResult {
  if (verdict.status === 'failed')
    return { verdict, detail, header, content: undefined, embedded: new Map() };
  return { verdict, detail, header, content, embedded };
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
): Promise<{ decoder: Decoder } & Contents> {
  const { output, embeddedOutput } = options;
  const sink = new BufferSink();
  const below = new EmbeddedOutputs(embeddedOutput);
  const keeps = output === undefined || embeddedOutput !== undefined;
  const decoder = new Decoder(sink, options, keeps ? { ...how, openEmbedded: below.open } : how);
  const drain = async () => {
    if (output === undefined) return;
    for (const chunk of sink.drain()) await output.write(chunk);
    await below.drain();
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
    embedded: output === undefined ? below.kept(decoder.verdict) : new Map(),
  };
}

/** Decodes what is in memory, at once: `decode` without promises, and so without asking anybody about revocation or issuers. */
export function decodeSync(input: Buffer, options: DecodeOptions): DecodeResult {
  const once = (how: RunOptions) => {
    const sink = new BufferSink();
    const below = new EmbeddedOutputs();
    const decoder = new Decoder(sink, options, { ...how, openEmbedded: below.open });
    push(chunksOf(input), decoder);
    if (decoder.awaited !== undefined) push(chunksOf(options.detached ?? Buffer.alloc(0)), decoder.awaited);
    return { decoder, sink, below };
  };
  const budget = budgetOf(options);
  let found = once({ reopenable: true, budget });
  for (let again = 0; found.decoder.retry !== undefined && again < mostRetries; again++) {
    found = once({ reopenable: true, budget, hints: found.decoder.retry });
  }
  const { verdict, detail, header } = found.decoder;
  const content = verdict.content !== null ? found.sink.toBuffer() : undefined;
  return { verdict, detail, header, content, embedded: found.below.kept(verdict) };
}

function push(chunks: Iterable<Buffer>, sink: Sink): void {
  for (const chunk of chunks) sink.write(chunk);
  sink.end();
}

/** The contents of embedded parts on their way out of the synchronous decoder: drained to outputs, or kept. */
export class EmbeddedOutputs {
  readonly #opener: OpenEmbedded | undefined;
  readonly #found: { path: string; sink: BufferSink; output: EmbeddedOutput | undefined }[] = [];

  constructor(opener?: OpenEmbedded) {
    this.#opener = opener;
  }

  /** For the decoder. */
  readonly open = (start: EmbeddedStart): Sink => {
    const sink = new BufferSink();
    this.#found.push({ path: start.path, sink, output: this.#opener?.(start) });
    return sink;
  };

  async drain(): Promise<void> {
    for (const { sink, output } of this.#found) {
      if (output !== undefined) for (const chunk of sink.drain()) await output.write(chunk);
    }
  }

  /** What was kept of those that the verdict has content of, by path. */
  kept({ pieces }: Verdict): Map<string, Buffer> {
    const good = new Set(pieces.filter(({ content }) => content !== null).map(({ path }) => path));
    return new Map(
      this.#found.filter(({ path }) => good.has(path)).map(({ path, sink }) => [path, sink.toBuffer()]),
    );
  }
}
