import { Budget } from '../../budget.ts';
import { BufferSink, type Sink } from '../../message/index.ts';
import type { Verdict } from '../verdict/verdict-schema.ts';
import {
  type DecodedSigner,
  type DecodeOptions,
  Decoder,
  type RunOptions,
  type StreamedDecodeOptions,
} from './decoder.ts';
import { settleLimits } from './limits.ts';
import type { EmbeddedStart } from './state.ts';

/** Where the content goes, unless it is collected in memory. */
export interface ContentOutput {
  /** Takes the next octets. It may keep the buffer. */
  write(chunk: Buffer): void | Promise<void>;
  /**
   * Discards everything so far, embedded parts included, because a second run starts. Required by `decodeReopenable`.
   */
  restart?(): void | Promise<void>;
}

/** Where the content of one S/MIME part below the message goes. It counts only if the verdict lists the part. */
export interface EmbeddedOutput {
  /** Takes the next octets. It may keep the buffer. */
  write(chunk: Buffer): void | Promise<void>;
}

export type OpenEmbedded = (start: EmbeddedStart) => EmbeddedOutput;

export interface DecodeResult {
  verdict: Verdict;
  /** The content; undefined if there is none, if the status is `failed`, or if `output` was given. */
  content: Buffer | undefined;
  /** The content of the S/MIME parts below the message, by their path in the verdict; empty if `output` was given. */
  embedded: ReadonlyMap<string, Buffer>;
  /**
   * The header block of the mail as received, including its blank line; undefined if there is none or it cannot be
   * read.
   */
  header: Buffer | undefined;
  /** See `Decoder.detail`: why a decryption failed. For the operator only. */
  detail: string | null;
}

/** For the daemon, which also looks at certificates. */
export interface DecodeFound extends DecodeResult {
  /** Those who signed the message itself with valid signatures; empty if it could not be decoded. */
  signers: readonly DecodedSigner[];
}

export interface DecodeCallOptions extends StreamedDecodeOptions {
  /** See `Decoder`. Discard it unless the verdict's status is `ok`. */
  readonly output?: ContentOutput;
  /**
   * Used with `output`: returns where the content of an S/MIME part below the message goes. It is never merged with
   * anything else. Discard it unless the verdict lists that part with content. Default: the content is dropped.
   */
  readonly embeddedOutput?: OpenEmbedded;
}

export type DecodeInput = Buffer | Iterable<Buffer> | AsyncIterable<Buffer>;

/** One extra run for digests and two for the line ends of nested signatures, or one because it is not S/MIME. */
const mostRetries = 3;

/** Chunks of this size keep the buffers of each stage small. */
const CHUNK = 64 * 1024;

function* chunksOf(octets: Buffer): Iterable<Buffer> {
  if (octets.length <= CHUNK) yield octets;
  else for (let at = 0; at < octets.length; at += CHUNK) yield octets.subarray(at, at + CHUNK);
}

/**
 * Decodes a message: a mail or a bare CMS object, in memory or as a stream.
 *
 * A Buffer is read twice if that reveals more (see `decodeReopenable`). A stream is read once, and hashed with every
 * plausible digest instead. Its signature is invalid if it covers the form of a multipart/signed that was not passed on
 * (see `SignedPart`).
 *
 * @returns the verdict, even for a faulty message; it rejects only if reading or `output` fails
 */
export async function decode(input: DecodeInput, options: DecodeCallOptions): Promise<DecodeFound> {
  if (Buffer.isBuffer(input)) return decodeReopenable(() => chunksOf(input), options);
  const { decoder, ...found } = await run(input, options, {});
  await decoder.askOthers();
  return resultOf(decoder, found);
}

/**
 * Decodes a message that can be read again. `open` is called once, and again only if the last run shows that another
 * one is needed: for a multipart/signed with a wrong micalg, with a signature over unexpected line ends, or that is not
 * S/MIME at all.
 */
export async function decodeReopenable(
  open: () => Iterable<Buffer> | AsyncIterable<Buffer>,
  options: DecodeCallOptions,
): Promise<DecodeFound> {
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

/** The result, unless asking the authorities has failed. */
function resultOf(decoder: Decoder, { content, embedded }: Contents): DecodeFound {
  const { verdict, detail, header } = decoder;
  if (verdict.status === 'failed')
    return { verdict, detail, header, content: undefined, embedded: new Map(), signers: [] };
  return { verdict, detail, header, content, embedded, signers: decoder.signers };
}

/** One per message, however often it is read. */
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
  // most messages are one buffer, and a plain iterable should not have to pay for promises
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
  // `ok` without content: there are only certificates
  const collected = output === undefined && decoder.verdict.content !== null;
  return {
    decoder,
    content: collected ? sink.toBuffer() : undefined,
    embedded: output === undefined ? below.kept(decoder.verdict) : new Map(),
  };
}

/**
 * Decodes octets in memory, synchronously. It works like `decode`, but does not ask authorities about revocation or
 * issuers.
 */
export function decodeSync(input: Buffer, options: DecodeOptions): DecodeFound {
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
  const signers = verdict.status === 'failed' ? [] : found.decoder.signers;
  return { verdict, detail, header, content, embedded: found.below.kept(verdict), signers };
}

function push(chunks: Iterable<Buffer>, sink: Sink): void {
  for (const chunk of chunks) sink.write(chunk);
  sink.end();
}

/** The contents of embedded parts from the synchronous decoder, drained to outputs or kept. */
export class EmbeddedOutputs {
  readonly #opener: OpenEmbedded | undefined;
  readonly #found: { path: string; sink: BufferSink; output: EmbeddedOutput | undefined }[] = [];

  constructor(opener?: OpenEmbedded) {
    this.#opener = opener;
  }

  /** The sink that the decoder writes to. */
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

  /** The kept contents that the verdict accepts, by path. */
  kept({ pieces }: Verdict): Map<string, Buffer> {
    if (this.#found.length === 0) return new Map();
    const good = new Set(pieces.filter(({ content }) => content !== null).map(({ path }) => path));
    return new Map(
      this.#found.filter(({ path }) => good.has(path)).map(({ path, sink }) => [path, sink.toBuffer()]),
    );
  }
}
