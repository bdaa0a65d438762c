/** Whether a verdict names the algorithms of a case: what was meant must be what was read, and what we wrote. */
import type { EncryptionLayer, SignatureLayer, Verdict } from '../../../src/smime/index.ts';
import type { ContentCipher, Digest, EncryptionCase, InteropCase, KeyManagement, Wrap } from './types.ts';

/** Our name of a content cipher; RC2 with its effective key length. */
export function cipherName(cipher: ContentCipher): string {
  if (cipher === '3DES') return 'des-ede3-cbc';
  if (cipher === 'DES') return 'des-cbc';
  if (cipher === 'CAST5') return 'cast5-cbc';
  if (/^(RC2|Camellia)-/.test(cipher)) return `${cipher.toLowerCase()}-cbc`;
  return cipher.toLowerCase();
}

/** Our name of a digest. */
export function digestName(digest: Digest): string {
  return digest.toLowerCase().replace(/^sha-/, 'sha');
}

/** Our name of a key wrap. */
export function wrapName(wrap: Wrap): string {
  if (wrap === '3DES') return 'des-ede3-wrap';
  return wrap === 'RC2' ? 'rc2-128-wrap' : `${wrap.toLowerCase()}-wrap`;
}

type Recipient = EncryptionLayer['recipients'][number];

function recipientKind(how: KeyManagement): Recipient['kind'] {
  if (how.kind === 'kek' || how.kind === 'password') return how.kind;
  return how.kind.startsWith('rsa') ? 'key-transport' : 'key-agreement';
}

/** The words in the verdict's key encryption, by name: algorithm and parameters in one. */
function keyEncryptionWords(how: KeyManagement): Record<string, string> {
  switch (how.kind) {
    case 'rsa-pkcs1':
      return { algorithm: 'rsa-pkcs1' };
    case 'rsa-oaep':
      return {
        algorithm: 'rsa-oaep',
        digest: digestName(how.digest),
        mgf1: digestName(how.mgf),
        ...(how.label !== undefined && { label: Buffer.from(how.label).toString('hex') }),
      };
    case 'dh':
      return { algorithm: how.static ? 'ssdh' : 'esdh', wrap: wrapName(how.wrap) };
    case 'ecdh': {
      const scheme = how.cofactor ? 'cofactorDH' : 'stdDH';
      const algorithm = `dhSinglePass-${scheme}-${digestName(how.kdf)}kdf`;
      return { algorithm, wrap: wrapName(how.wrap), kdf: `x963 ${digestName(how.kdf)}` };
    }
    case 'xdh':
      return { wrap: wrapName(how.wrap), kdf: `hkdf ${digestName(how.kdf)}` };
    default:
      return {};
  }
}

function encryptionDifference(each: EncryptionCase, layer: EncryptionLayer | undefined): string | undefined {
  const [recipient] = layer?.recipients ?? [];
  const found = layer?.contentEncryption;
  if (recipient === undefined || found === null || found === undefined)
    return 'no facts about the encryption';
  const [, bits] = /^RC2-(\d+)$/.exec(each.cipher) ?? [];
  const wanted = bits === undefined ? cipherName(each.cipher) : 'rc2-cbc';
  if (found.algorithm !== wanted) return `${found.algorithm} instead of ${wanted}`;
  if (bits !== undefined && found.keyBits !== Number(bits)) return `${found.keyBits} bits instead of ${bits}`;
  const kind = recipientKind(each.keyManagement);
  if (recipient.kind !== kind) return `${recipient.kind} instead of ${kind}`;
  const byKeyId = recipient.identifier !== null && 'subjectKeyIdentifier' in recipient.identifier;
  if (kind.startsWith('key-') && byKeyId !== (each.byKeyId ?? false)) return 'another form of identifier';
  const { algorithm, parameters } = recipient.keyEncryption ?? { algorithm: '', parameters: {} };
  const words: Record<string, string | number> = { ...parameters, algorithm };
  for (const [name, word] of Object.entries(keyEncryptionWords(each.keyManagement)))
    if (words[name] !== word) return `${name} ${words[name]} instead of ${word}`;
  return undefined;
}

/** How the verdict's outermost layer differs from the case, in words; undefined when it does not. */
export function difference(each: InteropCase, verdict: Verdict): string | undefined {
  const [layer] = verdict.layers;
  if (each.type === 'compression') return layer?.type === 'compressed-data' ? undefined : 'no compression';
  if (each.type === 'encryption') return encryptionDifference(each, verdict.layers.find(isEncryption));
  const signatures = verdict.layers.find((found): found is SignatureLayer => 'signers' in found);
  const [signer] = signatures?.signers ?? [];
  if (signer === undefined) return 'no facts about the signer';
  const form = signatures?.type === 'multipart/signed' ? 'detached' : 'opaque';
  if (form !== each.form) return `${form} instead of ${each.form}`;
  const digest = digestName(each.digest);
  if (signer.digestAlgorithm !== digest) return `${signer.digestAlgorithm} instead of ${digest}`;
  const pss = signer.signatureAlgorithm === 'rsassaPss';
  if (pss !== (each.scheme === 'pss')) return `${signer.signatureAlgorithm} instead of ${each.scheme}`;
  return undefined;
}

function isEncryption(layer: Verdict['layers'][number]): layer is EncryptionLayer {
  return 'recipients' in layer;
}
