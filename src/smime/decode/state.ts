import { type Budget, costs } from '../../budget.ts';
import type { DecryptionKeys } from '../../cms/index.ts';
import { SealpostError } from '../../errors.ts';
import type { HeaderBlock, Sink } from '../../message/index.ts';
import type { Identity } from '../../pki/index.ts';
import type { JudgedSigner } from '../verdict/ask-others.ts';
import type { ProtectedHeader } from '../verdict/headers.ts';
import type { Trust } from '../verdict/trust.ts';
import { VerdictRoom } from '../verdict/verdict-room.ts';
import type { EmbeddedVerdict, Layer, SignatureLayer } from '../verdict/verdict-schema.ts';
import type { SettledLimits } from './limits.ts';
import { ContentSink } from './sinks.ts';

/** What the first run over a message found out for the second. */
export interface Hints {
  /** Digests to hash a multipart/signed with. Undefined: those that its micalg names, or else all. */
  readonly digests: readonly string[] | undefined;
  /** A multipart/signed without a protocol turned out not to be S/MIME. */
  readonly foreignMultipart: boolean;
  /** The line ends that signatures turned out to cover, by the place of their layer (`DecodeState.placeOf`). */
  readonly lineEnds: ReadonlyMap<string, SignedLineEnds>;
}

/** See `SignatureLayer.lineEnds`. */
export type SignedLineEnds = NonNullable<SignatureLayer['lineEnds']>;

export const noHints: Hints = { digests: undefined, foreignMultipart: false, lineEnds: new Map() };

/** A signature alone, whose content the caller has. */
export interface MissingContent {
  readonly layer: SignatureLayer;
  readonly contentType: string;
  /** The digests that its signers use. */
  readonly digests: readonly string[];
  /** The ContentInfo. */
  readonly signature: Buffer;
}

/** What is known about an S/MIME part below the message before it is decoded. */
export interface EmbeddedStart {
  /** As in the verdict. No two parts of a message have the same. */
  readonly path: string;
  /** The header of the part itself, not of what it holds. */
  readonly contentType: string;
}

/** An S/MIME part below the message, decoded by itself. */
export interface Embedded {
  readonly start: EmbeddedStart;
  /** Known after `result`: its content is void. */
  readonly isVoid: boolean;
  /** Its verdict, known after the whole message; undefined if it is void. */
  result(): EmbeddedVerdict | undefined;
  /** Known after `result`: the line ends with which another run would find more valid signatures. */
  readonly lineEnds: Hints['lineEnds'] | undefined;
}

/**
 * Chooses what handles the next layer. Handlers call each other only through this table, which `dispatch.ts` fills, so
 * their files do not import each other.
 */
export interface Handlers {
  /** The body of an entity, by its header: the next layer, or the content with that header. */
  entity(state: DecodeState, headers: HeaderBlock): Sink;
  /** A ContentInfo in BER. */
  cms(state: DecodeState): Sink;
  /** What a CMS layer holds, by its content type. */
  content(state: DecodeState, contentType: string): Sink;
}

/** The inputs of a message's state: the caller's keys, trust and limits, and findings of earlier runs. */
export interface DecodeSettings {
  readonly identities: readonly Identity[];
  readonly sharedKeys: Omit<DecryptionKeys, 'identities' | 'certificates'>;
  readonly trust: Trust;
  readonly at: Date;
  readonly limits: SettledLimits;
  /** The budget of the whole message, shared with embedded parts and a second run. */
  readonly budget: Budget;
  readonly aeadInEnvelopedData: boolean;
  readonly hints: Hints;
  /** True if the octets can be read again, so that hashing may start with only the stated digest. */
  readonly reopenable: boolean;
  /**
   * Whether the caller has the content of a detached signature. Never for an embedded part, which is not what the
   * caller means.
   */
  readonly hasDetached: boolean;
  /** Whether the verdict has the SHA-256 of the content. */
  readonly contentDigest: boolean;
  /** Where the content of an embedded part goes. */
  readonly openEmbedded: (start: EmbeddedStart) => Sink;
}

/** The state of decoding one message, or one S/MIME part below it, shared by the stages that remove its layers. */
export class DecodeState {
  readonly settings: DecodeSettings;
  readonly next: Handlers;
  readonly content: ContentSink;
  readonly layers: Layer[] = [];
  /** S/MIME parts below the content, in the order found. One list for the whole message. */
  readonly embedded: Embedded[];
  /** The room that the verdict has for text from the sender, for the whole message. */
  readonly room: VerdictRoom;
  /** Signers as they are judged, including those of embedded parts. */
  readonly judged: JudgedSigner[];
  /** The embedded part that is being decoded; undefined for the message itself. */
  readonly part: Embedded | undefined;
  /** Layers around the embedded part, which count towards the limit. */
  readonly #layersAbove: number;
  /** The signature whose content the caller has. */
  missing: MissingContent | undefined;
  /** The header of the mail as received; none for a bare CMS object. */
  outer: HeaderBlock | undefined;
  /** The header of the innermost entity, if layers protect it. */
  header: ProtectedHeader | undefined;
  /** An innermost entity was reached. */
  hasContent = false;
  /** An authenticating cipher's tag was verified. */
  aead = false;
  /** Set if a second run with these hints would find more. */
  retry: Hints | undefined;

  constructor(
    output: Sink,
    settings: DecodeSettings,
    next: Handlers,
    within?: { readonly outer: DecodeState; readonly part: Embedded },
  ) {
    const { outer, part } = within ?? {};
    this.settings = settings;
    this.next = next;
    this.part = part;
    this.embedded = outer?.embedded ?? [];
    this.room = outer?.room ?? new VerdictRoom(settings.budget);
    this.judged = outer?.judged ?? [];
    this.#layersAbove = outer === undefined ? 0 : outer.#layersAbove + outer.layers.length;
    this.content = new ContentSink(output, settings.contentDigest);
  }

  /** The state for an S/MIME part below the content. It shares only keys and limits. */
  below(part: Embedded, output: Sink): DecodeState {
    const { settings } = this;
    const own: DecodeSettings = {
      ...settings,
      hints: { ...noHints, lineEnds: settings.hints.lineEnds },
      reopenable: false,
      hasDetached: false,
      contentDigest: true,
    };
    return new DecodeState(output, own, this.next, { outer: this, part });
  }

  get limits(): SettledLimits {
    return this.settings.limits;
  }

  get budget(): Budget {
    return this.settings.budget;
  }

  /** Records a layer, from the outside in. Errors: `layer-limit`, `work-limit`. */
  enter(layer: Layer): void {
    this.budget.spend(costs.layer);
    if (this.#layersAbove + this.layers.length >= this.limits.layers) {
      throw new SealpostError('layer-limit', `more than ${this.limits.layers} nested S/MIME layers`);
    }
    this.layers.push(layer);
  }

  /** A name for an entered layer that is the same in each run over the message. */
  placeOf(layer: Layer): string {
    return `${this.part?.start.path ?? ''}#${this.layers.indexOf(layer)}`;
  }

  /** The innermost entity starts. Everything from here on is content. */
  beginContent(contentType: string | null): Sink {
    this.hasContent = true;
    this.content.contentType = contentType;
    return this.content;
  }
}
