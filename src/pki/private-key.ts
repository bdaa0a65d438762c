import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { children, parse, tags } from '../asn1/index.ts';
import { hasCode, SealpostError } from '../errors.ts';
import type { Certificate } from './certificate.ts';
import { type PemBlock, readPem } from './pem.ts';
import { inheritsParameters, namedCurve, readPublicKeyInfo, sameKey } from './public-key.ts';

/**
 * Reads a private key: PKCS#8 (plain or encrypted), PKCS#1 (RSA) or SEC 1 (EC) in PEM or DER, or OpenSSL's traditional
 * encrypted PEM. The key may be RSA, RSA-PSS, EC, Ed25519, X25519, DSA, DH or X9.42 DH. Other blocks of a PEM file are
 * skipped, and the first private key is used.
 * @throws SealpostError `key-malformed`; `password` if it is missing or wrong
 */
export function readPrivateKey(data: Buffer, password?: string): KeyObject {
  const block = readPem(data).find(isPrivateKey);
  if (block !== undefined) return readBlock(block, password);
  if (data[0] === 0x30) return readDer(data, password);
  throw new SealpostError('key-malformed', 'there is no private key in the file', {
    hint: 'give a PEM file with a PRIVATE KEY block, a DER key or a PKCS#12 file',
  });
}

/** True for a file that holds a private key in PEM. */
export function hasPrivateKey(data: Buffer): boolean {
  return readPem(data).some(isPrivateKey);
}

function isPrivateKey({ label }: PemBlock): boolean {
  return label.endsWith('PRIVATE KEY');
}

function readBlock(block: PemBlock, password: string | undefined): KeyObject {
  const encrypted = block.encrypted || block.label === 'ENCRYPTED PRIVATE KEY';
  return load(encrypted, password, () =>
    createPrivateKey({ key: block.text, format: 'pem', ...passphrase(encrypted, password) }),
  );
}

type DerKind = 'pkcs8' | 'encrypted' | 'pkcs1' | 'sec1';

function readDer(data: Buffer, password: string | undefined): KeyObject {
  const kind = derKind(data);
  const encrypted = kind === 'encrypted';
  const type = encrypted ? 'pkcs8' : kind;
  return load(encrypted, password, () =>
    createPrivateKey({ key: data, format: 'der', type, ...passphrase(encrypted, password) }),
  );
}

/** The forms differ in their first two elements: RFC 5958, RFC 8017 appendix A.1.2, RFC 5915. */
function derKind(data: Buffer): DerKind {
  try {
    const [first, second] = children(parse(data)).map(({ tag }) => tag);
    if (first === tags.sequence && second === tags.octetString) return 'encrypted';
    if (first === tags.integer && second === tags.sequence) return 'pkcs8';
    if (first === tags.integer && second === tags.integer) return 'pkcs1';
    if (first === tags.integer && second === tags.octetString) return 'sec1';
  } catch (cause) {
    throw new SealpostError('key-malformed', 'the file is neither PEM nor a DER private key', { cause });
  }
  throw new SealpostError('key-malformed', 'the DER file is not a private key');
}

function passphrase(encrypted: boolean, password: string | undefined): { passphrase?: string } {
  return encrypted && password !== undefined ? { passphrase: password } : {};
}

function load(encrypted: boolean, password: string | undefined, read: () => KeyObject): KeyObject {
  if (encrypted && password === undefined) {
    throw new SealpostError('password', 'the private key is encrypted and there is no password');
  }
  try {
    return read();
  } catch (cause) {
    // about one wrong password in 200 gives valid padding, but then the content has no known form
    if (encrypted) {
      throw new SealpostError('password', 'the password does not open the private key', {
        cause,
        hint: 'where the password is right, the file is encrypted in a way that is not supported',
      });
    }
    const message = hasCode(cause, 'ERR_OSSL_UNSUPPORTED')
      ? 'the private key is of a kind that is not supported'
      : 'the private key cannot be read';
    throw new SealpostError('key-malformed', message, { cause });
  }
}

/**
 * True if the private key belongs to the certificate. This compares public numbers instead of structures, which differ
 * for RSA keys marked PSS or OAEP, for DSA keys with inherited parameters, and for DH keys, whose parameters can be
 * written in several ways.
 */
export function keyBelongsTo(key: KeyObject, certificate: Certificate): boolean {
  const publicKey = createPublicKey(key);
  const own = readPublicKeyInfo(parse(publicKey.export({ type: 'spki', format: 'der' })));
  const theirs = certificate.publicKeyInfo;
  if (own.key.equals(theirs.key) && namedCurve(own) === namedCurve(theirs)) return true;
  return !inheritsParameters(theirs) && sameKey(publicKey, certificate.publicKey);
}
