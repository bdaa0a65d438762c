/** A decoded message as the octets that a mail server is given. */
import {
  BufferSink,
  CanonicalSink,
  type MessageLimits,
  type Sink,
  sevenBitEntity,
} from '../message/index.ts';
import { isForeign, joinFields } from './mail-fields.ts';
import { composeStreamed } from './message.ts';
import type { Delivery } from './types.ts';

const lineEnd = Buffer.from('\r\n');
/** Octets of a report's content that go through the stages at once. */
const STEP = 64 * 1024;

/**
 * The decoded message with `added` above its header, in ASCII, in lines that SMTP allows, and with CRLF line ends only:
 * whatever was in the content, a server finds no second message in it. Foreign fields that would pass for ours are left
 * out, in the outer header, in the protected one and in that of a wrapped mail.
 *
 * Errors: `mime-limit`, `mime-malformed`, `work-limit`, `output-limit`; those of the content.
 */
export async function* wireOctets(
  delivery: Delivery,
  added: Buffer,
  limits: MessageLimits,
): AsyncGenerator<Buffer> {
  const { headers, headerOctets, wrapped } = await composeStreamed(delivery, limits);
  const wire = new Wire(limits);
  wire.write(added);
  wire.write(joinFields(headers.fields.filter((field) => !isForeign(field))));
  wire.write(lineEnd);
  let skipped = headerOctets;
  if (wrapped !== undefined) {
    wire.write(joinFields(wrapped.fields.filter((field) => !isForeign(field))));
    wire.write(lineEnd);
    skipped += wrapped.raw.length;
  }
  for await (const chunk of delivery.content()) {
    const rest = chunk.subarray(Math.min(skipped, chunk.length));
    skipped -= chunk.length - rest.length;
    yield* wire.push(rest);
  }
  yield* wire.end();
}

/** A mail of our own, whose binary parts become base64. */
export async function* wireMail(
  header: string,
  pieces: AsyncIterable<Buffer>,
  limits: MessageLimits,
): AsyncGenerator<Buffer> {
  const wire = new Wire(limits);
  wire.write(Buffer.from(header));
  for await (const piece of pieces) yield* wire.push(piece);
  yield* wire.end();
}

/** The stages, and what has come out of them. */
class Wire {
  readonly #stages: Sink;
  readonly #output: CanonicalSink;
  readonly #done = new BufferSink();

  constructor(limits: MessageLimits) {
    this.#output = new CanonicalSink(
      { write: (chunk) => this.#done.write(chunk), end: () => {} },
      'cr-and-lf',
    );
    this.#stages = sevenBitEntity(this.#output, 'exact', limits);
  }

  write(chunk: Buffer): void {
    this.#stages.write(chunk);
  }

  *push(octets: Buffer): Generator<Buffer> {
    for (let at = 0; at < octets.length; at += STEP) {
      this.#stages.write(octets.subarray(at, at + STEP));
      yield* this.#take();
    }
  }

  *end(): Generator<Buffer> {
    this.#stages.end();
    this.#output.end();
    yield* this.#take();
  }

  *#take(): Generator<Buffer> {
    if (this.#done.length === 0) return;
    yield Buffer.concat(this.#done.drain());
  }
}
