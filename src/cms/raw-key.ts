/**
 * How the ciphers here are given their keys: as text of one character an octet. Given a Buffer, node finds out by
 * two exceptions that it is no key object; a key object made for one message is two native objects, which outlive
 * every young collection. Text is neither.
 */
export const rawKey = { encoding: 'latin1' } as const;

/** The octets of a key as that text. */
export function keyText(octets: Buffer): string {
  return octets.toString('latin1');
}
