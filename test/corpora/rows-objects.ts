import { inflateSync } from 'node:zlib';
import { certificates, firstPart, identity, type Row, read } from './row.ts';
import { say } from './rows-small.ts';

const { decodes, refused, noKey } = say;
const noPrivateKey = noKey('no private key exists: parsed up to decrypt-no-key');
const noSharedKey = noKey('the key-encryption key, password or content key was not published');

/** OpenSSL's own test data, by what its test recipes demand (SOURCES.md) and what 3.0 said here. */
export function openssl(): Row[] {
  const cms = 'openssl/test/recipes/80-test_cms_data';
  const row = (file: string, source: string, expect: Row['expect'], options: Row['options'] = {}): Row => ({
    file,
    source,
    options,
    expect,
  });
  const pair = (name: string) => [identity(`${cms}/${name}-key.pem`, `${cms}/${name}-cert.pem`)];
  const attributes = (name: string) =>
    row(
      `${cms}/${name}.cms`,
      'SOURCES.md: MUST fail; OpenSSL: attribute error',
      decodes(['signed-data'], { signature: 'invalid', reasons: ['attributes-malformed'] }),
    );
  const smroot = certificates('openssl/test/smime-certs/smroot.pem');
  return [
    attributes('bad_signtime_attr'),
    attributes('ct_multiple_attr'),
    attributes('no_ct_attr'),
    attributes('no_md_attr'),
    row(
      `${cms}/ciphertext_from_1_1_1.cms`,
      'KEYS.tsv: opens with smec3; the text is test/smcont.txt',
      decodes(['enveloped-data'], { content: read('openssl/test/smcont.txt'), cipher: 'des-ede3-cbc' }),
      { identities: [identity('openssl/test/smime-certs/smec3.pem')] },
    ),
    row(`${cms}/dh-malformed.der`, 'SOURCES.md: MUST fail (no wrap algorithm)', refused('decrypt-no-key'), {
      identities: pair('dh'),
    }),
    row(`${cms}/ecdh-malformed.der`, 'SOURCES.md: MUST fail (no wrap algorithm)', refused('decrypt-no-key'), {
      identities: pair('ecdh'),
    }),
    row(`${cms}/rsa-malformed.der`, 'SOURCES.md: MUST fail', refused('decrypt-failed'), {
      identities: [
        identity('openssl/test/smime-certs/smrsa3-key.pem', 'openssl/test/smime-certs/smrsa3-cert.pem'),
      ],
    }),
    row(
      `${cms}/pkcs7-md4.pem`,
      'OpenSSL 3.0: digest MD4 can not be fetched',
      decodes(['signed-data'], { signature: 'invalid', reasons: ['digest-unsupported'] }),
    ),
    row(
      'openssl/test/recipes/80-test_cmsapi_data/encDataWithTooLongIV.pem',
      'its name; OpenSSL refuses the parameters',
      refused('cms-malformed'),
    ),
    row('openssl/test/recipes/80-test_cmsapi_data/encryptedData.der', 'EncryptedData', noSharedKey),
    row(
      'openssl/test/recipes/25-test_pkcs7_data/malformed.pkcs7',
      'its name; OpenSSL 3.0: field missing',
      refused('cms-malformed'),
    ),
    row(
      'openssl/test/pkcs7.pem',
      'openssl pkcs7 -print_certs: certificates and CRLs',
      decodes(['certs-only']),
    ),
    row(
      'openssl/test/pkcs7-1.pem',
      'threats.md S10: its base64 has 597 octets, its object 596 (OpenSSL: unknown digest type md2)',
      refused('asn1-malformed'),
    ),
    row(
      'openssl/test/smime-eml/SignedInvalidMappingFromanyPolicyTest7.eml',
      'SOURCES.md: MUST fail; the octets by the boundary',
      decodes(['multipart/signed'], {
        content: firstPart(read('openssl/test/smime-eml/SignedInvalidMappingFromanyPolicyTest7.eml')),
        signature: 'untrusted',
      }),
      { trust: { anchors: smroot } },
    ),
  ];
}

/** DER and PEM of asn1crypto; both forms are the same object. */
export function asn1crypto(): Row[] {
  const content = read('asn1crypto/message.txt');
  const twice = (name: string, source: string, expect: Row['expect'], options: Row['options'] = {}): Row[] =>
    ['der', 'pem'].map((form) => ({ file: `asn1crypto/${name}.${form}`, source, options, expect }));
  const key = [identity('asn1crypto/keys/test-der.key', 'asn1crypto/keys/test-der.crt')];
  // RFC 8551 mail text has CRLF: OpenSSL wrote some of these so
  const withCrlf = Buffer.from(content.toString().replace('\n', '\r\n'));
  return [
    ...twice('cms-compressed', 'the text is message.txt', decodes(['compressed-data'], { content })),
    ...twice('cms-digested', 'the text is message.txt', decodes(['digested-data'], { content })),
    ...twice('cms-encrypted', 'EncryptedData', noSharedKey),
    ...twice('cms-enveloped', 'KEYS.tsv', decodes(['enveloped-data'], { content }), { identities: key }),
    ...twice(
      'cms-signed-digested',
      'OpenSSL 3.0: bad signature',
      decodes(['signed-data', 'digested-data'], {
        content,
        signature: 'invalid',
        reasons: ['signature-mismatch'],
      }),
    ),
    ...twice(
      'pkcs7-signed-digested',
      'OpenSSL 3.0 (smime): bad signature',
      decodes(['signed-data', 'digested-data'], {
        content,
        signature: 'invalid',
        reasons: ['signature-mismatch'],
      }),
    ),
    ...twice(
      'cms-signed',
      'OpenSSL 3.0: verification successful',
      decodes(['signed-data'], { content: withCrlf, signature: 'valid', reasons: [null] }),
      {
        trust: { anchors: [], pinned: certificates('asn1crypto/keys/test.crt') },
        at: new Date('2015-06-10'),
      },
    ),
    ...twice(
      'pkcs7-signed',
      'OpenSSL 3.0: verification successful',
      decodes(['signed-data'], { content, signature: 'valid', reasons: [null] }),
      {
        trust: { anchors: [], pinned: certificates('asn1crypto/keys/test.crt') },
        at: new Date('2015-06-10'),
      },
    ),
    ...twice('message', 'the text is message.txt', decodes([], { content: withCrlf })),
    {
      file: 'asn1crypto/cms-signed-indefinite-length.der',
      source: 'OpenSSL 3.0: verification failure of the content',
      expect: decodes(['signed-data'], { signature: 'invalid', reasons: ['digest-mismatch'] }),
    },
    {
      file: 'asn1crypto/meca2_compressed.der',
      source: 'node:zlib over the segments of its OCTET STRING',
      expect: decodes(['compressed-data'], { content: inflated('asn1crypto/meca2_compressed.der') }),
    },
    {
      file: 'asn1crypto/smime-signature-generated-by-thunderbird.p7s',
      source: 'SURVEY.tsv: detached, and its content is not in the corpora',
      expect: refused('cms-malformed'),
    },
  ];
}

/** What the zlib stream (RFC 1950) in the segments of a constructed OCTET STRING (24 80) holds. */
function inflated(file: string): Buffer {
  const octets = read(file);
  const segments: Buffer[] = [];
  for (let at = octets.indexOf(Buffer.from([0x24, 0x80])) + 2; octets[at] === 0x04; ) {
    const isLong = octets[at + 1] === 0x82;
    const start = at + (isLong ? 4 : 2);
    at = start + (isLong ? octets.readUInt16BE(at + 2) : octets.readUInt8(at + 1));
    segments.push(octets.subarray(start, at));
  }
  return inflateSync(Buffer.concat(segments));
}

/** The octets of `file` from `at`, where `openssl asn1parse` shows them. */
function slice(file: string, at: number, length: number): Buffer {
  return read(file).subarray(at, at + length);
}

/** Of what `openssl cms -verify -noverify` wrote for cms_ber.bin. */
const berSample = '724c51bbe76da05afb20cbe8eb037cdae1afd713125d2dc13d552da9f442d24d';

/** Samples of RustCrypto; most keys were never published. */
export function rustcrypto(): Row[] {
  const folder = 'rustcrypto/cms/tests/examples';
  const file = (name: string) => `${folder}/${name}`;
  const text = read(file('data.txt'));
  const signer = certificates(file('rsa_cert.der'));
  const closed = (names: string[], expect: Row['expect']): Row[] =>
    names.map((name) => ({ file: file(name), source: 'KEYS.tsv, SURVEY.tsv', expect }));
  return [
    ...closed(
      [
        ...['auth', 'id-alg-hkdf-with-sha256', 'ukm'].map(
          (name) => `1.3.6.1.4.1.22554.5.6.1_ML-KEM-512-ipd_kemri_${name}.der`,
        ),
        ...[1, 2, 3, 4].map((number) => `kms_ciphertext_for_recipient_${number}.ber`),
        'enveloped_data_kari.bin',
        'enveloped_data_ktri.bin',
      ],
      noPrivateKey,
    ),
    ...closed(['enveloped_data_kekri.bin', 'enveloped_data_pwri.bin', 'encrypted_data.bin'], noSharedKey),
    ...closed(['enveloped_data_multi.bin'], noPrivateKey),
    {
      file: file('scep_der.bin'),
      source: 'OpenSSL 3.0 verifies the outer signature; the inner recipient is a CA whose key is not here',
      expect: noPrivateKey,
    },
    {
      file: file('keyEncryptedData.bin'),
      source: 'examples_notes.txt: content encryption by PKCS#12 (PBE-SHA1-RC2-40), which no CMS mail has',
      expect: refused('cms-unsupported'),
    },
    {
      file: file('certData.bin'),
      source: 'examples_notes.txt; the octets by openssl asn1parse',
      expect: decodes([], { content: lastOctetString(file('certData.bin')) }),
    },
    {
      file: file('sd.cms'),
      source: 'OpenSSL 3.0: verification successful; signed by rsa_cert.der',
      options: { trust: { anchors: [], pinned: signer }, at: new Date('2022-10-20') },
      expect: decodes(['signed-data'], {
        sha256: '7202ffa8978c95f731c6d2e7b1b6a25e706561c05be24894ec7c1e358a469ff1',
        signature: 'valid',
        reasons: [null],
      }),
    },
    ...['cms_ber.bin', 'cms_der.bin'].map((name) => ({
      file: file(name),
      source: 'OpenSSL 3.0: verification successful, 10034 octets of this hash; a self-signed certificate',
      expect: decodes(['signed-data'], {
        sha256: berSample,
        signature: 'untrusted' as const,
        reasons: ['self-signed'],
      }),
    })),
    ...['compressed_data.bin', 'digested_data.bin'].map((name) => ({
      file: file(name),
      source: 'the text is data.txt',
      expect: decodes([name.startsWith('comp') ? 'compressed-data' : 'digested-data'], { content: text }),
    })),
    ...['pkits.p7b', 'pkits_ee.p7b'].map((name) => ({
      file: file(name),
      source: 'SURVEY.tsv: certificates without signers',
      expect: decodes(['certs-only']),
    })),
    {
      file: file('authroot.stl'),
      source: 'SURVEY.tsv; no anchor is known here. Its content is a certificate trust list of Microsoft',
      expect: decodes(['signed-data'], { signature: 'untrusted' }),
    },
    {
      file: file('apple_mdm_signature_der.bin'),
      source:
        'asn1parse: the messageDigest is neither SHA-1 of the 1,093 octets at 62 nor of the element at 58, by node:crypto',
      expect: decodes(['signed-data'], {
        content: slice(file('apple_mdm_signature_der.bin'), 62, 1093),
        signature: 'invalid',
        reasons: ['digest-mismatch'],
      }),
    },
  ];
}

/** The value of an object's last element, an OCTET STRING with a two-octet length. */
function lastOctetString(file: string): Buffer {
  const octets = read(file);
  const at = octets.indexOf(Buffer.from([0x04, 0x82]));
  return octets.subarray(at + 4, at + 4 + octets.readUInt16BE(at + 2));
}

/** MDNs of AS2: the HTTP header is a file of its own. All three were damaged when they were logged. */
export function as2(): Row[] {
  const folder = 'as2-lib/phase2-lib/src/test/resources/external/mdn';
  const damaged = (name: string): Row => {
    const octets = () =>
      Buffer.concat([header(`${folder}/${name}.header`), read(`${folder}/${name}.payload`)]);
    return {
      file: `${folder}/${name}.payload`,
      source: 'OpenSSL 3.0 (smime and cms): digest failure; the octets by the boundary',
      octets,
      options: { form: 'mail' },
      expect: decodes(['multipart/signed'], {
        content: firstPart(octets()),
        signature: 'invalid',
        reasons: ['digest-mismatch'],
      }),
    };
  };
  const issue = 'as2-lib/phase2-server/src/test/resources/test-messages/issue12-1.txt';
  return [
    damaged('20190925-david'),
    damaged('issue97'),
    {
      file: `${folder}/4af6f84c-d882-4466-8e0c-305a7fbe37b3.payload`,
      source:
        'its binary signature was read as UTF-8: replacement characters; OpenSSL can not read it either',
      expect: refused('asn1-limit'),
    },
    {
      file: issue,
      source: 'a log of HTTP with other line ends: SHA-1 of the part is not its messageDigest in any form',
      expect: decodes(['multipart/signed'], { signature: 'invalid', reasons: ['digest-mismatch'] }),
    },
  ];
}

/** Some of the headers were logged with their values in quotes. */
function header(file: string): Buffer {
  const lines = read(file)
    .toString('latin1')
    .trim()
    .split(/\r?\n/)
    .map((line) =>
      line.replace(/^([\w-]+): "(.*)"$/, (_, name, value) => `${name}: ${value.replaceAll('\\"', '"')}`),
    );
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
}
