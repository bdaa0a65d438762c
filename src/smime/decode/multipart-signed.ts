import { ContentDigests } from '../../cms/index.ts';
import { SealpostError } from '../../errors.ts';
import {
  type EntityInfo,
  entityInfo,
  HeaderSplitter,
  MultipartSplitter,
  NullSink,
  type Sink,
} from '../../message/index.ts';
import { isEncryptionLayer, type SignatureLayer } from '../verdict/verdict.ts';
import { detachedSignature } from './detached.ts';
import { micalgDigests, plausibleDigests } from './digests.ts';
import { mimeEntity } from './entity.ts';
import { cmsBody, isSignaturePart } from './kinds.ts';
import type { Peeling } from './peeling.ts';
import { SignedPart } from './signed-part.ts';

/**
 * A multipart/signed body (RFC 1847; RFC 8551, section 3.5.3): hashes the first part, peels it further, and
 * checks the signature in the second (see `SignedPart` for line ends).
 *
 * Errors: `mime-malformed` when a part is missing; `cms-*` for the signature object.
 */
export function multipartSigned(peeling: Peeling, info: EntityInfo): Sink {
  return new MultipartSigned(peeling, info);
}

class MultipartSigned implements Sink {
  readonly #peeling: Peeling;
  readonly #splitter: MultipartSplitter;
  readonly #first: SignedPart;
  readonly #layer: SignatureLayer;
  readonly #protocol: string;
  #hasSignature = false;

  constructor(peeling: Peeling, info: EntityInfo) {
    const { parameters } = info.contentType;
    this.#peeling = peeling;
    this.#protocol = parameters.get('protocol') ?? '';
    this.#layer = {
      type: 'multipart/signed',
      digestAlgorithms: [],
      signers: [],
      certificates: 0,
      lineEnds: null,
      weak: [],
    };
    peeling.enter(this.#layer);
    const names = digestsFor(peeling, parameters.get('micalg'));
    const digests = new ContentDigests(names, undefined, peeling.budget);
    this.#first = new SignedPart(digests, () => mimeEntity(peeling), {
      known: peeling.hints.lineEnds.get(peeling.placeOf(this.#layer)),
      exact: peeling.layers.some(isEncryptionLayer),
    });
    this.#splitter = new MultipartSplitter(
      parameters.get('boundary') ?? '',
      { part: (index) => this.#part(index) },
      peeling.limits.message,
    );
  }

  write(chunk: Buffer): void {
    this.#splitter.write(chunk);
  }

  end(): void {
    this.#splitter.end();
    if (this.#hasSignature) return;
    if (this.#splitter.parts < 2) {
      throw new SealpostError('mime-malformed', 'a multipart/signed has no second part with the signature');
    }
    if (this.#protocol !== '') {
      throw new SealpostError(
        'mime-malformed',
        'the second part of a multipart/signed is no S/MIME signature',
      );
    }
    // nothing said that it is S/MIME, and it is not: with the octets at hand it is plain content
    this.#peeling.retry = { ...this.#peeling.hints, foreignMultipart: true };
    throw new SealpostError(
      'mime-malformed',
      'a multipart/signed without protocol holds no S/MIME signature',
    );
  }

  #part(index: number): Sink {
    if (index === 0) return this.#first;
    if (index > 1) return new NullSink();
    return new HeaderSplitter((headers) => {
      const info = entityInfo(headers);
      if (!isSignaturePart(info, this.#protocol)) return new NullSink();
      this.#hasSignature = true;
      return cmsBody(info.transferEncoding, detachedSignature(this.#peeling, this.#layer, this.#first));
    }, this.#peeling.limits.message);
  }
}

function digestsFor(peeling: Peeling, micalg: string | undefined): readonly string[] {
  if (peeling.hints.digests !== undefined) return peeling.hints.digests;
  const stated = micalgDigests(micalg);
  return stated.length > 0 && peeling.reopenable ? stated : [...new Set([...stated, ...plausibleDigests])];
}
