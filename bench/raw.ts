/** The raw limits of this machine, one core: what no decoder can be faster than. */
import { execFileSync } from 'node:child_process';
import {
  constants,
  createCipheriv,
  createDecipheriv,
  createPrivateKey,
  privateDecrypt,
  publicEncrypt,
  randomBytes,
  sign,
} from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { createIdentity, readCertificates, readPrivateKey } from '../src/pki/index.ts';
import { decodeSync } from '../src/smime/index.ts';
import { type Material, openssl } from './material.ts';
import { median } from './table.ts';

export function perSecond(seconds: number, run: () => void): number {
  run();
  const start = performance.now();
  let count = 0;
  while (performance.now() - start < seconds * 1000) {
    run();
    count += 1;
  }
  return (count * 1000) / (performance.now() - start);
}

/** RSA private key operations a second, PKCS#1 v1.5, the key object made once. */
export function privateOperations(keyFile: string, seconds: number): number {
  const key = createPrivateKey(readFileSync(keyFile));
  const padding = constants.RSA_PKCS1_PADDING;
  const encrypted = publicEncrypt({ key: readFileSync(keyFile), padding }, randomBytes(32));
  return perSecond(seconds, () => privateDecrypt({ key, padding }, encrypted));
}

/** L: private RSA-2048 operations a second of `openssl speed` on all cores, the measure of what the machine allows. */
export function keyRate(seconds = 3): number {
  const args = [
    'speed',
    '-multi',
    String(availableParallelism()),
    '-seconds',
    String(seconds),
    '-mr',
    'rsa2048',
  ];
  const out = execFileSync('openssl', args, { stdio: ['ignore', 'pipe', 'ignore'], encoding: 'latin1' });
  const rate = Number(/^\+F2:\d+:2048:([\d.]+):/m.exec(out)?.[1]);
  if (!(rate > 0)) throw new Error('openssl speed gave no rate');
  return rate;
}

/**
 * What `openssl cms -decrypt` does with a mail, a process each, one after the other: messages a second, and
 * milliseconds of processor time a message, which say more on a machine that has other work.
 */
export function opensslRate(
  mail: string,
  { cert, key, folder }: Material,
  seconds = 3,
): { rate: number; cpu: number } {
  const out = join(folder, 'decrypted');
  const before = cpuOfChildren();
  let runs = 0;
  const rate = perSecond(seconds, () => {
    openssl(['cms', '-decrypt', '-in', mail, '-recip', cert, '-inkey', key, '-out', out]);
    runs += 1;
  });
  return { rate, cpu: (cpuOfChildren() - before) / runs };
}

/** User and system time of the children of this process that have ended, in milliseconds. */
export function cpuOfChildren(): number {
  const fields = readFileSync('/proc/self/stat', 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[13]) + Number(fields[14])) * 10;
}

/** User and system time of a process, in milliseconds. */
export function cpuOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

/** As `cpuOf`, of the threads of V8 that compile and collect garbage. */
export function helpersOf(pid: number): number {
  let sum = 0;
  for (const task of readdirSync(`/proc/${pid}/task`)) {
    const stat = readFileSync(`/proc/${pid}/task/${task}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(') ') + 2).split(' ');
    if (stat.includes('(V8Worker')) sum += (Number(fields[11]) + Number(fields[12])) * 10;
  }
  return sum;
}

/** Most resident memory of a process, in MB. */
export function peakOf(pid: number): number {
  return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024;
}

/** MB/s of one cipher in pieces of 64 KiB. */
export function cipherRate(
  name: 'aes-256-cbc' | 'des-ede3-cbc',
  seconds: number,
): { decrypt: number; encrypt: number } {
  const keyOctets = name === 'aes-256-cbc' ? 32 : 24;
  const iv = randomBytes(name === 'aes-256-cbc' ? 16 : 8);
  const piece = randomBytes(64 * 1024);
  const decipher = createDecipheriv(name, randomBytes(keyOctets), iv).setAutoPadding(false);
  const cipher = createCipheriv(name, randomBytes(keyOctets), iv).setAutoPadding(false);
  const mb = piece.length / 1e6;
  return {
    decrypt: perSecond(seconds, () => decipher.update(piece)) * mb,
    encrypt: perSecond(seconds, () => cipher.update(piece)) * mb,
  };
}

/** Runs of an operation in a block of 150 ms, a millisecond by the clock and by processor time. */
function block(run: () => void): { wall: number; cpu: number } {
  const start = performance.now();
  const cpu = process.cpuUsage();
  let count = 0;
  do {
    run();
    count += 1;
  } while (performance.now() - start < 150);
  const { user, system } = process.cpuUsage(cpu);
  return { wall: count / (performance.now() - start), cpu: (count * 1000) / (user + system) };
}

/** The rate of decoding a mail as a share of the private key's, in blocks that alternate. */
export function againstRaw(
  keyFile: string,
  certFile: string,
  mailFile: string,
  blocks: number,
): { wall: number; cpu: number } {
  const mail = readFileSync(mailFile);
  const certificates = readCertificates(readFileSync(certFile));
  const identity = createIdentity('bench', certificates, readPrivateKey(readFileSync(keyFile)));
  const options = { identities: [identity], trust: { anchors: [] }, at: new Date(), contentDigest: false };
  const decode = () => {
    if (decodeSync(mail, options).verdict.status !== 'ok') throw new Error('the mail was not decoded');
  };
  const { privateKey: key } = identity;
  const padding = constants.RSA_PKCS1_PADDING;
  const encrypted = publicEncrypt({ key: readFileSync(keyFile), padding }, randomBytes(32));
  const raw = () => privateDecrypt({ key, padding }, encrypted);
  for (let round = 0; round < 5; round++) [block(decode), block(raw)];
  const pairs = Array.from({ length: blocks }, () => [block(decode), block(raw)] as const);
  return {
    wall: median(pairs.map(([own, limit]) => own.wall / limit.wall)),
    cpu: median(pairs.map(([own, limit]) => own.cpu / limit.cpu)),
  };
}

/**
 * Microseconds of processor time for one private-key operation. Unlike L, it says what the work costs on a busy
 * machine.
 */
export function keyCost(keyFile: string): number {
  const key = createPrivateKey(readFileSync(keyFile));
  const content = Buffer.alloc(32);
  const before = process.cpuUsage();
  const count = 500;
  for (let done = 0; done < count; done += 1) sign('sha256', content, key);
  const { user, system } = process.cpuUsage(before);
  return (user + system) / count;
}
