/**
 * One measurement in a process of its own, so that its peak memory is its own: prints JSON.
 *
 *   node bench/codec-worker.ts decode|encode KEY.pem CERT.pem FILE SECONDS [CONTENT-ENCRYPTION]
 */
import { createReadStream, readFileSync, statSync } from 'node:fs';
import { createIdentity, readCertificates, readPrivateKey } from '../src/pki/index.ts';
import { decodeReopenable, decodeSync, encode, encodeSync } from '../src/smime/index.ts';

const [what, keyFile = '', certFile = '', file = '', seconds = '2', contentEncryption = 'aes-256-cbc'] =
  process.argv.slice(2);
const certificates = readCertificates(readFileSync(certFile));
const identity = createIdentity('bench', certificates, readPrivateKey(readFileSync(keyFile)));
const options = { identities: [identity], trust: { anchors: [] }, at: new Date() };
const encoding = {
  sign: { identity, form: 'opaque', digest: 'sha256', scheme: 'pkcs1', at: new Date() },
  encrypt: { recipients: certificates.slice(0, 1), contentEncryption, keyTransport: 'pkcs1' },
} as const;

/** Small messages come whole from the queue; large ones are streamed in pieces of 64 KiB, from memory or disk. */
const small = statSync(file).size <= 256 * 1024;
const whole = small ? readFileSync(file) : Buffer.alloc(0);
const pieces = () => createReadStream(file, { highWaterMark: 64 * 1024 });

async function decodeOnce(): Promise<void> {
  const { verdict } = small
    ? decodeSync(whole, options)
    : await decodeReopenable(pieces, { ...options, output: { write: () => undefined } });
  if (verdict.status !== 'ok') throw new Error(verdict.error?.message);
}

async function encodeOnce(): Promise<void> {
  if (small) encodeSync(whole, encoding);
  else for await (const _chunk of encode(pieces(), encoding));
}

const once = what === 'decode' ? decodeOnce : encodeOnce;
const warmUp = performance.now();
do await once();
while (small && performance.now() - warmUp < 700);
const start = performance.now();
let count = 0;
do {
  await once();
  count += 1;
} while (performance.now() - start < Number(seconds) * 1000);
const rate = (count * 1000) / (performance.now() - start);
process.stdout.write(JSON.stringify({ rate, peakMb: process.resourceUsage().maxRSS / 1024 }));
