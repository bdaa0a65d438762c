import { Budget, costs, isExhaustion } from '../../budget.ts';
import type { DecryptionKeys } from '../../cms/index.ts';
import { SealpostError, toErrorInfo } from '../../errors.ts';
import { NullSink, refuseStrayControls, type Sink } from '../../message/index.ts';
import type { Certificate, Identity } from '../../pki/index.ts';
import { checkRevocation, fetchIssuers } from '../verdict/ask-others.ts';
import type { Trust } from '../verdict/trust.ts';
import { failedVerdict, okVerdict, rejudged } from '../verdict/verdict.ts';
import type { Signer, Verdict } from '../verdict/verdict-schema.ts';
import { hasPem, TEXT_BEFORE_PEM } from './armor.ts';
import { detachedContent } from './detached.ts';
import { handlers } from './dispatch.ts';
import { mailEntity } from './entity.ts';
import { cmsBody } from './kinds.ts';
import { type DecodeLimits, settleLimits } from './limits.ts';
import { OutputError } from './sinks.ts';
import { beginsLikeHeader, FORM_OCTETS, formOf, Sniffer } from './sniffer.ts';
import { DecodeState, type EmbeddedStart, type Hints, noHints } from './state.ts';

/** Keys agreed on outside of the message: for KEK and password recipients, and for EncryptedData. */
export type SharedKeys = Pick<DecryptionKeys, 'keyEncryptionKeys' | 'passwords' | 'contentKeys'>;

/** A valid signature of a message, with the certificates that came with it. */
export interface DecodedSigner {
  /** As in the verdict. */
  readonly signer: Pick<
    Signer,
    | 'valid'
    | 'trusted'
    | 'signingTime'
    | 'smimeCapabilities'
    | 'signingCertificates'
    | 'encryptionKeyPreference'
  >;
  readonly certificate: Certificate;
  /** All certificates of the SignedData. No signature covers them. */
  readonly beside: readonly Certificate[];
}

const notDetached = 'content was given, but the message is not a detached signature';

/** What decoding needs besides the octets. Nothing else is consulted. */
export interface DecodeOptions extends SharedKeys {
  /** Our own keys. Those of expired certificates still decrypt. */
  readonly identities: readonly Identity[];
  readonly trust: Trust;
  /** The time at which certificates are judged. */
  readonly at: Date;
  readonly limits?: DecodeLimits;
  /** The budget of the message, for callers that want to know its cost. Default: made from `limits`. */
  readonly budget?: Budget;
  /** Allow AES-GCM and similar ciphers inside EnvelopedData. RFC 5083 forbids this, but some senders do it. */
  readonly aeadInEnvelopedData?: boolean;
  /**
   * Whether the verdict has the SHA-256 of the content. Default: true. Without it, a large message takes little more
   * than half the time.
   */
  readonly contentDigest?: boolean;
  /**
   * The content of a detached signature that comes alone (RFC 5652, section 5.2), exactly as it was signed. Verdict and
   * output are then as if it were inside. For any other message this is an error, because no signature would cover the
   * content.
   */
  readonly detached?: Buffer;
  /** What the octets are: a mail, a CMS object (DER, BER, PEM, base64), or either (the default). */
  readonly form?: 'auto' | 'mail' | 'cms';
}

/** As in `DecodeOptions`, except that the content of a detached signature may be reopenable too. */
export interface StreamedDecodeOptions extends Omit<DecodeOptions, 'detached'> {
  readonly detached?: Buffer | (() => Iterable<Buffer> | AsyncIterable<Buffer>);
}

/** Used by the functions around the decoder: what one run passes to the next. */
export interface RunOptions {
  readonly hints?: Hints;
  readonly reopenable?: boolean;
  /** The remaining budget of the message, shared by all runs over it. Default: made from the limits. */
  readonly budget?: Budget;
  /** Returns the sink for the content of an S/MIME part below the message. Default: the content is dropped. */
  readonly openEmbedded?: (start: EmbeddedStart) => Sink;
}

/**
 * Decodes one message that is pushed in chunks of any size; with `detached`, the owner then pushes that too, into
 * `awaited`. The content goes to `output` as it becomes known, before signatures and padding are checked: **its owner
 * must discard it unless the verdict's status is `ok`** (write to a temporary place, then commit or abort).
 * `output.end` is called only then. The same holds for each embedded part: its content counts only if the verdict lists
 * the part with content.
 *
 * `write` and `end` throw nothing about the message: every fault of it ends in a failed verdict with a stable code. An
 * error of `output` itself is passed on unchanged.
 */
export class Decoder implements Sink {
  readonly #state: DecodeState;
  #stage: Sink;
  #octets = 0;
  #awaited: Sink | undefined;
  #detail: string | null = null;
  #verdict: Verdict | undefined;

  constructor(output: Sink, options: StreamedDecodeOptions, run: RunOptions = {}) {
    const settled = settleLimits(options.limits);
    const budget = run.budget ?? options.budget ?? new Budget(settled.budget);
    const limits = { ...settled, message: { ...settled.message, budget } };
    const settings = {
      identities: options.identities,
      sharedKeys: sharedKeysOf(options),
      trust: options.trust,
      at: options.at,
      limits,
      budget,
      aeadInEnvelopedData: options.aeadInEnvelopedData ?? false,
      contentDigest: options.contentDigest ?? true,
      hints: run.hints ?? noHints,
      reopenable: run.reopenable ?? false,
      hasDetached: options.detached !== undefined,
      openEmbedded: run.openEmbedded ?? (() => new NullSink()),
    };
    this.#state = new DecodeState(output, settings, handlers);
    this.#stage = firstStage(this.#state, options.form ?? 'auto');
  }

  write(chunk: Buffer): void {
    if (this.#verdict !== undefined || chunk.length === 0) return;
    this.#octets += chunk.length;
    this.#guard(() => {
      this.#draw(chunk);
      this.#stage.write(chunk);
    });
  }

  end(): void {
    if (this.#verdict !== undefined) return;
    this.#guard(() => {
      if (this.#octets === 0) throw new SealpostError('message-empty', 'the message has no octets');
      this.#stage.end();
      const { missing, settings } = this.#state;
      if (missing !== undefined) this.#awaited = detachedContent(this.#state, missing);
      else if (settings.hasDetached) throw new SealpostError('cms-malformed', notDetached);
      else this.#judge();
    });
  }

  /**
   * Call after `end`: takes the content of a detached signature, if the message is one and the content was promised.
   */
  get awaited(): Sink | undefined {
    const stage = this.#awaited;
    if (stage === undefined) return undefined;
    return {
      write: (chunk) => {
        if (this.#verdict !== undefined) return;
        this.#octets += chunk.length;
        this.#guard(() => {
          this.#draw(chunk);
          stage.write(chunk);
        });
      },
      end: () => {
        if (this.#verdict === undefined)
          this.#guard(() => {
            stage.end();
            this.#judge();
          });
      },
    };
  }

  /** A larger message may cost more. Content that is given separately counts as part of it. */
  #draw(chunk: Buffer): void {
    const { budget } = this.#state;
    budget.received(this.#octets);
    budget.spend(chunk.length * costs.octet);
  }

  #judge(): void {
    const { layers, content, aead, header, outer, embedded, hasContent, budget, room } = this.#state;
    // it may have passed for the fault of a part that could be left out
    if (budget.exceeded !== undefined) throw budget.exceeded;
    // every header from which the message to hand off takes fields, by whichever route
    if (outer !== undefined) refuseStrayControls(outer);
    if (header !== undefined) {
      refuseStrayControls(header.entity);
      if (header.wrapped !== undefined) refuseStrayControls(header.wrapped);
    }
    this.#verdict = okVerdict({
      layers,
      content: hasContent ? content.finish() : null,
      aead,
      header,
      outer,
      embedded: embedded.map((part) => part.result()).filter((part) => part !== undefined),
      truncated: room.truncated,
    });
  }

  /** True if a fault has already decided the outcome, so the rest need not be read. */
  get finished(): boolean {
    return this.#verdict !== undefined;
  }

  /** The verdict. Call after `end`. */
  get verdict(): Verdict {
    if (this.#verdict === undefined)
      throw new SealpostError('internal', 'the verdict was requested before the end');
    return this.#verdict;
  }

  /**
   * Details of a failed decryption. The verdict does not have them, because it must be the same for all failures
   * (threats S3). They are for the operator only: a sender or destination that could read them might learn the key by
   * trying.
   */
  get detail(): string | null {
    return this.#detail;
  }

  /**
   * Fetches missing issuers and asks the authorities about the signers, if the caller's trust says so. Call after
   * `end`.
   */
  async askOthers(): Promise<void> {
    const { trust, at, budget } = this.#state.settings;
    const { issuerFetch, revocationCheck } = trust;
    if (issuerFetch === undefined && revocationCheck === undefined) return;
    let { judged } = this.#state;
    try {
      if (issuerFetch !== undefined) judged = await fetchIssuers(judged, trust, issuerFetch, at, budget);
      if (revocationCheck !== undefined) await checkRevocation(judged, trust, revocationCheck, at, budget);
      this.#verdict = rejudged(this.verdict);
    } catch (error) {
      if (!isExhaustion(error)) throw error;
      this.#fail(error);
    }
  }

  /** Those who signed the message itself, not parts below it. Call after `end`. */
  get signers(): DecodedSigner[] {
    const { judged, layers } = this.#state;
    return judged
      .filter(({ layer, signer }) => signer.valid && layers.some((each) => each === layer))
      .map(({ signer, certificate, bag }) => ({ signer, certificate, beside: bag.certificates }));
  }

  /**
   * The header block of the mail as received, including its blank line; undefined for a CMS object, or if it was not
   * read.
   */
  get header(): Buffer | undefined {
    return this.#state.outer?.raw;
  }

  /** What a second run should do differently; undefined if this one saw everything. */
  get retry(): Hints | undefined {
    const { retry, embedded, settings } = this.#state;
    if (retry !== undefined || this.#verdict?.status !== 'ok') return retry;
    const lineEnds = embedded.flatMap((part) => [...(part.lineEnds ?? [])]);
    if (lineEnds.length === 0) return undefined;
    const { hints } = settings;
    return { ...hints, lineEnds: new Map([...hints.lineEnds, ...lineEnds]) };
  }

  #fail(error: unknown): void {
    this.#verdict = failedVerdict(this.#state.layers, toErrorInfo(error), this.#state.room.truncated);
    this.#detail = detailOf(error);
  }

  #guard(step: () => void): void {
    try {
      step();
    } catch (error) {
      if (error instanceof OutputError) throw error.cause;
      this.#fail(this.#state.budget.exceeded ?? error);
      this.#stage = new NullSink();
    }
  }
}

function sharedKeysOf({ keyEncryptionKeys, passwords, contentKeys }: SharedKeys): SharedKeys {
  return {
    ...(keyEncryptionKeys === undefined ? {} : { keyEncryptionKeys }),
    ...(passwords === undefined ? {} : { passwords }),
    ...(contentKeys === undefined ? {} : { contentKeys }),
  };
}

function firstStage(state: DecodeState, form: 'auto' | 'mail' | 'cms'): Sink {
  if (form === 'mail') return mailEntity(state);
  if (form === 'cms') return cmsBody('binary', state.next.cms(state));
  const object = () => cmsBody('binary', state.next.cms(state));
  return new Sniffer(FORM_OCTETS, (head) => {
    if (formOf(head) !== 'other') return object();
    // the `From ` line of a mailbox file, before a mail, looks like text
    if (beginsLikeHeader(head) || head.toString('latin1', 0, 5) === 'From ') return mailEntity(state);
    return new Sniffer(TEXT_BEFORE_PEM, (text) => (hasPem(text) ? object() : mailEntity(state)));
  });
}

/** The cause behind the uniform decryption failure, in words, without octets of the message. */
function detailOf(error: unknown): string | null {
  if (!(error instanceof SealpostError) || error.code !== 'decrypt-failed') return null;
  const { cause } = error;
  if (cause instanceof SealpostError && cause.code !== 'decrypt-failed')
    return `the padding is right, but the content cannot be read (${cause.code}: ${cause.message}): the sender wrote it so, or another key passed by chance, as one in 256 does`;
  return cause instanceof Error ? cause.message : null;
}
