import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, it } from 'node:test';
import { type Identity, readCertificates, readIdentity } from '../../src/pki/index.ts';
import { type DecodeOptions, decodeSync, type Verdict } from '../../src/smime/index.ts';

const corpora = process.env.SEALPOST_CORPORA ?? resolve(import.meta.dirname, '../../../shared/corpora');
const skip = existsSync(corpora) ? false : 'the corpora are not here (SEALPOST_CORPORA)';
const read = (path: string) => readFileSync(join(corpora, path));
const at = (path: string) => (skip === false ? read(path) : Buffer.alloc(0));

function identity(key: string, certificate: string): Identity[] {
  return skip === false ? [readIdentity(key, read(key), { certificateData: read(certificate) })] : [];
}

interface Expected {
  change?: Partial<DecodeOptions>;
  signature?: Verdict['signature'];
  layers?: readonly string[];
  /** Code of the failure. */
  error?: string;
  /** Octets of the content. */
  octets?: number;
  content?: Buffer;
}

function decodes(path: string, expected: Expected): Verdict {
  const { verdict, content } = decodeSync(read(path), {
    identities: [],
    trust: { anchors: [] },
    at: new Date('2026-01-01'),
    ...expected.change,
  });
  assert.equal(verdict.error?.code ?? null, expected.error ?? null, verdict.error?.message);
  assert.equal(verdict.signature, expected.signature ?? 'none');
  if (expected.layers)
    assert.deepEqual(
      verdict.layers.map(({ type }) => type),
      expected.layers,
    );
  if (expected.octets !== undefined) assert.equal(content?.length, expected.octets);
  if (expected.content) assert.ok(content?.equals(expected.content));
  return verdict;
}

const reasonOf = (verdict: Verdict) =>
  verdict.layers.flatMap((layer) => ('signers' in layer ? layer.signers.map(({ reason }) => reason) : []));

describe('mails in the field (bc-java)', { skip }, () => {
  const signed = { signature: 'untrusted', layers: ['multipart/signed'] } as const;
  const cases: [string, Expected][] = [
    ['3nnn_smime.eml', { ...signed, octets: 962 }],
    ['basicAS2.message', { ...signed, octets: 1300 }],
    ['circular.eml', { ...signed, octets: 41 }],
    ['embeddedmulti.message', { ...signed, octets: 800 }],
    ['extra-nl.eml', { ...signed, octets: 860 }],
    ['multi-alternative.eml', { ...signed, octets: 4333 }],
    ['openssl-signed-sha256-non-default-salt-length.eml', { ...signed, octets: 112 }],
    ['qp-soft-break.eml', { ...signed, octets: 153 }],
    ['quotable.message', { ...signed, octets: 244 }],
    ['rawAS2.message', { ...signed, octets: 676 }],
    // a signature alone, its content is not in the file
    ['brokenEnv.message', { error: 'cms-malformed', layers: ['signed-data'] }],
    // for keys that nobody has here
    ['dotnet_encrypted_mail.eml', { error: 'decrypt-no-key', layers: ['enveloped-data'] }],
    ['outlook_2010_beta_sime_msg.eml', { error: 'decrypt-no-key', layers: ['enveloped-data'] }],
    ['attachonly.eml', { layers: [] }],
  ];
  for (const [name, expected] of cases) {
    it(name, () => {
      decodes(`bc-java-mail/${name}`, expected);
    });
  }

  const identities = identity('bc-java-mail/key.pem', 'bc-java-mail/cert.pem');
  for (const bits of [128, 192, 256]) {
    it(`test${bits}.message, with a key of 24 octets whatever its algorithm says`, () => {
      decodes(`bc-java-mail/test${bits}.message`, {
        change: { identities },
        octets: 433,
        layers: ['enveloped-data'],
      });
    });
  }

  // signed in 2006 with MD5, which has to be allowed for them to be judged at all
  const anchors = skip === false ? readCertificates(read('bc-java-mail/validator.root.crt')) : [];
  const judged: [string, string, string | null][] = [
    ['validMail', '2006-09-04T09:36:14Z', null],
    ['longValidity', '2006-09-01T12:01:23Z', null],
    ['expired', '2006-09-01T09:08:35Z', 'expired'],
    ['notYetValid', '2006-08-28T15:04:01Z', 'not-yet-valid'],
    ['keyUsage', '2006-08-28T12:52:38Z', 'key-usage'],
    ['extKeyUsage', '2006-08-28T15:01:37Z', 'extended-key-usage'],
    ['shortKey', '2006-08-28T15:05:26Z', 'key-too-small'],
  ];
  for (const [name, time, reason] of judged) {
    it(`validator.${name}.eml: ${reason ?? 'trusted'}`, () => {
      const verdict = decodes(`bc-java-mail/validator.${name}.eml`, {
        change: { at: new Date(time), trust: { anchors, md5: 'weak' } },
        signature: reason === null ? 'valid' : 'untrusted',
      });
      assert.deepEqual(reasonOf(verdict), [reason]);
    });
  }
});

describe('RFC 4134', { skip }, () => {
  const content = at('rfc4134/ExContent.bin');
  const text = (line: string) => Buffer.from(line);
  for (const name of ['4.1', '4.2', '4.4', '4.5', '4.7', '4.10']) {
    it(name, () => {
      decodes(`rfc4134/${name}.bin`, { signature: 'untrusted', layers: ['signed-data'], content });
    });
  }
  it('4.8, multipart/signed', () => {
    decodes('rfc4134/4.8.eml', {
      signature: 'untrusted',
      layers: ['multipart/signed'],
      content: text('\r\nThis is some sample content.'),
    });
  });
  it('4.9, opaque', () => {
    decodes('rfc4134/4.9.eml', {
      signature: 'untrusted',
      layers: ['signed-data'],
      content: text('\r\nThis is some sample content.'),
    });
  });
  it('4.11, certificates only', () => {
    decodes('rfc4134/4.11.bin', { layers: ['certs-only'] });
  });
  const identities = identity('rfc4134/BobPrivRSAEncrypt.pri', 'rfc4134/BobRSASignByCarl.cer');
  for (const name of ['5.1.bin', '5.2.bin', '5.3.eml']) {
    it(name, () => {
      decodes(`rfc4134/${name}`, { change: { identities }, layers: ['enveloped-data'], content });
    });
  }
});

describe('made by OpenSSL and Bouncy Castle', { skip }, () => {
  const identities = identity('made/ids/rsa.pem', 'made/ids/rsa.pem');
  const content = at('made/plain.txt');
  const files = skip === false ? readdirSync(join(corpora, 'made')) : [];
  for (const name of files.filter((each) => /_rsa_(?:pkcs1|oaep)/.test(each) && !/GCM|CHACHA/.test(each))) {
    it(name, () => {
      decodes(`made/${name}`, { change: { identities }, layers: ['enveloped-data'], content });
    });
  }
});

describe('the S/MIME mails of NIST PKITS', { skip }, () => {
  it('are each judged as expected', () => {
    const folder = 'pkits-nist-2004';
    const anchors = readCertificates(read(`${folder}/certs/TrustAnchorRootCertificate.crt`));
    const rows = at(`${folder}/EXPECTED.tsv`).toString().trim().split('\n').slice(1);
    assert.equal(rows.length, 224);
    for (const row of rows) {
      const [name = '', , , expected] = row.split('\t');
      const { verdict } = decodeSync(read(`${folder}/smime/${name}`), {
        identities: [],
        trust: { anchors, revocation: 'hard' },
        at: new Date('2004-11-09T11:33:20Z'),
      });
      assert.equal(verdict.status, 'ok', name);
      // a question mark: the result depends on policy inputs, which the path tests of pki give
      const allowed =
        expected === '?' ? ['valid', 'untrusted'] : [expected === 'valid' ? 'valid' : 'untrusted'];
      assert.ok(allowed.includes(verdict.signature), `${name}: ${verdict.signature}, expected ${expected}`);
    }
  });
});
