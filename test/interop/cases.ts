/**
 * The matrix as data: every algorithm that a peer could have, alone, with enough pairs to see each with its siblings.
 * A case of `issue2` must pass; the rest must pass or be refused with an explicit code until the codec has it.
 */
import type {
  CompressionCase,
  ContentCipher,
  Digest,
  EncryptionCase,
  InteropCase,
  KeyManagement,
  SignatureCase,
  SignatureScheme,
  Stage,
  Wrap,
} from '../support/peers/types.ts';

interface EncryptionExtra {
  stage?: Stage;
  deviations?: Record<string, string>;
  byKeyId?: boolean;
}

function nameOf(how: KeyManagement): string {
  const ukm = 'ukm' in how && how.ukm !== undefined ? ', UKM' : '';
  switch (how.kind) {
    case 'rsa-pkcs1':
      return 'RSA PKCS#1 v1.5';
    case 'rsa-oaep':
      return `RSA-OAEP ${how.digest}${how.mgf === how.digest ? '' : `, MGF1 ${how.mgf}`}${how.label === undefined ? '' : ', label'}`;
    case 'dh':
      return `DH ${how.static ? 'static' : 'ephemeral'}-static, ${how.wrap} wrap${ukm}`;
    case 'ecdh':
      return `${how.cofactor ? 'cofactor ' : ''}ECDH ${how.kdf} KDF, ${how.wrap} wrap${ukm}`;
    case 'xdh':
      return `HKDF ${how.kdf}, ${how.wrap} wrap`;
    case 'kek':
      return `KEK, ${how.wrap} wrap`;
    case 'password':
      return 'password, PWRI-KEK';
  }
}

function encryption(
  keyManagement: KeyManagement,
  recipient: string | undefined,
  cipher: ContentCipher,
  { stage = 'issue3', byKeyId = false, deviations }: EncryptionExtra = {},
): EncryptionCase {
  const id = [
    nameOf(keyManagement),
    ...(recipient === undefined || recipient === 'rsa-2048' ? [] : [recipient]),
    ...(byKeyId ? ['by key identifier'] : []),
    cipher,
  ].join(' / ');
  const base: EncryptionCase = { type: 'encryption', id, stage, keyManagement, cipher };
  return {
    ...base,
    ...(recipient === undefined ? {} : { recipient }),
    ...(byKeyId ? { byKeyId } : {}),
    ...(deviations && { deviations }),
  };
}

const pkcs1: KeyManagement = { kind: 'rsa-pkcs1' };
const oaep = (digest: Digest, mgf = digest, label?: string): KeyManagement => ({
  kind: 'rsa-oaep',
  digest,
  mgf,
  ...(label === undefined ? {} : { label }),
});
const dh = (wrap: Wrap): KeyManagement => ({ kind: 'dh', wrap });
const ecdh = (kdf: Digest, wrap: Wrap, cofactor = false): KeyManagement => ({
  kind: 'ecdh',
  kdf,
  wrap,
  cofactor,
});
// 64 octets, as RFC 2631 wants partyAInfo
const ukm = '0123456789abcdef'.repeat(8);

function rsa(): EncryptionCase[] {
  const now: ContentCipher[] = [
    'DES',
    '3DES',
    'RC2-40',
    'RC2-64',
    'RC2-128',
    'RC2-56',
    'RC2-192',
    'RC2-1024',
  ];
  const aes: ContentCipher[] = ['AES-128-CBC', 'AES-192-CBC', 'AES-256-CBC'];
  const later: ContentCipher[] = [
    'AES-128-GCM',
    'AES-192-GCM',
    'AES-256-GCM',
    'AES-128-CCM',
    'AES-256-CCM',
    'ChaCha20-Poly1305',
    'Camellia-128',
    'Camellia-192',
    'Camellia-256',
  ];
  const digests: Digest[] = ['SHA-1', 'SHA-224', 'SHA-256', 'SHA-384', 'SHA-512'];
  const issue2 = { stage: 'issue2' } as const;
  return [
    ...[...now, ...aes].map((cipher) => encryption(pkcs1, 'rsa-2048', cipher, issue2)),
    encryption(pkcs1, 'rsa-3072', 'AES-256-CBC', issue2),
    encryption(pkcs1, 'rsa-4096', 'AES-256-CBC', issue2),
    encryption(pkcs1, 'rsa-2048', 'AES-256-CBC', { ...issue2, byKeyId: true }),
    ...digests.map((digest) => encryption(oaep(digest), 'rsa-2048', 'AES-256-CBC', issue2)),
    encryption(oaep('SHA-256', 'SHA-1'), 'rsa-2048', 'AES-256-CBC', issue2),
    encryption(oaep('SHA-512', 'SHA-1'), 'rsa-2048', 'AES-256-CBC', issue2),
    encryption(oaep('SHA-256', 'SHA-256', 'a label'), 'rsa-2048', 'AES-256-CBC', issue2),
    encryption(oaep('SHA-1'), 'rsa-2048', '3DES', issue2),
    encryption(oaep('SHA-256'), 'rsa-3072', 'AES-128-CBC', issue2),
    ...later.map((cipher) => encryption(pkcs1, 'rsa-2048', cipher)),
    encryption(pkcs1, 'rsa-2048', 'CAST5', {
      deviations: { OpenSSL: 'takes the parameters as an OCTET STRING, not as in RFC 2984' },
    }),
    encryption(oaep('SHA-256'), 'rsa-2048', 'AES-256-GCM'),
  ];
}

function diffieHellman(): EncryptionCase[] {
  return [
    encryption(dh('3DES'), 'dh-x942', '3DES'),
    encryption(dh('AES-128'), 'dh-x942', 'AES-128-CBC'),
    encryption(dh('AES-192'), 'dh-x942', 'AES-192-CBC'),
    encryption(dh('AES-256'), 'dh-x942', 'AES-256-CBC'),
    encryption(dh('AES-256'), 'dh-x942', 'AES-256-GCM'),
    encryption(dh('3DES'), 'dh-x942', 'DES'),
    encryption(dh('3DES'), 'dh-x942', 'RC2-40'),
    encryption(dh('3DES'), 'dh-x942', 'RC2-128'),
    encryption(dh('AES-128'), 'dh-x942', 'RC2-128'),
    encryption(dh('RC2'), 'dh-x942', 'RC2-128'),
    encryption(dh('RC2'), 'dh-x942', 'RC2-40'),
    encryption({ kind: 'dh', wrap: '3DES', ukm }, 'dh-x942', '3DES'),
    encryption({ kind: 'dh', wrap: 'AES-256', ukm }, 'dh-x942', 'AES-256-CBC'),
    encryption({ kind: 'dh', wrap: '3DES', static: true, ukm }, 'dh-x942', '3DES'),
    encryption(dh('3DES'), 'dh-x942', '3DES', { byKeyId: true }),
    encryption(dh('3DES'), 'dh-pkcs3', '3DES'),
    encryption(dh('AES-256'), 'dh-pkcs3', 'AES-256-CBC'),
  ];
}

function ellipticCurves(): EncryptionCase[] {
  return [
    encryption(ecdh('SHA-1', '3DES'), 'ec-p256', '3DES'),
    encryption(ecdh('SHA-1', 'AES-128'), 'ec-p256', 'AES-128-CBC'),
    encryption(ecdh('SHA-1', 'AES-256'), 'ec-p256', 'AES-256-CBC'),
    encryption(ecdh('SHA-224', 'AES-128'), 'ec-p256', 'AES-128-CBC'),
    encryption(ecdh('SHA-256', 'AES-128'), 'ec-p256', 'AES-128-CBC'),
    encryption(ecdh('SHA-256', 'AES-192'), 'ec-p256', 'AES-192-CBC'),
    encryption(ecdh('SHA-256', 'AES-256'), 'ec-p256', 'AES-256-GCM'),
    encryption(ecdh('SHA-256', 'AES-256'), 'ec-p256', 'ChaCha20-Poly1305'),
    encryption(ecdh('SHA-256', 'AES-128'), 'ec-p256', 'AES-128-CBC', { byKeyId: true }),
    encryption(ecdh('SHA-1', 'AES-128', true), 'ec-p256', 'AES-128-CBC'),
    encryption(ecdh('SHA-256', 'AES-256', true), 'ec-p256', 'AES-256-CBC'),
    encryption({ ...ecdh('SHA-256', 'AES-256'), ukm } as KeyManagement, 'ec-p256', 'AES-256-CBC'),
    encryption(ecdh('SHA-384', 'AES-256'), 'ec-p384', 'AES-256-CBC'),
    encryption(ecdh('SHA-512', 'AES-256'), 'ec-p521', 'AES-256-CBC'),
    encryption(ecdh('SHA-256', 'AES-256'), 'ec-brainpool256', 'AES-256-CBC'),
    encryption({ kind: 'xdh', kdf: 'SHA-256', wrap: 'AES-128' }, 'x25519', 'AES-128-CBC'),
    encryption({ kind: 'xdh', kdf: 'SHA-256', wrap: 'AES-256' }, 'x25519', 'AES-256-CBC'),
    encryption({ kind: 'xdh', kdf: 'SHA-512', wrap: 'AES-256' }, 'x448', 'AES-256-CBC'),
  ];
}

function sharedSecrets(): EncryptionCase[] {
  const kek = (wrap: Wrap, octets: number): KeyManagement => ({
    kind: 'kek',
    wrap,
    secret: '5ea1905700c0ffee'.repeat(octets / 8),
    id: '6b656b31',
  });
  return [
    encryption(kek('AES-128', 16), undefined, 'AES-128-CBC'),
    encryption(kek('AES-256', 32), undefined, 'AES-256-CBC'),
    encryption(kek('3DES', 24), undefined, '3DES'),
    encryption({ kind: 'password', password: 'correct horse' }, undefined, 'AES-256-CBC'),
  ];
}

function signature(
  signer: string,
  scheme: SignatureScheme,
  digest: Digest,
  form: 'opaque' | 'detached',
  { stage = 'issue3' as Stage, attributes = true, byKeyId = false } = {},
): SignatureCase {
  const names = { pkcs1: 'RSA PKCS#1 v1.5', pss: 'RSA-PSS', ecdsa: 'ECDSA', dsa: 'DSA', eddsa: 'EdDSA' };
  const extra = [...(attributes ? [] : ['no signed attributes']), ...(byKeyId ? ['by key identifier'] : [])];
  const id = [
    names[scheme],
    ...(signer === 'rsa-2048' ? [] : [signer]),
    ...(scheme === 'eddsa' ? [] : [digest]),
    ...extra,
    form,
  ].join(' / ');
  const base: SignatureCase = { type: 'signature', id, stage, signer, scheme, digest, form, attributes };
  return byKeyId ? { ...base, byKeyId } : base;
}

const rows: [signer: string, scheme: SignatureScheme, stage: Stage, digests: Digest[]][] = [
  ['rsa-2048', 'pkcs1', 'issue2', ['SHA-1', 'SHA-224', 'SHA-256', 'SHA-384', 'SHA-512']],
  ['rsa-2048', 'pkcs1', 'issue3', ['MD5', 'SHA3-256', 'SHA3-512']],
  ['rsa-2048', 'pss', 'issue2', ['SHA-1', 'SHA-256', 'SHA-384', 'SHA-512']],
  ['rsa-pss', 'pss', 'issue3', ['SHA-256']],
  ['ec-p256', 'ecdsa', 'issue2', ['SHA-1', 'SHA-256', 'SHA-384', 'SHA-512']],
  ['ec-p384', 'ecdsa', 'issue2', ['SHA-384', 'SHA-512']],
  ['ec-p521', 'ecdsa', 'issue2', ['SHA-512']],
  ['ec-brainpool256', 'ecdsa', 'issue2', ['SHA-256']],
  ['ec-p256', 'ecdsa', 'issue3', ['SHA3-256']],
  ['dsa-2048', 'dsa', 'issue3', ['SHA-1', 'SHA-256']],
  ['ed25519', 'eddsa', 'issue3', ['SHA-512']],
  ['ed448', 'eddsa', 'issue3', ['SHAKE256']],
];

const forms = ['opaque', 'detached'] as const;

export const signatureCases: SignatureCase[] = [
  ...rows.flatMap(([signer, scheme, stage, digests]) =>
    digests.flatMap((digest) => forms.map((form) => signature(signer, scheme, digest, form, { stage }))),
  ),
  ...forms.flatMap((form) => [
    signature('rsa-2048', 'pkcs1', 'SHA-256', form, { stage: 'issue2', attributes: false }),
    signature('ec-p256', 'ecdsa', 'SHA-256', form, { stage: 'issue2', attributes: false }),
    signature('rsa-2048', 'pkcs1', 'SHA-256', form, { stage: 'issue2', byKeyId: true }),
  ]),
];

export const encryptionCases: EncryptionCase[] = [
  ...rsa(),
  ...diffieHellman(),
  ...ellipticCurves(),
  ...sharedSecrets(),
];

export const compressionCases: CompressionCase[] = [{ type: 'compression', id: 'zlib', stage: 'issue3' }];

export const cases: InteropCase[] = [...encryptionCases, ...signatureCases, ...compressionCases];
