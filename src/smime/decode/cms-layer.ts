import { oids, tags } from '../../asn1/index.ts';
import { oid } from '../../asn1/writer.ts';
import {
  type CmsHead,
  type CmsOptions,
  CmsReader,
  type CmsTail,
  decryptFailed,
  type EnvelopedHead,
  type SignedTail,
  type SignerFacts,
} from '../../cms/index.ts';
import { SealpostError } from '../../errors.ts';
import { BufferSink, NullSink, type Sink } from '../../message/index.ts';
import { encryptionLayer, signerOf, unique } from '../verdict/facts.ts';
import { inheritedKey, judgeSigner, type MessageBag, type SignerTrust, unjudged } from '../verdict/trust.ts';
import type { Layer, SignatureLayer } from '../verdict/verdict.ts';
import { OutputError } from './content.ts';
import { innerData } from './entity.ts';
import type { Peeling } from './peeling.ts';
import { Sniffer } from './sniffer.ts';
import { unwrapped } from './wrapped-content.ts';

/** Takes a ContentInfo in BER, notes its layer and peels what is inside. */
export function cmsLayer(peeling: Peeling): Sink {
  return new CmsLayer(peeling);
}

/** What every CmsReader here is given. */
export function cmsOptions(peeling: Peeling): CmsOptions {
  const { anchors, intermediates = [], pinned = [] } = peeling.trust;
  return {
    ...peeling.sharedKeys,
    identities: peeling.identities,
    limits: peeling.limits.cms,
    budget: peeling.budget,
    // a signer may leave the certificate out when the receiver has it
    certificates: [...pinned, ...intermediates, ...anchors],
    aeadInEnvelopedData: peeling.aeadInEnvelopedData,
    inheritedKey: (certificate, others) =>
      inheritedKey(certificate, others, peeling.trust, peeling.at, peeling.budget),
  };
}

class CmsLayer implements Sink {
  readonly #peeling: Peeling;
  readonly #reader: CmsReader;
  #index = -1;
  #aead = false;
  /** The octets, as long as they may be a signature whose content the caller has. */
  #kept: BufferSink | undefined;
  #detached: string | undefined;

  constructor(peeling: Peeling) {
    this.#peeling = peeling;
    if (peeling.hasDetached && peeling.layers.length === 0) this.#kept = new BufferSink();
    this.#reader = new CmsReader(
      { onHead: (head) => this.#head(head), onTail: (tail) => this.#tail(tail) },
      cmsOptions(peeling),
    );
  }

  write(chunk: Buffer): void {
    this.#kept?.write(Buffer.from(chunk));
    this.#guard(() => this.#reader.write(chunk));
  }

  end(): void {
    this.#guard(() => this.#reader.end());
  }

  /** What a wrong key made of the octets is noise: no layer or hint of it may show (threats S3). */
  #guard(step: () => void): void {
    try {
      step();
    } catch (error) {
      if (error instanceof SealpostError && error.code === 'decrypt-failed' && this.#index >= 0) {
        this.#peeling.layers.splice(this.#index + 1);
        this.#peeling.retry = undefined;
      }
      throw error;
    }
  }

  #head(head: CmsHead): Sink {
    const { layers } = this.#peeling;
    this.#index = layers.length;
    if (head.type !== 'signed-data') this.#kept = undefined;
    switch (head.type) {
      case 'data':
        return innerData(this.#peeling);
      case 'enveloped-data':
      case 'auth-enveloped-data':
      case 'encrypted-data':
        this.#aead = head.encryption.aead;
        this.#peeling.enter(encryptionLayer(head, this.#peeling.room));
        return new DecryptedSink(decryptedContent(this.#peeling, head), this.#aead);
      case 'signed-data': {
        const { digestAlgorithms } = head;
        this.#peeling.enter({
          type: 'signed-data',
          digestAlgorithms,
          signers: [],
          certificates: 0,
          lineEnds: null,
          weak: [],
        });
        if (!head.detached) this.#kept = undefined;
        this.#detached = head.detached ? head.contentType : undefined;
        return head.detached ? new NullSink() : innerContent(this.#peeling, head.contentType);
      }
      case 'compressed-data':
        this.#peeling.enter({ type: 'compressed-data', algorithm: 'zlib', weak: [] });
        return innerContent(this.#peeling, head.contentType);
      case 'digested-data': {
        const { digestAlgorithm } = head;
        this.#peeling.enter({ type: 'digested-data', digestAlgorithm, valid: false, weak: [] });
        return innerContent(this.#peeling, head.contentType);
      }
    }
  }

  #tail(tail: CmsTail): void {
    const layer = this.#peeling.layers[this.#index];
    if (tail.type === 'signed-data' && layer?.type === 'signed-data') this.#signed(tail, layer);
    else if (tail.type === 'digested-data' && layer?.type === 'digested-data') layer.valid = tail.valid;
    // the tail only comes when the tag was right
    else if (this.#aead) this.#peeling.aead = true;
  }

  #signed(tail: SignedTail, layer: SignatureLayer): void {
    if (this.#kept !== undefined && this.#detached !== undefined && tail.signers.length > 0) {
      const digests = unique(tail.signers.map(({ digestAlgorithm }) => digestAlgorithm));
      const signature = this.#kept.toBuffer();
      this.#peeling.missing = { layer, contentType: this.#detached, digests, signature };
      return;
    }
    const contentMissing = tail.signers.some(({ reason }) => reason === 'content-missing');
    if (contentMissing) {
      throw new SealpostError('cms-malformed', 'a detached signature alone: the signed content is not there');
    }
    const certificates = tail.certificates.length + tail.otherCertificates;
    // a degenerate SignedData carries certificates and nothing else (RFC 8551, section 3.8)
    if (
      tail.signers.length === 0 &&
      !this.#peeling.hasContent &&
      this.#index === this.#peeling.layers.length - 1
    ) {
      const certsOnly: Layer = { type: 'certs-only', certificates, weak: [] };
      this.#peeling.layers[this.#index] = certsOnly;
      return;
    }
    fillSigners(this.#peeling, layer, tail);
  }
}

/** Writes what became known of the signers into their layer. */
export function fillSigners(peeling: Peeling, layer: SignatureLayer, tail: SignedTail): void {
  layer.certificates = tail.certificates.length + tail.otherCertificates;
  const { room } = peeling;
  room.signatures(tail.signers.reduce((sum, { countersignatures }) => sum + 1 + countersignatures.length, 0));
  const judged = tail.signers.map((facts) => judgeFacts(facts, tail, peeling));
  layer.signers = judged.map(({ facts, trust }) =>
    room.fit(signerOf(facts, trust, (each) => judgeFacts(each, tail, peeling).trust)),
  );
  for (const [index, { facts }] of judged.entries()) {
    const signer = layer.signers[index];
    const { certificate, verifiedBy } = facts;
    if (signer !== undefined && certificate !== undefined && verifiedBy !== undefined)
      peeling.judged.push({ signer, layer, certificate, verifiedBy, bag: tail });
  }
  layer.weak = unique(judged.flatMap(({ facts, trust }) => [...facts.weak, ...trust.weak]));
}

/** Judges whom a valid signature is from; of several certificates for its key the first that is trusted counts. */
function judgeFacts(
  facts: SignerFacts,
  bag: MessageBag,
  { trust, at, budget }: Peeling,
): { facts: SignerFacts; trust: SignerTrust } {
  const { certificate, verifiedBy, alternatives } = facts;
  if (certificate === undefined || verifiedBy === undefined) return { facts, trust: unjudged };
  const first = judgeSigner(certificate, verifiedBy, bag, trust, at, budget);
  if (first.trusted) return { facts, trust: first };
  for (const other of alternatives) {
    const found = judgeSigner(other, verifiedBy, bag, trust, at, budget);
    if (found.trusted) return { facts: { ...facts, certificate: other }, trust: found };
  }
  return { facts, trust: first };
}

function decryptedContent(peeling: Peeling, { contentType, contentOctets }: EnvelopedHead): Sink {
  if (contentType !== oids.data || contentOctets === undefined) return innerContent(peeling, contentType);
  return unwrapped(contentOctets, () => innerData(peeling));
}

/** What the content of a layer is, by its content type. */
export function innerContent(peeling: Peeling, contentType: string): Sink {
  if (contentType === oids.data) return innerData(peeling);
  if (nestedTypes.includes(contentType)) return nested(peeling, contentType);
  return peeling.beginContent(null);
}

const nestedTypes: readonly string[] = [
  oids.signedData,
  oids.envelopedData,
  oids.digestedData,
  oids.encryptedData,
  oids.compressedData,
  oids.authEnvelopedData,
];

/** What is missing in front of an object so that it is a ContentInfo: headers of the indefinite form. */
function missingHeaders(head: Buffer, contentType: string): Buffer[] {
  const sequence = Buffer.from([0x30, 0x80]);
  const explicit = Buffer.concat([oid(contentType), Buffer.from([0xa0, 0x80])]);
  if (head[0] === tags.integer) return [sequence, explicit, sequence];
  if (head[0] === tags.oid) return [sequence];
  const length = head[1] ?? 0;
  const first = head[length < 0x80 ? 2 : 2 + (length & 0x7f)];
  return first === tags.oid ? [] : [sequence, explicit];
}

/**
 * A CMS type directly inside another one. RFC 5652 puts the bare structure there; some software a whole ContentInfo.
 * Windows and .NET encrypt either of them without its outermost tag and length, which their own readers put back.
 */
function nested(peeling: Peeling, contentType: string): Sink {
  return new Sniffer(8, (head) => {
    const layer = cmsLayer(peeling);
    const missing = missingHeaders(head, contentType);
    if (missing.length === 0) return layer;
    layer.write(Buffer.concat(missing));
    return {
      write: (chunk) => layer.write(chunk),
      end: () => {
        layer.write(Buffer.alloc(2 * missing.length));
        layer.end();
      },
    };
  });
}

/** Faults that garbage cannot have: they need a whole layer that can be read. */
const notOfGarbage: readonly string[] = ['decrypt-no-key', 'decrypt-policy', 'layer-limit'];

/**
 * Holds a fault of what is inside back until the decryption has ended: had the key been wrong, the fault
 * would be one of the noise, and must look like every other failure of decryption (threats S3). Without an
 * authenticating cipher a good end shows nothing: one wrong key in 256 gives a padding that passes. So what cannot
 * be read inside is a failure of decryption too.
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
