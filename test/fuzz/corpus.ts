import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CompressedDataWriter, encodeEnvelopedData, encodeSignedData } from '../../src/cms/index.ts';
import { BufferSink } from '../../src/message/index.ts';
import { encodeSync } from '../../src/smime/index.ts';
import { alice } from './keys.ts';

const corpus = join(import.meta.dirname, 'corpus');
/** Inputs that once were findings; each stays good for ever. */
export const regressions = join(import.meta.dirname, 'regressions');

const files = (folder: string) =>
  readdirSync(folder)
    .filter((name) => name !== 'README.md')
    .sort()
    .map((name) => join(folder, name));

export const readCorpus = (): Buffer[] =>
  [...files(corpus), ...files(regressions)].map((path) => readFileSync(path));

const mail = Buffer.from(
  "From: alice@example.com\r\nTo: bob@example.com\r\nSubject: order\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nUNA:+.? ' caf\u00e9\r\n",
);
const entity = Buffer.from(
  'Content-Type: application/edifact; name="a.edi"\r\nContent-Transfer-Encoding: base64\r\n\r\nVU5BOisuPyAn\r\n',
);

/** Generates the committed corpus: `node test/fuzz/corpus.ts`. Small messages of each kind, by our encoder. */
function make(): void {
  const { certificate, privateKey, identity } = alice;
  const recipients = [{ certificate }];
  const signers = [{ certificate, privateKey }];
  const sign = { identity, digest: 'sha256', signatureScheme: 'pkcs1', at: new Date('2026-05-01') } as const;
  const encrypt = {
    recipients: [certificate],
    contentEncryption: 'aes-128-cbc',
    keyTransport: 'pkcs1',
  } as const;
  const signed = encodeSignedData(entity, {
    signers,
    signingTime: new Date('2026-05-01'),
    capabilities: ['aes-256-cbc'],
  });
  const compressed = new BufferSink();
  const writer = new CompressedDataWriter(compressed);
  writer.write(entity);
  writer.end();
  const base64 = (octets: Buffer) => octets.toString('base64').replace(/.{1,64}/g, '$&\n');
  const made: Record<string, Buffer> = {
    'plain.eml': mail,
    'signed.der': signed,
    'two-signers.der': encodeSignedData(entity, {
      signers: [...signers, { certificate, privateKey, digest: 'sha512', bySubjectKeyIdentifier: true }],
    }),
    'certs-only.der': encodeSignedData(Buffer.alloc(0), { signers: [], certificates: [certificate] }),
    'enveloped.der': encodeEnvelopedData(entity, { recipients }),
    'enveloped-signed.der': encodeEnvelopedData(signed, { recipients, contentType: '1.2.840.113549.1.7.2' }),
    'enveloped-kinds.der': encodeEnvelopedData(entity, {
      recipients: [
        ...recipients,
        { keyEncryptionKey: { name: 'k', keyIdentifier: Buffer.from('k'), key: Buffer.alloc(16, 1) } },
        { password: Buffer.from('p'), iterations: 1 },
      ],
    }),
    'auth-enveloped.der': encodeEnvelopedData(entity, { recipients, contentEncryption: 'aes-256-gcm' }),
    'rc2.der': encodeEnvelopedData(entity, { recipients, contentEncryption: 'rc2-40-cbc', allowWeak: true }),
    'compressed.der': compressed.toBuffer(),
    'signed.pem': Buffer.from(`-----BEGIN CMS-----\n${base64(signed)}-----END CMS-----\n`),
    'opaque.eml': encodeSync(mail, { ...sign, sign: 'opaque' }),
    'multipart-signed.eml': encodeSync(mail, { ...sign, sign: 'detached' }),
    'encrypted.eml': encodeSync(mail, encrypt),
    'signed-encrypted.eml': encodeSync(mail, { ...sign, sign: 'detached', ...encrypt }),
    'encrypted-gcm.eml': encodeSync(mail, { ...encrypt, contentEncryption: 'aes-256-gcm' }),
  };
  for (const [name, octets] of Object.entries(made)) writeFileSync(join(corpus, name), octets);
}

if (import.meta.main) make();
