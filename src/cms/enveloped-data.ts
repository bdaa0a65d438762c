import type { Header } from '../asn1/header.ts';
import { children, type Element, oid, tags } from '../asn1/index.ts';
import { SealpostError } from '../errors.ts';
import type { Sink } from '../message/sink.ts';
import { readAlgorithm } from './algorithm-identifier.ts';
import { readAttributes } from './attributes.ts';
import type { Action } from './ber-stream.ts';
import {
  type ContentCipher,
  type ContentEncryption,
  createContentDecipher,
  keyOctets,
  readContentEncryption,
} from './ciphers.ts';
import { contentKey, decryptFailed, findRecipient, noKey } from './content-key.ts';
import {
  type ContentContext,
  type ContentReader,
  enterSequence,
  incomplete,
  unexpected,
} from './content-reader.ts';
import type { EnvelopedHead } from './facts.ts';
import type { Recipient } from './recipients/recipient.ts';
import { readRecipientInfo } from './recipients/registry.ts';

const structure = 'EnvelopedData';

/** Where the reader is among the parts of the structure; parts only ever follow. */
const steps = { version: 0, originator: 1, recipients: 2, content: 3, attributes: 4 };

/**
 * `EnvelopedData ::= SEQUENCE { version, originatorInfo [0] OPTIONAL, recipientInfos SET OF,
 * encryptedContentInfo, unprotectedAttrs [1] OPTIONAL }` (RFC 5652 section 6.1).
 */
export class EnvelopedDataReader implements ContentReader {
  readonly #context: ContentContext;
  #step = -1;
  #recipients: Recipient[] = [];
  #contentType: string | undefined;
  #encryption: ContentEncryption | undefined;
  #cipher: ContentCipher | undefined;
  #sink: Sink | undefined;
  #octets = 0;
  #ended = false;
  readonly #notes: string[] = [];
  #unprotected: string[] = [];

  constructor(context: ContentContext) {
    this.#context = context;
  }

  open(header: Header, depth: number): Action {
    if (depth === 0) return enterSequence(structure, header);
    if (depth === 1) {
      this.#advance(stepOf(header), header);
      return this.#step === steps.content ? 'enter' : 'collect';
    }
    if (header.cls === 2 && header.tag === 0 && this.#cipher === undefined) {
      this.#begin();
      return 'stream';
    }
    if (header.cls === 0 && this.#encryption === undefined) return 'collect';
    throw unexpected(structure, header);
  }

  #advance(step: number, header: Header): void {
    const skipsRecipients = step > steps.recipients && this.#step < steps.recipients;
    if (step <= this.#step || skipsRecipients || (this.#step < 0 && step !== steps.version)) {
      throw unexpected(structure, header);
    }
    this.#step = step;
  }

  element(element: Element, depth: number): void {
    if (depth === 2) {
      this.#readContentInfo(element);
    } else if (this.#step === steps.recipients) {
      this.#readRecipients(element);
    } else if (this.#step === steps.attributes) {
      this.#unprotected = readAttributes(element).map(({ type }) => type);
    }
  }

  /** `EncryptedContentInfo ::= SEQUENCE { contentType, contentEncryptionAlgorithm, encryptedContent [0] }` */
  #readContentInfo(element: Element): void {
    if (this.#contentType === undefined && element.tag === tags.oid) this.#contentType = oid(element);
    else if (element.tag === tags.sequence) this.#encryption = readContentEncryption(readAlgorithm(element));
    else throw unexpected(structure, element);
  }

  #readRecipients(element: Element): void {
    const most = this.#context.limits.recipients;
    for (const info of children(element, { maxElements: most + 1 })) {
      this.#recipients.push(...readRecipientInfo(info));
      if (this.#recipients.length > most) {
        throw new SealpostError('cms-limit', `more than ${most} recipients`);
      }
    }
  }

  #begin(): void {
    const encryption = this.#encryption;
    if (encryption === undefined || this.#contentType === undefined) throw incomplete(structure);
    const { handlers, options, limits } = this.#context;
    const { opener, facts } = findRecipient(this.#recipients, options, limits);
    const { name, oid: dotted, keyBits, effectiveBits, info } = encryption;
    const head: EnvelopedHead = {
      type: 'enveloped-data',
      contentType: this.#contentType,
      encryption: { name, oid: dotted, keyBits, effectiveBits, aead: info.mode !== 'cbc' },
      recipients: facts,
      weak: encryption.weak === undefined ? [] : [encryption.weak],
    };
    this.#sink = handlers.onHead(head);
    if (info.mode !== 'cbc') {
      throw new SealpostError('cms-unsupported', `${name} in EnvelopedData, where RFC 5083 forbids it`);
    }
    if (opener === undefined) throw noKey(this.#recipients, options);
    const key = contentKey(opener, encryption, options);
    if (info.family === 'aes' && key.length !== keyOctets(encryption)) {
      this.#notes.push(`the key has ${key.length * 8} bits, not the ${keyBits} of ${name}`);
    }
    this.#cipher = createContentDecipher(encryption, key);
  }

  chunk(octets: Buffer): void {
    if (this.#cipher !== undefined) this.#pass(this.#cipher.update(octets));
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
    let last: Buffer;
    try {
      last = this.#cipher.final();
    } catch (cause) {
      throw decryptFailed(cause);
    }
    this.#pass(last);
    this.#sink?.end();
    this.#ended = true;
    this.#context.contentEnded();
  }

  finish(): void {
    if (!this.#ended) {
      throw this.#step === steps.content || this.#step === steps.attributes
        ? new SealpostError('cms-unsupported', 'the encrypted content is not inside the message')
        : incomplete(structure);
    }
    this.#context.handlers.onTail({
      type: 'enveloped-data',
      notes: this.#notes,
      unprotectedAttributes: this.#unprotected,
    });
  }
}

/** The part that an element at the first level is, by its tag. */
function stepOf(header: Header): number {
  if (header.cls === 0 && header.tag === tags.integer) return steps.version;
  if (header.cls === 2 && header.tag === 0) return steps.originator;
  if (header.cls === 0 && header.tag === tags.set) return steps.recipients;
  if (header.cls === 0 && header.tag === tags.sequence) return steps.content;
  if (header.cls === 2 && header.tag === 1) return steps.attributes;
  throw unexpected(structure, header);
}
