import { SealpostError } from '../errors.ts';
import type { Certificate } from '../pki/index.ts';
import type { EncodeOptions, KeyRequirements } from './encode-options.ts';

/**
 * Checks that the keys of recipients and signers are as strong as is asked for.
 *
 * Errors: `encode-policy`, naming the certificate.
 */
export function checkKeys({ sign, encrypt, signAgain, keys }: EncodeOptions): void {
  if (keys === undefined) return;
  const signers = [sign, signAgain].flatMap((each) =>
    each === undefined ? [] : [each.identity, ...(each.coSigners ?? [])],
  );
  const certificates = [...signers.map(({ certificate }) => certificate), ...(encrypt?.recipients ?? [])];
  for (const certificate of certificates) checkKey(certificate, keys);
}

function checkKey(certificate: Certificate, { rsaBits = 0, curves }: KeyRequirements): void {
  const { modulusLength, namedCurve } = certificate.publicKey.asymmetricKeyDetails ?? {};
  const name = `the key of ${certificate.subject}, serial ${certificate.serialHex},`;
  const isRsa = certificate.publicKey.asymmetricKeyType?.startsWith('rsa');
  if (isRsa && modulusLength !== undefined && modulusLength < rsaBits) {
    throw new SealpostError(
      'encode-policy',
      `${name} has ${modulusLength} bits; at least ${rsaBits} are asked for`,
      {
        hint: 'use a certificate with a longer key, or lower minimumRsaBits',
      },
    );
  }
  if (namedCurve !== undefined && curves !== undefined && !curves.includes(namedCurve)) {
    throw new SealpostError(
      'encode-policy',
      `${name} is on ${namedCurve}; allowed are ${curves.join(', ')}`,
      {
        hint: 'use a certificate with a key on one of these curves, or another preset',
      },
    );
  }
}
