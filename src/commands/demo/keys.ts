/**
 * A throw-away certification authority and identities for the demo. node-forge issues them; it reads no foreign data
 * here.
 */
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import forge from 'node-forge';

interface Pair {
  certificate: forge.pki.Certificate;
  key: forge.pki.rsa.PrivateKey;
  keyPem: string;
}

export interface DemoIdentity {
  key: string;
  cert: string;
}

const dayMs = 86_400_000;

function makePair(commonName: string, email: string | undefined, issuer: Pair | undefined, now: Date): Pair {
  const keyPem = generateKeyPairSync('rsa', { modulusLength: 2048 })
    .privateKey.export({ type: 'pkcs1', format: 'pem' })
    .toString();
  const key = forge.pki.privateKeyFromPem(keyPem);
  const certificate = forge.pki.createCertificate();
  certificate.publicKey = forge.pki.rsa.setPublicKey(key.n, key.e);
  certificate.serialNumber = `01${randomBytes(12).toString('hex')}`;
  certificate.validity.notBefore = new Date(now.getTime() - dayMs);
  // Long enough that no warning of its end comes between the steps.
  certificate.validity.notAfter = new Date(now.getTime() + 365 * dayMs);
  const subject = [{ name: 'commonName', value: commonName }];
  certificate.setSubject(subject);
  certificate.setIssuer(issuer ? issuer.certificate.subject.attributes : subject);
  certificate.setExtensions(
    email === undefined
      ? [
          { name: 'basicConstraints', cA: true, critical: true },
          { name: 'keyUsage', keyCertSign: true, cRLSign: true, critical: true },
          { name: 'subjectKeyIdentifier' },
        ]
      : [
          { name: 'keyUsage', digitalSignature: true, keyEncipherment: true, critical: true },
          { name: 'extKeyUsage', emailProtection: true },
          { name: 'subjectAltName', altNames: [{ type: 1, value: email }] },
          { name: 'subjectKeyIdentifier' },
        ],
  );
  certificate.sign(issuer?.key ?? key, forge.md.sha256.create());
  return { certificate, key, keyPem };
}

/** Writes a root certificate and the keys and certificates of both sides into the folder; returns the file names. */
export function makeDemoKeys(
  folder: string,
  emails: { own: string; partner: string },
  now: Date,
): { anchor: string; own: DemoIdentity; partner: DemoIdentity } {
  const root = makePair('Sealpost Demo Root', undefined, undefined, now);
  const anchor = join(folder, 'root.pem');
  writeFileSync(anchor, forge.pki.certificateToPem(root.certificate));
  const write = (name: string, email: string): DemoIdentity => {
    const pair = makePair(name, email, root, now);
    const files = { key: join(folder, `${name}.key.pem`), cert: join(folder, `${name}.pem`) };
    writeFileSync(files.key, pair.keyPem, { mode: 0o600 });
    writeFileSync(files.cert, forge.pki.certificateToPem(pair.certificate));
    return files;
  };
  return { anchor, own: write('own', emails.own), partner: write('partner', emails.partner) };
}
