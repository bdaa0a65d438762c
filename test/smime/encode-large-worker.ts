/**
 * `node encode-large-worker.ts SIZE FORM`: encodes a message of that size that is made as it is read; prints figures.
 */
import { type EncodeOptions, encode } from '../../src/smime/index.ts';
import { createTestCa } from '../support/ca.ts';

const [size, form] = [Number(process.argv[2]), process.argv[3]];
const { certificate, identity } = createTestCa().issue({
  commonName: 'a',
  email: 'a@example.com',
  key: 'rsa2048',
});
const sign: EncodeOptions = {
  identity,
  sign: form === 'opaque' ? 'opaque' : 'detached',
  signatureScheme: 'pkcs1',
  at: new Date(),
};
const encrypt = {
  recipients: [certificate],
  contentEncryption: 'aes-256-gcm',
  keyTransport: 'pkcs1',
} as const;
const everything: EncodeOptions = {
  ...sign,
  ...encrypt,
  tripleWrap: true,
  compress: 'after-signing',
  headerProtection: true,
};
const options: EncodeOptions = form === 'everything' ? everything : { ...sign, ...encrypt };

function* message() {
  yield Buffer.from('Subject: x\r\nContent-Type: application/octet-stream\r\n\r\n');
  // does not compress to nothing; one piece, so that what is measured is the encoder's own
  const piece = Buffer.alloc(64 * 1024);
  let state = 1;
  for (let at = 0; at < piece.length; at++) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    piece[at] = at % 72 === 71 ? 0x0a : 0x20 + ((state >>> 16) % 90);
  }
  for (let made = 0; made < size; made += piece.length) yield piece;
}

let written = 0;
for await (const chunk of encode(message, options)) written += chunk.length;
process.stdout.write(JSON.stringify({ written, peak: Math.round(process.resourceUsage().maxRSS / 1024) }));
