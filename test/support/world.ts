/** A temporary folder with keys of both sides, and openssl as the mail program of the partner. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createTestCa, type Issued, type IssueOptions, type TestCa } from './ca.ts';
import { findProgram } from './peers/run.ts';

/** Why a test must be skipped, or false. With CI=true a missing program fails the test instead. */
export function skipWithout(...programs: string[]): string | false {
  const missing = programs.filter((name) => findProgram(name) === undefined);
  if (missing.length === 0) return false;
  const why = `not installed: ${missing.join(', ')}`;
  if (process.env.CI === 'true') throw new Error(why);
  return why;
}

/** An identity with its files. */
export interface Party extends Issued {
  email: string;
  certFile: string;
  keyFile: string;
}

export interface World {
  folder: string;
  ca: TestCa;
  anchorFile: string;
  /** The identity of the daemon. */
  own: Party;
  /** Who sends to it, and gets its mail. */
  partner: Party;
  /** Writes a file into the folder; secrets are readable by their owner only. */
  file(name: string, octets: Buffer | string): string;
  party(email: string, options?: IssueOptions): Party;
  /** Signs as the partner and encrypts for us, as openssl writes it; `header` comes before. */
  mail(entity: string | Buffer, how?: MailOptions): Buffer;
  /** What a mailing list makes of parts: the parts and a footer in a multipart/mixed of its own. */
  listed(parts: Buffer[]): Buffer;
  remove(): void;
}

export interface MailOptions {
  /** false: not signed. */
  signer?: Pick<Party, 'certFile' | 'keyFile'> | false;
  /** false: not encrypted. */
  to?: Party | false;
  cipher?: string;
  header?: string;
  /** Further arguments of `openssl cms -sign`. */
  signArgs?: string[];
}

/** Runs openssl; throws with what it said. */
export function openssl(args: string[], input: Buffer | string = ''): Buffer {
  const ran = spawnSync('openssl', args, { input, maxBuffer: 1 << 29 });
  if (ran.status !== 0) throw new Error(`openssl ${args.slice(0, 2).join(' ')}: ${ran.stderr}`);
  return ran.stdout;
}

/** SMTP wants CRLF; openssl writes its headers with LF. */
export function crlf(octets: Buffer): Buffer {
  return Buffer.from(octets.toString('latin1').replace(/\r?\n/g, '\r\n'), 'latin1');
}

/** A MIME entity of one text part. */
export function textEntity(text: string): string {
  return `Content-Type: text/plain; charset=utf-8\r\n\r\n${text}\r\n`;
}

let numbers = 0;

/** Header fields of a mail of the partner; each one has its own Message-ID. */
export function partnerHeader(subject = 'test'): string {
  numbers += 1;
  return [
    'From: Partner <edi@partner.example>',
    'To: <orders@own.example>',
    `Subject: ${subject}`,
    `Message-ID: <${process.pid}.${numbers}@partner.example>`,
    'Date: Tue, 06 Jan 2026 10:00:00 +0000',
    '',
  ].join('\r\n');
}

export function makeWorld(): World {
  const folder = mkdtempSync(join(tmpdir(), 'sealpost-world-'));
  const ca = createTestCa('World Root');
  const file = (name: string, octets: Buffer | string) => {
    writeFileSync(join(folder, name), octets, { mode: 0o600 });
    return join(folder, name);
  };
  const party = (email: string, options: IssueOptions = {}): Party => {
    const issued = ca.issue({ commonName: email, email, key: 'rsa2048', ...options });
    const name = email.replace(/[^a-z0-9]/g, '-');
    return {
      ...issued,
      email,
      certFile: file(`${name}.pem`, issued.certPem),
      keyFile: file(`${name}.key.pem`, issued.keyPem),
    };
  };
  const [own, partner] = [party('orders@own.example'), party('edi@partner.example')];
  return {
    folder,
    ca,
    anchorFile: file('root.pem', ca.pem),
    own,
    partner,
    file,
    party,
    mail(entity, { signer = partner, to = own, cipher = '-aes256', header, signArgs = [] } = {}) {
      let octets: Buffer = Buffer.from(entity);
      if (signer)
        octets = openssl(
          ['cms', '-sign', '-signer', signer.certFile, '-inkey', signer.keyFile, ...signArgs],
          octets,
        );
      if (to)
        octets = openssl(
          ['cms', '-encrypt', '-provider', 'legacy', '-provider', 'default', cipher, to.certFile],
          crlf(octets),
        );
      return Buffer.concat([Buffer.from(header ?? partnerHeader()), crlf(octets)]);
    },
    listed(parts) {
      const begin = 'Content-Type: multipart/mixed; boundary=list\r\n\r\n';
      const footer = 'Content-Type: text/plain\r\n\r\nfooter of the list\r\n--list--\r\n';
      return Buffer.concat([
        Buffer.from(`${partnerHeader('[list] test')}${begin}`),
        ...parts.flatMap((part) => [Buffer.from('--list\r\n'), part, Buffer.from('\r\n')]),
        Buffer.from(`--list\r\n${footer}`),
      ]);
    },
    remove: () => rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 }),
  };
}

/** Decrypts with the partner's key and verifies against the root: what the partner reads. Throws when it cannot. */
export function partnerReads(world: World, mail: Buffer): string {
  const { partner, anchorFile } = world;
  const signed = openssl(['cms', '-decrypt', '-recip', partner.certFile, '-inkey', partner.keyFile], mail);
  return openssl(['cms', '-verify', '-CAfile', anchorFile], signed).toString();
}
