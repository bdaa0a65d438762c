import type { FreshEncryption, RandomBytes } from '../ciphers.ts';
import { type KeyTransOptions, writeKeyTrans } from './key-trans.ts';
import type { RecipientKind } from './recipient.ts';

/** Whom to encrypt for, and how: by kind of RecipientInfo. */
export type RecipientOptions = { kind?: 'key-trans' } & KeyTransOptions;

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
  _options: { randomBytes?: RandomBytes },
): WrittenRecipient {
  const encoded = writeKeyTrans(fresh.key, recipient);
  return { kind: 'key-trans', version: recipient.bySubjectKeyIdentifier === true ? 2 : 0, encoded };
}
