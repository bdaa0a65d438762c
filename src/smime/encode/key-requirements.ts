import { SealpostError } from '../../errors.ts';
import type { Certificate } from '../../pki/index.ts';
import type { EncodeOptions, KeyRequirements } from './encode-options.ts';

/**
 * Checks that the keys of recipients and signers are as strong as is asked for.
 *
 * Errors: `encode-recipient`, `encode-signer`, naming the certificate.
 */
export function checkKeys({ sign, encrypt, signAgain, keys }: EncodeOptions): void {
  if (keys === undefined) return;
  for (const signed of [sign, signAgain])
    for (const identity of signed === undefined ? [] : [signed.identity, ...(signed.coSigners ?? [])])
      checkKey(identity.certificate, keys, 'encode-signer');
  for (const certificate of encrypt?.recipients ?? []) checkKey(certificate, keys, 'encode-recipient');
}

function checkKey(
  certificate: Certificate,
  { rsaBits = 0, curves }: KeyRequirements,
  code: 'encode-signer' | 'encode-recipient',
): void {
  const { modulusLength, namedCurve } = certificate.publicKey.asymmetricKeyDetails ?? {};
  const name = `the key of ${certificate.subject}, serial ${certificate.serialHex},`;
  const isRsa = certificate.publicKey.asymmetricKeyType?.startsWith('rsa') === true;
  if (isRsa && modulusLength !== undefined && modulusLength < rsaBits) {
    throw new SealpostError(code, `${name} has ${modulusLength} bits; at least ${rsaBits} are asked for`, {
      hint: 'use a certificate with a longer key, or another preset',
    });
  }
  if (namedCurve !== undefined && curves !== undefined && !curves.includes(namedCurve)) {
    throw new SealpostError(code, `${name} is on ${namedCurve}; allowed are ${curves.join(', ')}`, {
      hint: 'use a certificate with a key on one of these curves, or another preset',
    });
  }
}
