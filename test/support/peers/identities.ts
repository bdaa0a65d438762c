/**
 * Keys and certificates for every kind of key that peers know, under one CA, made again each week: by openssl, because
 * it alone here issues certificates for Diffie-Hellman keys. As PEM and DER, and as PKCS#12 (password `test`).
 */
import { createHash, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { madeOnce } from '../made-once.ts';
import { findProgram, runOk } from './run.ts';

export const p12Password = 'test';

export interface Identity {
  name: string;
  email: string;
  /** Files: certificate, private key (PKCS#8), both in one, DER certificate, PKCS#12. */
  certFile: string;
  keyFile: string;
  bothFile: string;
  derFile: string;
  p12File: string;
  /** The name that libgcrypt has for the curve of an EC key. */
  curve?: string;
  certPem: string;
  keyPem: string;
  der: Buffer;
}

/** File name of the CA's certificate in the folder. */
export const caFileName = 'ca.crt';

interface Kind {
  usage: string;
  /** A private key as PKCS#8 PEM. */
  make(): Promise<string>;
  /** Not every program reads every kind from PKCS#12. */
  p12: boolean;
  curve?: string;
}

function pem(pair: { privateKey: KeyObject }): string {
  return pair.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
}

const rsa = (modulusLength: number) => async () => pem(generateKeyPairSync('rsa', { modulusLength }));
const ec = (namedCurve: string) => async () => pem(generateKeyPairSync('ec', { namedCurve }));
const both = 'digitalSignature,nonRepudiation,keyEncipherment';
const agree = 'keyAgreement';
const curve = 'digitalSignature,keyAgreement';

// X9.42 (RFC 5114 group 3: 2048 bits with a 256-bit subgroup): openssl only
const dhX942: Kind = {
  usage: agree,
  make: async () =>
    (await runOk('openssl', ['genpkey', '-algorithm', 'DHX', '-pkeyopt', 'dh_rfc5114:3'])).toString(),
  p12: false,
};

const kinds: Record<string, Kind> = {
  'rsa-2048': { usage: both, make: rsa(2048), p12: true },
  'rsa-3072': { usage: both, make: rsa(3072), p12: true },
  'rsa-4096': { usage: both, make: rsa(4096), p12: false },
  // a key whose certificate allows PSS alone (RFC 4055 section 1.2)
  'rsa-pss': {
    usage: 'digitalSignature',
    make: async () => pem(generateKeyPairSync('rsa-pss', { modulusLength: 2048 })),
    p12: false,
  },
  'dh-x942': dhX942,
  // the static key of static-static agreement
  'dh-x942-sender': dhX942,
  'dh-pkcs3': {
    usage: agree,
    make: async () =>
      (await runOk('openssl', ['genpkey', '-algorithm', 'DH', '-pkeyopt', 'group:modp_2048'])).toString(),
    p12: false,
  },
  'ec-p256': { usage: curve, make: ec('P-256'), p12: true, curve: 'NIST P-256' },
  'ec-p384': { usage: curve, make: ec('P-384'), p12: true, curve: 'NIST P-384' },
  'ec-p521': { usage: curve, make: ec('P-521'), p12: true, curve: 'NIST P-521' },
  'ec-brainpool256': { usage: curve, make: ec('brainpoolP256r1'), p12: true, curve: 'brainpoolP256r1' },
  x25519: { usage: agree, make: async () => pem(generateKeyPairSync('x25519')), p12: false },
  x448: { usage: agree, make: async () => pem(generateKeyPairSync('x448')), p12: false },
  'dsa-2048': {
    usage: 'digitalSignature',
    make: async () => pem(generateKeyPairSync('dsa', { modulusLength: 2048, divisorLength: 256 })),
    p12: false,
  },
  ed25519: { usage: 'digitalSignature', make: async () => pem(generateKeyPairSync('ed25519')), p12: false },
  ed448: { usage: 'digitalSignature', make: async () => pem(generateKeyPairSync('ed448')), p12: false },
};

export const identityNames = Object.keys(kinds);

const caConfig = `[req]
distinguished_name = dn
x509_extensions = ca
prompt = no
[dn]
CN = Interop Test CA
O = Sealpost Test
[ca]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
`;

async function makeCa(folder: string): Promise<void> {
  await writeFile(join(folder, 'ca.cnf'), caConfig);
  await writeFile(join(folder, 'ca.key'), await rsa(2048)(), { mode: 0o600 });
  const files = ['-config', 'ca.cnf', '-key', 'ca.key', '-out', caFileName];
  await runOk('openssl', ['req', '-x509', '-new', '-sha256', '-days', '30', ...files], { cwd: folder });
}

async function issue(folder: string, name: string, kind: Kind, serial: number): Promise<void> {
  const file = (suffix: string) => join(folder, `${name}.${suffix}`);
  const email = `${name}@example.com`;
  const keyPem = await kind.make();
  await writeFile(file('key'), keyPem, { mode: 0o600 });
  await writeFile(
    file('ext'),
    `basicConstraints = CA:false\nkeyUsage = critical, ${kind.usage}\nextendedKeyUsage = emailProtection, clientAuth\n` +
      `subjectKeyIdentifier = hash\nauthorityKeyIdentifier = keyid\nsubjectAltName = email:${email}\n`,
  );
  const cwd = folder;
  const files = ['-CA', caFileName, '-CAkey', 'ca.key', '-extfile', file('ext'), '-out', file('crt')];
  const subject = ['-subj', `/O=Sealpost Test/CN=${name}`, '-set_serial', `${serial}`];
  await runOk('openssl', ['pkey', '-in', file('key'), '-pubout', '-out', file('pub')], { cwd });
  await runOk(
    'openssl',
    ['x509', '-new', '-force_pubkey', file('pub'), ...subject, '-days', '30', '-sha256', ...files],
    { cwd },
  );
  await writeFile(file('pem'), keyPem + (await readFile(file('crt'), 'utf8')), { mode: 0o600 });
  await runOk('openssl', ['x509', '-in', file('crt'), '-outform', 'DER', '-out', file('der')], { cwd });
  if (kind.p12) {
    // gpgsm 2.2 reads the oldest protection only: 3DES for the key, RC2 for the certificates
    const out = ['-out', file('p12'), '-passout', `pass:${p12Password}`];
    const from = ['-inkey', file('key'), '-in', file('crt'), '-certfile', caFileName, '-name', name];
    await runOk('openssl', ['pkcs12', '-export', '-legacy', ...from, ...out], { cwd });
  }
}

async function load(folder: string, name: string, kind: Kind): Promise<Identity> {
  const file = (suffix: string) => join(folder, `${name}.${suffix}`);
  return {
    name,
    email: `${name}@example.com`,
    certFile: file('crt'),
    keyFile: file('key'),
    bothFile: file('pem'),
    derFile: file('der'),
    p12File: kind.p12 ? file('p12') : '',
    certPem: await readFile(file('crt'), 'utf8'),
    keyPem: await readFile(file('key'), 'utf8'),
    der: await readFile(file('der')),
    ...(kind.curve === undefined ? {} : { curve: kind.curve }),
  };
}

/** Why tests that need identities are skipped: openssl, which makes them, is missing. In CI they run, and fail. */
export function missingOpenssl(): string | false {
  if (process.env.CI === 'true' || findProgram('openssl') !== undefined) return false;
  return 'openssl is not installed';
}

function kindOf(name: string): Kind {
  const kind = kinds[name];
  if (kind === undefined) throw new Error(`no identity of the kind ${name}`);
  return kind;
}

async function makeAll(folder: string, names: string[]): Promise<void> {
  await makeCa(folder);
  for (const [index, name] of names.entries()) await issue(folder, name, kindOf(name), 0x5ea1_0000 + index);
}

/**
 * Brings the CA and the identities with the given names (default: all) into a folder. They are made once a week, since
 * some kinds of key take long; the certificates last 30 days.
 */
export async function makeIdentities(folder: string, names = identityNames): Promise<Map<string, Identity>> {
  const week = Math.floor(Date.now() / (7 * 86_400_000));
  const hash = createHash('sha256')
    .update(await readFile(import.meta.filename))
    .update(await runOk('openssl', ['version']))
    .update(names.join());
  const made = await madeOnce(`identities-${week}-${hash.digest('hex').slice(0, 16)}`, (draft) =>
    makeAll(draft, names),
  );
  await cp(made, folder, { recursive: true });
  return new Map(
    await Promise.all(names.map(async (name) => [name, await load(folder, name, kindOf(name))] as const)),
  );
}

/** The identity of that name. */
export function identityOf(identities: Map<string, Identity>, name: string | undefined): Identity {
  const identity = identities.get(name ?? '');
  if (identity === undefined) throw new Error(`no identity ${name}`);
  return identity;
}
