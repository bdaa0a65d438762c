/** Fresh messages of each class in which a decryption can fail: what S3 and the bench of their times are made of. */
import { randomBytes } from 'node:crypto';
import { aesCbc, alice, cbc, enveloped, keyTransInfo, noise, rsaEncrypt } from './support.ts';

const contentLength = 16 * 40;

/** One fresh message of a class of failure; the attacker's content type is his choice. */
export type Make = (contentType: string) => Buffer;

export const message = (encryptedKey: Buffer, key: Buffer, plain: Buffer, contentType: string): Buffer => {
  const iv = randomBytes(16);
  return enveloped({
    recipients: [keyTransInfo(alice.certificate, encryptedKey)],
    algorithm: aesCbc(iv),
    encrypted: cbc(key, iv, plain),
    contentType,
  });
};

const bad = () => noise(contentLength, false);

/** Below the modulus, so that it is a number that RSA takes. */
const randomNumber = () => {
  const made = randomBytes(256);
  made[0] = 0;
  return made;
};

export const keyFailures: Record<string, Make> = {
  'bad padding of the key': (type) => message(randomNumber(), randomBytes(16), bad(), type),
  'a key of the wrong length': (type) =>
    message(rsaEncrypt(alice.certificate, randomBytes(5)), randomBytes(16), bad(), type),
  'the wrong key': (type) =>
    message(rsaEncrypt(alice.certificate, randomBytes(16)), randomBytes(16), bad(), type),
};
export const contentFailures: Record<string, Make> = {
  'bad padding of the content': (type) => {
    const key = randomBytes(16);
    return message(rsaEncrypt(alice.certificate, key), key, bad(), type);
  },
};
export const garbage: Make = (type) => {
  const key = randomBytes(16);
  return message(rsaEncrypt(alice.certificate, key), key, noise(contentLength, true), type);
};
