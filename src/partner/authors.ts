import { parseAddresses } from '../message/address.ts';
import type { HeaderBlock } from '../message/headers.ts';

/** What is needed of the verdict's `headers`. */
export interface ProtectedFields {
  readonly protection: string;
  readonly fields: readonly { readonly name: string; readonly value: string }[];
}

/**
 * The addresses of the From field that is handed off, which is the one that the policy has to judge: that of the
 * protected octets where they have one, else the outer one. A header that is complete by its own word (RFC 9788, or a
 * wrapped message) and has no From names nobody; what stands outside is then not the sender's.
 */
export function authorsOf({ protection, fields }: ProtectedFields, outer: HeaderBlock): string[] {
  const inside = fields.filter(({ name }) => name.toLowerCase() === 'from').map(({ value }) => value);
  const complete = protection !== 'none' && protection !== 'unmarked';
  const values = inside.length > 0 || complete ? inside : outer.all('from');
  return values.flatMap((value) => parseAddresses(value).map(({ address }) => address));
}
