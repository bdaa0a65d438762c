import { byName, type SignatureInfo, signatures } from '../../pki/algorithms.ts';
import type { Used, UsedEncryption, UsedLayer } from '../used.ts';
import type { Layer, Recipient, Verdict } from './verdict-schema.ts';

const signatureByName: ReadonlyMap<string, SignatureInfo> = byName(signatures);

/**
 * What protected a decoded message; undefined if it had no layer. An invalid signature protects nothing. Whether the
 * signer is trusted plays no part here.
 */
export function usedIn(verdict: Pick<Verdict, 'layers' | 'headers'>): Used | undefined {
  const layers = verdict.layers.flatMap(usedLayer);
  if (layers.length === 0) return undefined;
  const { protection } = verdict.headers;
  return { layers, headerProtection: protection !== 'none' && protection !== 'unmarked' };
}

function usedLayer(layer: Layer): UsedLayer[] {
  switch (layer.type) {
    case 'enveloped-data':
    case 'auth-enveloped-data':
    case 'encrypted-data': {
      const keys: UsedEncryption['keys'][number][] = [];
      for (const recipient of layer.recipients)
        if (recipient.matched !== null)
          keys.push({ management: managementOf(recipient), key: recipient.matched.key });
      const cipher = layer.contentEncryption?.algorithm ?? 'unknown';
      return [{ layer: 'encryption', type: layer.type, cipher, keys }];
    }
    case 'signed-data':
    case 'multipart/signed': {
      const valid = layer.signers.filter((signer) => signer.valid);
      const signers = valid.map(({ digestAlgorithm, signatureAlgorithm, key }) => ({
        digest: digestAlgorithm,
        scheme: signatureByName.get(signatureAlgorithm)?.scheme ?? signatureAlgorithm,
        key,
      }));
      const form = layer.type === 'signed-data' ? 'opaque' : 'detached';
      return signers.length === 0 ? [] : [{ layer: 'signature', form, signers }];
    }
    case 'compressed-data':
      return [{ layer: 'compression' }];
    case 'digested-data':
      return [{ layer: 'digest' }];
    case 'certs-only':
      return [];
  }
}

const agreements: Record<string, string> = { ec: 'ecdh', okp: 'xdh', dh: 'dh' };

function managementOf({ kind, keyEncryption, matched }: Recipient): string {
  if (kind === 'kek' || kind === 'password') return kind;
  if (keyEncryption === null) return 'unknown';
  const { algorithm, parameters } = keyEncryption;
  if (algorithm === 'rsa-oaep') return `rsa-oaep-${parameters.digest}`;
  const agreement = kind === 'key-agreement' ? agreements[matched?.key?.family ?? ''] : undefined;
  // such as "x963 sha256"
  const digest = String(parameters.kdf ?? '')
    .split(' ')
    .at(-1);
  return agreement === undefined || !digest ? algorithm : `${agreement}-${digest}`;
}
