import type { Element } from '../../asn1/index.ts';
import { readKek } from './kek.ts';
import { readOther } from './kem.ts';
import { readKeyAgree } from './key-agree.ts';
import { readKeyTrans } from './key-trans.ts';
import { readPassword } from './password.ts';
import type { Recipient } from './recipient.ts';

type ReadRecipient = (element: Element) => Recipient[];

/**
 * `RecipientInfo ::= CHOICE { ktri, kari [1], kekri [2], pwri [3], ori [4] }` (RFC 5652 section 6.2).
 * A new kind is a file of its own and a line here.
 */
const readers = new Map<string, ReadRecipient>([
  ['0:16', readKeyTrans],
  ['2:1', readKeyAgree],
  ['2:2', readKek],
  ['2:3', readPassword],
  ['2:4', readOther],
]);

/** Reads one RecipientInfo; a kind that is not known is listed and never matches. */
export function readRecipientInfo(element: Element): Recipient[] {
  const key = `${element.cls}:${element.tag}`;
  const read = readers.get(key);
  if (read !== undefined) return read(element);
  return [
    {
      facts: {
        kind: 'other',
        identifier: { type: 'none' },
        keyEncryption: { name: 'unknown', oid: '', parameters: {} },
        weak: [],
      },
      find: () => undefined,
    },
  ];
}
