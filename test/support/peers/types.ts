/**
 * What is exchanged with other S/MIME implementations in the interoperation tests: cases as data, the octets that go
 * over the fence, and the one interface that every implementation (a peer; our own codec too) is driven through.
 */
import type { Identity } from './identities.ts';

export type ContentCipher =
  | 'DES'
  | '3DES'
  | `RC2-${number}`
  | `AES-${128 | 192 | 256}-${'CBC' | 'GCM' | 'CCM'}`
  | 'ChaCha20-Poly1305'
  | 'CAST5'
  | `Camellia-${128 | 192 | 256}`;

export type Digest =
  | 'MD5'
  | 'SHA-1'
  | 'SHA-224'
  | 'SHA-256'
  | 'SHA-384'
  | 'SHA-512'
  | 'SHA3-256'
  | 'SHA3-512'
  | 'SHAKE256';

export type Wrap = 'AES-128' | 'AES-192' | 'AES-256' | '3DES' | 'RC2';

/** How the content-encryption key reaches the recipient (RFC 5652 section 6.2). */
export type KeyManagement =
  | { kind: 'rsa-pkcs1' }
  | { kind: 'rsa-oaep'; digest: Digest; mgf: Digest; label?: string }
  /** RFC 2631 and RFC 3370 section 4.1; `sender` names the static key of static-static. `ukm` is partyAInfo, hex. */
  | { kind: 'dh'; wrap: Wrap; ukm?: string; static?: boolean }
  /** RFC 5753. */
  | { kind: 'ecdh'; kdf: Digest; cofactor: boolean; wrap: Wrap; ukm?: string }
  /** RFC 8418: HKDF. */
  | { kind: 'xdh'; kdf: Digest; wrap: Wrap }
  | { kind: 'kek'; wrap: Wrap; secret: string; id: string }
  | { kind: 'password'; password: string };

/** The issue that promises the case. */
export type Stage = 'issue2' | 'issue3';

interface CaseBase {
  id: string;
  stage: Stage;
  /** By name of a peer: why it reads only its own, non-conformant messages of the case. */
  deviations?: Record<string, string>;
}

export interface EncryptionCase extends CaseBase {
  type: 'encryption';
  keyManagement: KeyManagement;
  /** Name of the recipient's identity; absent where a secret is shared. */
  recipient?: string;
  /** Names the recipient by subject key identifier instead of issuer and serial number. */
  byKeyId?: boolean;
  cipher: ContentCipher;
}

export type SignatureScheme = 'pkcs1' | 'pss' | 'ecdsa' | 'dsa' | 'eddsa';

export interface SignatureCase extends CaseBase {
  type: 'signature';
  signer: string;
  scheme: SignatureScheme;
  digest: Digest;
  form: 'opaque' | 'detached';
  /** False: the signature is over the content itself (RFC 5652 section 5.4). */
  attributes: boolean;
  byKeyId?: boolean;
}

export interface CompressionCase extends CaseBase {
  type: 'compression';
}

export type InteropCase = EncryptionCase | SignatureCase | CompressionCase;

/** What one side hands to the other: a bare CMS object (DER or BER), or a whole mail. */
export type Artefact =
  | { form: 'cms'; octets: Buffer /** What a detached signature is over. */; content?: Buffer }
  | { form: 'mail'; octets: Buffer };

/** The side that makes the message, or the side that reads it. */
export type Role = 'write' | 'read';

export interface Peer {
  readonly name: string;
  readonly version: string;
  /** True, or why this peer has no way to be asked for the case at all (no option, no such structure). */
  can(each: InteropCase, role: Role): true | string;
  /** Makes the message of a case around `content`, a MIME entity with CRLF line ends. Throws PeerError. */
  write(each: InteropCase, content: Buffer): Promise<Artefact>;
  /** Reads a message of a case: the content, decrypted or verified against the test CA. Throws PeerError. */
  read(each: InteropCase, message: Artefact): Promise<Buffer>;
  close(): Promise<void>;
}

/** The peer said no. `message` is what it said, in one line. */
export class PeerError extends Error {
  override name = 'PeerError';
}

/** Our codec does not have the algorithm yet and says so by an explicit code. */
export class NotYetError extends PeerError {
  override name = 'NotYetError';
}

/** A peer that is not installed. Tests skip, but not in CI. */
export interface Absent {
  readonly name: string;
  readonly missing: string;
}

export type StartPeer = (identities: Map<string, Identity>, folder: string) => Promise<Peer | Absent>;

export function isAbsent(peer: Peer | Absent): peer is Absent {
  return 'missing' in peer;
}
