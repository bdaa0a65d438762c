/** Keys and certificates named on the command line, or those of the configuration. */
import { SealpostError } from '../errors.ts';
import {
  type Certificate,
  createIdentity,
  hasPrivateKey,
  type Identity,
  keyBelongsTo,
  readCertificates,
  readPkcs12,
  readPrivateKey,
} from '../pki/index.ts';
import { readFile } from './files.ts';

export interface KeyOptions {
  key?: string[];
  cert?: string[];
  p12?: string[];
  passwordFile?: string;
}

function passwordOf(options: KeyOptions): string | undefined {
  if (options.passwordFile !== undefined)
    return readFile(options.passwordFile)
      .toString('utf8')
      .replace(/\r?\n$/, '');
  return process.env.SEALPOST_PASSWORD;
}

/** Reads with errors that name the file. A pipe gives its octets only once, so a second reading passes them in. */
function inFile<T>(file: string, read: (data: Buffer) => T, data = readFile(file)): T {
  try {
    return read(data);
  } catch (error) {
    if (error instanceof SealpostError)
      throw new SealpostError(error.code, `${file}: ${error.message}`, {
        cause: error,
        ...(error.hint ? { hint: error.hint } : {}),
      });
    throw error;
  }
}

/** Certificates of a file, PEM or DER; at least one. */
export function certificatesOf(file: string): Certificate[] {
  const found = inFile(file, readCertificates);
  if (found.length === 0)
    throw new SealpostError('certificate-malformed', `${file}: contains no certificate`);
  return found;
}

function pairWithCertificates(
  keyFile: string,
  certificates: readonly Certificate[],
  password: string | undefined,
): Identity[] {
  const octets = readFile(keyFile);
  const key = inFile(keyFile, (data) => readPrivateKey(data, password), octets);
  const beside = inFile(
    keyFile,
    (data) => (data.includes('-----BEGIN CERTIFICATE') ? readCertificates(data) : []),
    octets,
  );
  const all = [...beside, ...certificates];
  // A key may have several certificates: a renewed one, and the one that partners still use.
  const own = all.filter((certificate) => keyBelongsTo(key, certificate));
  if (own.length === 0)
    throw new SealpostError('key-mismatch', `${keyFile}: no certificate given belongs to this key`, {
      hint: 'give its certificate with --cert, or use a PEM file that contains both',
    });
  return own.map((certificate) =>
    createIdentity(keyFile, [certificate, ...all.filter((each) => each !== certificate)], key),
  );
}

/** The identities that `--key`, `--cert` and `--p12` name. */
export function identitiesOf(options: KeyOptions): { identities: Identity[]; certificates: Certificate[] } {
  const password = passwordOf(options);
  const certificates = (options.cert ?? []).flatMap(certificatesOf);
  const identities: Identity[] = [];
  for (const file of options.key ?? [])
    identities.push(...pairWithCertificates(file, certificates, password));
  for (const file of options.p12 ?? []) {
    const found = inFile(file, (data) => readPkcs12(data, password));
    identities.push(...found.identities);
    certificates.push(...found.certificates);
  }
  // `--cert` alone, with a PEM file that holds the key too.
  if (identities.length === 0) {
    for (const file of options.cert ?? [])
      if (hasPrivateKey(readFile(file))) identities.push(...pairWithCertificates(file, [], password));
  }
  return { identities, certificates };
}
