import { oids } from '../../asn1/index.ts';
import { type SignedDataOptions, type SignerOptions, signingDigests } from '../../cms/index.ts';
import { type Certificate, type Identity, useFault } from '../../pki/index.ts';
import { micalgOf } from '../micalg.ts';
import type { SignOptions } from './encode-options.ts';

/** What is read here and common, the preferred one first (RFC 8551, section 2.5.2). */
const capabilities = ['aes-256-gcm', 'aes-256-cbc', 'aes-128-gcm', 'aes-128-cbc'];
/** Their schemes say which digest is used. */
const pure = /^(?:ed25519|ed448|ml-dsa-)/;

function signerOptions(identity: Identity, { digest, scheme }: SignOptions): SignerOptions {
  const { certificate, privateKey } = identity;
  if (pure.test(privateKey.asymmetricKeyType ?? '')) return { certificate, privateKey };
  const pss =
    scheme === 'pss' ||
    (scheme === 'as-certificate' && certificate.signatureAlgorithm.oid === oids.rsassaPss);
  return { certificate, privateKey, digest: digest ?? 'sha256', pss };
}

/** The signer's own certificate when it says that answers may be encrypted for it. */
function ownEncryption({ certificate }: Identity): Certificate | undefined {
  const says = certificate.keyUsage !== undefined;
  return says && useFault(certificate, 'encrypt') === undefined ? certificate : undefined;
}

/** What the CMS layer is to sign with, and how. */
export function signedDataOptions(options: SignOptions): SignedDataOptions {
  const signers = [options.identity, ...(options.coSigners ?? [])];
  const encryptionCertificate = options.encryptionCertificate ?? ownEncryption(options.identity);
  const withCertificates = options.addCertificates ?? true;
  // a receiver has its roots; the certificates between are what it may lack
  const chains = signers.flatMap(({ chain }) => chain.filter((issuer) => !issuer.isSelfIssued));
  const sent = [...chains, ...(encryptionCertificate === undefined ? [] : [encryptionCertificate])];
  return {
    signers: signers.map((identity) => signerOptions(identity, options)),
    certificates: withCertificates ? sent : [],
    withoutSignerCertificates: !withCertificates,
    signingTime: options.at,
    capabilities: options.capabilities ?? capabilities,
    algorithmProtection: options.algorithmProtection ?? false,
    ...(encryptionCertificate === undefined ? {} : { encryptionCertificate }),
    allowWeak: options.allowWeak ?? false,
  };
}

/** The micalg parameter for these signers: every digest once (RFC 8551, section 3.5.3.2). */
export function micalgFor(options: SignedDataOptions): string {
  return [...new Set(signingDigests(options).map(micalgOf))].join(',');
}
