/**
 * One measurement in a process of its own, so that its peak memory is its own: prints JSON.
 *
 *   node bench/codec-worker.ts [--digest] [--inner binary] decode|encode KEY CERT SIGNER-KEY SIGNER-CERT FILE SECONDS
 *   CIPHER
 *
 * The other programs do not hash the content, so neither is it done here without --digest.
 */
import { closeSync, openSync, readFileSync, readSync, statSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { createIdentity, readCertificates, readPrivateKey } from '../src/pki/index.ts';
import { decodeReopenable, decodeSync, encode, encodeSync } from '../src/smime/index.ts';

const { values, positionals } = parseArgs({
  options: { digest: { type: 'boolean', default: false }, inner: { type: 'string', default: 'base64' } },
  allowPositionals: true,
});
const [what, keyFile = '', certFile = '', signerKey = '', signerCert = '', file = '', seconds, cipher = ''] =
  positionals;
const certificates = readCertificates(readFileSync(certFile));
const identityFrom = (key: string, cert: string) =>
  createIdentity('bench', readCertificates(readFileSync(cert)), readPrivateKey(readFileSync(key)));
const identity = identityFrom(signerKey, signerCert);
const options = {
  identities: [identityFrom(keyFile, certFile)],
  trust: { anchors: [] },
  at: new Date(),
  contentDigest: values.digest,
};
const encoding = {
  identity,
  sign: 'opaque',
  digest: 'sha256',
  signatureScheme: 'pkcs1',
  at: new Date(),
  recipients: certificates.slice(0, 1),
  contentEncryption: cipher,
  keyTransport: 'pkcs1',
  allowWeak: true,
  innerTransferEncoding: values.inner === 'binary' ? 'binary' : 'base64',
} as const;

/** Small messages come whole from the queue; large ones are streamed in pieces of 64 KiB, from disk. */
const small = statSync(file).size <= 256 * 1024;
const whole = small ? readFileSync(file) : Buffer.alloc(0);

function* pieces(): Iterable<Buffer> {
  const descriptor = openSync(file, 'r');
  try {
    for (;;) {
      const piece = Buffer.allocUnsafe(64 * 1024);
      const length = readSync(descriptor, piece);
      if (length === 0) return;
      yield piece.subarray(0, length);
    }
  } finally {
    closeSync(descriptor);
  }
}

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
while (performance.now() - warmUp < 2500);
const start = performance.now();
const cpu = process.cpuUsage();
let count = 0;
do {
  await once();
  count += 1;
} while (performance.now() - start < Number(seconds) * 1000);
const rate = (count * 1000) / (performance.now() - start);
const { user, system } = process.cpuUsage(cpu);
const cpuRate = (count * 1e6) / (user + system);
process.stdout.write(JSON.stringify({ rate, cpuRate, peakMb: peakKilobytes() / 1024 }));

/** The kernel's maxRSS of a process begins with what its parent had; Linux knows the own peak too. */
function peakKilobytes(): number {
  const status = process.platform === 'linux' ? readFileSync('/proc/self/status', 'latin1') : '';
  return Number(/^VmHWM:\s*(\d+) kB$/m.exec(status)?.[1] ?? process.resourceUsage().maxRSS);
}
