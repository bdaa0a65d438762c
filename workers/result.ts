/** What decrypt tells handoff beside the content: the verdict and the outer header block, as sealed JSON. */
import type { DeliveryPiece, JsonValue } from '../src/handoff/index.ts';
import type { HeadersJson } from '../src/message/index.ts';
import type { Spool, SpoolRef } from '../src/queue/index.ts';

/** Where the content of an S/MIME part below the message lies. */
export interface StoredPiece {
  /** As in the verdict. */
  path: string;
  contentType: string | null;
  ref: SpoolRef;
}

export interface DecodeResultRecord {
  verdict: JsonValue;
  /** The header block of the message as it came. */
  header: Buffer;
  /** The mail was not S/MIME: its content is the whole mail. */
  whole: boolean;
  /** The fields of the message to hand off, as the policy judged them; missing in what an older version wrote. */
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

/** The pieces as destinations take them. */
export function deliveryPieces(pieces: readonly StoredPiece[], spool: Spool): DeliveryPiece[] {
  return pieces.map(({ path, contentType, ref }) => ({
    path,
    contentType,
    octets: ref.octets,
    sha256: ref.sha256,
    content: () => spool.open(ref),
    read: () => spool.read(ref),
  }));
}
