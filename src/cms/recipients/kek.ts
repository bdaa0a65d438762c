import {
  Cursor,
  der,
  type Element,
  octetString,
  readAlgorithm,
  smallInteger,
  tags,
} from '../../asn1/index.ts';
import { costs } from '../../budget.ts';
import { SealpostError } from '../../errors.ts';
import type { FreshEncryption, RandomBytes } from '../ciphers.ts';
import type { KeyEncryptionKey } from '../identity.ts';
import { keyWrapByName, readKeyWrap } from '../key-wrap.ts';
import type { Recipient } from './recipient.ts';

/**
 * `KEKRecipientInfo ::= SEQUENCE { version, kekid SEQUENCE { keyIdentifier OCTET STRING, date
 * OPTIONAL, other OPTIONAL }, keyEncryptionAlgorithm, encryptedKey OCTET STRING }` (RFC 5652 section
 * 6.2.3): the content key under a symmetric key that both sides have.
 */
export function readKek(element: Element): Recipient[] {
  const cursor = new Cursor(element);
  smallInteger(cursor.expect(tags.integer));
  const identifier = octetString(new Cursor(cursor.expect(tags.sequence)).expect(tags.octetString));
  const algorithm = readAlgorithm(cursor.expect(tags.sequence));
  const encryptedKey = octetString(cursor.expect(tags.octetString));
  cursor.done();
  const wrap = readKeyWrap(algorithm);
  return [
    {
      report: {
        kind: 'kek',
        identifier: { type: 'key-identifier', keyIdentifier: identifier.toString('hex') },
        keyEncryption: { name: wrap?.name ?? algorithm.oid, oid: algorithm.oid, parameters: {} },
        weak: wrap?.weak === undefined ? [] : [wrap.weak],
      },
      find: (keys) => {
        const found = keys.keyEncryptionKeys?.find(({ keyIdentifier }) => keyIdentifier.equals(identifier));
        if (found === undefined || wrap === undefined) return undefined;
        const recover = (): Buffer | undefined => {
          try {
            return wrap.unwrap(found.key, encryptedKey);
          } catch {
            return undefined;
          }
        };
        return { name: found.name, cost: costs.attribute(encryptedKey.length), recover };
      },
    },
  ];
}

/**
 * A KEKRecipientInfo with AES key wrap, in DER.
 * @throws SealpostError `encode-recipient` for a key that does not have 16, 24 or 32 octets
 */
export function writeKek(fresh: FreshEncryption, kek: KeyEncryptionKey, random?: RandomBytes): Buffer {
  if (![16, 24, 32].includes(kek.key.length)) {
    throw new SealpostError(
      'encode-recipient',
      `the key ${kek.name} has ${kek.key.length} octets, not 16, 24 or 32`,
    );
  }
  const wrap = keyWrapByName(`aes-${kek.key.length * 8}-wrap`);
  return der.implicit(
    2,
    true,
    der.integer(4),
    der.sequence(der.octetString(kek.keyIdentifier)),
    wrap.encoded,
    der.octetString(wrap.wrap(kek.key, fresh.key, random)),
  );
}
