import { spawnSync } from 'node:child_process';
import { createPrivateKey } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type CmsHead,
  type CmsOptions,
  CmsReader,
  type CmsTail,
  type DecryptionIdentity,
  type EnvelopedHead,
  type SignedTail,
} from '../../src/cms/index.ts';
import { BufferSink } from '../../src/message/sink.ts';
import { readCertificates } from '../../src/pki/index.ts';

/** The folder of messages from other software; undefined if absent. */
export const corpora: string | undefined = [
  process.env.SEALPOST_CORPORA,
  join(import.meta.dirname, '../../../shared/corpora'),
].find((folder) => folder !== undefined && existsSync(folder));

export const noCorpora = corpora === undefined ? 'the corpora are not here' : false;

export function corpus(path: string): Buffer {
  return readFileSync(join(corpora ?? '', path));
}

/** An identity of the corpora: certificate and key in one PEM file. */
export function corpusIdentity(name: string, file: string): DecryptionIdentity {
  const [certificate] = readCertificates(corpus(file));
  if (certificate === undefined) throw new Error(`${file} has no certificate`);
  return { name, certificate, privateKey: createPrivateKey(corpus(file)) };
}

const version = spawnSync('openssl', ['version'], { encoding: 'latin1' }).stdout;

/** Why tests with openssl are skipped; on CI they fail instead. */
export const noOpenssl = !version && process.env.CI !== 'true' ? 'openssl is not installed' : false;

export interface Folder extends Disposable {
  path(name: string): string;
  write(name: string, octets: Buffer | string): string;
  read(name: string): Buffer;
}

export function temporaryFolder(): Folder {
  const folder = mkdtempSync(join(tmpdir(), 'cms-'));
  const path = (name: string): string => join(folder, name);
  return {
    path,
    write: (name, octets) => {
      writeFileSync(path(name), octets);
      return path(name);
    },
    read: (name) => readFileSync(path(name)),
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** Runs openssl with the legacy ciphers at hand; throws with its words when it fails. */
export function openssl(command: string, ...args: string[]): Buffer {
  const providers = command === 'cms' ? ['-provider', 'legacy', '-provider', 'default'] : [];
  const ran = spawnSync('openssl', [command, ...providers, ...args], { maxBuffer: 1 << 28 });
  if (ran.status !== 0) throw new Error(`openssl ${command} ${args.join(' ')}: ${ran.stderr}`);
  return ran.stdout;
}

export interface Read {
  head: CmsHead;
  tail: CmsTail;
  content: Buffer;
}

/** Reads a CMS object that is fed in pieces. */
export function readCms(pieces: Iterable<Buffer>, options: Partial<CmsOptions> = {}): Read {
  const sink = new BufferSink();
  let head: CmsHead | undefined;
  let tail: CmsTail | undefined;
  const reader = new CmsReader(
    {
      onHead: (value) => {
        head = value;
        return sink;
      },
      onTail: (value) => {
        tail = value;
      },
    },
    { identities: [], ...options },
  );
  for (const piece of pieces) reader.write(piece);
  reader.end();
  if (head === undefined || tail === undefined || !sink.ended) throw new Error('the reader told too little');
  return { head, tail, content: sink.toBuffer() };
}

/** The ways to feed octets: whole, in pieces of changing size, octet by octet. */
export function feeds(octets: Buffer): [string, Buffer[]][] {
  const pieces: Buffer[] = [];
  let seed = octets.length;
  for (let at = 0; at < octets.length; ) {
    seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
    const size = 1 + (seed % 97);
    pieces.push(octets.subarray(at, at + size));
    at += size;
  }
  const single = Array.from(octets, (_, at) => octets.subarray(at, at + 1));
  return [
    ['whole', [octets]],
    ['pieces', pieces],
    ['octets', single],
  ];
}

export function envelopedHead(head: CmsHead): EnvelopedHead {
  if (!('encryption' in head)) throw new Error(`not encrypted: ${head.type}`);
  return head;
}

export function signedTail(tail: CmsTail): SignedTail {
  if (tail.type !== 'signed-data') throw new Error(`not signed: ${tail.type}`);
  return tail;
}
