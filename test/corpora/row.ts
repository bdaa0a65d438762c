import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { readIdentity } from '../../src/library/index.ts';
import { type Certificate, type Identity, readCertificates } from '../../src/pki/index.ts';
import type { DecodeOptions, Verdict } from '../../src/smime/index.ts';

/** The folder of messages that others made. */
export const corpora =
  process.env.SEALPOST_CORPORA ?? resolve(import.meta.dirname, '../../../shared/corpora');
export const skip = existsSync(corpora) ? false : 'the corpora are not here (SEALPOST_CORPORA)';

/** What somebody else said about one file. */
export interface Row {
  file: string;
  /** Who says so. Never what this decoder printed. */
  source: string;
  /** What is decoded where that is not the file as it lies there. */
  octets?: () => Buffer;
  options?: Partial<DecodeOptions>;
  expect: Decodes | Refused | NoKey;
}

/** It decodes. What is not given is not stated by the source. */
export interface Decodes {
  kind: 'decodes';
  layers: readonly string[];
  /** The exact octets. */
  content?: Buffer;
  /** SHA-256 of the content, where only that was noted. */
  sha256?: string;
  signature?: Verdict['signature'];
  /** One for each signer; null: nothing is wrong. */
  reasons?: readonly (string | null)[];
  /** Content encryption of the outermost layer, as the verdict names it. */
  cipher?: string;
  /** Effective bits of its key. */
  bits?: number;
  integrity?: Verdict['integrity'];
}

/** It must fail, with this code. */
export interface Refused {
  kind: 'refused';
  code: string;
}

/** Nobody here has the key: it is parsed and then fails for that. */
export interface NoKey {
  kind: 'no-key';
  why: string;
}

/** With no key, no anchor and today's clock unless the row says otherwise. */
export const optionsOf = ({ options }: Row): DecodeOptions => ({
  identities: [],
  trust: { anchors: [] },
  at: new Date('2026-01-01'),
  ...options,
});

export const read = (file: string): Buffer => readFileSync(join(corpora, file));
const text = (file: string) => read(file).toString('utf8');

/** Lines of a table in the corpora. */
export function tsv(file: string): string[][] {
  return text(file)
    .trim()
    .split('\n')
    .map((line) => line.split('\t'));
}

export const certificates = (...files: string[]): Certificate[] =>
  files.flatMap((file) => readCertificates(read(file)));

export const identity = (key: string, certificate = key): Identity =>
  readIdentity(read(key), { name: key, certificates: read(certificate) });

/**
 * The first part of a multipart by its boundary alone: the octets that RFC 1847 says are signed. This is
 * another way than the decoder's, and much simpler.
 */
export function firstPart(mail: Buffer): Buffer {
  const all = mail.toString('latin1').replace(/\r?\n/g, '\r\n');
  const header = all.slice(0, all.indexOf('\r\n\r\n')).replace(/\r\n[ \t]+/g, ' ');
  const found = /boundary="?([^"\s;]+)"?/i.exec(header.replace(/^.*?content-type:/is, ''));
  const [, part = ''] = all.split(`\r\n--${found?.[1]}`);
  return Buffer.from(part.replace(/^[ \t]*\r\n/, ''), 'latin1');
}
