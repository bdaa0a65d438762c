import { oids } from '../../asn1/index.ts';
import {
  type CmsHead,
  CmsReader,
  type CmsTail,
  decryptFailed,
  type EnvelopedHead,
  type SignedTail,
} from '../../cms/index.ts';
import { SealpostError } from '../../errors.ts';
import { BufferSink, NullSink, type Sink } from '../../message/index.ts';
import { encryptionLayer } from '../verdict/layers.ts';
import { unique } from '../verdict/verdict.ts';
import type { Layer, SignatureLayer } from '../verdict/verdict-schema.ts';
import { cmsOptions, fillSigners } from './signers.ts';
import { OutputError } from './sinks.ts';
import type { DecodeState } from './state.ts';
import { unwrapped } from './wrapped-content.ts';

/** Takes a ContentInfo in BER, records its layer and passes on what is inside. */
export function cmsLayer(state: DecodeState): Sink {
  return new CmsLayer(state);
}

class CmsLayer implements Sink {
  readonly #state: DecodeState;
  readonly #reader: CmsReader;
  #index = -1;
  #aead = false;
  /** The octets, as long as they may be a signature whose content the caller has. */
  #kept: BufferSink | undefined;
  #detached: string | undefined;

  constructor(state: DecodeState) {
    this.#state = state;
    if (state.settings.hasDetached && state.layers.length === 0) this.#kept = new BufferSink();
    this.#reader = new CmsReader(
      { onHead: (head) => this.#head(head), onTail: (tail) => this.#tail(tail) },
      cmsOptions(state),
    );
  }

  write(chunk: Buffer): void {
    this.#kept?.write(Buffer.from(chunk));
    this.#guard(() => this.#reader.write(chunk));
  }

  end(): void {
    this.#guard(() => this.#reader.end());
  }

  /** With a wrong key, the octets are noise. No layer or hint from them may show (threats S3). */
  #guard(step: () => void): void {
    try {
      step();
    } catch (error) {
      if (error instanceof SealpostError && error.code === 'decrypt-failed' && this.#index >= 0) {
        this.#state.layers.splice(this.#index + 1);
        this.#state.retry = undefined;
      }
      throw error;
    }
  }

  #head(head: CmsHead): Sink {
    const { layers } = this.#state;
    this.#index = layers.length;
    if (head.type !== 'signed-data') this.#kept = undefined;
    switch (head.type) {
      case 'data':
        return this.#next(oids.data);
      case 'enveloped-data':
      case 'auth-enveloped-data':
      case 'encrypted-data':
        this.#aead = head.encryption.aead;
        this.#state.enter(encryptionLayer(head, this.#state.room));
        return new DecryptedSink(decryptedContent(this.#state, head), this.#aead);
      case 'signed-data': {
        const { digestAlgorithms } = head;
        this.#state.enter({
          type: 'signed-data',
          digestAlgorithms,
          signers: [],
          certificates: 0,
          lineEnds: null,
          weak: [],
        });
        if (!head.detached) this.#kept = undefined;
        this.#detached = head.detached ? head.contentType : undefined;
        return head.detached ? new NullSink() : this.#next(head.contentType);
      }
      case 'compressed-data':
        this.#state.enter({ type: 'compressed-data', algorithm: 'zlib', weak: [] });
        return this.#next(head.contentType);
      case 'digested-data': {
        const { digestAlgorithm } = head;
        this.#state.enter({ type: 'digested-data', digestAlgorithm, valid: false, weak: [] });
        return this.#next(head.contentType);
      }
    }
  }

  #next(contentType: string): Sink {
    return this.#state.next.content(this.#state, contentType);
  }

  #tail(tail: CmsTail): void {
    const layer = this.#state.layers[this.#index];
    if (tail.type === 'signed-data' && layer?.type === 'signed-data') this.#signed(tail, layer);
    else if (tail.type === 'digested-data' && layer?.type === 'digested-data') layer.valid = tail.valid;
    // the tail is read only if the tag was right
    else if (this.#aead) this.#state.aead = true;
  }

  #signed(tail: SignedTail, layer: SignatureLayer): void {
    if (this.#kept !== undefined && this.#detached !== undefined && tail.signers.length > 0) {
      const digests = unique(tail.signers.map(({ digestAlgorithm }) => digestAlgorithm));
      const signature = this.#kept.toBuffer();
      this.#state.missing = { layer, contentType: this.#detached, digests, signature };
      return;
    }
    const contentMissing = tail.signers.some(({ reason }) => reason === 'content-missing');
    if (contentMissing) {
      throw new SealpostError(
        'cms-malformed',
        'a detached signature by itself: the signed content is missing',
      );
    }
    const certificates = tail.certificates.length + tail.otherCertificates;
    // a degenerate SignedData has only certificates (RFC 8551, section 3.8)
    if (
      tail.signers.length === 0 &&
      !this.#state.hasContent &&
      this.#index === this.#state.layers.length - 1
    ) {
      const certsOnly: Layer = { type: 'certs-only', certificates, weak: [] };
      this.#state.layers[this.#index] = certsOnly;
      return;
    }
    fillSigners(this.#state, layer, tail);
  }
}

function decryptedContent(state: DecodeState, { contentType, contentOctets }: EnvelopedHead): Sink {
  const open = () => state.next.content(state, contentType);
  return contentType === oids.data && contentOctets !== undefined ? unwrapped(contentOctets, open) : open();
}

/** Faults that noise cannot cause: they need a whole readable layer. */
const notOfGarbage: readonly string[] = ['decrypt-no-key', 'decrypt-policy', 'layer-limit'];

/**
 * Holds back a fault of the inner layers until the decryption has ended. If the key was wrong, the fault is only noise,
 * and must look like any other decryption failure (threats S3). Without authenticated encryption, a clean end proves
 * nothing, because one wrong key in 256 gives valid padding. So unreadable content inside is a decryption failure too.
 */
class DecryptedSink implements Sink {
  readonly #inner: Sink;
  readonly #aead: boolean;
  #fault: unknown;
  #faulty = false;

  constructor(inside: Sink, aead: boolean) {
    this.#inner = inside;
    this.#aead = aead;
  }

  write(chunk: Buffer): void {
    if (!this.#faulty) this.#try(() => this.#inner.write(chunk));
  }

  end(): void {
    if (!this.#faulty) this.#try(() => this.#inner.end());
    if (this.#faulty) throw this.#outward(this.#fault);
  }

  #outward(fault: unknown): unknown {
    if (this.#aead || !(fault instanceof SealpostError) || notOfGarbage.includes(fault.code)) return fault;
    return decryptFailed(fault);
  }

  #try(step: () => void): void {
    try {
      step();
    } catch (error) {
      if (error instanceof OutputError) throw error;
      this.#faulty = true;
      this.#fault = error;
    }
  }
}
