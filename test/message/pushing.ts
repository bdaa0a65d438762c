import { BufferSink, type Sink } from '../../src/message/sink.ts';

/** A generator with a seed, so that a failing cut can be seen again. */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/** The same octets whole, octet by octet, and in random pieces. */
export function cuts(octets: Buffer, rounds = 8): { name: string; chunks: Buffer[] }[] {
  const found = [{ name: 'whole', chunks: [octets] }];
  found.push({ name: 'byte by byte', chunks: [...octets].map((octet) => Buffer.from([octet])) });
  for (let seed = 1; seed <= rounds; seed++) {
    const random = randomOf(seed);
    const chunks: Buffer[] = [];
    for (let at = 0; at < octets.length; ) {
      const length = 1 + Math.floor(random() * random() * (seed % 2 === 0 ? 20 : octets.length));
      chunks.push(octets.subarray(at, at + length));
      at += length;
    }
    found.push({ name: `random chunks, seed ${seed}`, chunks });
  }
  return found;
}

/** Pushes chunks through the stage that `make` builds on a sink, and returns what came out. */
export function pushThrough(chunks: readonly Buffer[], make: (output: Sink) => Sink): Buffer {
  const output = new BufferSink();
  const stage = make(output);
  // a copy that is wiped afterwards: a stage must not keep a view of the caller's chunk
  const kept: Buffer[] = [];
  for (const chunk of chunks) {
    const copy = Buffer.from(chunk);
    stage.write(copy);
    for (const piece of output.drain()) kept.push(Buffer.from(piece));
    copy.fill(0xee);
  }
  stage.end();
  for (const piece of output.drain()) kept.push(Buffer.from(piece));
  return Buffer.concat(kept);
}
