/** How each kind of Wycheproof's vectors runs through the codec's own functions. */
import { createECDH, createHmac, createPrivateKey, type KeyObject } from 'node:crypto';
import { type AlgorithmIdentifier, oids, parse } from '../../src/asn1/index.ts';
import * as der from '../../src/asn1/writer.ts';
import { createAeadDecryptor } from '../../src/cms/aead.ts';
import { contentCipherByName, type DigestInfo, digestByName, signatures } from '../../src/cms/algorithms.ts';
import {
  type ContentEncryption,
  createContentDecipher,
  readContentEncryption,
} from '../../src/cms/ciphers.ts';
import { agreeOnCurve } from '../../src/cms/elliptic-curve.ts';
import { keyWrapByName } from '../../src/cms/key-wrap.ts';
import { pkcs1Decrypt } from '../../src/cms/native.ts';
import { oaepDecrypt } from '../../src/cms/oaep.ts';
import { readSignatureAlgorithm, signedOctets, verifySignature } from '../../src/cms/signature.ts';
import { decryptWithPassword, passwordMac } from '../../src/pki/password-encryption.ts';
import { readPublicKeyInfo, toKeyObject } from '../../src/pki/public-key.ts';
import { signatureScheme, verifySignature as verifyOfPki } from '../../src/pki/signature.ts';

export interface Vector {
  readonly tcId: number;
  readonly comment?: string;
  readonly flags?: readonly string[];
  readonly result: 'valid' | 'invalid' | 'acceptable';
  readonly [field: string]: unknown;
}

type Fields = Readonly<Record<string, unknown>>;

export interface VectorFile {
  readonly testGroups: readonly (Fields & { readonly tests: readonly Vector[] })[];
}

/** Whether it was accepted with the right result, or why it does not concern the codec. */
export type Handler = (group: Fields, vector: Vector) => boolean | string;

function text(fields: Fields, name: string): string {
  const value = fields[name];
  if (typeof value !== 'string') throw new TypeError(`${name} is no text`);
  return value;
}

const octets = (fields: Fields, name: string) => Buffer.from(text(fields, name), 'hex');
const number = (fields: Fields, name: string) => Number(fields[name]);

/** Refused is whatever throws. */
function holds(check: () => boolean): boolean {
  try {
    return check();
  } catch {
    return false;
  }
}

/** `SHA-512/224` is `sha512-224` here, `SHA3-256` stays apart. */
function digestNamed(name: string): DigestInfo | undefined {
  return digestByName.get(name.toLowerCase().replace('sha-', 'sha').replace('/', '-'));
}

const digestOf = (fields: Fields, name = 'sha') => digestNamed(text(fields, name));

const keys = new Map<string, KeyObject | undefined>();

/** Made once for each group. */
function remembered(id: string, make: () => KeyObject): KeyObject | undefined {
  if (!keys.has(id)) {
    let made: KeyObject | undefined;
    try {
      made = make();
    } catch {
      made = undefined;
    }
    keys.set(id, made);
  }
  return keys.get(id);
}

function publicKey(hex: string): KeyObject | undefined {
  return remembered(hex, () => toKeyObject(readPublicKeyInfo(parse(Buffer.from(hex, 'hex')))));
}

function privateKey(pkcs8: Buffer): KeyObject | undefined {
  return remembered(pkcs8.toString('hex'), () =>
    createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' }),
  );
}

const noDigest = 'with a digest that CMS has no name for';
const noKey = 'with a key that is refused';

/** Bad padding gives random octets here (implicit rejection), which then are no key. */
const pkcs1Decryption: Handler = (group, vector) => {
  const key = privateKey(octets(group, 'privateKeyPkcs8'));
  if (key === undefined) return noKey;
  return holds(() => pkcs1Decrypt(key, octets(vector, 'ct')).equals(octets(vector, 'msg')));
};

const oaepDecryption: Handler = (group, vector) => {
  const key = privateKey(octets(group, 'privateKeyPkcs8'));
  const [digest, mgfDigest] = [digestOf(group), digestOf(group, 'mgfSha')];
  if (digest === undefined || mgfDigest === undefined) return noDigest;
  if (key === undefined) return noKey;
  const parameters = { digest, mgfDigest, label: octets(vector, 'label') };
  return holds(() => oaepDecrypt(key, octets(vector, 'ct'), parameters).equals(octets(vector, 'msg')));
};

/** As a signer of a message and as the issuer of a certificate, which are two functions: both must be right. */
function verified(
  algorithm: AlgorithmIdentifier,
  digest: DigestInfo,
  key: KeyObject,
  vector: Vector,
): boolean {
  const [message, signature] = [octets(vector, 'msg'), octets(vector, 'sig')];
  const inMessage = holds(
    () =>
      verifySignature(key, readSignatureAlgorithm(algorithm), digest, signedOctets(message), signature) ===
      'ok',
  );
  const scheme = signatureScheme(algorithm);
  const inCertificate = scheme === undefined ? inMessage : verifyOfPki(scheme, message, signature, key);
  return vector.result === 'valid' ? inMessage && inCertificate : inMessage || inCertificate;
}

function signature(kind: 'rsa' | 'ecdsa' | 'dsa', keyField: string): Handler {
  return (group, vector) => {
    const digest = digestOf(group);
    const algorithm = signatures.find(
      ({ scheme, digest: name }) => scheme === kind && name === digest?.name && name !== undefined,
    );
    if (digest === undefined || algorithm === undefined) return noDigest;
    const found = keyField in group ? group : (group.privateKey as Fields);
    const key = publicKey(text(found, keyField));
    if (key === undefined) return noKey;
    return verified({ oid: algorithm.oid, parameters: undefined }, digest, key, vector);
  };
}

const pss: Handler = (group, vector) => {
  const digest = digestOf(group);
  const mgfDigest = text(group, 'mgf') === 'MGF1' ? digestOf(group, 'mgfSha') : undefined;
  if (digest === undefined || mgfDigest === undefined) return noDigest;
  const hash = ({ oid }: DigestInfo) => der.sequence(der.oid(oid), der.nullValue());
  const parameters = der.sequence(
    der.explicit(0, hash(digest)),
    der.explicit(1, der.sequence(der.oid(oids.mgf1), hash(mgfDigest))),
    der.explicit(2, der.integer(number(group, 'sLen'))),
  );
  const key = publicKey(text(group, 'publicKeyDer'));
  if (key === undefined) return noKey;
  return verified({ oid: oids.rsassaPss, parameters }, digest, key, vector);
};

function pure(oid: string, digestName: string): Handler {
  return (group, vector) => {
    if (typeof vector.ctx === 'string' && vector.ctx !== '') return 'with a context, which CMS has not';
    const digest = digestNamed(digestName);
    if (digest === undefined) return noDigest;
    if (typeof group.publicKeyDer !== 'string') return 'with a key that has no encoding';
    const key = publicKey(group.publicKeyDer);
    if (key === undefined) return false;
    return verified({ oid, parameters: undefined }, digest, key, vector);
  };
}

/** Names and object identifiers of the curves in OpenSSL. */
const curves: Readonly<Record<string, readonly [name: string, oid: string, octets: number]>> = {
  secp224r1: ['secp224r1', oids.secp224r1, 28],
  secp256r1: ['prime256v1', oids.secp256r1, 32],
  secp256k1: ['secp256k1', oids.secp256k1, 32],
  secp384r1: ['secp384r1', oids.secp384r1, 48],
  secp521r1: ['secp521r1', oids.secp521r1, 66],
  brainpoolP224r1: ['brainpoolP224r1', '1.3.36.3.3.2.8.1.1.5', 28],
  brainpoolP256r1: ['brainpoolP256r1', oids.brainpoolP256r1, 32],
  brainpoolP320r1: ['brainpoolP320r1', '1.3.36.3.3.2.8.1.1.9', 40],
  brainpoolP384r1: ['brainpoolP384r1', oids.brainpoolP384r1, 48],
  brainpoolP512r1: ['brainpoolP512r1', oids.brainpoolP512r1, 64],
  sect283k1: ['sect283k1', '1.3.132.0.16', 36],
  sect283r1: ['sect283r1', '1.3.132.0.17', 36],
  sect409k1: ['sect409k1', '1.3.132.0.36', 51],
  sect409r1: ['sect409r1', '1.3.132.0.37', 52],
  sect571k1: ['sect571k1', '1.3.132.0.38', 72],
  sect571r1: ['sect571r1', '1.3.132.0.39', 72],
};

/** An own key on a curve, by its number. */
function ownKey([name, oid, size]: readonly [string, string, number], hex: string): KeyObject | undefined {
  const whole = hex.replace(/^00(?=.)/, '').padStart(2 * size, '0');
  const d = Buffer.from(whole.slice(-2 * size), 'hex');
  return remembered(`${name} ${hex}`, () => {
    const pair = createECDH(name);
    pair.setPrivateKey(d);
    const inner = der.sequence(
      der.integer(1),
      der.octetString(d),
      der.explicit(1, der.bitString(pair.getPublicKey())),
    );
    const pkcs8 = der.sequence(
      der.integer(0),
      der.sequence(der.oid(oids.ecPublicKey), der.oid(oid)),
      der.octetString(inner),
    );
    return createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' });
  });
}

/** Of the sender's key only the point is used; its curve is that of the recipient's certificate. */
function ecdh(withCofactor: boolean): Handler {
  return (group, vector) => {
    const curve = curves[text(group, 'curve')];
    if (curve === undefined) return 'on a curve without a name here';
    const own = {
      der: Buffer.alloc(0),
      algorithm: oids.ecPublicKey,
      parameters: der.oid(curve[1]),
      key: Buffer.alloc(0),
    };
    let point: Buffer = octets(vector, 'public');
    if (group.encoding === 'asn') {
      const ownAlgorithm = der.sequence(der.oid(oids.ecPublicKey), own.parameters).toString('hex');
      if (!text(vector, 'public').includes(ownAlgorithm)) return 'on another curve, which senders cannot say';
      try {
        point = readPublicKeyInfo(parse(point)).key;
      } catch {
        return false;
      }
    }
    const key = ownKey(curve, text(vector, 'private'));
    if (key === undefined) return noKey;
    // the secret of cofactor agreement is another one where the cofactor is not 1
    const same = (secret: Buffer) =>
      withCofactor ? secret.length > 0 : secret.equals(octets(vector, 'shared'));
    return holds(() => same(agreeOnCurve(key, own, point, withCofactor)));
  };
}

const montgomery: Handler = (group, vector) => {
  const oid = text(group, 'curve') === 'curve25519' ? oids.x25519 : oids.x448;
  const pkcs8 = der.sequence(
    der.integer(0),
    der.sequence(der.oid(oid)),
    der.octetString(der.octetString(octets(vector, 'private'))),
  );
  const key = privateKey(pkcs8);
  if (key === undefined) return noKey;
  const own = { der: Buffer.alloc(0), algorithm: oid, parameters: undefined, key: Buffer.alloc(0) };
  return holds(() =>
    agreeOnCurve(key, own, octets(vector, 'public'), false).equals(octets(vector, 'shared')),
  );
};

function keyWrap(suffix: '' | '-pad'): Handler {
  return (group, vector) => {
    const [kek, wrapped] = [octets(vector, 'key'), octets(vector, 'ct')];
    const wrap = keyWrapByName(`aes-${number(group, 'keySize')}-wrap${suffix}`);
    return holds(() => wrap.unwrap(kek, wrapped).equals(octets(vector, 'msg')));
  };
}

/** The cipher as a message names it; a string if the parameters are refused. */
function cipherOf(name: 'gcm' | 'ccm', group: Fields, iv: Buffer): ContentEncryption | string {
  const oid = oids[`aes-${number(group, 'keySize') as 128 | 192 | 256}-${name}`];
  const parameters = der.sequence(der.octetString(iv), der.integer(number(group, 'tagSize') / 8));
  try {
    return readContentEncryption({ oid, parameters });
  } catch {
    return 'with a nonce or tag that is refused';
  }
}

function opened(encryption: ContentEncryption, vector: Vector): boolean {
  const aad = octets(vector, 'aad');
  return holds(() => {
    const decryptor = createAeadDecryptor(encryption, octets(vector, 'key'));
    const first = decryptor.update(octets(vector, 'ct'));
    const last = decryptor.final(octets(vector, 'tag'), aad.length === 0 ? undefined : aad);
    return Buffer.concat([first, last]).equals(octets(vector, 'msg'));
  });
}

function aead(name: 'gcm' | 'ccm'): Handler {
  return (group, vector) => {
    const encryption = cipherOf(name, group, octets(vector, 'iv'));
    return typeof encryption === 'string' ? encryption : opened(encryption, vector);
  };
}

const chacha: Handler = (_, vector) => {
  if (text(vector, 'aad') !== '') return 'with attributes, which are not supported';
  try {
    const parameters = der.octetString(octets(vector, 'iv'));
    return opened(readContentEncryption({ oid: oids['chacha20-poly1305'], parameters }), vector);
  } catch {
    return false;
  }
};

function cbc(family: 'aes' | 'camellia'): Handler {
  return (group, vector) =>
    holds(() => {
      const encryption = readContentEncryption({
        oid: contentCipherByName.get(`${family}-${number(group, 'keySize')}-cbc`)?.oid ?? '',
        parameters: der.octetString(octets(vector, 'iv')),
      });
      const decipher = createContentDecipher(encryption, octets(vector, 'key'));
      const all = Buffer.concat([decipher.update(octets(vector, 'ct')), decipher.final()]);
      return all.equals(octets(vector, 'msg'));
    });
}

const prfs: Readonly<Record<string, string>> = {
  sha1: oids.hmacWithSha1,
  sha224: oids.hmacWithSha224,
  sha256: oids.hmacWithSha256,
  sha384: oids.hmacWithSha384,
  sha512: oids.hmacWithSha512,
};
const algorithm = (oid: string, ...parameters: Buffer[]) => der.sequence(der.oid(oid), ...parameters);

function pbkdf2(digest: string, vector: Vector, ...keyLength: Buffer[]): Buffer {
  const parameters = der.sequence(
    der.octetString(octets(vector, 'salt')),
    der.integer(number(vector, 'iterationCount')),
    ...keyLength,
    algorithm(prfs[digest] ?? '', der.nullValue()),
  );
  return algorithm(oids.pbkdf2, parameters);
}

/** PBES2 with PBKDF2, as PKCS#12 and PKCS#8 have it. */
function pbes2(digest: string, bits: '128' | '192' | '256'): Handler {
  return (_, vector) => {
    const cipher = algorithm(oids[`aes-${bits}-cbc`], der.octetString(octets(vector, 'iv')));
    const parameters = der.sequence(pbkdf2(digest, vector), cipher);
    const password = { bmp: Buffer.alloc(0), utf8: octets(vector, 'password') };
    const scheme = { oid: '1.2.840.113549.1.5.13', parameters };
    return holds(() =>
      decryptWithPassword(scheme, octets(vector, 'ct'), password).equals(octets(vector, 'msg')),
    );
  };
}

/** The derived key is the key of a PBMAC1, which is compared. */
function pbmac1(digest: string): Handler {
  return (_, vector) => {
    const length = number(vector, 'dkLen');
    if (length !== digestByName.get(digest)?.octets) return 'with a key of another length than the MAC';
    if (number(vector, 'iterationCount') > 10_000_000) return 'with more iterations than are allowed';
    const parameters = der.sequence(
      pbkdf2(digest, vector, der.integer(length)),
      algorithm(prfs[digest] ?? '', der.nullValue()),
    );
    const password = { bmp: Buffer.alloc(0), utf8: octets(vector, 'password') };
    const data = Buffer.from('an order');
    const expected = createHmac(digest, octets(vector, 'dk')).update(data).digest();
    const scheme = { oid: '1.2.840.113549.1.5.14', parameters };
    return holds(() => passwordMac(scheme, Buffer.alloc(0), 1, data, password).equals(expected));
  };
}

/** Which files run how. HKDF has no row: what it derives from is fixed in CMS, so no vector fits. */
export const handlers: readonly (readonly [files: RegExp, handler: Handler])[] = [
  [/^rsa_pkcs1_\d+_test/, pkcs1Decryption],
  [/^rsa_(three_primes_)?oaep_/, oaepDecryption],
  [/^rsa_signature_/, signature('rsa', 'publicKeyDer')],
  [/^rsa_pkcs1_\d+_sig_gen_test/, signature('rsa', 'keyDer')],
  [/^rsa_pss_/, pss],
  [/^ecdsa_.*(?<!_p1363|_bitcoin)_test/, signature('ecdsa', 'publicKeyDer')],
  [/^dsa_.*(?<!_p1363)_test/, signature('dsa', 'publicKeyDer')],
  [/^ed25519_test/, pure(oids.ed25519, 'sha512')],
  [/^ed448_test/, pure(oids.ed448, 'shake256')],
  [/^mldsa_44_verify/, pure(oids['ml-dsa-44'], 'sha512')],
  [/^mldsa_65_verify/, pure(oids['ml-dsa-65'], 'sha512')],
  [/^mldsa_87_verify/, pure(oids['ml-dsa-87'], 'sha512')],
  [/^ecdh_[^_]+(_ecpoint)?_test/, ecdh(false)],
  [/^ecdh_sect[^_]+_test/, ecdh(true)],
  [/^x(25519|448)_test/, montgomery],
  [/^aes_wrap_test/, keyWrap('')],
  [/^aes_kwp_test/, keyWrap('-pad')],
  [/^aes_gcm_test/, aead('gcm')],
  [/^aes_ccm_test/, aead('ccm')],
  [/^chacha20_poly1305_test/, chacha],
  [/^aes_cbc_pkcs5_test/, cbc('aes')],
  [/^camellia_cbc_pkcs5_test/, cbc('camellia')],
  ...Object.keys(prfs).flatMap((digest) =>
    (['128', '192', '256'] as const).map(
      (bits) => [new RegExp(`^pbes2_hmac${digest}_aes_${bits}_test`), pbes2(digest, bits)] as const,
    ),
  ),
  // with the others, no vector's key has the length of the MAC
  [/^pbkdf2_hmacsha1_test/, pbmac1('sha1')],
  [/^pbkdf2_hmacsha256_test/, pbmac1('sha256')],
];
