/**
 * What `decode` leaves for `deliver` besides the content: the verdict and the outer header block as sealed JSON, and
 * the contents of S/MIME parts below the message.
 */
import type { DeliveryPiece, JsonValue, StoredContent } from '../handoff/index.ts';
import type { HeadersJson } from '../message/index.ts';
import type { Flow } from '../queue/index.ts';
import type { Verdict } from '../smime/index.ts';
import type { FinishedOctets, Spool, SpoolRef, SpoolWriter } from '../spool/index.ts';

/** Where the content of an S/MIME part below the message is stored. */
export interface StoredPiece {
  /** As in the verdict. */
  path: string;
  contentType: string | null;
  ref: SpoolRef;
}

export interface DecodeResultRecord {
  verdict: JsonValue;
  /** The header block of the message as received. */
  header: Buffer;
  /** Whether the mail was not S/MIME, so that its content is the whole mail. */
  whole: boolean;
  /** The fields of the message to hand off, as the policy read them; missing if an older version wrote this. */
  headers?: HeadersJson;
  /** In the order of the verdict. */
  pieces: readonly StoredPiece[];
}

export function writeResult({ verdict, header, whole, headers, pieces }: DecodeResultRecord): Buffer {
  const record = {
    verdict,
    header: header.toString('base64'),
    whole,
    headers,
    ...(pieces.length > 0 && { pieces }),
  };
  return Buffer.from(JSON.stringify(record));
}

export function readResult(octets: Buffer): DecodeResultRecord {
  const { verdict, header, whole, headers, pieces = [] } = JSON.parse(octets.toString('utf8'));
  return {
    verdict,
    header: Buffer.from(header, 'base64'),
    whole,
    ...(headers === undefined ? {} : { headers }),
    pieces,
  };
}

/** The pieces in the form that destinations take. */
export function deliveryPieces(
  pieces: readonly StoredPiece[],
  spool: Pick<Spool, 'open' | 'read'>,
): DeliveryPiece[] {
  return pieces.map(({ path, contentType, ref }) => ({
    path,
    contentType,
    octets: ref.octets,
    sha256: ref.sha256,
    content: () => spool.open(ref),
    read: () => spool.read(ref),
  }));
}

/**
 * The decoded content of a message, for its signed URL; undefined if it is no longer kept. Errors: those of the spool.
 */
export async function readStoredContent(
  id: string,
  { flow, spool }: { flow: Pick<Flow, 'contentOf'>; spool: Pick<Spool, 'open' | 'read'> },
): Promise<StoredContent | undefined> {
  const refs = await flow.contentOf(id);
  if (!refs) return undefined;
  const { verdict, header, whole, pieces } = readResult(await spool.read(refs.result));
  return {
    verdict,
    header,
    whole,
    content: () => spool.open(refs.content),
    contentOctets: refs.content.octets,
    pieces: deliveryPieces(pieces, spool),
  };
}

/** The contents of S/MIME parts below a message, each of which goes into the spool separately. */
export class PieceWriters {
  readonly #spool: Pick<Spool, 'create'>;
  readonly #writers = new Map<string, SpoolWriter>();

  constructor(spool: Pick<Spool, 'create'>) {
    this.#spool = spool;
  }

  get isEmpty(): boolean {
    return this.#writers.size === 0;
  }

  /** @param path of the piece in the verdict */
  open(path: string): SpoolWriter {
    const writer = this.#spool.create();
    this.#writers.set(path, writer);
    return writer;
  }

  /** Finishes those whose content the verdict accepts, and removes the others. */
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
