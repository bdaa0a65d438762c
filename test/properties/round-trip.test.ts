import assert from 'node:assert/strict';
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { BufferSink } from '../../src/message/index.ts';
import {
  type DecodeOptions,
  type DecodeResult,
  Decoder,
  decode,
  decodeSync,
  type EncodeOptions,
  Encoder,
} from '../../src/smime/index.ts';
import { noOpenssl, openssl } from '../cms/support.ts';
import { createTestCa, type Issued } from '../support/ca.ts';
import { expected, mail, octetsOf, partsOf } from './entities.ts';

/** Cases of each property; `SEALPOST_RUNS=20000` for a long run. */
const numRuns = Number(process.env.SEALPOST_RUNS ?? 40);

const ca = createTestCa('Property Root');
const pair = (privateKey: KeyObject) => ({ privateKey, publicKey: createPublicKey(privateKey) });
const agrees = (commonName: string, privateKey: KeyObject) =>
  ca.issue({ commonName, key: pair(privateKey), keyUsage: ['keyAgreement'] });

const curves = ['P-256', 'P-384', 'P-521', 'brainpoolP256r1'].map((namedCurve) =>
  agrees(namedCurve, generateKeyPairSync('ec', { namedCurve }).privateKey),
);
const recipients: Record<string, Issued> = {
  rsa: ca.issue({ commonName: 'rsa', key: 'rsa2048' }),
  ...Object.fromEntries(curves.map((issued, index) => [`curve ${index}`, issued])),
  x25519: agrees('x25519', generateKeyPairSync('x25519').privateKey),
  x448: agrees('x448', generateKeyPairSync('x448').privateKey),
};
if (noOpenssl === false) {
  const key = openssl('genpkey', '-algorithm', 'DHX', '-pkeyopt', 'dh_rfc5114:3');
  recipients.dh = agrees('dh', createPrivateKey(key));
}
const signers: Record<string, Issued> = {
  rsa: ca.issue({ commonName: 'rsa signer', key: 'rsa2048', email: 'alice@example.com' }),
  p256: ca.issue({ commonName: 'p256 signer', key: 'p256' }),
  p384: ca.issue({ commonName: 'p384 signer', key: 'p384' }),
  ed25519: ca.issue({
    commonName: 'ed25519 signer',
    key: pair(generateKeyPairSync('ed25519').privateKey),
    keyUsage: ['digitalSignature'],
  }),
};

const options: DecodeOptions = {
  identities: Object.values(recipients).map(({ identity }) => identity),
  trust: { anchors: [ca.certificate] },
  at: new Date('2026-06-01T00:00:00Z'),
};

const sign = fc
  .record({
    who: fc.constantFrom(...Object.keys(signers)),
    sign: fc.constantFrom('opaque' as const, 'detached' as const),
    digest: fc.constantFrom('sha256', 'sha384', 'sha512'),
    signatureScheme: fc.constantFrom('pkcs1' as const, 'pss' as const),
  })
  .map(({ who, ...rest }) => ({
    ...rest,
    identity: (signers[who] ?? recipients.rsa ?? ca).identity,
    at: new Date('2026-05-01T00:00:00Z'),
  }));

const encrypt = fc
  .record({
    to: fc.uniqueArray(fc.constantFrom(...Object.keys(recipients)), { minLength: 1, maxLength: 3 }),
    contentEncryption: fc.constantFrom(
      'aes-128-cbc',
      'aes-192-cbc',
      'aes-256-cbc',
      'aes-128-gcm',
      'aes-256-gcm',
      'chacha20-poly1305',
      'des-ede3-cbc',
      'des-cbc',
      'rc2-40-cbc',
      'rc2-64-cbc',
      'rc2-128-cbc',
    ),
    keyTransport: fc.constantFrom(
      'pkcs1' as const,
      'oaep-sha1' as const,
      'oaep-sha256' as const,
      'oaep-sha512' as const,
    ),
  })
  .map(({ to, ...rest }) => ({
    ...rest,
    recipients: to.flatMap((name) => recipients[name]?.certificate ?? []),
    allowWeak: true,
  }));

/** Options of the encoder, at least one protection among them. */
const encodeOptions: fc.Arbitrary<EncodeOptions> = fc
  .record(
    {
      signing: sign,
      encrypting: encrypt,
      compress: fc.constantFrom('before-signing' as const, 'after-signing' as const),
      innerTransferEncoding: fc.constantFrom('base64' as const, 'binary' as const),
    },
    { requiredKeys: [] },
  )
  .filter((each) => each.signing !== undefined || each.encrypting !== undefined)
  .map(({ signing, encrypting, ...rest }) => ({ ...rest, ...signing, ...encrypting }));

/** Pushes a message in pieces of the given sizes, in turn. */
function pieces(octets: Buffer, sizes: readonly number[]): Buffer[] {
  const found: Buffer[] = [];
  for (let at = 0, turn = 0; at < octets.length; turn++) {
    const next = sizes[turn % sizes.length] ?? 1;
    found.push(octets.subarray(at, at + next));
    at += next;
  }
  return found;
}

function encodeIn(octets: Buffer, sizes: readonly number[], how: EncodeOptions): Buffer {
  const output = new BufferSink();
  const encoder = new Encoder(output, how);
  for (const piece of pieces(octets, sizes)) encoder.write(piece);
  encoder.end();
  return output.toBuffer();
}

function decodeIn(octets: Buffer, sizes: readonly number[]): Pick<DecodeResult, 'verdict' | 'content'> {
  const output = new BufferSink();
  const decoder = new Decoder(output, options);
  for (const piece of pieces(octets, sizes)) decoder.write(piece);
  decoder.end();
  const { verdict } = decoder;
  return { verdict, content: verdict.status === 'ok' ? output.toBuffer() : undefined };
}

const sizes = fc.array(fc.oneof(fc.integer({ min: 1, max: 80 }), fc.integer({ min: 1, max: 70_000 })), {
  minLength: 1,
  maxLength: 5,
});

describe('encode, then decode', () => {
  it('is the identity for generated messages, keys and options', async (context) => {
    let octetwise = 0;
    const property = fc.asyncProperty(mail, encodeOptions, sizes, async (message, how, cut) => {
      const octets = octetsOf(message);
      const encoded = encodeIn(octets, cut, how);
      const { verdict, content } = decodeSync(encoded, options);
      assert.equal(verdict.error, null);
      assert.ok(content);
      assert.deepEqual(partsOf(content), message.parts.map(expected));
      assert.equal(verdict.signature, how.identity === undefined ? 'none' : 'valid');
      assert.equal(verdict.encrypted, how.recipients !== undefined);
      // whole, in random chunks, by a stream, and octet by octet where it is not too long
      const streamed = await decode(pieces(encoded, cut), options);
      const ways = [streamed, decodeIn(encoded, cut)];
      if (encoded.length < 5_000) {
        ways.push(decodeIn(encoded, [1]));
        octetwise++;
      }
      for (const way of ways) {
        assert.deepEqual(way.verdict, verdict);
        assert.ok(way.content?.equals(content));
      }
    });
    await fc.assert(property, { numRuns, interruptAfterTimeLimit: 240_000, markInterruptAsFailure: false });
    context.diagnostic(`${numRuns} messages, ${octetwise} of them octet by octet too`);
  });

  it('is the identity at the border between the definite form and the streamed one', () => {
    for (const octets of [1 << 20, (1 << 20) + 1, 700_000, 786_432, 3 << 20]) {
      for (const difference of [-1, 0, 1]) {
        const body = Buffer.alloc(octets + difference, 'octets of a large order\n');
        const message = {
          headers: [],
          labelled: false,
          lineEnd: '\r\n' as const,
          parts: [{ contentType: 'application/x', transferEncoding: 'base64' as const, body }],
        };
        const how: EncodeOptions = {
          recipients: curves.slice(0, 1).map(({ certificate }) => certificate),
          contentEncryption: 'aes-128-gcm',
          keyTransport: 'pkcs1',
        };
        const { content, verdict } = decodeSync(encodeIn(octetsOf(message), [65_536], how), options);
        assert.equal(verdict.error, null);
        assert.ok(content);
        const [part] = partsOf(content);
        assert.ok(part?.body.equals(body), `${octets} ${difference}`);
      }
    }
  });
});
