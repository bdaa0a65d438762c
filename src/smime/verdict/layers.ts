import type { KeyObject } from 'node:crypto';
import type {
  CertificateIdentifier as CmsIdentifier,
  EnvelopedHead,
  RecipientKind,
  RecipientReport,
  SignatureReason,
  SignerReport,
} from '../../cms/index.ts';
import { type Certificate, keyTraits, unreadableAddress } from '../../pki/index.ts';
import { notChecked, type SignerTrust } from './trust.ts';
import { unique } from './verdict.ts';
import type { VerdictRoom } from './verdict-room.ts';
import type { CertificateIdentifier, EncryptionLayer, Recipient, Signer } from './verdict-schema.ts';

/** Translates what the CMS room reports into the verdict. */

const kinds: Record<RecipientKind, Recipient['kind']> = {
  'key-trans': 'key-transport',
  'key-agree': 'key-agreement',
  kek: 'kek',
  password: 'password',
  kem: 'kem',
  other: 'other',
};

/** Algorithms that the verdict calls by another name than the registry of the CMS room. */
const keyEncryptionNames = new Map([
  ['rsa', 'rsa-pkcs1'],
  ['rsaes-oaep', 'rsa-oaep'],
  ['oaep', 'rsa-oaep'],
]);

function identifierOf(identifier: CmsIdentifier): CertificateIdentifier | null {
  switch (identifier.type) {
    case 'issuer-serial':
      return { issuer: identifier.issuer, serialNumber: identifier.serialNumber };
    case 'subject-key-identifier':
      return { subjectKeyIdentifier: identifier.subjectKeyIdentifier };
    case 'key-identifier':
      return { keyIdentifier: identifier.keyIdentifier };
    case 'none':
      return null;
  }
}

function recipientOf(report: RecipientReport): Recipient {
  const { kind, identifier, keyEncryption, matched, matchedCertificate: own } = report;
  return {
    kind: kinds[kind],
    identifier: identifierOf(identifier),
    keyEncryption: {
      algorithm: keyEncryptionNames.get(keyEncryption.name) ?? keyEncryption.name,
      oid: keyEncryption.oid,
      parameters: keyEncryption.parameters,
    },
    matched:
      matched === null
        ? null
        : {
            identity: matched,
            thumbprint: own?.thumbprint ?? '',
            key: own === null ? null : keyOf(own),
          },
  };
}

/** As many recipients as there is room for, and in any case ours. */
function recipientsOf(recipients: readonly RecipientReport[], room: VerdictRoom): Recipient[] {
  const listed: Recipient[] = [];
  for (const report of recipients) {
    if (report.matched !== null || room.hasRoom) listed.push(room.fit(recipientOf(report)));
    else room.truncated = true;
  }
  return listed;
}

/** The layer of an EnvelopedData, AuthEnvelopedData or EncryptedData. */
export function encryptionLayer(head: EnvelopedHead, room: VerdictRoom): EncryptionLayer {
  const { name, oid, keyBits, effectiveBits, keyDerived } = head.encryption;
  return {
    type: head.type,
    contentEncryption: { algorithm: name, oid, keyBits: effectiveBits ?? keyBits, keyDerived },
    recipients: recipientsOf(head.recipients, room),
    originatorCertificates: room.fit(
      head.originatorCertificates.map((certificate) => ({
        subject: readable(() => certificate.subject),
        issuer: readable(() => certificate.issuer),
        serialNumber: certificate.serialHex,
        thumbprint: certificate.thumbprint,
      })),
    ),
    weak: unique([...head.weak, ...head.recipients.flatMap(({ weak }) => weak)]),
  };
}

/** Kind and size of a certificate's key. Where DSA parameters are inherited, the size is that of the resolved key. */
function keyOf(certificate: Certificate, found?: KeyObject): Signer['key'] {
  return readable(() => {
    const { family, bits } = keyTraits(certificate.publicKeyInfo);
    return { family, bits: bits ?? found?.asymmetricKeyDetails?.modulusLength ?? null };
  });
}

const reasons: Record<SignatureReason, string> = {
  ok: 'the signature is good',
  'content-missing': 'the signed content is missing',
  'certificate-missing': "the signer's certificate is neither in the message nor known here",
  'certificate-unusable': "the key in the signer's certificate cannot be used",
  'key-parameters-missing':
    "the signer's key takes its parameters from its issuer, and no valid path leads to a trusted one",
  'key-restricted':
    "the signer's certificate does not allow its key to be used with this algorithm (RFC 4055)",
  'digest-unsupported': 'the digest algorithm is not supported',
  'signature-unsupported': 'the signature algorithm is not supported',
  'signature-malformed': 'the signature cannot be read',
  'digest-mismatch': 'the content is not what was signed',
  'content-type-mismatch': 'the signed attributes name a different content type',
  'attributes-malformed': 'the signed attributes cannot be read or are incomplete',
  'certificate-mismatch': 'the signer protected the digest of a different certificate',
  'algorithm-mismatch': 'the algorithms are not those that the signer protected',
  'signature-mismatch': "the signature is not from the key in the signer's certificate",
};

type SignatureFields = Omit<
  Signer,
  | 'signingCertificates'
  | 'smimeCapabilities'
  | 'encryptionKeyPreference'
  | 'receiptRequest'
  | 'countersignatures'
>;

/** One signer: its signature as the CMS room found it, and how its certificate was judged. */
export function signerOf(
  report: SignerReport,
  trust: SignerTrust,
  judge: (countersigner: SignerReport) => SignerTrust,
): Signer {
  const attributes = report.signedAttributes;
  const preference = attributes?.encryptionKeyPreference;
  return {
    ...signatureOf(report, trust),
    signingCertificates: (attributes?.signingCertificates ?? []).map(
      ({ version, digestAlgorithm, digest }) => ({
        version,
        digestAlgorithm,
        digest: digest.toString('hex'),
      }),
    ),
    smimeCapabilities: attributes?.smimeCapabilities ?? [],
    encryptionKeyPreference: preference === undefined ? null : identifierOf(preference),
    receiptRequest: attributes?.receiptRequest ?? null,
    countersignatures: report.countersignatures.map((each) => signatureOf(each, judge(each))),
  };
}

function signatureOf(report: SignerReport, trust: SignerTrust): SignatureFields {
  const { certificate, valid } = report;
  return {
    identifier: identifierOf(report.identifier) ?? { keyIdentifier: '' },
    key: certificate === undefined ? null : keyOf(certificate, report.verifiedBy),
    ...certificateFields(certificate),
    digestAlgorithm: report.digestAlgorithm,
    signatureAlgorithm: report.signatureAlgorithm.name,
    signingTime: report.signedAttributes?.signingTime?.toISOString() ?? null,
    valid,
    trusted: valid && trust.trusted,
    chain: valid && trust.trusted ? [...trust.chain] : [],
    reason: valid ? trust.reason : report.reason,
    message: valid ? trust.message : reasons[report.reason],
    revocation: valid ? trust.revocation : notChecked,
  };
}

function certificateFields(
  certificate: Certificate | undefined,
): Pick<Signer, 'subject' | 'issuer' | 'serialNumber' | 'thumbprint' | 'emails' | 'notBefore' | 'notAfter'> {
  if (certificate === undefined) {
    return {
      subject: null,
      issuer: null,
      serialNumber: null,
      thumbprint: null,
      emails: [],
      notBefore: null,
      notAfter: null,
    };
  }
  return {
    subject: readable(() => certificate.subject),
    issuer: readable(() => certificate.issuer),
    serialNumber: certificate.serialHex,
    thumbprint: certificate.thumbprint,
    emails: readable(() => [...certificate.emails]) ?? [unreadableAddress],
    notBefore: certificate.notBefore.toISOString(),
    notAfter: certificate.notAfter.toISOString(),
  };
}

/** An unreadable part of a certificate is left out. The signature is judged elsewhere. */
function readable<T>(read: () => T): T | null {
  try {
    return read();
  } catch {
    return null;
  }
}
