/** Lists the parts of decoded content as it passes: what rules about attachments need, without keeping any content. */
import { SealpostError } from '../errors.ts';
import { type MessageLimits, NullSink, type Sink } from '../message/index.ts';
import { contentKind, headOctets } from './message.ts';
import { createWalker, type PartFacts } from './walk.ts';

/** What `handoff` says about a part of the content. */
export type ListedPart = Pick<PartFacts, 'contentType' | 'disposition' | 'originalFileName'>;

export class PartLister implements Sink {
  readonly #limits: MessageLimits;
  readonly #parts: ListedPart[] = [];
  /** The start of the content, until it is known what it is. */
  #start: Buffer[] | undefined = [];
  #taken = 0;
  #walker: Sink | undefined;
  #isMail = false;
  #isBroken = false;

  constructor(limits: MessageLimits) {
    this.#limits = limits;
  }

  write(chunk: Buffer): void {
    if (this.#start === undefined) {
      this.#walk((walker) => walker.write(chunk));
      return;
    }
    // the caller may reuse its buffer
    this.#start.push(Buffer.from(chunk));
    this.#taken += chunk.length;
    if (this.#taken >= headOctets(this.#limits)) this.#begin();
  }

  end(): void {
    if (this.#start !== undefined) this.#begin();
    this.#walk((walker) => walker.end());
  }

  /**
   * The parts in order, after `end`; undefined if the content cannot be split into parts.
   *
   * @param whole the content is a mail that was not S/MIME; if it has no MIME field, it is one text
   */
  parts(whole: boolean): readonly ListedPart[] | undefined {
    if (this.#isBroken) return undefined;
    if (whole && !this.#isMail) return [{ contentType: 'text/plain', disposition: '', originalFileName: '' }];
    return this.#parts;
  }

  #begin(): void {
    const start = Buffer.concat(this.#start ?? []);
    this.#start = undefined;
    const kind = contentKind(start, this.#limits);
    this.#isMail = kind === 'entity';
    const visit = ({ contentType, disposition, originalFileName }: PartFacts) => {
      this.#parts.push({ contentType, disposition, originalFileName });
      return new NullSink();
    };
    this.#walker = createWalker(kind, visit, this.#limits);
    this.#walk((walker) => walker.write(start));
  }

  #walk(step: (walker: Sink) => void): void {
    if (this.#isBroken || this.#walker === undefined) return;
    try {
      step(this.#walker);
    } catch (error) {
      if (!(error instanceof SealpostError)) throw error;
      this.#isBroken = true;
    }
  }
}

/** Whether a part counts as an attachment: it has a name or says so, or it is not text. */
export function isAttachment({ contentType, disposition, originalFileName }: ListedPart): boolean {
  return originalFileName !== '' || disposition === 'attachment' || !contentType.startsWith('text/');
}
