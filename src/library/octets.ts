/** Octets in memory. A Node.js Buffer is one. */
export type Octets = Uint8Array;

/** Octets as they come: in memory, or in chunks such as those of a file or a socket. */
export type OctetStream = Iterable<Octets> | AsyncIterable<Octets>;

/** The same octets as a Buffer, without a copy. */
export function bufferOf(octets: Octets): Buffer {
  if (Buffer.isBuffer(octets)) return octets;
  return Buffer.from(octets.buffer, octets.byteOffset, octets.byteLength);
}

export function buffersOf(chunks: OctetStream): Iterable<Buffer> | AsyncIterable<Buffer> {
  return Symbol.iterator in chunks ? each(chunks) : eachAwaited(chunks);
}

function* each(chunks: Iterable<Octets>): Iterable<Buffer> {
  for (const chunk of chunks) yield bufferOf(chunk);
}

async function* eachAwaited(chunks: AsyncIterable<Octets>): AsyncIterable<Buffer> {
  for await (const chunk of chunks) yield bufferOf(chunk);
}
