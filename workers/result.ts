/** What decrypt tells handoff beside the content: the verdict and the outer header block, as sealed JSON. */
import type { JsonValue } from '../src/handoff/index.ts';

export interface DecodeResultRecord {
  verdict: JsonValue;
  /** The header block of the message as it came. */
  header: Buffer;
  /** The mail was not S/MIME: its content is the whole mail. */
  whole: boolean;
}

export function writeResult({ verdict, header, whole }: DecodeResultRecord): Buffer {
  return Buffer.from(JSON.stringify({ verdict, header: header.toString('base64'), whole }));
}

export function readResult(octets: Buffer): DecodeResultRecord {
  const { verdict, header, whole } = JSON.parse(octets.toString('utf8'));
  return { verdict, header: Buffer.from(header, 'base64'), whole };
}
