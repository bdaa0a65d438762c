/** The partner's mail program in the demo: openssl if it is installed, else our own codec with the partner's key. */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createIdentity, readCertificates, readPrivateKey } from '../../pki/index.ts';
import { decodeSync, encodeSync } from '../../smime/index.ts';

export interface PartnerFiles {
  folder: string;
  /** The partner's own key and certificate. */
  key: string;
  cert: string;
  /** Root certificate that both sides trust. */
  anchor: string;
  /** The certificate that the partner encrypts with: ours. */
  recipient: string;
}

function opensslVersion(): string | undefined {
  try {
    return execFileSync('openssl', ['version'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  } catch {
    return undefined;
  }
}

function openssl(args: string[]): Buffer {
  return execFileSync('openssl', args, { stdio: ['ignore', 'pipe', 'pipe'] });
}

function partnerIdentity(files: PartnerFiles) {
  return createIdentity(
    'partner',
    readCertificates(readFileSync(files.cert)),
    readPrivateKey(readFileSync(files.key)),
  );
}

/** A mail with the entity signed and encrypted for us, as the partner's mail program makes it. */
export function makeMail(
  files: PartnerFiles,
  entity: string,
  header: Record<string, string>,
): { by: string; mail: Buffer } {
  const fields = Object.entries(header)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join('');
  const version = opensslVersion();
  if (version === undefined) {
    return {
      by: 'our own encoder (no openssl here)',
      mail: encodeSync(Buffer.from(fields + entity), {
        identity: partnerIdentity(files),
        sign: 'detached',
        recipients: readCertificates(readFileSync(files.recipient)),
        at: new Date(),
      }),
    };
  }
  const plain = join(files.folder, 'plain.txt');
  const signed = join(files.folder, 'signed.eml');
  writeFileSync(plain, entity);
  openssl([
    'cms',
    '-sign',
    '-in',
    plain,
    '-signer',
    files.cert,
    '-inkey',
    files.key,
    '-md',
    'sha256',
    '-out',
    signed,
  ]);
  const encrypted = openssl(['cms', '-encrypt', '-aes256', '-in', signed, '-recip', files.recipient]);
  const crlf = encrypted.toString('latin1').replace(/\r?\n/g, '\r\n');
  return { by: version, mail: Buffer.from(fields + crlf, 'latin1') };
}

/** Decrypts and verifies a mail as the partner; throws if it cannot. */
export function readMail(files: PartnerFiles, mail: Buffer): { by: string; signature: string; text: string } {
  const version = opensslVersion();
  if (version === undefined) {
    const { verdict, content } = decodeSync(mail, {
      identities: [partnerIdentity(files)],
      trust: { anchors: readCertificates(readFileSync(files.anchor)) },
      at: new Date(),
    });
    return {
      by: 'our own decoder (no openssl here)',
      signature: verdict.signature,
      text: content?.toString() ?? '',
    };
  }
  const received = join(files.folder, 'received.eml');
  const opened = join(files.folder, 'opened.eml');
  writeFileSync(received, mail);
  openssl(['cms', '-decrypt', '-in', received, '-recip', files.cert, '-inkey', files.key, '-out', opened]);
  const content = openssl([
    'cms',
    '-verify',
    '-in',
    opened,
    '-CAfile',
    files.anchor,
    '-purpose',
    'smimesign',
  ]);
  return { by: version, signature: 'verified', text: content.toString() };
}
