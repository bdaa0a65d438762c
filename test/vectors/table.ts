/** The form of `vectors.json`: what `scripts/vectors.ts` asked the peers for, and what is to be found in each file. */
export interface Table {
  /** When they were made: the certificates are judged at this time. */
  at: string;
  rows: Row[];
}

export interface Row {
  /** In this folder: a mail (.eml), a CMS object (.der), or one in PEM (.pem). */
  file: string;
  /** The program that wrote it, with its version. */
  by: string;
  /** Names of the keys to decode with. */
  keys: string[];
  expect: Expectation;
  /** What the row is there for. */
  why: string;
  /** What the signature is where the message comes as a stream, which is read once only; as otherwise unless given. */
  onceRead?: 'invalid';
  /** Decoded with the option of that name, which is off otherwise. */
  aeadInEnvelopedData?: boolean;
}

export interface Expectation {
  /** Types of the layers, from the outside in. */
  layers: string[];
  /** Content encryption of the first layer that has one. */
  cipher: string | null;
  signature: 'none' | 'valid' | 'untrusted' | 'invalid';
  /**
   * In any order: the name of the key, which is the common name (null where there is no certificate); `reason` is null
   * when the signature is good and trusted.
   */
  signers: { name: string | null; digest: string; reason: string | null }[];
  /** File with the content, octet for octet; null if there is none. */
  content: string | null;
  /** Code of the verdict; without it the message can be decoded. */
  error?: string;
}
