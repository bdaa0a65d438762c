import { randomBytes as nodeRandomBytes } from 'node:crypto';
import type { FreshEncryption, RandomBytes } from '../ciphers.ts';
import type { KeyEncryptionKey } from '../identity.ts';
import { writeKek } from './kek.ts';
import { encapsulates, writeKem } from './kem.ts';
import { agreesKeys, type KeyAgreeOptions, writeKeyAgree } from './key-agree-writer.ts';
import { type KeyTransOptions, writeKeyTrans } from './key-trans.ts';
import { type PasswordOptions, writePassword } from './password.ts';
import type { RecipientKind } from './recipient.ts';

/**
 * Whom to encrypt for: a certificate (its key says by itself whether it takes, agrees or encapsulates keys), a
 * symmetric key that both sides have, or a password.
 */
export type RecipientOptions =
  | (KeyTransOptions & KeyAgreeOptions)
  | { keyEncryptionKey: KeyEncryptionKey }
  | PasswordOptions;

/** A RecipientInfo in DER, with what EnvelopedData's version depends on (RFC 5652 section 6.1). */
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
