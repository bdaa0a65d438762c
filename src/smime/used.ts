/** What protected a message: its layers with their algorithms and key sizes, and nothing about content or people. */

/** A key as in the verdict: family, and bits of modulus or curve; null where unknown. */
export interface UsedKey {
  readonly family: string;
  readonly bits: number | null;
}

export interface UsedEncryption {
  readonly layer: 'encryption';
  readonly type: 'enveloped-data' | 'auth-enveloped-data' | 'encrypted-data';
  /** A name of `cms/algorithms.ts`, or an object identifier. */
  readonly cipher: string;
  /**
   * How the content key reaches each key that counts: inbound, our own key that was used; outbound, those of all
   * recipients. One of `rsa-pkcs1`, `rsa-oaep-sha256`, `ecdh-sha256`, `xdh-sha512`, `dh-sha1`, `ml-kem-768`,
   * `password`, `kek`.
   */
  readonly keys: readonly { readonly management: string; readonly key: UsedKey | null }[];
}

export interface UsedSignature {
  readonly layer: 'signature';
  readonly form: 'opaque' | 'detached';
  /** `scheme` as in `pki/algorithms.ts`: rsa, rsa-pss, ecdsa, eddsa, ml-dsa, dsa; or an object identifier. */
  readonly signers: readonly {
    readonly digest: string;
    readonly scheme: string;
    readonly key: UsedKey | null;
  }[];
}

export type UsedLayer = UsedEncryption | UsedSignature | { readonly layer: 'compression' | 'digest' };

export interface Used {
  /** From the outside in. */
  readonly layers: readonly UsedLayer[];
  /** Whether header fields are under the protection (RFC 9788, or a message/rfc822 as in RFC 8551, section 3.1). */
  readonly headerProtection: boolean;
}
