import { NullSink } from '../../src/message/index.ts';
import { type DecodeResult, Decoder, decodeSync } from '../../src/smime/index.ts';
import { options } from './keys.ts';

/** Milliseconds of processor time that one input of at most `mostOctets` may take; more is a hang. */
export const mostTime = 1000;
export const mostOctets = 256 * 1024;
/** Octets that decoding one input, whole and in chunks, may take of heap and buffers, garbage included. */
export const mostMemory = 128 * 1024 * 1024;

export class Finding extends Error {}

/** Decodes one input whole and in chunks. @throws Finding for anything but a verdict in time */
export function check(octets: Buffer): DecodeResult {
  const start = process.cpuUsage();
  const before = held();
  const result = once(() => decodeSync(octets, options));
  const { verdict } = result;
  if (verdict.error?.code === 'internal') throw new Finding(`internal: ${verdict.error.message}`);
  if (verdict.status === 'failed' && (result.content !== undefined || verdict.integrity !== 'none')) {
    throw new Finding('content or integrity on failure');
  }
  const size = 1 + (octets.length % 977);
  const cut = once(() => {
    const decoder = new Decoder(new NullSink(), options);
    for (let at = 0; at < octets.length; at += size) decoder.write(octets.subarray(at, at + size));
    decoder.end();
    return {
      verdict: decoder.verdict,
      content: undefined,
      pieces: new Map(),
      detail: decoder.detail,
    };
  });
  if (cut.verdict.error?.code === 'internal') throw new Finding(`internal: ${cut.verdict.error.message}`);
  const { user, system } = process.cpuUsage(start);
  const time = (user + system) / 1000;
  if (time > mostTime) throw new Finding(`hang: ${Math.round(time)} ms`);
  const memory = held() - before;
  if (memory > mostMemory) throw new Finding(`memory: ${memory} octets`);
  return result;
}

function held(): number {
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

function once(run: () => DecodeResult): DecodeResult {
  try {
    return run();
  } catch (error) {
    throw new Finding(`thrown: ${error instanceof Error ? error.stack : String(error)}`);
  }
}
