/** node-forge: RSA with PKCS#1 v1.5, AES-CBC and 3DES. DER in, DER out. */
import { readFileSync } from 'node:fs';
import forge from 'node-forge';
import { loop } from './worker-loop.ts';

const [task, keyFile = '', certFile = '', signerKey = '', signerCert = '', file = '', seconds = '1', cipher] =
  process.argv.slice(2);
const read = (path: string) => readFileSync(path, 'utf8');
const ciphers = new Map([
  ['AES-256-CBC', forge.pki.oids['aes256-CBC']],
  ['3DES', forge.pki.oids['des-EDE3-CBC']],
]);
const algorithm = ciphers.get(cipher ?? '');
if (algorithm === undefined) throw new Error(`node-forge has no PKCS#7 with ${cipher}`);
const recipient = forge.pki.certificateFromPem(read(certFile));
const input = readFileSync(file).toString('binary');

function toDer(message: { toAsn1(): forge.asn1.Asn1 }): string {
  return forge.asn1.toDer(message.toAsn1()).getBytes();
}

function decode(): void {
  const message = forge.pkcs7.messageFromAsn1(forge.asn1.fromDer(input));
  if (!('decrypt' in message)) throw new Error('no EnvelopedData');
  const [own] = message.recipients;
  if (own === undefined) throw new Error('no recipient');
  message.decrypt(own, key);
  if (message.content === undefined) throw new Error('not decrypted');
}

function encode(): void {
  const signed = forge.pkcs7.createSignedData();
  signed.content = forge.util.createBuffer(input);
  signed.addCertificate(signer);
  signed.addSigner({
    key: forge.pki.privateKeyFromPem(signerPem),
    certificate: signer,
    digestAlgorithm: forge.pki.oids.sha256 ?? '',
    authenticatedAttributes: [
      { type: forge.pki.oids.contentType ?? '', value: forge.pki.oids.data ?? '' },
      { type: forge.pki.oids.messageDigest ?? '' },
    ],
  });
  signed.sign();
  const enveloped = forge.pkcs7.createEnvelopedData();
  enveloped.addRecipient(recipient);
  enveloped.content = forge.util.createBuffer(toDer(signed));
  enveloped.encrypt(undefined, algorithm);
  toDer(enveloped);
}

const key = forge.pki.privateKeyFromPem(read(keyFile));
const signerPem = read(signerKey);
const signer = forge.pki.certificateFromPem(read(signerCert));
await loop(task === 'decode' ? decode : encode, Number(seconds));
