/**
 * Makes the vectors of test/vectors anew: mail and CMS objects that openssl, Bouncy Castle, NSS and gpgsm wrote for
 * keys made for this, with a table of what is to be found in each. All four must be installed (see
 * docs/conformance.md).
 *
 *     node --openssl-legacy-provider scripts/vectors.ts
 *
 * What is expected is what the peer was asked for, never what our decoder found.
 */
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { cases } from '../test/interop/cases.ts';
import { content, Setting } from '../test/interop/setting.ts';
import { asMail } from '../test/support/peers/artefact.ts';
import { cipherName, digestName } from '../test/support/peers/facts.ts';
import { caFileName } from '../test/support/peers/identities.ts';
import { runOk } from '../test/support/peers/run.ts';
import { type Artefact, type InteropCase, type Peer, PeerError } from '../test/support/peers/types.ts';
import type { Expectation, Row, Table } from '../test/vectors/table.ts';

const folder = resolve(import.meta.dirname, '../test/vectors');

/** Cases of the matrix, and the peers that write them into a vector. */
const chosen: Record<string, readonly RegExp[]> = {
  OpenSSL: [
    /^RSA PKCS#1 v1\.5 \/ (?:DES|3DES|RC2-(?:40|128)|AES-(?:128|256)-CBC|AES-256-GCM|Camellia-256|CAST5)$/,
    /^RSA-OAEP SHA-(?:1|256|512)(?:, (?:MGF1 SHA-1|label))? \/ AES-256-CBC$/,
    /^DH ephemeral-static, (?:3DES|AES-128) wrap \/ dh-x942 \/ (?:3DES|AES-128-CBC)$/,
    /^(?:cofactor )?ECDH SHA-(?:1|256|384) KDF, AES-(?:128|256) wrap \/ ec-[^/]* \/ AES-(?:128|256)-CBC$/,
    /^RSA PKCS#1 v1\.5 \/ SHA-(?:1|256|512) \/ (?:opaque|detached)$/,
    /^RSA PKCS#1 v1\.5 \/ SHA-256 \/ (?:no signed attributes|by key identifier) \/ opaque$/,
    /^(?:RSA-PSS|ECDSA \/ ec-p256|DSA \/ dsa-2048) \/ SHA-256 \/ (?:opaque|detached)$/,
  ],
  'Bouncy Castle': [
    /^RSA PKCS#1 v1\.5 \/ (?:RC2-56|AES-(?:128|256)-CCM|AES-128-GCM|ChaCha20-Poly1305)$/,
    /^RSA-OAEP SHA-256 \/ AES-256-GCM$/,
    /^ECDH SHA-(?:256|512) KDF, AES-256 wrap \/ ec-(?:p256|p521|brainpool256) \/ /,
    /^(?:EdDSA \/ ed(?:25519|448)|RSA-PSS \/ SHA-512|ECDSA \/ ec-p384 \/ SHA-384|RSA PKCS#1 v1\.5 \/ SHA3-256) \/ (?:opaque|detached)$/,
    /^zlib$/,
  ],
  NSS: [
    /^RSA PKCS#1 v1\.5 \/ AES-128-CBC$/,
    /^RSA PKCS#1 v1\.5 \/ SHA-256 \/ (?:opaque|detached)$/,
    /^ECDSA \/ ec-p256 \/ SHA-256 \/ (?:opaque|detached)$/,
  ],
  gpgsm: [
    /^RSA PKCS#1 v1\.5 \/ (?:3DES|AES-(?:128|256)-CBC)$/,
    /^RSA PKCS#1 v1\.5 \/ SHA-(?:256|512) \/ (?:opaque|detached)$/,
    /^ECDSA \/ ec-p256 \/ SHA-256 \/ (?:opaque|detached)$/,
  ],
};

const rows: Row[] = [];

async function keep(name: string, octets: Buffer, row: Omit<Row, 'file'>): Promise<void> {
  await writeFile(join(folder, name), octets);
  rows.push({ file: name, ...row });
}

function expectationOf(each: InteropCase): Expectation {
  if (each.type === 'compression') {
    return {
      layers: ['compressed-data'],
      cipher: null,
      signature: 'none',
      signers: [],
      content: 'content.txt',
    };
  }
  if (each.type === 'signature') {
    const layer = each.form === 'opaque' ? 'signed-data' : 'multipart/signed';
    const signers = [{ name: each.signer, digest: digestName(each.digest), reason: null }];
    return { layers: [layer], cipher: null, signature: 'valid', signers, content: 'content.txt' };
  }
  const name = cipherName(each.cipher);
  const layer = /gcm|ccm/.test(name) ? 'auth-enveloped-data' : 'enveloped-data';
  const cipher = name.startsWith('rc2-') ? 'rc2-cbc' : name;
  return { layers: [layer], cipher, signature: 'none', signers: [], content: 'content.txt' };
}

async function fromMatrix(peers: readonly Peer[]): Promise<void> {
  for (const peer of peers) {
    const patterns = chosen[peer.name] ?? [];
    for (const each of cases.filter(({ id }) => patterns.some((pattern) => pattern.test(id)))) {
      const made = await written(peer, each);
      if (made === undefined) continue;
      const bare = made.form === 'cms' && made.content === undefined;
      const name = `${peer.name}-${each.id}`.toLowerCase().replace(/[^a-z0-9]+/g, '-');
      const keys = each.type === 'encryption' && each.recipient !== undefined ? [each.recipient] : [];
      // Bouncy Castle 1.72 has ChaCha20-Poly1305 in EnvelopedData alone
      const aead = each.type === 'encryption' && each.cipher === 'ChaCha20-Poly1305';
      await keep(bare ? `${name}.der` : `${name}.eml`, bare ? made.octets : asMail(made), {
        by: `${peer.name} ${peer.version}`,
        keys,
        expect: expectationOf(each),
        why: each.id,
        ...(aead ? { aeadInEnvelopedData: true } : {}),
      });
    }
  }
}

/** Undefined where the peer has no such thing. */
async function written(peer: Peer, each: InteropCase): Promise<Artefact | undefined> {
  if (peer.can(each, 'write') !== true) return undefined;
  try {
    return await peer.write(each, content);
  } catch (error) {
    if (!(error instanceof PeerError)) throw error;
    process.stderr.write(`vectors: ${peer.name} does not write ${each.id}: ${error.message}\n`);
    return undefined;
  }
}

const lf = Buffer.from(
  'Content-Type: application/edifact\nContent-Transfer-Encoding: binary\n\nUNA:+.? \nUNB+UNOC:3\ra lone CR\r\nUNZ+1\n',
);

/** What no option of the matrix makes: forms, line ends, wrong octets. `keysIn` is where the identities lie. */
async function byHand(keysIn: string, version: string): Promise<void> {
  const file = (name: string) => join(keysIn, name);
  const by = `OpenSSL ${version}`;
  const cms = (args: string[], input: Buffer) => runOk('openssl', ['cms', ...args], { input });
  const signer = (name: string) => ['-signer', file(`${name}.crt`), '-inkey', file(`${name}.key`)];
  const sign = (args: string[], input: Buffer = content, name = 'rsa-2048') =>
    cms(['-sign', '-binary', '-md', 'sha256', ...args, ...signer(name)], input);
  const encrypt = (args: string[], input: Buffer = content) =>
    cms(['-encrypt', '-binary', '-aes256', ...args, '-recip', file('rsa-2048.crt')], input);
  const rsa = ['rsa-2048'];
  const signed = (layer: string, reason: string | null = null, text = 'content.txt'): Expectation => ({
    layers: [layer],
    cipher: null,
    signature: reason === null ? 'valid' : 'invalid',
    signers: [{ name: 'rsa-2048', digest: 'sha256', reason }],
    content: text,
  });
  const encrypted: Expectation = {
    layers: ['enveloped-data'],
    cipher: 'aes-256-cbc',
    signature: 'none',
    signers: [],
    content: 'content.txt',
  };
  const failed = (error: string, layers = encrypted.layers): Expectation => ({
    ...encrypted,
    layers,
    cipher: layers[0] === 'auth-enveloped-data' ? 'aes-256-gcm' : 'aes-256-cbc',
    content: null,
    error,
  });

  const lfMail = await sign([], lf);
  await keep('form-lf-signed.eml', lfMail, {
    by,
    keys: [],
    expect: signed('multipart/signed', null, 'lf.txt'),
    why: 'cms -sign -binary signs LF as it is, and what is handed on has LF',
    onceRead: 'invalid',
  });
  await keep('form-lf-signed-encrypted.eml', await encrypt([], lfMail), {
    by,
    keys: rsa,
    expect: {
      ...signed('multipart/signed', null, 'lf.txt'),
      layers: ['enveloped-data', 'multipart/signed'],
      cipher: 'aes-256-cbc',
    },
    why: 'the same inside an encryption',
  });
  const stored = Buffer.from(
    (await sign(['-crlfeol'])).toString('latin1').replaceAll('\r\n', '\n'),
    'latin1',
  );
  await keep('form-stored-with-lf.eml', stored, {
    by,
    keys: [],
    expect: signed('multipart/signed'),
    why: 'signed with CRLF, then stored with LF: what is handed on has CRLF again',
  });
  await keep('form-indefinite.der', await encrypt(['-stream', '-outform', 'DER']), {
    by,
    keys: rsa,
    expect: encrypted,
    why: 'BER with indefinite lengths',
  });
  const pem = Buffer.concat([Buffer.from('A note in front\n\n'), await encrypt(['-outform', 'PEM'])]);
  await keep('form-note-in-front.pem', pem, {
    by,
    keys: rsa,
    expect: encrypted,
    why: 'PEM with text in front',
  });
  await keep('form-two-recipients-by-key-id.eml', await encrypt(['-keyid', '-recip', file('rsa-3072.crt')]), {
    by,
    keys: rsa,
    expect: encrypted,
    why: 'two recipients, named by subject key identifier',
  });
  const both = await sign(['-nodetach', ...signer('ec-p256')]);
  await keep('form-two-signers.eml', both, {
    by,
    keys: [],
    expect: {
      ...signed('signed-data'),
      signers: ['rsa-2048', 'ec-p256'].map((name) => ({ name, digest: 'sha256', reason: null })),
    },
    why: 'two signers with keys of two kinds',
  });
  const triple = await sign(['-nodetach'], await encrypt([], await sign(['-nodetach'])), 'rsa-2048');
  await keep('form-triple-wrapped.eml', triple, {
    by,
    keys: rsa,
    expect: {
      ...signed('signed-data'),
      layers: ['signed-data', 'enveloped-data', 'signed-data'],
      cipher: 'aes-256-cbc',
      signers: ['rsa-2048', 'rsa-2048'].map((name) => ({ name, digest: 'sha256', reason: null })),
    },
    why: 'signed, encrypted, signed (RFC 2634)',
  });
  const certificates = ['-certfile', file('rsa-2048.crt'), '-certfile', file(caFileName)];
  const only = await runOk('openssl', ['crl2pkcs7', '-nocrl', ...certificates, '-outform', 'DER']);
  await keep('form-certificates-only.der', only, {
    by,
    keys: [],
    expect: { layers: ['certs-only'], cipher: null, signature: 'none', signers: [], content: null },
    why: 'a degenerate SignedData with certificates alone',
  });

  // what must not pass
  const opaque = await sign(['-nodetach', '-outform', 'DER']);
  await keep('bad-content-changed.der', changed(opaque, opaque.indexOf('quick')), {
    by,
    keys: [],
    expect: { ...signed('signed-data', 'digest-mismatch'), content: 'content-changed.txt' },
    why: 'one bit of the signed content was changed',
  });
  await keep('bad-signature-changed.der', changed(opaque, opaque.length - 3), {
    by,
    keys: [],
    expect: signed('signed-data', 'signature-mismatch'),
    why: 'one bit of the signature was changed',
  });
  const detached = await sign(['-crlfeol']);
  await keep('bad-first-part-changed.eml', changed(detached, detached.indexOf('quick')), {
    by,
    keys: [],
    expect: { ...signed('multipart/signed', 'digest-mismatch'), content: 'content-changed.txt' },
    why: 'one bit of the first part of a multipart/signed was changed',
  });
  await keep('bad-no-certificate.eml', await sign(['-nodetach', '-nocerts']), {
    by,
    keys: [],
    expect: {
      ...signed('signed-data'),
      signature: 'invalid',
      signers: [{ name: null, digest: 'sha256', reason: 'certificate-missing' }],
    },
    why: 'the certificate of the signer is not there',
  });
  const cbc = await encrypt(['-outform', 'DER']);
  await keep('bad-padding.der', changed(cbc, cbc.length - 17, 0x80), {
    by,
    keys: rsa,
    expect: failed('decrypt-failed'),
    why: 'the padding was changed through the block before it',
  });
  const gcm = await cms(
    ['-encrypt', '-binary', '-aes-256-gcm', '-outform', 'DER', '-recip', file('rsa-2048.crt')],
    content,
  );
  for (const [name, at] of [
    ['tag', gcm.length - 1],
    ['content', gcm.length - 40],
  ] as const) {
    await keep(`bad-gcm-${name}-changed.der`, changed(gcm, at), {
      by,
      keys: rsa,
      expect: failed('decrypt-failed', ['auth-enveloped-data']),
      why: `one bit of the ${name} under AES-GCM was changed`,
    });
  }
  await keep('bad-other-key.eml', await encrypt([]), {
    by,
    keys: ['rsa-3072'],
    expect: failed('decrypt-no-key'),
    why: 'encrypted for somebody else',
  });
  await keep('bad-cut.der', cbc.subarray(0, -20), {
    by,
    keys: rsa,
    expect: failed('asn1-truncated'),
    why: 'the end is missing',
  });
  await writeFile(join(folder, 'content-changed.txt'), changed(content, content.indexOf('quick')));
}

function changed(octets: Buffer, at: number, bit = 1): Buffer {
  if (at < 0) throw new Error('nothing to change there');
  const copy = Buffer.from(octets);
  copy[at] = (copy[at] ?? 0) ^ bit;
  return copy;
}

const setting = await Setting.start();
try {
  for (const { name, missing } of setting.absent) throw new Error(`without ${name}: ${missing}`);
  for (const old of (
    JSON.parse(await readFile(join(folder, 'vectors.json'), 'utf8').catch(() => '{"rows":[]}')) as Table
  ).rows)
    await rm(join(folder, old.file), { force: true });
  await mkdir(join(folder, 'keys'), { recursive: true });
  await writeFile(join(folder, 'content.txt'), content);
  await writeFile(join(folder, 'lf.txt'), lf);
  await fromMatrix(setting.peers);
  await byHand(setting.folder, setting.peers[0]?.version ?? '');
  const names = new Set(rows.flatMap(({ keys }) => keys));
  for (const name of names)
    await writeFile(join(folder, 'keys', `${name}.pem`), await readFile(join(setting.folder, `${name}.pem`)));
  await writeFile(join(folder, 'keys', caFileName), await readFile(join(setting.folder, caFileName)));
  // certificates of the run are valid for 30 days from now
  const table: Table = { at: new Date().toISOString(), rows };
  await writeFile(join(folder, 'vectors.json'), `${JSON.stringify(table, undefined, 1)}\n`);
  process.stdout.write(`${rows.length} vectors\n`);
} finally {
  await setting.close();
}
