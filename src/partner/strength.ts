import { contentCipherByName } from '../cms/algorithms.ts';
import type { Config } from '../config/index.ts';
import { pathWeaknesses } from '../pki/index.ts';

/** A key as the verdict has it. */
export interface KeySize {
  readonly family: string;
  /** Null if unknown. */
  readonly bits: number | null;
}

/** The part of a layer in the verdict that is needed here. */
export interface LayerStrength {
  readonly type: string;
  /** Why its algorithms are weak, one reason per algorithm. */
  readonly weak?: readonly string[];
  readonly contentEncryption?: { readonly algorithm: string } | null;
  readonly recipients?: readonly { readonly matched: { readonly key: KeySize | null } | null }[];
  readonly signers?: readonly { readonly valid: boolean; readonly key?: KeySize | null }[];
}

const encryptions: readonly string[] = ['enveloped-data', 'auth-enveloped-data', 'encrypted-data'];
/** It says nothing about algorithms or keys; `trust.revocation.mode` decides whether it is accepted. */
const aboutRevocation: string = pathWeaknesses['revocation-unknown'];

/**
 * Why the message lacks the required authenticated encryption (RFC 5083); undefined if it has it. All encrypted layers
 * must have it, because an attacker without a key can turn a GCM layer into a CBC layer.
 */
export function withoutAead(layers: readonly LayerStrength[]): string | undefined {
  const found = layers.filter(({ type }) => encryptions.includes(type));
  if (found.length === 0) return 'it is not encrypted';
  const plain = found.find(({ type }) => type !== 'auth-enveloped-data');
  return (
    plain && `it came as ${plain.type} with ${plain.contentEncryption?.algorithm ?? 'an unknown cipher'}`
  );
}

/** The first algorithm or key that is weaker than required, in words; undefined if all are strong. */
export function weakness(layers: readonly LayerStrength[], strong: Config['strong']): string | undefined {
  for (const { type, weak = [], contentEncryption, recipients = [], signers = [] } of layers) {
    const [reason] = weak.filter((each) => each !== aboutRevocation);
    if (reason !== undefined) return `in ${type}: ${reason}`;
    if (encryptions.includes(type) && !isStrong(contentEncryption?.algorithm ?? ''))
      return `in ${type}: the cipher ${contentEncryption?.algorithm ?? 'is unknown'}`;
    for (const { matched } of recipients) {
      const small = matched && tooSmall(matched.key, strong);
      if (small) return `it is encrypted for ${small}`;
    }
    for (const { valid, key = null } of signers) {
      const small = valid ? tooSmall(key, strong) : undefined;
      if (small !== undefined) return `it is signed by ${small}`;
    }
  }
  return undefined;
}

const isStrong = (cipher: string) => contentCipherByName.get(cipher)?.strength === 'strong';

/** A key of unknown size is not strong, and 0 is no minimum. ML-DSA and ML-KEM keys are strong in all sizes. */
export function tooSmall(
  key: KeySize | null,
  { minimumRsaBits, minimumCurveBits }: Config['strong'],
): string | undefined {
  if (key === null || key.family === 'other') return undefined;
  const { family, bits } = key;
  const least = family === 'ec' || family === 'okp' ? minimumCurveBits : minimumRsaBits;
  if (least === 0 || (bits !== null && bits >= least)) return undefined;
  const size = bits === null ? 'unknown size' : `${bits} bits`;
  return `a key (${family}) of ${size}; at least ${least} are required`;
}
