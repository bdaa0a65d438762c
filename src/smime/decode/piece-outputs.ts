import { BufferSink, type Sink } from '../../message/index.ts';
import type { Verdict } from '../verdict/verdict.ts';
import type { PieceStart } from './pieces.ts';

/** Where the content of one S/MIME part below the message goes. It counts only when the verdict has it. */
export interface PieceOutput {
  /** Takes the next octets; the buffer is its to keep. */
  write(chunk: Buffer): void | Promise<void>;
}

export type OpenPiece = (piece: PieceStart) => PieceOutput;

/** The contents of pieces on their way out of the synchronous decoder: drained to outputs, or kept. */
export class PieceOutputs {
  readonly #opener: OpenPiece | undefined;
  readonly #found: { path: string; sink: BufferSink; output: PieceOutput | undefined }[] = [];

  constructor(opener?: OpenPiece) {
    this.#opener = opener;
  }

  /** For the decoder. */
  readonly open = (piece: PieceStart): Sink => {
    const sink = new BufferSink();
    this.#found.push({ path: piece.path, sink, output: this.#opener?.(piece) });
    return sink;
  };

  async drain(): Promise<void> {
    for (const { sink, output } of this.#found) {
      if (output !== undefined) for (const chunk of sink.drain()) await output.write(chunk);
    }
  }

  /** What was kept of the pieces that the verdict has content of, by path. */
  kept({ pieces }: Verdict): Map<string, Buffer> {
    const good = new Set(pieces.filter(({ content }) => content !== null).map(({ path }) => path));
    return new Map(
      this.#found.filter(({ path }) => good.has(path)).map(({ path, sink }) => [path, sink.toBuffer()]),
    );
  }
}
