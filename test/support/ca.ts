import {
  createHash,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
} from 'node:crypto';
import { oids } from '../../src/asn1/index.ts';
import * as der from '../../src/asn1/writer.ts';
import { type Certificate, createIdentity, type Identity, parseCertificate } from '../../src/pki/index.ts';
import { keyMadeOnce } from './made-once.ts';

export type TestKeyKind = 'rsa2048' | 'rsa3072' | 'p256' | 'p384' | 'p521' | 'ed25519';

export interface KeyPair {
  publicKey: KeyObject;
  privateKey: KeyObject;
}

export type TestDigest = 'md5' | 'sha1' | 'sha256' | 'sha384' | 'sha512';

/** One extension, ready encoded: the octets of `value` go into extnValue. */
export interface TestExtension {
  oid: string;
  critical?: boolean;
  value: Buffer;
}

export interface IssueOptions {
  commonName?: string;
  /** Whole subject as [type OID, value] pairs; replaces commonName. */
  subject?: [string, string][];
  /** rfc822Names of subjectAltName. */
  email?: string;
  emails?: string[];
  /**
   * Kind of key to make, or a key pair that exists; default p256, which is the quickest. RSA keys are made once for
   * each kind and name, and kept.
   */
  key?: TestKeyKind | KeyPair;
  /** Makes a fresh RSA key instead of the one that is kept. */
  freshKey?: boolean;
  notBefore?: Date;
  notAfter?: Date;
  /** Names of RFC 5280; default digitalSignature and what encrypts for the key; null leaves it out. */
  keyUsage?: string[] | null;
  /** Dotted object identifiers; default emailProtection; null leaves it out. */
  eku?: string[] | null;
  serial?: number | bigint;
  /** Instead of the one made from the key; null leaves the extension out. */
  subjectKeyIdentifier?: Buffer | null;
  /** A CA certificate; `pathLength` limits it. */
  ca?: boolean;
  pathLength?: number;
  /** Added after the others. */
  extensions?: TestExtension[];
  digest?: TestDigest;
}

export interface Issued {
  certificate: Certificate;
  privateKey: KeyObject;
  certPem: string;
  keyPem: string;
  /** The identity with the chain up to the root. */
  identity: Identity;
}

export interface CrlOptions {
  revoked?: Certificate[];
  thisUpdate?: Date;
  /** null leaves it out, which RFC 5280 section 5.1.2.5 forbids. */
  nextUpdate?: Date | null;
  number?: number;
  /** Added after the others, of the list and of each of its entries. */
  extensions?: TestExtension[];
  entryExtensions?: TestExtension[];
}

export interface TestCa extends Issued {
  /** Certificate in PEM. */
  pem: string;
  /** Issues an end-entity certificate, valid from 2020 to 2040 unless told. */
  issue(options?: IssueOptions): Issued;
  /** Certifies a public key without looking at it, such as one that nothing should compute with. */
  issueUncheckedKey(publicKey: KeyObject, commonName?: string): Certificate;
  /** Issues an intermediate CA. */
  issueCa(name: string, options?: IssueOptions): TestCa;
  /** A CRL (RFC 5280 section 5) of this CA in DER. */
  crl(options?: CrlOptions): Buffer;
}

const validFrom = new Date('2020-01-01T00:00:00Z');
const validUntil = new Date('2040-01-01T00:00:00Z');
const keyUsageBits = [
  'digitalSignature',
  'nonRepudiation',
  'keyEncipherment',
  'dataEncipherment',
  'keyAgreement',
  'keyCertSign',
  'cRLSign',
];

const sharedKeys = new Map<string, KeyPair>();

/** A key pair of a kind; RSA pairs are kept under their name unless `fresh`, since they take long to make. */
export function testKey(kind: TestKeyKind, name = '', fresh = false): KeyPair {
  const label = `${kind} ${name}`;
  const shared = sharedKeys.get(label);
  if (shared !== undefined && !fresh) return shared;
  if (!kind.startsWith('rsa') || fresh) return makeKey(kind);
  const privateKey = keyMadeOnce(label, () => makeKey(kind).privateKey);
  const pair = { privateKey, publicKey: createPublicKey(privateKey) };
  sharedKeys.set(label, pair);
  return pair;
}

function makeKey(kind: TestKeyKind): KeyPair {
  switch (kind) {
    case 'rsa2048':
      return generateKeyPairSync('rsa', { modulusLength: 2048 });
    case 'rsa3072':
      return generateKeyPairSync('rsa', { modulusLength: 3072 });
    case 'p256':
      return generateKeyPairSync('ec', { namedCurve: 'P-256' });
    case 'p384':
      return generateKeyPairSync('ec', { namedCurve: 'P-384' });
    case 'p521':
      return generateKeyPairSync('ec', { namedCurve: 'P-521' });
    case 'ed25519':
      return generateKeyPairSync('ed25519');
  }
}

/** Makes a self-signed root that issues certificates; the key is P-256 unless told. */
export function createTestCa(name = 'Test Root', options: IssueOptions = {}): TestCa {
  return makeCa(name, options, undefined);
}

function makeCa(name: string, options: IssueOptions, parent: TestCa | undefined): TestCa {
  const issued = makeCertificate({ commonName: name, ca: true, ...options }, parent);
  const ca: TestCa = {
    ...issued,
    pem: issued.certPem,
    issue: (wanted = {}) => makeCertificate(wanted, ca),
    issueUncheckedKey: (publicKey, commonName = 'Unchecked') =>
      certify({ commonName }, publicKey, ca, ca.privateKey),
    issueCa: (caName, wanted = {}) => makeCa(caName, wanted, ca),
    crl: (wanted = {}) => makeCrl(ca, wanted),
  };
  return ca;
}

function makeCertificate(options: IssueOptions, issuer: TestCa | undefined): Issued {
  const pair =
    typeof options.key === 'object'
      ? options.key
      : testKey(options.key ?? 'p256', options.commonName, options.freshKey);
  const certificate = certify(options, pair.publicKey, issuer, issuer?.privateKey ?? pair.privateKey);
  const chain = issuer === undefined ? [] : [issuer.certificate, ...issuer.identity.chain];
  return {
    certificate,
    privateKey: pair.privateKey,
    certPem: certificate.toPem(),
    keyPem: pair.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    identity: createIdentity(options.commonName ?? 'test', [certificate, ...chain], pair.privateKey),
  };
}

function certify(
  options: IssueOptions,
  publicKey: KeyObject,
  issuer: TestCa | undefined,
  signer: KeyObject,
): Certificate {
  const algorithm = signatureAlgorithm(signer, options.digest ?? 'sha256');
  const subject = distinguishedName(options.subject ?? [[oids.commonName, options.commonName ?? 'Test']]);
  const tbs = der.sequence(
    der.explicit(0, der.integer(2)),
    der.integer(options.serial ?? Buffer.concat([Buffer.from([1]), randomBytes(15)])),
    algorithm,
    issuer?.certificate.subjectDer ?? subject,
    der.sequence(der.time(options.notBefore ?? validFrom), der.time(options.notAfter ?? validUntil)),
    subject,
    publicKey.export({ type: 'spki', format: 'der' }),
    der.explicit(3, der.sequence(...extensionsOf(options, publicKey, issuer).map(encodeExtension))),
  );
  return parseCertificate(signed(tbs, algorithm, signer, options.digest ?? 'sha256'));
}

function extensionsOf(
  options: IssueOptions,
  publicKey: KeyObject,
  issuer: TestCa | undefined,
): TestExtension[] {
  const keyId = options.subjectKeyIdentifier ?? keyIdentifier(publicKey);
  const authority = issuer?.certificate.subjectKeyIdentifier ?? keyId;
  const found: TestExtension[] = [
    ...(options.subjectKeyIdentifier === null
      ? []
      : [{ oid: oids.subjectKeyIdentifier, value: der.octetString(keyId) }]),
    { oid: oids.authorityKeyIdentifier, value: der.sequence(der.implicit(0, false, authority)) },
  ];
  if (options.ca === true) {
    const length = options.pathLength === undefined ? [] : [der.integer(options.pathLength)];
    found.push({
      oid: oids.basicConstraints,
      critical: true,
      value: der.sequence(der.boolean(true), ...length),
    });
  }
  const usage = options.keyUsage === undefined ? defaultUsage(options, publicKey) : options.keyUsage;
  if (usage !== null) found.push({ oid: oids.keyUsage, critical: true, value: keyUsage(usage) });
  const eku = options.eku === undefined ? (options.ca === true ? null : [oids.emailProtection]) : options.eku;
  if (eku !== null) found.push({ oid: oids.extKeyUsage, value: der.sequence(...eku.map(der.oid)) });
  const emails = [...(options.email === undefined ? [] : [options.email]), ...(options.emails ?? [])];
  if (emails.length > 0) {
    const names = emails.map((email) => der.implicit(1, false, Buffer.from(email, 'latin1')));
    found.push({ oid: oids.subjectAltName, value: der.sequence(...names) });
  }
  return [...found, ...(options.extensions ?? [])];
}

function defaultUsage(options: IssueOptions, publicKey: KeyObject): string[] {
  if (options.ca === true) return ['keyCertSign', 'cRLSign'];
  const encrypts = publicKey.asymmetricKeyType === 'rsa' ? 'keyEncipherment' : 'keyAgreement';
  return ['digitalSignature', encrypts];
}

function keyUsage(names: string[]): Buffer {
  const bits = names.map((name) => {
    const bit = keyUsageBits.indexOf(name);
    if (bit < 0) throw new TypeError(`no such key usage: ${name}`);
    return bit;
  });
  const octet = bits.reduce((sum, bit) => sum | (0x80 >> bit), 0);
  return der.bitString(Buffer.from([octet]), 7 - Math.max(...bits));
}

function keyIdentifier(publicKey: KeyObject): Buffer {
  return createHash('sha1')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest();
}

function encodeExtension({ oid, critical, value }: TestExtension): Buffer {
  return der.sequence(
    der.oid(oid),
    ...(critical === true ? [der.boolean(true)] : []),
    der.octetString(value),
  );
}

/** A Name of one attribute per part. */
export function distinguishedName(attributes: [string, string][]): Buffer {
  return der.sequence(
    ...attributes.map(([type, value]) => der.set(der.sequence(der.oid(type), der.utf8(value)))),
  );
}

const signatureOids: Record<string, Record<TestDigest, string>> = {
  rsa: {
    md5: oids.md5WithRSAEncryption,
    sha1: oids.sha1WithRSAEncryption,
    sha256: oids.sha256WithRSAEncryption,
    sha384: oids.sha384WithRSAEncryption,
    sha512: oids.sha512WithRSAEncryption,
  },
  ec: {
    md5: '',
    sha1: oids.ecdsaWithSha1,
    sha256: oids.ecdsaWithSha256,
    sha384: oids.ecdsaWithSha384,
    sha512: oids.ecdsaWithSha512,
  },
};

/** Schemes with a digest of their own. */
const ownDigest: Record<string, string> = {
  ed25519: oids.ed25519,
  ed448: oids.ed448,
  'ml-dsa-44': oids['ml-dsa-44'],
  'ml-dsa-65': oids['ml-dsa-65'],
  'ml-dsa-87': oids['ml-dsa-87'],
};

const sha256 = der.sequence(der.oid(oids.sha256), der.nullValue());

/** RSASSA-PSS with SHA-256 and 32 octets of salt (RFC 4055 section 3.1), for keys of the kind rsa-pss. */
const pssAlgorithm = der.sequence(
  der.oid(oids.rsassaPss),
  der.sequence(
    der.explicit(0, sha256),
    der.explicit(1, der.sequence(der.oid(oids.mgf1), sha256)),
    der.explicit(2, der.integer(32)),
  ),
);

function signatureAlgorithm(key: KeyObject, digest: TestDigest): Buffer {
  const kind = key.asymmetricKeyType ?? '';
  const own = ownDigest[kind];
  if (own !== undefined) return der.sequence(der.oid(own));
  if (kind === 'rsa-pss') return pssAlgorithm;
  const found = signatureOids[kind]?.[digest] ?? '';
  if (found === '') throw new TypeError(`no signature algorithm for ${kind} with ${digest}`);
  return kind === 'rsa' ? der.sequence(der.oid(found), der.nullValue()) : der.sequence(der.oid(found));
}

function signed(tbs: Buffer, algorithm: Buffer, key: KeyObject, digest: TestDigest): Buffer {
  const kind = key.asymmetricKeyType ?? '';
  const signature = sign(kind in ownDigest ? null : digest, tbs, key);
  return der.sequence(tbs, algorithm, der.bitString(signature));
}

function makeCrl(ca: TestCa, options: CrlOptions): Buffer {
  const thisUpdate = options.thisUpdate ?? validFrom;
  const algorithm = signatureAlgorithm(ca.privateKey, 'sha256');
  const entries = (options.revoked ?? []).map(({ serialNumber }) =>
    der.sequence(
      der.integer(serialNumber),
      der.time(thisUpdate),
      ...(options.entryExtensions ? [der.sequence(...options.entryExtensions.map(encodeExtension))] : []),
    ),
  );
  const extensions = [
    {
      oid: oids.authorityKeyIdentifier,
      value: der.sequence(der.implicit(0, false, keyIdentifier(createPublicKey(ca.privateKey)))),
    },
    { oid: oids.cRLNumber, value: der.integer(options.number ?? 1) },
    ...(options.extensions ?? []),
  ];
  const tbs = der.sequence(
    der.integer(1),
    algorithm,
    ca.certificate.subjectDer,
    der.time(thisUpdate),
    ...(options.nextUpdate === null ? [] : [der.time(options.nextUpdate ?? validUntil)]),
    ...(entries.length > 0 ? [der.sequence(...entries)] : []),
    der.explicit(0, der.sequence(...extensions.map(encodeExtension))),
  );
  return signed(tbs, algorithm, ca.privateKey, 'sha256');
}
