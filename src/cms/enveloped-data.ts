import {
  Cursor,
  children,
  type Element,
  type Header,
  octetString,
  oid,
  raw,
  readAlgorithm,
  tags,
} from '../asn1/index.ts';
import { costs } from '../budget.ts';
import { SealpostError } from '../errors.ts';
import type { Sink } from '../message/index.ts';
import type { Certificate } from '../pki/index.ts';
import { AppendedTag, createAeadDecryptor } from './aead.ts';
import { readAttributes } from './attributes.ts';
import type { Action } from './ber-stream.ts';
import { readCertificateSet } from './certificate-set.ts';
import {
  type ContentEncryption,
  cipherKey,
  createContentDecipher,
  keyOctets,
  readContentEncryption,
} from './ciphers.ts';
import { contentKey, contentKeyHere, decryptFailed, findRecipient, noKey } from './content-key.ts';
import {
  type CmsOptions,
  type ContentContext,
  type ContentReader,
  enterSequence,
  incomplete,
  unexpected,
} from './content-reader.ts';
import { readRecipientInfo } from './recipients/index.ts';
import type { Recipient } from './recipients/recipient.ts';
import type { EnvelopedHead } from './report.ts';

/** The three structures that hold encrypted content. They differ in a few parts. */
export type EncryptedStructure = EnvelopedHead['type'];

/** The position of the reader in the structure; it only moves forward. */
const steps = {
  version: 0,
  originator: 1,
  recipients: 2,
  content: 3,
  attributes: 4,
  mac: 5,
  unauthenticated: 6,
};

/**
 * `EnvelopedData ::= SEQUENCE { version, originatorInfo [0] OPTIONAL, recipientInfos SET OF,
 * encryptedContentInfo, unprotectedAttrs [1] OPTIONAL }` (RFC 5652 section 6.1).
 *
 * `AuthEnvelopedData ::= SEQUENCE { version, originatorInfo [0] OPTIONAL, recipientInfos SET OF,
 * authEncryptedContentInfo, authAttrs [1] OPTIONAL, mac OCTET STRING, unauthAttrs [2] OPTIONAL }` (RFC
 * 5083 section 2.1).
 *
 * `EncryptedData ::= SEQUENCE { version, encryptedContentInfo, unprotectedAttrs [1] OPTIONAL }` (RFC
 * 5652 section 8).
 */
export class EnvelopedDataReader implements ContentReader {
  readonly #type: EncryptedStructure;
  readonly #context: ContentContext;
  #step = -1;
  readonly #originator: Certificate[] = [];
  readonly #recipients: Recipient[] = [];
  #contentType: string | undefined;
  #encryption: ContentEncryption | undefined;
  #cipher: { update(octets: Buffer): Buffer } | undefined;
  /** Checks padding or tag, and returns the last octets. */
  #final: (mac: Buffer | undefined) => Buffer = () => Buffer.alloc(0);
  #sink: Sink | undefined;
  #octets = 0;
  #octetCost = 0;
  #contentEnded = false;
  #authenticated: Buffer | undefined;
  #ended = false;
  readonly #notes: string[] = [];
  #unprotected: string[] = [];

  constructor(context: ContentContext, type: EncryptedStructure = 'enveloped-data') {
    this.#context = context;
    this.#type = type;
  }

  open(header: Header, depth: number): Action {
    if (depth === 0) return enterSequence(this.#type, header);
    if (depth === 1) {
      this.#advance(this.#stepOf(header), header);
      return this.#step === steps.content ? 'enter' : 'collect';
    }
    if (header.cls === 2 && header.tag === 0 && this.#cipher === undefined) {
      this.#begin(header.constructed || header.length < 0 ? undefined : header.length);
      return 'stream';
    }
    if (header.cls === 0 && this.#encryption === undefined) return 'collect';
    throw unexpected(this.#type, header);
  }

  /** Which part an element at the first level is, by its tag. */
  #stepOf(header: Header): number {
    const { cls, tag } = header;
    const hasMac = this.#type === 'auth-enveloped-data';
    if (cls === 0 && tag === tags.integer) return steps.version;
    if (cls === 2 && tag === 0 && this.#type !== 'encrypted-data') return steps.originator;
    if (cls === 0 && tag === tags.set && this.#type !== 'encrypted-data') return steps.recipients;
    if (cls === 0 && tag === tags.sequence) return steps.content;
    if (cls === 2 && tag === 1) return steps.attributes;
    if (cls === 0 && tag === tags.octetString && hasMac) return steps.mac;
    if (cls === 2 && tag === 2 && hasMac) return steps.unauthenticated;
    throw unexpected(this.#type, header);
  }

  #advance(step: number, header: Header): void {
    const needed = this.#type === 'encrypted-data' ? steps.version : steps.recipients;
    const skips = step > steps.recipients && this.#step < needed;
    const skipsContent = step > steps.content && this.#step < steps.content;
    if (step <= this.#step || skips || skipsContent || (this.#step < 0 && step !== steps.version)) {
      throw unexpected(this.#type, header);
    }
    this.#step = step;
  }

  element(element: Element, depth: number): void {
    if (depth === 2) {
      this.#readContentInfo(element);
    } else if (this.#step === steps.originator) {
      this.#readOriginator(element);
    } else if (this.#step === steps.recipients) {
      this.#readRecipients(element);
    } else if (this.#step === steps.attributes && this.#type === 'auth-enveloped-data') {
      // RFC 5083 section 2.2: authenticated as a SET OF, not under [1].
      this.#authenticated = Buffer.from(raw(element));
      this.#authenticated[0] = 0x20 | tags.set;
    } else if (this.#step === steps.attributes || this.#step === steps.unauthenticated) {
      this.#unprotected = readAttributes(element).map(({ type }) => type);
    } else if (this.#step === steps.mac) {
      this.#authenticate(octetString(element));
    }
  }

  /** `EncryptedContentInfo ::= SEQUENCE { contentType, contentEncryptionAlgorithm, encryptedContent [0] }` */
  #readContentInfo(element: Element): void {
    if (this.#contentType === undefined && element.tag === tags.oid) this.#contentType = oid(element);
    else if (element.tag === tags.sequence) this.#encryption = readContentEncryption(readAlgorithm(element));
    else throw unexpected(this.#type, element);
  }

  /** `OriginatorInfo ::= SEQUENCE { certs [0] OPTIONAL, crls [1] OPTIONAL }` (RFC 5652 section 6.1) */
  #readOriginator(element: Element): void {
    const set = new Cursor(element).optional(2, 0);
    if (set === undefined) return;
    this.#originator.push(
      ...readCertificateSet(set, this.#context.limits.certificates, this.#context.budget).certificates,
    );
  }

  #readRecipients(element: Element): void {
    const most = this.#context.limits.recipients;
    for (const info of children(element, { maxElements: most + 1 })) {
      this.#context.budget.spend(costs.name(info.end - info.start));
      this.#recipients.push(...readRecipientInfo(info));
      if (this.#recipients.length > most) {
        throw new SealpostError('cms-limit', `more than ${most} recipients`);
      }
    }
  }

  /** @param encryptedOctets if known in advance */
  #begin(encryptedOctets: number | undefined): void {
    const encryption = this.#encryption;
    if (encryption === undefined || this.#contentType === undefined) throw incomplete(this.#type);
    const { handlers, budget } = this.#context;
    const options = withOriginator(this.#context.options, this.#originator);
    const found = findRecipient(this.#recipients, options, budget);
    const { name, oid: dotted, keyBits, effectiveBits, info, derivation } = encryption;
    this.#sink = handlers.onHead({
      type: this.#type,
      contentType: this.#contentType,
      encryption: {
        name,
        oid: dotted,
        keyBits,
        effectiveBits,
        aead: info.aead,
        keyDerived: derivation !== undefined,
      },
      recipients: found.reports,
      contentOctets: contentOctets(encryption, encryptedOctets),
      originatorCertificates: this.#originator,
      weak: encryption.weak === undefined ? [] : [encryption.weak],
    });
    checkMode(this.#type, encryption, options);
    const opener = this.#type === 'encrypted-data' ? contentKeyHere(encryption, options) : found.opener;
    if (opener === undefined) throw noKey(this.#recipients, options);
    const key = contentKey(opener, encryption, options, budget);
    if (info.family === 'aes' && key.length !== keyOctets(encryption)) {
      this.#notes.push(`the key has ${key.length * 8} bits, not the ${keyBits} of ${name}`);
    }
    this.#octetCost = costs.cipherOctet(info.family);
    this.#useCipher(encryption, cipherKey(encryption, key));
  }

  #useCipher(encryption: ContentEncryption, key: Buffer): void {
    if (this.#type === 'auth-enveloped-data') {
      const decryptor = createAeadDecryptor(encryption, key);
      this.#cipher = decryptor;
      // in a variable first: src/redis/commands.ts
      const final = (mac: Buffer | undefined) => decryptor.final(mac ?? Buffer.alloc(0), this.#authenticated);
      this.#final = final;
      return;
    }
    const cipher =
      encryption.info.mode === 'cbc'
        ? createContentDecipher(encryption, key)
        : new AppendedTag(createAeadDecryptor(encryption, key), encryption.tagOctets ?? 16);
    this.#cipher = cipher;
    const final = () => cipher.final();
    this.#final = final;
  }

  chunk(octets: Buffer): void {
    if (this.#cipher === undefined) return;
    this.#context.budget.spend(octets.length * this.#octetCost);
    this.#pass(this.#cipher.update(octets));
  }

  #pass(octets: Buffer): void {
    if (octets.length === 0) return;
    this.#octets += octets.length;
    const most = this.#context.limits.contentOctets;
    if (this.#octets > most) throw new SealpostError('cms-limit', `more than ${most} octets of content`);
    this.#sink?.write(octets);
  }

  close(depth: number): void {
    if (depth !== 2 || this.#cipher === undefined) return;
    this.#contentEnded = true;
    this.#context.contentEnded();
    if (this.#type !== 'auth-enveloped-data') this.#complete(undefined);
  }

  /** Threats S4: short tags are refused, and the content ends only if its tag is right. */
  #authenticate(mac: Buffer): void {
    if (!this.#contentEnded) throw incomplete(this.#type);
    if (mac.length < 12 || mac.length !== this.#encryption?.tagOctets)
      throw decryptFailed(new Error(`a tag of ${mac.length} octets`));
    this.#complete(mac);
  }

  #complete(mac: Buffer | undefined): void {
    let last: Buffer;
    try {
      last = this.#final(mac);
    } catch (cause) {
      if (cause instanceof SealpostError) throw cause;
      throw decryptFailed(
        new Error(faults[this.#encryption?.info.aead === false ? 'cbc' : 'aead'], { cause }),
      );
    }
    this.#pass(last);
    this.#sink?.end();
    this.#ended = true;
  }

  finish(): void {
    if (!this.#ended) {
      throw this.#step >= steps.content && this.#sink === undefined
        ? new SealpostError('cms-unsupported', 'the encrypted content is not inside the message')
        : incomplete(this.#type);
    }
    this.#context.handlers.onTail({
      type: this.#type,
      notes: this.#notes,
      unprotectedAttributes: this.#unprotected,
    });
  }
}

/** Causes behind the uniform failure, for the operator. A wrong key and changed octets look the same. */
const faults = {
  cbc: 'the padding of the last block is wrong: another key, or changed or missing octets',
  aead: 'the authentication tag is wrong: another key, or changed octets',
};

/** The originator of a static key may include its certificate (RFC 5652 section 6.2.2). */
function withOriginator(options: CmsOptions, found: readonly Certificate[]): CmsOptions {
  return found.length === 0
    ? options
    : { ...options, certificates: [...(options.certificates ?? []), ...found] };
}

/** The padding takes between one octet and a block (RFC 5652 section 6.3). */
function contentOctets(
  { info }: ContentEncryption,
  encrypted: number | undefined,
): EnvelopedHead['contentOctets'] {
  if (encrypted === undefined || info.mode !== 'cbc') return undefined;
  return { least: encrypted - info.ivOctets, most: encrypted - 1 };
}

/** Threats S4, CVE-2026-34182: AuthEnvelopedData means AEAD, EnvelopedData does not (RFC 5083 section 1). */
function checkMode(type: EncryptedStructure, { info, name }: ContentEncryption, options: CmsOptions): void {
  const isAead = info.aead;
  if (type === 'auth-enveloped-data' && !isAead) {
    throw new SealpostError('cms-malformed', `${name} in AuthEnvelopedData authenticates nothing`);
  }
  if (type !== 'auth-enveloped-data' && isAead && options.aeadInEnvelopedData !== true) {
    throw new SealpostError('decrypt-policy', `${name} in EnvelopedData, where RFC 5083 forbids it`, {
      hint: 'allow it for this partner, or ask for AuthEnvelopedData',
    });
  }
}
