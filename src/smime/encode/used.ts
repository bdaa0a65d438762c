import { contentCipherOf } from '../../cms/algorithms.ts';
import { type Certificate, keyTraits } from '../../pki/index.ts';
import type { Used, UsedKey, UsedLayer } from '../used.ts';
import { managementFor } from './encrypting.ts';
import { layersOf } from './layer-stack.ts';
import { type EncodeOptions, settle } from './options.ts';
import { signaturesFor } from './signing.ts';

/**
 * What will protect a message that is encoded with these options; undefined if it is sent in clear.
 *
 * @throws {SealpostError} `encode-recipient`, `encode-signer` for a key that cannot do what is asked of it
 */
export function usedBy(options: EncodeOptions): Used | undefined {
  const encoding = settle(options);
  const layers = layersOf(encoding).map((layer): UsedLayer => {
    if (layer === 'compressed') return { layer: 'compression' };
    if (layer === 'signed') {
      const signers = signaturesFor(encoding).map(({ certificate, ...how }) => ({
        ...how,
        key: usedKey(certificate),
      }));
      return { layer: 'signature', form: encoding.sign === 'detached' ? 'detached' : 'opaque', signers };
    }
    const cipher = contentCipherOf(encoding.contentEncryption);
    return {
      layer: 'encryption',
      type: cipher?.aead === true ? 'auth-enveloped-data' : 'enveloped-data',
      cipher: cipher?.name ?? encoding.contentEncryption,
      keys: encoding.recipients.map((certificate) => ({
        management: managementFor(certificate, encoding),
        key: usedKey(certificate),
      })),
    };
  });
  return layers.length === 0 ? undefined : { layers, headerProtection: encoding.headerProtection };
}

/** A certificate's key, as messages name it. */
export function usedKey(certificate: Certificate): UsedKey {
  const { family, bits } = keyTraits(certificate.publicKeyInfo);
  return { family, bits: bits ?? null };
}
