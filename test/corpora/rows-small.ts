import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import {
  certificates,
  corpora,
  type Decodes,
  firstPart,
  identity,
  type NoKey,
  type Refused,
  type Row,
  read,
  tsv,
} from './row.ts';

const decodes = (layers: readonly string[], more: Partial<Decodes> = {}): Decodes => ({
  kind: 'decodes',
  layers,
  ...more,
});
const refused = (code: string): Refused => ({ kind: 'refused', code });
const noKey = (why: string): NoKey => ({ kind: 'no-key', why });

/** Examples of RFC 4134, each with the section that it is from. */
export function rfc4134(): Row[] {
  const content = read('rfc4134/ExContent.bin');
  const bob = identity('rfc4134/BobPrivRSAEncrypt.pri', 'rfc4134/BobRSASignByCarl.cer');
  const anchors = certificates('rfc4134/CarlDSSSelf.cer', 'rfc4134/CarlRSASelf.cer');
  const row = (name: string, source: string, expect: Row['expect'], options: Row['options'] = {}): Row => ({
    file: `rfc4134/${name}`,
    source: `RFC 4134 ${source}`,
    options: { trust: { anchors }, ...options },
    expect,
  });
  const signed = (name: string, source: string, signers = 1) =>
    row(
      name,
      source,
      decodes(['signed-data'], { content, signature: 'valid', reasons: Array(signers).fill(null) }),
    );
  // The mails of 4.8, 4.9 and 5.3 wrap the same text; those two have an empty MIME header before it.
  const entity = Buffer.concat([Buffer.from('\r\n'), content]);
  const opened = (name: string, source: string) =>
    row(name, source, decodes(['enveloped-data'], { content }), { identities: [bob] });
  return [
    row('3.1.bin', 'section 3.1', decodes([], { content })),
    row('3.2.bin', 'section 3.2', decodes([], { content })),
    signed('4.1.bin', 'section 4.1'),
    signed('4.2.bin', 'section 4.2'),
    {
      ...row(
        '4.3.bin',
        'section 4.3: the content is ExContent.bin, put before it as multipart/signed',
        decodes(['multipart/signed'], { content, signature: 'valid', reasons: [null] }),
      ),
      octets: () =>
        Buffer.concat([
          Buffer.from(
            'Content-Type: multipart/signed; protocol="application/pkcs7-signature"; micalg=sha1; boundary=b\r\n\r\n--b\r\n',
          ),
          content,
          Buffer.from(
            `\r\n--b\r\nContent-Type: application/pkcs7-signature\r\nContent-Transfer-Encoding: base64\r\n\r\n${read('rfc4134/4.3.bin').toString('base64')}\r\n--b--\r\n`,
          ),
        ]),
    },
    signed('4.4.bin', 'section 4.4'),
    signed('4.5.bin', 'section 4.5'),
    signed('4.6.bin', 'section 4.6: Diane inherits her DSA parameters', 2),
    signed('4.7.bin', 'section 4.7'),
    row(
      '4.8.eml',
      'section 4.8',
      decodes(['multipart/signed'], {
        content: firstPart(read('rfc4134/4.8.eml')),
        signature: 'valid',
        reasons: [null],
      }),
    ),
    row(
      '4.9.eml',
      'section 4.9',
      decodes(['signed-data'], { content: entity, signature: 'valid', reasons: [null] }),
    ),
    signed('4.10.bin', 'section 4.10: over the octets as received'),
    row('4.11.bin', 'section 4.11', decodes(['certs-only'])),
    opened('5.1.bin', 'section 5.1'),
    opened('5.2.bin', 'section 5.2'),
    opened('5.3.eml', 'section 5.3'),
    row('6.0.bin', 'section 6', decodes(['digested-data'], { content })),
    ...['7.1.bin', '7.2.bin'].map((name) =>
      row(name, `section ${name.slice(0, 3)}`, noKey('decode() takes no content keys yet')),
    ),
  ];
}

/** Heimdal's samples, by what VERDICTS.tsv says that OpenSSL made of them. */
export function heimdal(): Row[] {
  const content = read('heimdal/static-file');
  const names: Record<string, [string, number]> = {
    des: ['des-cbc', 64],
    'des-ede3': ['des-ede3-cbc', 192],
    'rc2-40': ['rc2-cbc', 40],
    'rc2-64': ['rc2-cbc', 64],
    'rc2-128': ['rc2-cbc', 128],
    'aes-128': ['aes-128-cbc', 128],
    'aes-256': ['aes-256-cbc', 256],
  };
  return tsv('VERDICTS.tsv')
    .filter(([file = '']) => file.startsWith('heimdal/'))
    .map(([file = '', how = '', said = '']) => {
      const source = `VERDICTS.tsv: ${how}: ${said}`;
      const cipher = names[/test-enveloped-(.*)/.exec(file)?.[1] ?? ''];
      if (cipher !== undefined) {
        const [name, bits] = cipher;
        const identities = [identity('heimdal/test.key', 'heimdal/test.crt')];
        const expect = decodes(['enveloped-data'], { content, cipher: name, bits });
        return { file, source, options: { identities }, expect };
      }
      if (!said.startsWith('CMS Verification successful')) throw new Error(`${file}: ${said}`);
      const trust = {
        anchors: certificates('heimdal/ca.crt'),
        intermediates: certificates('heimdal/test.crt'),
      };
      const expect = decodes(['signed-data'], { content, signature: 'valid', reasons: [null] });
      return { file, source, options: { trust }, expect };
    });
}

const ciphers: Record<string, [string, number]> = {
  DES: ['des-cbc', 64],
  '3DES': ['des-ede3-cbc', 192],
  AES128: ['aes-128-cbc', 128],
  AES192: ['aes-192-cbc', 192],
  AES256: ['aes-256-cbc', 256],
  GCM128: ['aes-128-gcm', 128],
  GCM256: ['aes-256-gcm', 256],
  CHACHA: ['chacha20-poly1305', 256],
  'RC2-40': ['rc2-cbc', 40],
  'RC2-64': ['rc2-cbc', 64],
  'RC2-128': ['rc2-cbc', 128],
};

const fromBouncyCastle = 'Content-Type: text/plain\r\n\r\nhello from BC\r\n';

/** What OpenSSL 3.0 and Bouncy Castle 1.72 wrote for the identities in `made/ids`: the file name says it. */
export function made(): Row[] {
  const content = read('made/plain.txt');
  const source = 'SOURCES.md: the name says peer, key management and cipher; the plaintext is made/plain.txt';
  return readdirSync(join(corpora, 'made'))
    .filter((name) => /\.(?:der|eml)$/.test(name))
    .flatMap((name): Row[] => {
      const file = `made/${name}`;
      const [, peer, party = '', , algorithm = ''] =
        /^(O30|B72)_([^_]+)_([^_]+)_([^_]+)\.der$/.exec(name) ?? [];
      const cipher = ciphers[algorithm];
      if (peer !== undefined && cipher !== undefined) {
        const identities = [identity(`made/ids/${party}.pem`)];
        const aead = /GCM|CHACHA/.test(algorithm);
        const facts = { content, cipher: cipher[0], bits: cipher[1] };
        // Bouncy Castle wrote ChaCha20 into EnvelopedData: RFC 5083 section 1 and threats S4 forbid that.
        if (algorithm === 'CHACHA') {
          const expect = decodes(['enveloped-data'], { ...facts, integrity: 'aead' });
          return [
            { file, source: 'threats.md S4', options: { identities }, expect: refused('decrypt-policy') },
            { file, source, options: { identities, aeadInEnvelopedData: true }, expect },
          ];
        }
        const layers = [aead ? 'auth-enveloped-data' : 'enveloped-data'];
        const expect = decodes(layers, { ...facts, integrity: aead ? 'aead' : 'none' });
        return [{ file, source, options: { identities }, expect }];
      }
      if (name === 'bc72-compressed.der')
        return [{ file, source, expect: decodes(['compressed-data'], { content }) }];
      if (name === 'bc72-bcmail-multipart-signed.eml') {
        const expect = decodes(['multipart/signed'], {
          content: firstPart(read(file)),
          signature: 'untrusted',
        });
        return [{ file, source: 'written by Bouncy Castle; the octets by the boundary', expect }];
      }
      // for the X9.42 key of OpenSSL's own test certificates
      const identities = [identity('openssl/test/smime-certs/smdh.pem')];
      const rc2 = /rc2_(\d+)/.exec(name)?.[1];
      const mail = { 'dh-aes128.eml': 'AES128', 'dh-aes256.eml': 'AES256', 'dh-des3.eml': '3DES' }[name];
      const [named, bits] = ciphers[mail ?? `RC2-${rc2}`] ?? ['', 0];
      const expect = decodes(['enveloped-data'], { cipher: named, bits });
      // of the first OpenSSL decrypts the text of its test data, of the second Bouncy Castle this one
      const text = mail === undefined ? Buffer.from(fromBouncyCastle) : read('openssl/test/smcont.txt');
      const said = mail === undefined ? 'peers/bc dec rc2wrap=1' : 'OpenSSL 3.0 cms -decrypt';
      return [{ file, source: said, options: { identities }, expect: { ...expect, content: text } }];
    });
}

export const say = { decodes, refused, noKey };
