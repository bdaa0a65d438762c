import { randomBytes as nodeRandomBytes } from 'node:crypto';
import type { Element } from '../../asn1/index.ts';
import type { FreshEncryption, RandomBytes } from '../ciphers.ts';
import type { KeyEncryptionKey } from '../identity.ts';
import { readKek, writeKek } from './kek.ts';
import { encapsulates, readOther, writeKem } from './kem.ts';
import { readKeyAgree } from './key-agree.ts';
import { agreesKeys, type KeyAgreeOptions, writeKeyAgree } from './key-agree-writer.ts';
import { type KeyTransOptions, readKeyTrans, writeKeyTrans } from './key-trans.ts';
import { type PasswordOptions, readPassword, writePassword } from './password.ts';
import type { Recipient, RecipientKind } from './recipient.ts';

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

/** Reads one RecipientInfo. An unknown kind is listed and never matches. */
export function readRecipientInfo(element: Element): Recipient[] {
  const key = `${element.cls}:${element.tag}`;
  const read = readers.get(key);
  if (read !== undefined) return read(element);
  return [
    {
      report: {
        kind: 'other',
        identifier: { type: 'none' },
        keyEncryption: { name: 'unknown', oid: '', parameters: {} },
        weak: [],
      },
      find: () => undefined,
    },
  ];
}

/**
 * Whom to encrypt for: a certificate (its key determines whether by transport, agreement or encapsulation), a symmetric
 * key that both sides have, or a password.
 */
export type RecipientOptions =
  | (KeyTransOptions & KeyAgreeOptions)
  | { keyEncryptionKey: KeyEncryptionKey }
  | PasswordOptions;

/** A RecipientInfo in DER, with what the version of EnvelopedData depends on (RFC 5652 section 6.1). */
export interface WrittenRecipient {
  kind: RecipientKind;
  version: number;
  encoded: Buffer;
}

/** Encrypts the content key for one recipient. */
export function writeRecipientInfo(
  fresh: FreshEncryption,
  recipient: RecipientOptions,
  options: { randomBytes?: RandomBytes },
): WrittenRecipient {
  const random = options.randomBytes ?? nodeRandomBytes;
  if ('password' in recipient) {
    return { kind: 'password', version: 0, encoded: writePassword(fresh, recipient, random) };
  }
  if ('keyEncryptionKey' in recipient) {
    return { kind: 'kek', version: 4, encoded: writeKek(fresh, recipient.keyEncryptionKey, random) };
  }
  if (agreesKeys(recipient.certificate)) {
    return { kind: 'key-agree', version: 3, encoded: writeKeyAgree(fresh, recipient, random) };
  }
  if (encapsulates(recipient.certificate)) {
    return { kind: 'kem', version: 0, encoded: writeKem(fresh, recipient) };
  }
  const encoded = writeKeyTrans(fresh.key, recipient);
  return { kind: 'key-trans', version: recipient.bySubjectKeyIdentifier === true ? 2 : 0, encoded };
}
