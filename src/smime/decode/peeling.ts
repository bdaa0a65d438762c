import { type Budget, costs } from '../../budget.ts';
import type { DecryptionKeys } from '../../cms/index.ts';
import { SealpostError } from '../../errors.ts';
import type { HeaderBlock, Sink } from '../../message/index.ts';
import type { Identity } from '../../pki/index.ts';
import type { ProtectedHeader } from '../verdict/protected-headers.ts';
import type { JudgedSigner } from '../verdict/revocation-check.ts';
import type { Trust } from '../verdict/trust.ts';
import type { Layer, SignatureLayer } from '../verdict/verdict.ts';
import { VerdictRoom } from '../verdict/verdict-room.ts';
import { ContentSink } from './content.ts';
import type { SettledLimits } from './limits.ts';
import type { PieceSink, PieceStart } from './pieces.ts';

/** What a first run over a message found out for a second one. */
export interface Hints {
  /** Digests to hash a multipart/signed with; undefined: those that its micalg names, else all. */
  readonly digests: readonly string[] | undefined;
  /** A multipart/signed without a protocol turned out to be none of ours. */
  readonly foreignMultipart: boolean;
  /** The line ends that signatures turned out to be over, by the place of their layer (`Peeling.placeOf`). */
  readonly lineEnds: ReadonlyMap<string, SignedLineEnds>;
}

/** See `SignatureLayer.lineEnds`. */
export type SignedLineEnds = NonNullable<SignatureLayer['lineEnds']>;

export const noHints: Hints = { digests: undefined, foreignMultipart: false, lineEnds: new Map() };

/** A signature alone, whose content the caller has. */
export interface MissingContent {
  readonly layer: SignatureLayer;
  readonly contentType: string;
  /** Those of the signers. */
  readonly digests: readonly string[];
  /** The ContentInfo. */
  readonly signature: Buffer;
}

/** The state of decoding one message, shared by the stages that peel its layers. */
export class Peeling {
  readonly identities: readonly Identity[];
  readonly sharedKeys: Omit<DecryptionKeys, 'identities' | 'certificates'>;
  readonly trust: Trust;
  readonly at: Date;
  readonly limits: SettledLimits;
  /** What the whole message may cost: the same for its pieces, and for a second run. */
  readonly budget: Budget;
  readonly aeadInEnvelopedData: boolean;
  readonly hints: Hints;
  /** True when the octets can be read again, so that hashing may begin with the stated digest only. */
  readonly reopenable: boolean;
  /** The caller has the content of a detached signature. Never for a piece: it is not what was meant. */
  readonly hasDetached: boolean;
  /** The signature that it belongs to. */
  missing: MissingContent | undefined;
  readonly layers: Layer[] = [];
  readonly content: ContentSink;
  /** S/MIME parts below the content, as they are found; of the whole message, in one list. */
  readonly pieces: PieceSink[];
  /** Where the content of a piece goes. */
  readonly openPiece: (piece: PieceStart) => Sink;
  /** What the sender wrote has this much room in the verdict; of the whole message. */
  readonly room: VerdictRoom;
  /** Signers as they are judged, those of pieces included. */
  readonly judged: JudgedSigner[];
  /** The piece that is peeled here; undefined for the message itself. */
  readonly piece: PieceSink | undefined;
  /** Layers around the piece, which count for the limit. */
  readonly #layersAbove: number;
  /** Header of the mail as it came; none for a bare CMS object. */
  outer: HeaderBlock | undefined;
  /** Header of the innermost entity, where layers protect it. */
  header: ProtectedHeader | undefined;
  /** An innermost entity was reached. */
  hasContent = false;
  /** An authenticating cipher's tag was verified. */
  aead = false;
  /** Set when a second run with these hints would see more. */
  retry: Hints | undefined;

  constructor(
    output: Sink,
    options: {
      identities: readonly Identity[];
      sharedKeys: Omit<DecryptionKeys, 'identities' | 'certificates'>;
      trust: Trust;
      at: Date;
      limits: SettledLimits;
      budget: Budget;
      aeadInEnvelopedData: boolean;
      hints: Hints;
      reopenable: boolean;
      hasDetached?: boolean;
      contentDigest?: boolean;
      openPiece: (piece: PieceStart) => Sink;
      within?: { outer: Peeling; piece: PieceSink };
    },
  ) {
    this.identities = options.identities;
    this.sharedKeys = options.sharedKeys;
    this.trust = options.trust;
    this.at = options.at;
    this.limits = options.limits;
    this.budget = options.budget;
    this.aeadInEnvelopedData = options.aeadInEnvelopedData;
    this.hints = options.hints;
    this.reopenable = options.reopenable;
    this.openPiece = options.openPiece;
    this.hasDetached = options.hasDetached ?? false;
    const { outer, piece } = options.within ?? {};
    this.piece = piece;
    this.pieces = outer?.pieces ?? [];
    this.room = outer?.room ?? new VerdictRoom(options.budget);
    this.judged = outer?.judged ?? [];
    this.#layersAbove = outer === undefined ? 0 : outer.#layersAbove + outer.layers.length;
    this.content = new ContentSink(output, options.contentDigest ?? true);
  }

  /** The state for an S/MIME part below the content: with the same keys and limits, and nothing else in common. */
  static ofPiece(outer: Peeling, piece: PieceSink, output: Sink): Peeling {
    const { identities, sharedKeys, trust, at, limits, budget, aeadInEnvelopedData, openPiece } = outer;
    return new Peeling(output, {
      identities,
      sharedKeys,
      trust,
      at,
      limits,
      budget,
      aeadInEnvelopedData,
      hints: { ...noHints, lineEnds: outer.hints.lineEnds },
      reopenable: false,
      openPiece,
      within: { outer, piece },
    });
  }

  /** Notes a layer, from the outside in. Errors: `layer-limit`, `work-limit`. */
  enter(layer: Layer): void {
    this.budget.spend(costs.layer);
    if (this.#layersAbove + this.layers.length >= this.limits.layers) {
      throw new SealpostError('layer-limit', `more than ${this.limits.layers} nested S/MIME layers`);
    }
    this.layers.push(layer);
  }

  /** The name of a layer that has been entered: the same in each run over the message. */
  placeOf(layer: Layer): string {
    return `${this.piece?.start.path ?? ''}#${this.layers.indexOf(layer)}`;
  }

  /** The innermost entity begins: everything from here on is content. */
  beginContent(contentType: string | null): Sink {
    this.hasContent = true;
    this.content.contentType = contentType;
    return this.content;
  }
}
