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
import { micalgDigests, plausibleDigests } from '../micalg.ts';
import { isEncryptionLayer } from '../verdict/verdict.ts';
import type { SignatureLayer } from '../verdict/verdict-schema.ts';
import { detachedSignature } from './detached.ts';
import { cmsBody, isSignaturePart } from './kinds.ts';
import { SignedPart } from './signed-part.ts';
import type { DecodeState } from './state.ts';

/**
 * A multipart/signed body (RFC 1847; RFC 8551, section 3.5.3): hashes the first part, decodes it further, and checks
 * the signature in the second (see `SignedPart` for line ends).
 *
 * Errors: `mime-malformed` if a part is missing; `cms-*` for the signature object.
 */
export function multipartSigned(state: DecodeState, info: EntityInfo): Sink {
  return new MultipartSigned(state, info);
}

class MultipartSigned implements Sink {
  readonly #state: DecodeState;
  readonly #splitter: MultipartSplitter;
  readonly #first: SignedPart;
  readonly #layer: SignatureLayer;
  readonly #protocol: string;
  #hasSignature = false;

  constructor(state: DecodeState, info: EntityInfo) {
    const { parameters } = info.contentType;
    this.#state = state;
    this.#protocol = parameters.get('protocol') ?? '';
    this.#layer = {
      type: 'multipart/signed',
      digestAlgorithms: [],
      signers: [],
      certificates: 0,
      lineEnds: null,
      weak: [],
    };
    state.enter(this.#layer);
    const names = digestsFor(state, parameters.get('micalg'));
    const digests = new ContentDigests(names, undefined, state.budget);
    this.#first = new SignedPart(digests, () => firstEntity(state), {
      known: state.settings.hints.lineEnds.get(state.placeOf(this.#layer)),
      exact: state.layers.some(isEncryptionLayer),
    });
    this.#splitter = new MultipartSplitter(
      parameters.get('boundary') ?? '',
      { part: (index) => this.#part(index) },
      state.limits.message,
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
        'the second part of a multipart/signed is not an S/MIME signature',
      );
    }
    // Nothing said that it is S/MIME, and it is not. If the octets can be read again, it is plain content.
    this.#state.retry = { ...this.#state.settings.hints, foreignMultipart: true };
    throw new SealpostError('mime-malformed', 'a multipart/signed without protocol has no S/MIME signature');
  }

  #part(index: number): Sink {
    if (index === 0) return this.#first;
    if (index > 1) return new NullSink();
    return new HeaderSplitter((headers) => {
      const info = entityInfo(headers);
      if (!isSignaturePart(info, this.#protocol)) return new NullSink();
      this.#hasSignature = true;
      return cmsBody(info.transferEncoding, detachedSignature(this.#state, this.#layer, this.#first));
    }, this.#state.limits.message);
  }
}

/** The first part is an entity, which may be the next layer. */
function firstEntity(state: DecodeState): Sink {
  return new HeaderSplitter((headers) => state.next.entity(state, headers), state.limits.message);
}

function digestsFor(state: DecodeState, micalg: string | undefined): readonly string[] {
  if (state.settings.hints.digests !== undefined) return state.settings.hints.digests;
  const stated = micalgDigests(micalg);
  return stated.length > 0 && state.settings.reopenable
    ? stated
    : [...new Set([...stated, ...plausibleDigests])];
}
