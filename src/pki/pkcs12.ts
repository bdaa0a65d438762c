import { createPrivateKey, type KeyObject, timingSafeEqual } from 'node:crypto';
import {
  Cursor,
  type Element,
  octetString,
  oid,
  oids,
  parse,
  readAlgorithm,
  readElement,
  smallInteger,
  tags,
  text,
} from '../asn1/index.ts';
import { SealpostError } from '../errors.ts';
import { type Certificate, parseCertificate } from './certificate.ts';
import { createIdentity, type Identity } from './identity.ts';
import {
  decryptWithPassword,
  iterations,
  type Password,
  passwordForms,
  passwordMac,
} from './password-encryption.ts';
import { isPem, readPem } from './pem.ts';
import { keyBelongsTo } from './private-key.ts';

/** What a PKCS#12 file holds. */
export interface Pkcs12 {
  /** One for each private key that has a certificate in the file. Named by friendlyName, or else by subject. */
  identities: Identity[];
  /** All certificates, in the order of the file. */
  certificates: Certificate[];
}

const bagTypes = '1.2.840.113549.1.12.10.1';
const x509Certificate = '1.2.840.113549.1.9.22.1';
const friendlyName = '1.2.840.113549.1.9.20';
const mostBags = 1000;

interface Bags {
  keys: { key: KeyObject; name: string | undefined }[];
  certificates: Certificate[];
  count: number;
}

/**
 * Reads a PKCS#12 file (RFC 7292): .p12 or .pfx, also inside PEM. The password may be empty or missing. Certificates
 * are returned octet for octet, and keys may be of any kind that node:crypto supports. node-forge can do neither: it
 * supports only RSA, and re-encodes certificates.
 * @throws SealpostError `password`, `key-malformed`, `key-mismatch`, `certificate-malformed`
 */
export function readPkcs12(data: Buffer, password?: string): Pkcs12 {
  const { authSafe, mac } = reading(() => readPfx(unarmored(data)));
  const forms = passwordForms(password);
  const form = mac === undefined ? forms[0] : forms.find((candidate) => reading(() => mac(candidate)));
  if (form === undefined) {
    throw new SealpostError(
      'password',
      password === undefined
        ? 'the PKCS#12 file needs a password'
        : 'the password does not open the PKCS#12 file',
    );
  }
  const bags: Bags = { keys: [], certificates: [], count: 0 };
  reading(() => readSafes(authSafe, form, bags));
  return { identities: identitiesOf(bags), certificates: bags.certificates };
}

/** True for octets that start like a PKCS#12 file: a SEQUENCE with version 3. */
export function isPkcs12(data: Buffer): boolean {
  try {
    const version = new Cursor(readElement(unarmored(data), 0)).expect(tags.integer);
    return smallInteger(version) === 3;
  } catch {
    return false;
  }
}

/** Some files are wrapped in PEM. */
function unarmored(data: Buffer): Buffer {
  if (!isPem(data)) return data;
  return readPem(data).find(({ label }) => label === 'PKCS12' || label === 'PFX')?.der ?? data;
}

function identitiesOf({ keys, certificates }: Bags): Identity[] {
  const identities = keys.flatMap(({ key, name }) => {
    const certificate = certificates.find((candidate) => keyBelongsTo(key, candidate));
    return certificate === undefined
      ? []
      : [createIdentity(name ?? certificate.subject, [certificate, ...certificates], key)];
  });
  if (identities.length === 0 && keys.length > 0) {
    throw new SealpostError('key-mismatch', 'the PKCS#12 file has no certificate for its private key');
  }
  return identities;
}

/** `PFX ::= SEQUENCE { version 3, authSafe ContentInfo, macData OPTIONAL }` (RFC 7292 section 4) */
function readPfx(data: Buffer): { authSafe: Buffer; mac: ((password: Password) => boolean) | undefined } {
  const cursor = new Cursor(parse(data));
  const version = smallInteger(cursor.expect(tags.integer));
  const contentInfo = new Cursor(cursor.expect(tags.sequence));
  if (version !== 3 || oid(contentInfo.expect(tags.oid)) !== oids.data) {
    throw new SealpostError('key-malformed', 'the file is not PKCS#12 protected by a password');
  }
  const authSafe = octetString(new Cursor(contentInfo.expect(0, 2)).expect(tags.octetString));
  const macData = cursor.optional(0, tags.sequence);
  return { authSafe, mac: macData === undefined ? undefined : readMac(macData, authSafe) };
}

/** `MacData ::= SEQUENCE { mac DigestInfo, macSalt OCTET STRING, iterations DEFAULT 1 }` */
function readMac(macData: Element, authSafe: Buffer): (password: Password) => boolean {
  const cursor = new Cursor(macData);
  const digestInfo = new Cursor(cursor.expect(tags.sequence));
  const algorithm = readAlgorithm(digestInfo.expect(tags.sequence));
  const expected = octetString(digestInfo.expect(tags.octetString));
  const salt = octetString(cursor.expect(tags.octetString));
  const rounds = cursor.optional(0, tags.integer);
  const count = rounds === undefined ? 1 : iterations(rounds);
  return (password) => {
    const mac = passwordMac(algorithm, salt, count, authSafe, password);
    return mac.length === expected.length && timingSafeEqual(mac, expected);
  };
}

/** `AuthenticatedSafe ::= SEQUENCE OF ContentInfo`, each plain or encrypted. */
function readSafes(authSafe: Buffer, password: Password, bags: Bags): void {
  const cursor = new Cursor(parse(authSafe));
  while (!cursor.atEnd) {
    const contentInfo = new Cursor(cursor.expect(tags.sequence));
    const type = oid(contentInfo.expect(tags.oid));
    const inside = new Cursor(contentInfo.expect(0, 2));
    if (type === oids.data) readBags(parse(octetString(inside.expect(tags.octetString))), password, bags, 0);
    else if (type === oids.encryptedData) {
      readBags(parse(readEncrypted(inside.expect(tags.sequence), password)), password, bags, 0);
    } else throw new SealpostError('key-malformed', `the PKCS#12 file has contents of type ${type}`);
  }
}

/** `EncryptedData` (RFC 5652 section 8) */
function readEncrypted(element: Element, password: Password): Buffer {
  const cursor = new Cursor(element);
  cursor.expect(tags.integer);
  const info = new Cursor(cursor.expect(tags.sequence));
  info.expect(tags.oid);
  const algorithm = readAlgorithm(info.expect(tags.sequence));
  return decryptOrPassword(algorithm, octetString(info.expect(0, 2)), password);
}

/** `SafeContents ::= SEQUENCE OF SafeBag { bagId, bagValue [0] EXPLICIT, bagAttributes OPTIONAL }` */
function readBags(contents: Element, password: Password, bags: Bags, depth: number): void {
  const cursor = new Cursor(contents);
  while (!cursor.atEnd) {
    if (++bags.count > mostBags)
      throw new SealpostError('key-malformed', `more than ${mostBags} entries in the PKCS#12 file`);
    const bag = new Cursor(cursor.expect(tags.sequence));
    const type = oid(bag.expect(tags.oid));
    const value = new Cursor(bag.expect(0, 2)).next();
    const name = readFriendlyName(bag.optional(0, tags.set));
    switch (type) {
      case `${bagTypes}.1`:
        bags.keys.push({ key: toKey(value.source.subarray(value.start, value.end)), name });
        break;
      case `${bagTypes}.2`:
        bags.keys.push({ key: toKey(readShrouded(value, password)), name });
        break;
      case `${bagTypes}.3`:
        bags.certificates.push(...readCertificateBag(value));
        break;
      case `${bagTypes}.6`:
        if (depth < 8) readBags(value, password, bags, depth + 1);
        break;
      default:
      // CRLs and secrets are ignored
    }
  }
}

/** `EncryptedPrivateKeyInfo ::= SEQUENCE { encryptionAlgorithm, encryptedData OCTET STRING }` (RFC 5958 section 3) */
function readShrouded(element: Element, password: Password): Buffer {
  const cursor = new Cursor(element);
  const algorithm = readAlgorithm(cursor.expect(tags.sequence));
  return decryptOrPassword(algorithm, octetString(cursor.expect(tags.octetString)), password);
}

function readCertificateBag(element: Element): Certificate[] {
  const cursor = new Cursor(element);
  if (oid(cursor.expect(tags.oid)) !== x509Certificate) return [];
  return [parseCertificate(octetString(new Cursor(cursor.expect(0, 2)).expect(tags.octetString)))];
}

function readFriendlyName(attributes: Element | undefined): string | undefined {
  if (attributes === undefined) return undefined;
  const cursor = new Cursor(attributes);
  while (!cursor.atEnd) {
    const attribute = new Cursor(cursor.expect(tags.sequence));
    if (oid(attribute.expect(tags.oid)) !== friendlyName) continue;
    const value = new Cursor(attribute.expect(tags.set)).peek();
    return value === undefined ? undefined : text(value);
  }
  return undefined;
}

function toKey(pkcs8: Buffer): KeyObject {
  return createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' });
}

function decryptOrPassword(
  algorithm: ReturnType<typeof readAlgorithm>,
  data: Buffer,
  password: Password,
): Buffer {
  try {
    return decryptWithPassword(algorithm, data, password);
  } catch (cause) {
    if (cause instanceof SealpostError) throw cause;
    throw new SealpostError('password', 'the password does not open the PKCS#12 file', { cause });
  }
}

/** Turns any error that is not one of ours into `key-malformed`. */
function reading<T>(read: () => T): T {
  try {
    return read();
  } catch (cause) {
    if (cause instanceof SealpostError && !cause.code.startsWith('asn1-')) throw cause;
    throw new SealpostError('key-malformed', 'the PKCS#12 file cannot be read', { cause });
  }
}
