/** Authorities whose certificates openssl issues, with addresses in them as a public authority writes them. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Certificate, readCertificates } from '../../src/pki/index.ts';
import { openssl } from './world.ts';

export interface OpensslCertificate {
  name: string;
  certFile: string;
  keyFile: string;
  certificate: Certificate;
}

export interface OpensslOptions {
  /** Self-signed without one. */
  issuer?: OpensslCertificate;
  /** An authority unless there is one. */
  email?: string;
  /** Values of authorityInfoAccess as openssl writes them: `caIssuers;URI:http://...`. */
  access?: string[];
  /** Address of the list. */
  crl?: string;
  digest?: 'sha1' | 'sha256';
  /** keyUsage of what is no authority; digitalSignature without it. */
  usage?: string;
}

let serial = 0x1000;

/** Makes a P-256 key and a certificate of ten days, in files of the folder. */
export function opensslIssue(folder: string, name: string, options: OpensslOptions = {}): OpensslCertificate {
  const { issuer, email, access = [], crl, digest = 'sha256', usage = 'digitalSignature' } = options;
  serial += 1;
  const file = (ending: string) => join(folder, `${name.replace(/\W/g, '-')}-${serial}.${ending}`);
  const [certFile, keyFile, requestFile, extensionFile] = ['pem', 'key.pem', 'csr', 'ext'].map(file) as [
    string,
    string,
    string,
    string,
  ];
  const kind = email === undefined ? 'critical,CA:TRUE' : 'CA:FALSE';
  const lines = [
    `basicConstraints=${kind}`,
    `keyUsage=critical,${email === undefined ? 'keyCertSign,cRLSign' : usage}`,
    'subjectKeyIdentifier=hash',
    ...(issuer === undefined ? [] : ['authorityKeyIdentifier=keyid']),
    ...(email === undefined ? [] : ['extendedKeyUsage=emailProtection', `subjectAltName=email:${email}`]),
    ...(access.length === 0 ? [] : [`authorityInfoAccess=${access.join(',')}`]),
    ...(crl === undefined ? [] : [`crlDistributionPoints=URI:${crl}`]),
  ];
  writeFileSync(extensionFile, `${lines.join('\n')}\n`);
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', keyFile];
  openssl(['req', '-new', ...key, '-subj', `/CN=${name}`, '-out', requestFile]);
  const by =
    issuer === undefined ? ['-signkey', keyFile] : ['-CA', issuer.certFile, '-CAkey', issuer.keyFile];
  openssl([
    ...['x509', '-req', '-in', requestFile, ...by, '-set_serial', `${serial}`, '-days', '10', `-${digest}`],
    ...['-extfile', extensionFile, '-out', certFile],
  ]);
  const [certificate] = readCertificates(readFileSync(certFile));
  if (certificate === undefined) throw new Error(`openssl wrote no certificate for ${name}`);
  return { name, certFile, keyFile, certificate };
}

/** A certs-only CMS of certificates in DER (.p7c), as `openssl crl2pkcs7` writes it. */
export function opensslBundle(...certificates: OpensslCertificate[]): Buffer {
  const files = certificates.flatMap(({ certFile }) => ['-certfile', certFile]);
  return openssl(['crl2pkcs7', '-nocrl', '-outform', 'DER', ...files]);
}

/** What `openssl ocsp` answers to a request: certificates of the issuer, good but for those that were revoked. */
export function opensslAnswer(
  folder: string,
  request: Buffer,
  issuer: OpensslCertificate,
  status: { good?: OpensslCertificate[]; revoked?: OpensslCertificate[] },
): Buffer {
  const [index, requestFile, answer] = ['index.txt', 'request.der', 'answer.der'].map((name) =>
    join(folder, name),
  ) as [string, string, string];
  const line = (word: string, { certificate, name }: OpensslCertificate) =>
    `${word}\t${certificate.serialHex.toUpperCase()}\tunknown\t/CN=${name}\n`;
  const lines = [
    ...(status.good ?? []).map((each) => line('V\t400101000000Z\t', each)),
    ...(status.revoked ?? []).map((each) => line('R\t400101000000Z\t260101000000Z,keyCompromise', each)),
  ];
  writeFileSync(index, lines.join(''));
  writeFileSync(requestFile, request);
  openssl([
    ...['ocsp', '-index', index, '-CA', issuer.certFile, '-rsigner', issuer.certFile],
    ...['-rkey', issuer.keyFile, '-reqin', requestFile, '-respout', answer, '-ndays', '1'],
  ]);
  return readFileSync(answer);
}

/** A list of the issuer in DER, made by `openssl ca`, that names certificates as revoked. */
export function opensslList(
  folder: string,
  issuer: OpensslCertificate,
  revoked: OpensslCertificate[] = [],
): Buffer {
  const file = (name: string) => join(folder, name);
  const lines = revoked.map(
    ({ certificate, name }) =>
      `R\t400101000000Z\t260101000000Z,keyCompromise\t${certificate.serialHex.toUpperCase()}\tunknown\t/CN=${name}\n`,
  );
  writeFileSync(file('list-index.txt'), lines.join(''));
  writeFileSync(file('list-index.txt.attr'), 'unique_subject = no\n');
  writeFileSync(
    file('list.cnf'),
    `[ca]\ndefault_ca=own\n[own]\ndatabase=${file('list-index.txt')}\ndefault_md=sha256\ndefault_crl_days=1\n`,
  );
  openssl([
    ...['ca', '-gencrl', '-config', file('list.cnf'), '-cert', issuer.certFile, '-keyfile', issuer.keyFile],
    ...['-out', file('list.pem')],
  ]);
  return openssl(['crl', '-in', file('list.pem'), '-outform', 'DER']);
}
