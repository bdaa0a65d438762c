/** The contents of S/MIME parts below a message, on their way into the spool: each by itself. */
import type { FinishedOctets, Spool, SpoolWriter } from '../src/queue/index.ts';
import type { Verdict } from '../src/smime/index.ts';
import type { StoredPiece } from './result.ts';

export class PieceWriters {
  readonly #spool: Spool;
  readonly #writers = new Map<string, SpoolWriter>();

  constructor(spool: Spool) {
    this.#spool = spool;
  }

  /** @param path of the piece in the verdict */
  open(path: string): SpoolWriter {
    const writer = this.#spool.create();
    this.#writers.set(path, writer);
    return writer;
  }

  /** Ends those that the verdict has content of, and removes the rest. */
  async finish({ pieces }: Verdict): Promise<{ pieces: StoredPiece[]; octets: FinishedOctets[] }> {
    const stored: StoredPiece[] = [];
    const octets: FinishedOctets[] = [];
    for (const { path, content } of pieces) {
      const writer = this.#writers.get(path);
      if (content === null || writer === undefined) continue;
      const [finished] = await writer.finish();
      if (finished === undefined) continue;
      this.#writers.delete(path);
      octets.push(finished);
      stored.push({ path, contentType: content.contentType, ref: finished.ref });
    }
    await this.abort();
    return { pieces: stored, octets };
  }

  async abort(): Promise<void> {
    await Promise.all([...this.#writers.values()].map((writer) => writer.abort()));
    this.#writers.clear();
  }
}
