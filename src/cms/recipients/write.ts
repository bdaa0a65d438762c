import type { FreshEncryption, RandomBytes } from '../ciphers.ts';
import { agreesKeys, type KeyAgreeOptions, writeKeyAgree } from './key-agree-writer.ts';
import { type KeyTransOptions, writeKeyTrans } from './key-trans.ts';
import type { RecipientKind } from './recipient.ts';

/** Whom to encrypt for: a certificate's key says by itself whether it takes or agrees keys. */
export type RecipientOptions = KeyTransOptions & KeyAgreeOptions;

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
  if (agreesKeys(recipient.certificate)) {
    return { kind: 'key-agree', version: 3, encoded: writeKeyAgree(fresh, recipient, options.randomBytes) };
  }
  const encoded = writeKeyTrans(fresh.key, recipient);
  return { kind: 'key-trans', version: recipient.bySubjectKeyIdentifier === true ? 2 : 0, encoded };
}
