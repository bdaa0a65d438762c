import { Budget } from '../../src/budget.ts';
import { toErrorInfo } from '../../src/errors.ts';
import { partFileName } from '../../src/handoff/names.ts';
import { createWalker } from '../../src/handoff/walk.ts';
import { NullSink } from '../../src/message/index.ts';
import { type DecodeResult, Decoder, decodeSync, encodeSync } from '../../src/smime/index.ts';
import { alice, options } from './keys.ts';

export const mostOctets = 256 * 1024;
/** Milliseconds of processor time that one step with a mail of up to 1 MB may take (`docs/security.md`). */
export const mostTime = 2000;
/** Octets of heap and buffers that it may take beyond its content, garbage included. */
export const mostMemory = 150 * 1024 * 1024;
/**
 * Microseconds that may stand against one unit of a budget, and such that need not be counted at all: the engine's
 * coverage makes all of it several times slower, and the collector has its moments.
 */
const mostPerUnit = 12;
const uncounted = 250_000;

export class Finding extends Error {}

/** What an input cost in the dearest of its steps. */
export interface Cost {
  /** Microseconds of processor time. */
  time: number;
  /** Octets of heap and buffers. */
  memory: number;
}

/**
 * Decodes one input whole and in chunks, takes it apart as hand-off does, and protects it as a mail that goes out.
 * @throws Finding for anything but a verdict or an error of ours, at a bounded cost
 */
export function check(octets: Buffer): DecodeResult & { cost: Cost } {
  const cost: Cost = { time: 0, memory: 0 };
  const budget = new Budget();
  const result = measured('decode', cost, octets, budget, () => decodeSync(octets, { ...options, budget }));
  const { verdict } = result;
  if (verdict.error?.code === 'internal') throw new Finding(`internal: ${verdict.error.message}`);
  if (verdict.status === 'failed' && (result.content !== undefined || verdict.integrity !== 'none')) {
    throw new Finding('content or integrity on failure');
  }
  const again = new Budget();
  measured('decode in chunks', cost, octets, again, () => {
    const size = 1 + (octets.length % 977);
    const decoder = new Decoder(new NullSink(), { ...options, budget: again });
    for (let at = 0; at < octets.length; at += size) decoder.write(octets.subarray(at, at + size));
    decoder.end();
    if (decoder.verdict.error?.code === 'internal')
      throw new Finding(`internal: ${decoder.verdict.error.message}`);
    return decoder;
  });
  measured('hand-off', cost, octets, undefined, () => allowed(() => takeApart(result.content ?? octets)));
  measured('encode', cost, octets, undefined, () => allowed(() => encodeSync(octets, outgoing)));
  return { ...result, cost };
}

const outgoing = {
  identity: alice.identity,
  sign: 'detached',
  signatureScheme: 'pkcs1',
  at: new Date('2026-05-01'),
  recipients: [alice.certificate],
  contentEncryption: 'aes-128-cbc',
  keyTransport: 'pkcs1',
  headerProtection: true,
  legacyDisplay: true,
} as const;

function takeApart(mail: Buffer): void {
  const walker = createWalker('message', ({ number, contentType, fileName }) => {
    partFileName(number, contentType, fileName);
    return new NullSink();
  });
  walker.write(mail);
  walker.end();
}

/** These steps report faults of a message; a defect of ours is not one. */
function allowed(step: () => unknown): void {
  try {
    step();
  } catch (error) {
    if (toErrorInfo(error).code === 'internal') throw error;
  }
}

function measured<T>(what: string, cost: Cost, octets: Buffer, budget: Budget | undefined, run: () => T): T {
  const start = process.cpuUsage();
  const before = held();
  let made: T;
  try {
    made = run();
  } catch (error) {
    if (error instanceof Finding) throw error;
    throw new Finding(`thrown: ${what}: ${error instanceof Error ? error.stack : String(error)}`);
  }
  const { user, system } = process.cpuUsage(start);
  const time = user + system;
  const memory = held() - before;
  cost.time = Math.max(cost.time, time);
  cost.memory = Math.max(cost.memory, memory);
  if (time > mostTime * 1000) throw new Finding(`hang: ${what}: ${Math.round(time / 1000)} ms`);
  const counted = budget === undefined ? octets.length * 0.5 : budget.spent;
  if (time > uncounted + counted * mostPerUnit)
    throw new Finding(`hang: ${what}: ${Math.round(time / 1000)} ms for ${Math.round(counted)} units`);
  if (memory > mostMemory + (budget?.produced ?? octets.length) * 3)
    throw new Finding(`memory: ${what}: ${memory} octets`);
  return made;
}

function held(): number {
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
